"""Severity change against planted shifts, normal noise and known slopes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fmaudit.inheritance.severity import NO_RETEST, NOISE_SHARE, Scored, severity_change
from fmaudit.statistics import mean_change


def planted(run, n=400, shift=0.0, slope=1.0, noise=0.3, noise_adapted=None):
    rng = np.random.default_rng([3, run])
    true = rng.normal(1.0, 1.0, n)
    noise_adapted = noise if noise_adapted is None else noise_adapted
    z_b, again_b = true + noise * rng.normal(size=(2, n))
    z_a, again_a = shift + slope * true + noise_adapted * rng.normal(size=(2, n))
    return Scored(z_b > 0, z_b, again_b), Scored(z_a > 0, z_a, again_a)


def unscored(scored, outcome=None):
    return Scored(scored.outcome if outcome is None else outcome, scored.severity)


def test_change_and_noise_by_their_definitions():
    base, adapted = planted(0, shift=0.2)
    found = severity_change(base, adapted, draws=200)
    both = base.outcome & adapted.outcome
    moved = (adapted.severity - base.severity)[both]
    assert found.persistent == both.sum()
    assert found.change.value == pytest.approx(moved.mean())
    tau = 1.96 * (base.retest - base.severity)[both].std()
    assert found.tau.value == pytest.approx(tau)
    assert found.amplified.value == pytest.approx(np.mean(moved > tau))
    assert found.mitigated.value == pytest.approx(np.mean(moved < -tau))
    assert found.amplified.value + found.mitigated.value + found.unchanged.value == pytest.approx(1)
    oracle = mean_change(base.severity[both], adapted.severity[both], draws=200)
    assert (found.change.lower, found.change.upper, found.change.p) == (oracle.lower, oracle.upper, oracle.p)


def test_without_retest_the_shares_are_unknown_and_say_so():
    base, adapted = planted(1)
    found = severity_change(unscored(base), adapted, draws=50)
    for share in (found.tau, found.amplified, found.mitigated, found.unchanged):
        assert share.value is None
        assert share.reason == NO_RETEST
    assert found.change.value is not None
    assert found.attenuation.value is not None


def test_an_exact_retest_tells_no_noise():
    base, adapted = planted(2)
    found = severity_change(Scored(base.outcome, base.severity, base.severity), adapted, draws=50)
    assert found.amplified.value is None
    assert "paraphrases" in found.tau.reason


def test_noise_alone_moves_a_fortieth_to_either_side():
    everything = np.ones(400)
    shares = []
    for run in range(40):
        base, adapted = planted(run)
        forced = [Scored(everything, s.severity, s.retest) for s in (base, adapted)]
        found = severity_change(*forced, draws=20)
        shares.append((found.amplified.value, found.mitigated.value))
    assert np.mean(shares, axis=0) == pytest.approx([NOISE_SHARE, NOISE_SHARE], abs=0.006)


def test_shares_of_a_planted_shift_cover_their_truth():
    everything, deviation = np.ones(400), 0.3 * 2**0.5
    expected = norm.sf((1.96 * deviation - 1.0) / deviation)
    hits = []
    for run in range(100):
        base, adapted = planted(run, shift=1.0)
        forced = [Scored(everything, s.severity, s.retest) for s in (base, adapted)]
        found = severity_change(*forced, draws=300, seed=run)
        hits.append(found.amplified.lower <= expected <= found.amplified.upper)
        assert found.change.lower > 0.8
        assert found.mitigated.value < 0.02
    assert np.mean(hits) >= 0.88


@pytest.mark.parametrize("retested", [True, False])
def test_slope_covers_its_truth(retested):
    slope, hits, values = 0.6, [], []
    for run in range(100):
        # Without retests the error ratio is taken as 1, with them it is found to be 4.
        base, adapted = planted(run, slope=slope, noise=0.3, noise_adapted=0.6 if retested else 0.3)
        used = (base, adapted) if retested else (unscored(base), unscored(adapted))
        found = severity_change(*used, draws=300, seed=run)
        values.append(found.attenuation.value)
        hits.append(found.attenuation.lower <= slope <= found.attenuation.upper)
        assert found.error_ratio == (pytest.approx(4, rel=0.5) if retested else 1)
    assert np.mean(values) == pytest.approx(slope, abs=0.012)
    assert np.mean(hits) >= 0.89


def test_slope_equals_the_principal_axis_and_its_inverse_when_swapped():
    base, adapted = (unscored(s) for s in planted(7, slope=0.5))
    found = severity_change(base, adapted, draws=20).attenuation.value
    swapped = severity_change(adapted, base, draws=20).attenuation.value
    assert found * swapped == pytest.approx(1)
    axis = np.linalg.eigh(np.cov(base.severity, adapted.severity))[1][:, -1]
    assert found == pytest.approx(axis[1] / axis[0])


def test_identical_models_keep_every_severity():
    base, _ = planted(8)
    found = severity_change(base, base, draws=50)
    assert found.change.value == 0
    assert found.attenuation.value == pytest.approx(1)
    assert found.unchanged.value == 1


def test_no_persistent_item_and_no_covariance_are_undefined():
    z = np.array([1.0, 1.0, -1.0, -1.0] * 10)
    other = np.array([1.0, -1.0, 1.0, -1.0] * 10)
    found = severity_change(Scored(z > 0, z, z + 0.1), Scored(z < 0, other), draws=30)
    assert found.persistent == 0
    assert found.change.value is None
    assert "no item" in found.change.reason
    assert found.amplified.value is None
    assert found.attenuation.value is None
    assert "vary together" in found.attenuation.reason


def test_weights_and_clusters_reach_every_number():
    base, adapted = planted(9, n=200)
    w = np.random.default_rng(0).integers(1, 4, 200)
    labels = np.arange(200) // 4
    weighted = severity_change(base, adapted, w, {"c": labels}, draws=100)
    repeated = [Scored(*(np.repeat(column, w) for column in vars(s).values())) for s in (base, adapted)]
    oracle = severity_change(*repeated, None, {"c": np.repeat(labels, w)}, draws=100)
    for name in ("change", "tau", "amplified", "mitigated", "attenuation"):
        left, right = getattr(weighted, name), getattr(oracle, name)
        assert (left.value, left.clusters) == (pytest.approx(right.value), right.clusters)


def test_outcomes_other_than_0_and_1_are_refused():
    base, adapted = planted(10)
    with pytest.raises(ValueError, match="0 or 1"):
        severity_change(base, Scored(adapted.severity, adapted.severity))
