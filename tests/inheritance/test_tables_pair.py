"""Paired tables against golden outcomes, closed forms and known truth."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.inheritance.tables import pair_statistics
from fmaudit.statistics import statistic

FIELDS = {
    "base_rate": "base_rate",
    "adapted_rate": "adapted_rate",
    "persist": "persistence",
    "introduce": "introduction",
    "repair": "repair",
    "risk_difference": "risk_difference",
    "delta_rate": "net_change",
    "kappa_EC": "error_consistency",
    "log_or_haldane": "log_odds_ratio",
    "homogenization": "homogenization",
}
RATIOS = ("slope", "error_consistency", "relative_negative_flips", "homogenization", "normalised_excess")


def stereoset(name):
    folder = os.environ.get("FMAUDIT_DATA")
    path = Path(folder or "") / "stereoset" / name
    if not folder or not path.is_file():
        pytest.skip(f"set FMAUDIT_DATA to a folder with stereoset/{name}")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expand(n11, n10, n01, n00):
    cells = np.repeat(np.arange(4), [n11, n10, n01, n00])
    return (cells < 2).astype(float), (cells % 2 == 0).astype(float)


def test_every_column_of_the_twenty_golden_pairs():
    rows = stereoset("item_outcomes_stereotype_preferred.csv")
    outcomes = {m: np.array([float(r[m]) for r in rows]) for m in list(rows[0])[3:]}
    golden = stereoset("golden_pairwise_inheritance.csv")
    assert len(golden) == 20
    for row in golden:
        found = pair_statistics(outcomes[row["base"]], outcomes[row["adapted"]], draws=50)
        for count in ("n", "n11", "n10", "n01", "n00"):
            assert getattr(found, count) == int(row[count])
        for column, name in FIELDS.items():
            assert getattr(found, name).value == pytest.approx(float(row[column]), abs=1e-9), column


def test_measures_by_their_definitions():
    n11, n10, n01, n00 = 30, 10, 15, 45
    found = pair_statistics(*expand(n11, n10, n01, n00), draws=200)
    n, p_b, p_a = 100, 0.40, 0.45
    expected_agreement = p_b * p_a + (1 - p_b) * (1 - p_a)
    assert found.flips.value == pytest.approx(0.25)
    assert found.negative_flips.value == pytest.approx(0.15)
    assert found.relative_negative_flips.value == pytest.approx(0.15 / (0.60 * 0.45))
    assert found.error_consistency.value == pytest.approx(
        (0.75 - expected_agreement) / (1 - expected_agreement)
    )
    assert found.slope.value == pytest.approx(0.75 - 0.25)
    assert found.homogenization.value == pytest.approx(0.30 / (p_b * p_a))
    assert found.normalised_excess.value == pytest.approx((0.30 - p_b * p_a) / (p_b - p_b * p_a))
    assert found.weighted == pytest.approx((n11, n10, n01, n00))
    assert found.n == n


def test_woolf_limits_agree_with_statsmodels():
    from statsmodels.stats.contingency_tables import Table2x2

    found = pair_statistics(*expand(30, 10, 15, 45), draws=50).log_odds_ratio
    oracle = Table2x2(np.array([[30.5, 10.5], [15.5, 45.5]]))
    assert found.value == pytest.approx(oracle.log_oddsratio)
    assert (found.lower, found.upper) == pytest.approx(oracle.log_oddsratio_confint())
    assert found.se == pytest.approx(oracle.log_oddsratio_se)


def test_bootstrap_of_sums_equals_the_bootstrap_of_rows():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(40), rng.integers(2, 9, 40))
    b = (rng.random(len(labels)) < 0.2 + 0.5 * (rng.random(40) < 0.4)[labels]).astype(float)
    a = np.where(rng.random(len(labels)) < 0.6, b, rng.random(len(labels)) < 0.4).astype(float)

    def slope(w):
        return np.average(a[b == 1], weights=w[b == 1]) - np.average(a[b == 0], weights=w[b == 0])

    fast = pair_statistics(b, a, None, {"c": labels}, draws=500, seed=4).slope
    slow = statistic(slope, np.ones(len(b)), {"c": labels}, draws=500, seed=4)
    assert (fast.value, fast.lower, fast.upper, fast.se) == pytest.approx(
        (slow.value, slow.lower, slow.upper, slow.se), abs=1e-12
    )


@pytest.mark.parametrize(
    ("cells", "undefined"),
    [
        ((0, 0, 4, 6), {"persistence", "repair", "slope", "homogenization", "normalised_excess"}),
        ((6, 4, 0, 0), {"introduction", "slope", "relative_negative_flips", "normalised_excess"}),
        ((10, 0, 0, 0), {*RATIOS, "introduction"} - {"homogenization"}),
        ((0, 0, 0, 10), {*RATIOS, "persistence", "repair"}),
    ],
)
def test_zero_denominators_are_undefined_with_a_reason(cells, undefined):
    found = pair_statistics(*expand(*cells), draws=50)
    names = (*RATIOS, "persistence", "introduction", "repair", "flips", "negative_flips")
    for name in names:
        measure = getattr(found, name)
        assert (measure.value is None) == (name in undefined), name
        assert name not in undefined or measure.reason


def test_no_rows_at_all_have_reasons_everywhere():
    found = pair_statistics([], [], draws=50)
    assert found.n == 0
    for name in (*RATIOS, "persistence", "introduction", "net_change", "log_odds_ratio", "base_rate"):
        assert getattr(found, name).value is None
        assert getattr(found, name).reason


def test_outcomes_other_than_0_and_1_are_refused():
    with pytest.raises(ValueError, match="0 and 1"):
        pair_statistics([0.5, 1], [0, 1])
    with pytest.raises(ValueError, match="NaN"):
        pair_statistics([np.nan, 1], [0, 1])


pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(1, 4)), min_size=4, max_size=40)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_integer_weights_are_repetitions(rows):
    b, a, w = (np.array(column) for column in zip(*rows, strict=True))
    weighted = pair_statistics(b, a, w, draws=20)
    repeated = pair_statistics(np.repeat(b, w), np.repeat(a, w), draws=20)
    scale = len(b) / w.sum()
    counts = np.array([repeated.n11, repeated.n10, repeated.n01, repeated.n00])
    assert weighted.weighted == pytest.approx(counts * scale)
    for name in (*RATIOS, "persistence", "introduction", "repair", "flips", "net_change"):
        left, right = getattr(weighted, name).value, getattr(repeated, name).value
        assert left is right is None or left == pytest.approx(right, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(pairs, st.randoms(use_true_random=False))
def test_results_do_not_depend_on_the_order_of_rows(rows, random):
    shuffled = random.sample(rows, len(rows))
    first, second = (
        pair_statistics(*(np.array(c) for c in zip(*r, strict=True)), draws=30) for r in (rows, shuffled)
    )
    assert first == second


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_identities_and_limits_hold(rows):
    b, a, w = (np.array(column) for column in zip(*rows, strict=True))
    found, swapped = pair_statistics(b, a, w, draws=30), pair_statistics(a, b, w, draws=30)
    value = {name: getattr(found, name).value for name in (*RATIOS, "persistence", "introduction", "repair")}
    assert found.net_change.value == pytest.approx(
        found.adapted_rate.value - found.base_rate.value, abs=1e-12
    )
    if value["slope"] is not None:
        assert value["slope"] == pytest.approx(value["persistence"] - value["introduction"], abs=1e-12)
        assert value["persistence"] + value["repair"] == pytest.approx(1)
        cov = np.cov(b, a, aweights=w)
        assert value["slope"] == pytest.approx(cov[0, 1] / cov[0, 0], abs=1e-9)
    for name in ("error_consistency", "homogenization", "normalised_excess"):
        other = getattr(swapped, name).value
        assert value[name] is other is None or value[name] == pytest.approx(other, abs=1e-9)
    for name in value:
        measure = getattr(found, name)
        if measure.lower is not None:
            assert measure.lower <= measure.value <= measure.upper


def test_slope_covers_under_clusters():
    clusters, kept = 60, 0.5
    labels = np.repeat(np.arange(clusters), 6)
    hits = []
    for run in range(200):
        rng = np.random.default_rng([5, run])
        rate = rng.beta(2, 3, clusters)[labels]
        b = (rng.random(len(labels)) < rate).astype(float)
        # Kept with probability one half, else an independent draw: slope .5 whatever the margins.
        a = np.where(rng.random(len(labels)) < kept, b, rng.random(len(labels)) < 0.4).astype(float)
        found = pair_statistics(b, a, None, {"c": labels}, draws=300, seed=run).slope
        hits.append(found.lower <= kept <= found.upper)
    assert 0.90 <= np.mean(hits) <= 0.985
