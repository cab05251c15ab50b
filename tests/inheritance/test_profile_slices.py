"""Profiles of slice disparities: exact values, known truth, reliability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from fmaudit.inheritance.profile import MIN_RELIABILITY, profile_inheritance, rank_correlation
from fmaudit.statistics import contrast

SLICES = 12


def simulate(run, alike, spread=0.5, items=120, shared=1.0):
    """Outcomes whose slice effects have rank correlation near ``alike`` and shared item noise."""
    effects = np.random.default_rng(5)
    base, other = effects.normal(size=(2, SLICES))
    adapted = alike * base + (1 - alike**2) ** 0.5 * other
    rng = np.random.default_rng([6, run])
    slices = np.repeat(np.arange(SLICES), items)
    labels = np.arange(len(slices)) // 8
    noise = shared * rng.normal(size=len(slices)) + 0.5 * rng.normal(size=labels[-1] + 1)[labels]
    outcomes = [
        (noise + spread * effect[slices] + rng.logistic(size=len(slices)) > 0).astype(float)
        for effect in (base, adapted)
    ]
    return *outcomes, slices, {"c": labels}, float(spearmanr(base, adapted)[0])


def test_values_equal_scipy_and_the_contrast_of_rates():
    base, adapted, slices, labels, _ = simulate(0, 0.8)
    found = profile_inheritance(base, adapted, slices, None, labels, draws=50)
    gaps = [
        [contrast(y, slices == g, slices != g, None, labels, draws=20).value for g in range(SLICES)]
        for y in (base, adapted)
    ]
    order = [int(name) for name in found.slices]
    for shown, oracle in ((found.base, gaps[0]), (found.adapted, gaps[1])):
        assert [i.value for i in shown] == pytest.approx([oracle[g] for g in order])
    assert found.spearman.value == pytest.approx(spearmanr(*gaps)[0])
    assert found.cosine.value == pytest.approx(
        np.dot(*gaps) / np.linalg.norm(gaps[0]) / np.linalg.norm(gaps[1])
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=4, max_size=12))
def test_rank_correlation_with_ties_equals_scipy(pairs):
    first, second = np.array(pairs, dtype=float).T
    found = rank_correlation(first[None], second[None])[0]
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(first, second)[0], abs=1e-12)


def test_a_profile_against_itself_is_one():
    base, _, slices, labels, _ = simulate(1, 1.0)
    found = profile_inheritance(base, base, slices, None, labels, draws=50)
    assert found.spearman.value == pytest.approx(1)
    assert found.cosine.value == pytest.approx(1)
    assert found.disattenuated.value == pytest.approx(1, abs=1e-9)
    assert found.reliability_base == found.reliability_adapted.__class__(
        **{**found.reliability_adapted.__dict__, "estimand": found.reliability_base.estimand}
    )


def test_the_level_does_not_matter_only_the_shape():
    base, adapted, slices, labels, _ = simulate(2, 0.9)
    halved = 0.5 * adapted
    plain, lower = (profile_inheritance(base, a, slices, None, labels, draws=30) for a in (adapted, halved))
    assert lower.spearman.value == pytest.approx(plain.spearman.value)
    assert lower.cosine.value == pytest.approx(plain.cosine.value)


def test_split_halves_remove_shared_item_noise_and_undo_attenuation():
    raw, corrected = [], []
    for run in range(25):
        base, adapted, slices, labels, truth = simulate(run, 0.0, spread=0.8, shared=3.0)
        raw_run = profile_inheritance(base, adapted, slices, None, labels, draws=2)
        raw.append(raw_run.spearman.value - truth)
        if raw_run.disattenuated.value is not None:
            corrected.append(raw_run.disattenuated.value - truth)
    assert len(corrected) >= 5
    assert np.mean(raw) > 0.1
    assert abs(np.mean(corrected)) < np.mean(raw)


def test_reliability_grows_with_items_and_follows_the_step_up_formula():
    def reliability(items):
        runs = [simulate(run, 0.5, spread=0.3, items=items) for run in range(12)]
        return np.mean(
            [profile_inheritance(*r[:3], None, r[3], draws=2).reliability_base.value for r in runs]
        )

    small, large = reliability(80), reliability(320)
    assert small < large < 1
    assert large == pytest.approx(4 * small / (1 + 3 * small), abs=0.08)


def test_noise_is_not_a_profile():
    rng = np.random.default_rng(4)
    base, adapted = (rng.random((2, 480)) < 0.4).astype(float)
    found = profile_inheritance(base, adapted, np.arange(480) % 12, draws=100)
    assert found.reliability_base.value < MIN_RELIABILITY
    assert found.disattenuated.value is None
    assert "mostly noise" in found.disattenuated.reason
    assert not found.spearman.conclusive
    assert "describes these items" in found.spearman.reason


def test_fewer_than_four_slices_are_undefined():
    rng = np.random.default_rng(5)
    base, adapted = (rng.random((2, 300)) < 0.4).astype(float)
    found = profile_inheritance(base, adapted, np.arange(300) % 3, draws=30)
    assert len(found.base) == 3
    for correlation in (found.spearman, found.cosine, found.disattenuated):
        assert correlation.value is None
        assert "3 slices, 4 needed" in correlation.reason


def test_a_flat_profile_has_no_correlation():
    base = np.tile([0.0, 1.0], 60)
    adapted = (np.random.default_rng(6).random(120) < 0.4).astype(float)
    found = profile_inheritance(base, adapted, np.arange(120) // 20, draws=30)
    assert found.spearman.value is None
    assert "flat" in found.spearman.reason


def test_crossed_factors_and_many_rows_are_handled():
    rng = np.random.default_rng(7)
    template, word = np.repeat(np.arange(30), 40), np.tile(np.arange(40), 30)
    slices = word // 5
    base, adapted = (rng.random((2, 1200)) < 0.2 + 0.07 * slices).astype(float)
    found = profile_inheritance(base, adapted, slices, None, {"template": template, "word": word}, draws=60)
    assert found.spearman.lower > 0.5
    assert found.reliability_base.value > MIN_RELIABILITY
    big = np.arange(6000) % 8
    base, adapted = (rng.random((2, 6000)) < 0.2 + 0.07 * big).astype(float)
    pooled = profile_inheritance(base, adapted, big, draws=60)
    assert pooled.reliability_base.value > 0.9
    assert pooled.disattenuated.value > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_the_disattenuated_value_covers_where_the_raw_one_does_not(alike):
    raw, corrected = [], []
    for run in range(200):
        base, adapted, slices, labels, truth = simulate(run, alike)
        found = profile_inheritance(base, adapted, slices, None, labels, draws=300, seed=run)
        raw.append(found.spearman.lower <= truth <= found.spearman.upper)
        if found.disattenuated.lower is not None:
            corrected.append(found.disattenuated.lower <= truth <= found.disattenuated.upper)
    print("raw", np.mean(raw), "disattenuated", np.mean(corrected), "of", len(corrected))
    assert np.mean(raw) < 0.9
    assert len(corrected) > 150
    assert np.mean(corrected) >= 0.89
