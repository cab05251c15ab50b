"""Equivalence and non-inferiority against statsmodels, the interval estimators and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, multinomial
from statsmodels.stats.weightstats import ttost_paired

from fmaudit.statistics import equivalence, mean_change, noninferiority, rate_change


def scores(n=2000, shift=0.02, seed=1):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=n)
    return base, base + shift + rng.normal(0, 0.5, n)


def paired_rates(n=600, flips=0.1, clusters=60, seed=2):
    rng = np.random.default_rng(seed)
    base = (rng.random(n) < 0.3).astype(float)
    adapted = np.where(rng.random(n) < flips, 1 - base, base)
    return base, adapted, {"document": rng.integers(0, clusters, n)}


@pytest.mark.parametrize("margin", [0.03, 0.05, 0.08])
def test_real_scores_agree_with_the_paired_t_tests(margin):
    base, adapted = scores()
    found = equivalence(base, adapted, margin, kind="mean", draws=20_000)
    expected, (_, p_above, _), (_, p_below, _) = ttost_paired(adapted, base, -margin, margin)
    assert found.p == pytest.approx(expected, abs=0.004)
    assert found.equivalent == (expected < 0.05)
    worse = noninferiority(base, adapted, margin, kind="mean", draws=20_000)
    assert worse.p == pytest.approx(p_below, abs=0.004)
    better = noninferiority(base, adapted, margin, direction="higher_is_better", kind="mean", draws=20_000)
    assert better.p == pytest.approx(p_above, abs=0.004)


def test_few_scores_are_the_paired_t_test_itself():
    base, adapted = scores(9)
    found = equivalence(base, adapted, 0.5, kind="mean")
    assert "t interval" in found.method
    assert found.p == pytest.approx(ttost_paired(adapted, base, -0.5, 0.5)[0], abs=1e-9)
    assert not found.conclusive


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("flips", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_decision_interval_and_p_agree(clustered, flips, alpha):
    base, adapted, clusters = paired_rates(flips=flips)
    chosen = clusters if clustered else None
    interval = rate_change(base, adapted, None, chosen, level=1 - 2 * alpha)
    for margin in (0.005, 0.02, 0.05, 0.1):
        found = equivalence(base, adapted, margin, None, chosen, alpha=alpha)
        assert (found.lower, found.upper) == pytest.approx((interval.lower, interval.upper), abs=1e-12)
        assert found.method in interval.method
        assert found.equivalent == (-margin < interval.lower and interval.upper < margin)
        assert found.equivalent == (found.p <= alpha) or found.p == pytest.approx(alpha, abs=1e-6)
        sides = [
            noninferiority(base, adapted, margin, None, chosen, alpha=alpha, direction=d).p
            for d in ("lower_is_better", "higher_is_better")
        ]
        assert found.p == pytest.approx(max(sides))


def test_p_falls_with_the_margin_and_mirrors_with_the_direction():
    base, adapted, clusters = paired_rates()
    ps = [equivalence(base, adapted, m, None, clusters).p for m in np.linspace(0.005, 0.2, 12)]
    assert ps == sorted(ps, reverse=True)
    assert ps[0] > 0.3
    assert ps[-1] < 1e-4
    forward = noninferiority(base, adapted, 0.03, None, clusters)
    backward = noninferiority(adapted, base, 0.03, None, clusters, direction="higher_is_better")
    assert forward.p == pytest.approx(backward.p, abs=0.01)


def test_scores_and_crossed_factors_use_the_interval_of_mean_change():
    base, adapted = scores(400, 0.0)
    crossed = {"a": np.repeat(np.arange(20), 20), "b": np.tile(np.arange(20), 20)}
    for clusters in (None, {"c": np.arange(400) // 8}, crossed):
        interval = mean_change(base, adapted, None, clusters, level=0.9)
        found = equivalence(base, adapted, 0.1, None, clusters, kind="mean")
        assert (found.lower, found.upper) == pytest.approx((interval.lower, interval.upper), abs=1e-12)
        assert found.conclusive == interval.conclusive


def test_nothing_to_measure_is_never_equivalent():
    empty = equivalence([], [], 0.05)
    assert (empty.p, empty.equivalent, empty.conclusive) == (1.0, False, False)
    one_cluster = equivalence([0.1, 0.2], [0.1, 0.2], 0.9, weights=[1, 0], kind="mean")
    assert (one_cluster.p, one_cluster.equivalent) == (1.0, False)
    assert "too few" in one_cluster.reason


def test_arguments_out_of_range_are_refused():
    for bad in ({"margin": 0.0}, {"margin": 0.1, "alpha": 0.5}, {"margin": 0.1, "kind": "median"}):
        with pytest.raises(ValueError, match=r"margin|alpha|unknown"):
            equivalence([0, 1], [0, 1], **bad)
    with pytest.raises(ValueError, match="direction"):
        noninferiority([0, 1], [0, 1], 0.1, direction="up")
    with pytest.raises(ValueError, match="outside"):
        equivalence([0, 2], [0, 1], 0.1)


@pytest.mark.parametrize(("n", "lost", "margin"), [(200, 0.01, 0.06), (300, 0.02, 0.05), (400, 0.02, 0.1)])
def test_exact_type_one_error_of_paired_rates_at_the_margin(n, lost, margin):
    """All tables of (gained, lost) at a true change of exactly the margin."""
    gained = lost + margin
    error = 0.0
    for g in range(int(binom.ppf(1e-6, n, gained)), int(binom.ppf(0.5, n, gained)) + 1):
        for b in range(int(binom.ppf(1 - 1e-6, n, lost)) + 1):
            chance = multinomial.pmf([g, b, n - g - b], n, [gained, lost, 1 - gained - lost])
            if chance < 1e-6:
                continue
            base, adapted = np.zeros(n), np.zeros(n)
            adapted[:g] = 1
            base[g : g + b] = 1
            error += chance * equivalence(base, adapted, margin).equivalent
    print("exact type I", n, error)
    # Score limits hold their level on average, not at every n.
    assert 0.02 < error <= 0.056


def test_type_one_error_of_clustered_rates_at_the_margin():
    rng = np.random.default_rng(5)
    claims = []
    for seed in range(500):
        labels = np.repeat(np.arange(50), rng.integers(2, 20, 50))
        shift = np.clip(0.08 + 0.1 * rng.normal(size=50), 0, 0.16)
        base = rng.random(len(labels)) < 0.2
        adapted = rng.random(len(labels)) < (0.2 + shift - 0.08 + 0.05)[labels]
        found = equivalence(base, adapted, 0.05, None, {"c": labels}, draws=400, seed=seed)
        claims.append(found.equivalent)
    # Binomial(500, .05) exceeds .08 with probability .002.
    assert np.mean(claims) <= 0.08
