"""Differences of two groups: which test, which intervals, which rows."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.statistics import contrast

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
