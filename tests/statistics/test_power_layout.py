"""Worth of every head of the items, and intraclass correlation, against direct sums and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f

from fmaudit.statistics.design import design, kish
from fmaudit.statistics.interval import MIN_CLUSTERS
from fmaudit.statistics.layout import alone, intraclass, layout
from fmaudit.statistics.proposals import Sample, grouped, independent, sampled


def direct_worth(weights, factors, icc):
    """One over the variance of the weighted mean of items of variance 1, from their covariance matrix."""
    n = len(weights)
    covariance = (1 - sum(icc.values())) * np.eye(n)
    for name, labels in factors.items():
        covariance += icc[name] * (labels[:, None] == labels[None, :])
    return weights.sum() ** 2 / (weights @ covariance @ weights)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5), st.floats(0, 0.5), st.booleans())
def test_every_head_is_worth_what_its_covariance_says(seed, first, second, crossed):
    rng = np.random.default_rng(seed)
    n = 40
    weights = rng.uniform(0.1, 3, n)
    factors = {"a": rng.integers(0, 7, n)}
    icc = {"a": first}
    if crossed:
        factors["b"], icc["b"] = rng.integers(0, 5, n), second
    found = layout(weights, factors, icc)
    known = {name: icc[name] for name in found.factors}
    for head in (1, 2, 9, 40):
        parts = {name: factors[name][:head] for name in found.factors}
        expected = direct_worth(weights[:head], parts, known)
        assert found.effective(head) == pytest.approx(expected)
    whole = design([], weights, factors, n=n)
    assert found.independent_units(n) == pytest.approx(whole.effective_units())
    assert found.widest[-1] == pytest.approx(max(whole.effective.values()))


def test_equal_clusters_have_the_familiar_design_effect():
    found = grouped(8, 0.15).layout
    for clusters in (1, 7, 30, 300):
        assert found.design_effect(8 * clusters) == pytest.approx(1 + 7 * 0.15)
        assert found.independent_units(8 * clusters) == pytest.approx(clusters)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.floats(0, 1), st.floats(0, 1), st.integers(1, 400))
def test_more_likeness_is_worth_less(size, one, other, n):
    low, high = sorted((one, other))
    worth = [float(grouped(size, icc).layout.effective(n)) for icc in (0.0, low, high, 1.0)]
    assert worth == sorted(worth, reverse=True) or np.ptp(worth) < 1e-9
    assert worth[0] == pytest.approx(n)
    assert worth[-1] >= math.floor(n / size) * 0.99 or size == 1


def test_independent_items_are_worth_themselves():
    assert alone(30).effective([1, 30, 90]).tolist() == [1, 30, 90]
    assert alone(12).least() == MIN_CLUSTERS
    weighted = layout([1.0, 2.0, 3.0, 2.0], {}, {})
    assert weighted.effective(4) == pytest.approx(kish([1, 2, 3, 2]))
    assert not weighted.simple


@pytest.mark.parametrize("items", [12, 45, 200])
def test_thirty_clusters_are_the_least(items):
    labels = np.repeat(np.arange(items), 3)
    assert layout(np.ones(len(labels)), {"c": labels}, {"c": 0.1}).least() == pytest.approx(90, abs=2)


def test_a_large_last_cluster_takes_effective_clusters_away():
    labels = np.r_[np.arange(40), np.full(60, 99), np.arange(100, 1100)]
    found = layout(np.ones(len(labels)), {"c": labels}, {"c": 0.1})
    least = found.least()
    assert found.widest[39] >= MIN_CLUSTERS
    assert (found.widest[least - 1 :] >= MIN_CLUSTERS).all()
    assert found.widest[least - 2] < MIN_CLUSTERS


@pytest.mark.parametrize(
    ("weights", "icc"), [([], {}), ([0.0, 1.0], {}), ([1.0, 1.0], {"c": 1.2}), ([1.0], {"c": -0.1})]
)
def test_a_layout_needs_items_and_correlations(weights, icc):
    with pytest.raises(ValueError, match=r"items|correlation"):
        layout(weights, {"c": np.arange(len(weights))}, icc)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 300))
def test_items_and_clusters_are_inverse(sizes, count):
    sample = Sample(alone(30), np.array(sizes), np.array(sizes, dtype=float))
    assert sample.clusters(sample.items(count)) == count
    needed = sample.clusters(count)
    assert sample.items(needed) >= count > sample.items(needed - 1)


def test_clusters_come_in_the_order_in_which_they_are_complete():
    labels = np.array(["a", "b", "a", "c", "c", "b"])
    sample = sampled(np.array([1.0, 2, 3, 4, 5, 6]), {"c": labels}, {"c": 0.3})
    assert sample.sizes.tolist() == [2, 2, 2]
    assert sample.mass.tolist() == [4, 9, 8]
    assert sample.icc == 0.3
    assert not sample.crossed


def test_a_factor_that_nobody_shares_is_none():
    sample = sampled(np.ones(50), {"c": np.arange(50)}, {"c": 0.5})
    assert sample.layout.simple
    assert sample.layout.factors == ()
    assert grouped(1, 0.5).layout.simple
    assert independent().layout.simple


def test_intraclass_correlation_of_equal_clusters_is_the_textbook_one():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(50), 6)
    values = rng.normal(size=50)[labels] * 0.6 + rng.normal(size=300)
    table = values.reshape(50, 6)
    between = 6 * table.mean(1).var(ddof=1)
    within = table.var(axis=1, ddof=1).mean()
    expected = (between - within) / (between + 5 * within)
    limit = between / within / f.ppf(0.2, 49, 250)
    found = intraclass(values, labels)
    assert found[0] == pytest.approx(expected)
    assert found[1] == pytest.approx((limit - 1) / (limit + 5))


def test_the_limit_of_an_intraclass_correlation_holds_as_often_as_it_says():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(40), 5)
    estimates, covered = [], []
    for _ in range(600):
        values = rng.normal(size=40)[labels] * 0.5 + rng.normal(size=200) * 0.75**0.5
        estimate, limit = intraclass(values, labels)
        estimates.append(estimate)
        covered.append(limit >= 0.25)
    # Monte Carlo: three standard errors.
    assert np.mean(estimates) == pytest.approx(0.25, abs=0.015)
    assert np.mean(covered) == pytest.approx(0.8, abs=0.05)


def test_no_intraclass_correlation_without_variation_or_clusters():
    assert intraclass([1.0, 2, 3], [0, 0, 0]) is None
    assert intraclass([1.0, 2, 3], [0, 1, 2]) is None
    assert intraclass(np.ones(6), np.repeat([0, 1, 2], 2)) is None
    assert intraclass([1.0, 1, 2, 2], [0, 0, 1, 1]) == (1.0, 1.0)
    assert intraclass([1.0, 2, 1, 2], [0, 0, 1, 1])[0] == 0
