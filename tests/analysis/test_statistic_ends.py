"""A missing answer moves a statistic by what that answer can do, not over the whole of its range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fmaudit.analysis.distances import change_of_distance
from fmaudit.analysis.numbers import Settings, estimate
from fmaudit.analysis.pairs import Pair, compare
from fmaudit.probe import Real, Statistic
from tests.analysis.simulated import answers

N = 400
RANGED, OPEN = (Real("score", low=0.0, high=1.0),), (Real("score"),)


def mean_of(table):
    known = np.isfinite(table.columns["score"])
    return float(np.average(table.columns["score"][known], weights=table.weight[known]))


WHOLE = Statistic("whole", mean_of, needs=("score",), worst=(0.0, 1.0))
ENDS = replace(WHOLE, ends=lambda low, high: (mean_of(low), mean_of(high)))


def scores(missing=0, seed=0):
    values = np.random.default_rng(seed).uniform(0.3, 0.5, N)
    values[:missing] = np.nan
    return answers({"score": values})


def test_one_missing_answer_moves_a_level_by_what_it_can_do():
    found = estimate(ENDS, scores(1), RANGED, Settings())
    least, most = found["worst"]
    assert most - least == pytest.approx(1 / N)
    assert least < found["value"] < most
    low, high = found["worst_interval"]
    assert found["lower"] - 0.004 < low < least < most < high < found["upper"] + 0.004
    assert estimate(WHOLE, scores(1), RANGED, Settings())["worst"] == (0.0, 1.0)


def test_without_missing_answers_the_bounds_are_the_number():
    found = estimate(ENDS, scores(), RANGED, Settings())
    assert found["worst_interval"] == (found["lower"], found["upper"])


@pytest.mark.parametrize("missing", [(1, 0), (0, 1), (3, 2)])
def test_missing_answers_of_either_side_move_a_change_by_what_they_can_do(missing):
    pair = Pair(scores(missing[0], seed=1), scores(missing[1], seed=2))
    found = compare(ENDS, pair, RANGED, Settings())
    least, most = found["worst"]
    assert most - least == pytest.approx(sum(missing) / N)
    assert least <= found["value"] <= most
    assert found["worst_p"] is not None
    whole = compare(WHOLE, pair, RANGED, Settings())
    assert whole["worst"] == (-1.0, 1.0)


def test_the_distance_to_a_target_follows():
    pair = Pair(scores(1, seed=1), scores(1, seed=2))
    metric = replace(ENDS, direction="target", ideal=0.9)
    low, high = change_of_distance(metric, pair, RANGED, Settings())["worst_interval"]
    assert -0.05 < low < high < 0.05


def test_an_unbounded_measure_leaves_the_range_of_the_statistic():
    assert estimate(ENDS, scores(1), OPEN, Settings())["worst"] == (0.0, 1.0)
    without = estimate(replace(ENDS, worst=None), scores(1), OPEN, Settings())
    assert "worst" not in without


def test_an_answer_past_the_range_leaves_the_range_of_the_statistic():
    broken = scores(1)
    broken.numeric["score"][5] = 1.5
    assert estimate(ENDS, broken, RANGED, Settings())["worst"] == (0.0, 1.0)
