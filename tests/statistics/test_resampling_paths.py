"""Faster paths give what the plain ones give; tails beyond the draws; variance of few clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, t

from fmaudit.statistics import mean, rate, rate_change, ratios
from fmaudit.statistics.design import design
from fmaudit.statistics.ratios import crossed_error, mean_terms, variance_freedom


def crossed_rows(rng, first=12, second=9, repeats=2):
    a = np.tile(np.repeat(np.arange(first), second), repeats)
    b = np.tile(np.tile(np.arange(second), first), repeats)
    values = rng.normal(size=first)[a] + rng.normal(size=second)[b] + rng.normal(size=len(a))
    return values, rng.integers(1, 4, len(a)), {"a": a, "b": b}


def test_a_table_of_two_factors_is_the_bootstrap_of_row_weights(monkeypatch):
    rows = design(*([c] if i == 0 else c for i, c in enumerate(crossed_rows(np.random.default_rng(0)))))
    terms = mean_terms(rows, rows.columns[0])
    fast = crossed_error(rows, terms, 400, 3)
    monkeypatch.setattr(ratios, "_TABLE_FILL", 0)
    assert crossed_error(rows, terms, 400, 3) == pytest.approx(fast, rel=1e-9)


def test_labels_of_any_kind_make_the_same_clusters():
    rng = np.random.default_rng(1)
    numbers, y = rng.integers(0, 120, 900), rng.random(900) < 0.2
    kinds = (numbers, numbers.astype(str), numbers.astype(str).astype(object), numbers.astype(object))
    found = [rate_change(y, ~y, None, {"c": c}) for c in kinds]
    assert all(other == found[0] for other in found[1:])
    # One text, one cluster, whatever type it came in.
    mixed = np.array([1, "1", 2, "2"], dtype=object)
    assert rate([0, 1, 1, 1], None, {"c": mixed}).clusters == {"c": 2}


@pytest.mark.parametrize("members", [20, 100, 1000])
def test_simultaneous_limits_go_on_beyond_the_draws(members):
    """200 normal clusters: the t quantile is the truth, which 2,000 draws alone cannot reach."""
    values = np.random.default_rng(2).normal(size=200)
    level = 1 - 0.05 / members
    found = mean(values, level=level)
    expected = t.ppf((1 + level) / 2, 199) * values.std(ddof=1) / 200**0.5
    assert found.upper - found.lower == pytest.approx(2 * expected, rel=0.12)


def test_freedom_of_a_variance_is_that_of_its_chi_square():
    rng = np.random.default_rng(3)
    normal = design([rng.normal(size=4000)], None, {})
    assert variance_freedom(mean_terms(normal, normal.columns[0])) == pytest.approx(4000, rel=0.1)
    # Three equal outliers make up the variance: about twice three.
    rare = np.zeros(1000)
    rare[:3] = 1
    few = design([rare], None, {})
    assert variance_freedom(mean_terms(few, few.columns[0])) == pytest.approx(6, rel=0.05)
    # The law behind it: a variance of k degrees of freedom has variance 2 / k of its square.
    assert chi2.var(6) / chi2.mean(6) ** 2 == pytest.approx(2 / 6)


def test_few_clusters_that_carry_a_rate_widen_its_interval():
    labels = np.repeat(np.arange(100), 10)
    spread, concentrated = np.zeros(1000), np.zeros(1000)
    spread[::50] = 1
    concentrated[:20] = 1
    wide, narrow = (rate(y, None, {"c": labels}) for y in (concentrated, spread))
    assert wide.value == narrow.value == 0.02
    assert wide.upper > 2 * narrow.upper


def test_a_change_carried_by_few_clusters_is_not_resampled():
    labels = np.repeat(np.arange(60), 10)
    base, adapted = np.zeros(600), np.zeros(600)
    adapted[:40] = 1
    adapted[50::50] = 1
    found = rate_change(base, adapted, None, {"c": labels})
    assert found.method.startswith("Tango score on the effective sample size")
    assert found.draws is None
    even = np.zeros(600)
    even[::7] = 1
    assert "bootstrap-t" in rate_change(base, even, None, {"c": labels}).method


@pytest.mark.parametrize("tail", [0.001, 0.0004])
def test_where_no_cluster_changed_a_strict_limit_is_that_of_an_event_never_seen(tail: float):
    """``(1 - p)^n = tail`` for n clusters; Tango's score would say z^2 / (n + z^2), half as much again."""
    labels = np.repeat(np.arange(240), 3)
    same = (labels % 2).astype(float)
    found = rate_change(same, same, None, {"c": labels}, level=1 - 2 * tail)
    assert found.upper == pytest.approx(1 - tail ** (1 / 240), rel=0.01)
    assert found.lower == -found.upper


def test_sparse_limits_are_nested_in_their_level():
    labels = np.repeat(np.arange(120), 4)
    base = (labels % 3 == 0).astype(float)
    adapted = base.copy()
    adapted[:8] = 1 - adapted[:8]
    adapted[101] = 1 - adapted[101]
    ends = [
        rate_change(base, adapted, None, {"c": labels}, level=level)
        for level in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998, 0.9996)
    ]
    lowers, uppers = [e.lower for e in ends], [e.upper for e in ends]
    assert lowers == sorted(lowers, reverse=True)
    assert uppers == sorted(uppers)


@given(st.integers(0, 10_000), st.sampled_from([0.9, 0.95, 0.998]))
def test_sparse_limits_turn_with_the_sign(seed: int, level: float):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(50), rng.integers(1, 5, 50))
    base = rng.integers(0, 2, len(labels)).astype(float)
    adapted = base.copy()
    moved = rng.choice(len(labels), 4)
    adapted[moved] = 1 - adapted[moved]
    there = rate_change(base, adapted, None, {"c": labels}, level=level)
    back = rate_change(adapted, base, None, {"c": labels}, level=level)
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower), abs=1e-6)
