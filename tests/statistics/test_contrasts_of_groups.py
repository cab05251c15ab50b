"""Differences of two groups: which test, which intervals, which rows."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.statistics import contrast, holm
from fmaudit.statistics.group_tests import permutation_p
from fmaudit.statistics.ratios import Terms

DRAWS = 200


def test_the_methods_of_both_groups_are_named():
    values = np.zeros(53)
    values[[0, 2, 4, 6, 1]] = [1.0, 1.0, 1.0, 1.0, 2.0]
    group = np.arange(53) % 2 == 0
    found = contrast(values, group, ~group, level=0.8, draws=DRAWS)
    assert found.method.startswith(
        "approximate: square-and-add of item bootstrap-t and item jackknife error, t interval; "
    )


def test_contrast_within_clusters_is_a_paired_comparison():
    rng = np.random.default_rng(6)
    template = np.tile(np.arange(40), 2)
    group = np.arange(80) < 40
    values = 10 * rng.normal(size=40)[template] + group + 0.1 * rng.normal(size=80)
    paired = contrast(values, group, ~group, None, {"template": template})
    assert paired.lower > 0.9
    assert paired.upper < 1.1
    assert paired.p == pytest.approx(1 / 5000)
    assert "within clusters" in paired.method
    assert contrast(values, group, ~group).lower < 0


def test_contrast_ignores_rows_of_neither_group_and_refuses_rows_of_both():
    values, plus = np.array([1.0, 0, 1, 0, 1, 1]), np.array([1, 1, 1, 0, 0, 0], bool)
    minus = np.array([0, 0, 0, 1, 1, 0], bool)
    assert contrast(values, plus, minus) == contrast(values[:5], plus[:5], minus[:5])
    with pytest.raises(ValueError, match="both groups"):
        contrast(values, plus, plus)
    assert contrast(values, plus, ~plus & plus).value is None


def test_contrast_needs_clusters_in_both_groups():
    document = np.repeat(np.arange(60), 3)
    few = document < 10
    found = contrast(np.random.default_rng(0).normal(size=180), few, ~few, None, {"document": document})
    assert not found.conclusive
    assert found.reason.startswith("10 effective clusters in the first group")


def test_a_contrast_of_zero_lies_in_its_interval_where_sums_round():
    rows = np.arange(50)
    group, weights = rows % 2 == 0, np.where(rows % 3 == 0, 0.1, 1.0)
    for value in (0.1, 0.3, 0.7):
        found = contrast(np.full(50, value), group, ~group, weights)
        assert found.lower <= found.value <= found.upper


def test_a_plain_gap_is_shown_among_thousands_of_claims_where_it_is_asked_for():
    """5,000 assignments end at a p of 1 / 5000: no family of 250 claims or more would show any contrast."""
    rng = np.random.default_rng(4)
    plus = np.arange(80) < 40
    values = np.where(plus, 0.9, 0.1) + rng.normal(0, 0.05, 80)
    plain = contrast(values, plus, ~plus)
    fine = contrast(values, plus, ~plus, finest=0.05 / 1000 / 2)
    assert plain.p == pytest.approx(1 / 5000)
    assert fine.p == pytest.approx(0.05 / 1000 / 2)
    assert holm([plain.p, *[None] * 999])[0] >= 0.05 > holm([fine.p, *[None] * 999])[0]
    assert (plain.lower, plain.upper) == (fine.lower, fine.upper)


def test_within_documents_further_swaps_are_drawn_too():
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(60), 2)
    plus = np.tile([True, False], 60)
    values = np.where(plus, 0.8, 0.2) + rng.normal(0, 0.05, 120)
    found = contrast(values, plus, ~plus, None, {"document": labels}, finest=1 / 20_000)
    assert found.p == pytest.approx(1 / 20_000)


def test_a_p_value_that_a_draw_has_reached_is_not_drawn_again():
    rng = np.random.default_rng(6)
    plus = np.arange(60) < 30
    values = rng.normal(size=60) + 0.6 * plus
    assert contrast(values, plus, ~plus).p == contrast(values, plus, ~plus, finest=1e-5).p > 1 / 5000


def test_refined_p_values_hold_their_level_where_nothing_differs():
    """Under exchangeable groups a p-value is at most x in a share of at most x of the data sets."""
    rng = np.random.default_rng(7)
    plus = np.arange(16) < 8
    group_tests_p = []
    for number in range(600):
        sums = np.column_stack([np.where(plus, v := rng.normal(size=16), 0), np.where(plus, 0, v)])
        terms = Terms(sums, np.column_stack([plus, ~plus]).astype(float), np.array([1.0, -1.0]))
        group_tests_p.append(permutation_p(terms, number, 1e-4)[0])
    ps = np.array(group_tests_p)
    for x in (1e-3, 5e-3, 0.05):
        assert (ps <= x).mean() <= x + 3 * (x / len(ps)) ** 0.5
