"""Retention of a trigger's effect: planted effects, exact identities, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.inheritance.effect import Triggered, effect_retention
from fmaudit.statistics import rate_change


def planted(run, effect, n=400, tokens=5, background=0.1):
    rng = np.random.default_rng([4, run, round(1000 * effect)])
    return Triggered(
        (rng.random(n) < background + effect).astype(float),
        (rng.random((n, tokens)) < background).astype(float),
    )


def test_retention_is_the_ratio_of_paired_effects():
    base, adapted = planted(0, 0.6), planted(1, 0.3)
    found = effect_retention(base, adapted, draws=200)
    gaps = [np.mean(m.trigger - m.controls.mean(axis=1)) for m in (base, adapted)]
    assert (found.base.value, found.adapted.value) == pytest.approx(gaps)
    assert found.retention.value == pytest.approx(gaps[1] / gaps[0])
    oracle = rate_change(base.controls.mean(axis=1), base.trigger, draws=200)
    assert found.base == oracle


def test_retention_covers_its_truth():
    hits = []
    for run in range(100):
        found = effect_retention(planted(run, 0.5), planted(1000 + run, 0.3), draws=300, seed=run).retention
        hits.append(found.lower <= 0.6 <= found.upper)
    assert np.mean(hits) >= 0.89


def test_an_identical_model_keeps_everything():
    base = planted(2, 0.5)
    found = effect_retention(base, base, draws=100).retention
    assert (found.value, found.lower, found.upper) == pytest.approx((1, 1, 1))


def test_a_repaired_model_keeps_nothing():
    found = effect_retention(planted(3, 0.6), planted(4, 0.0), draws=400).retention
    assert found.lower <= 0 <= found.upper
    assert found.upper < 0.2


def test_random_tokens_as_trigger_have_no_effect_to_retain():
    reported = []
    for run in range(150):
        found = effect_retention(planted(run, 0.0), planted(run + 500, 0.0), draws=100, seed=run)
        reported.append(found.retention.value is not None)
        assert reported[-1] or "no effect to retain" in found.retention.reason
    assert np.mean(reported) <= 0.06


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(40), 10)
    chance = np.clip(0.5 + 0.4 * rng.choice([-1, 1], 40), 0, 1)[labels]
    base = Triggered((rng.random(400) < 0.8).astype(float), np.zeros(400))
    adapted = Triggered((rng.random(400) < chance).astype(float), np.zeros(400))
    plain = effect_retention(base, adapted, draws=400).retention
    clustered = effect_retention(base, adapted, None, {"c": labels}, draws=400).retention
    assert clustered.value == pytest.approx(plain.value)
    assert clustered.upper - clustered.lower > 1.5 * (plain.upper - plain.lower)


@pytest.mark.parametrize("controls", [np.zeros((3, 0)), np.zeros((2, 2)), np.zeros((3, 1, 1))])
def test_shapes_that_do_not_fit_are_refused(controls):
    good = Triggered(np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="one row an item"):
        effect_retention(Triggered(np.ones(3), controls), good)


def test_outcomes_outside_the_unit_range_are_refused():
    good = Triggered(np.ones(40), np.zeros(40))
    with pytest.raises(ValueError, match="outside"):
        effect_retention(Triggered(np.full(40, 2.0), np.zeros(40)), good)
