"""Changes of distance as the audit holds them: of rates, means and statistics, with answers missing."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.analysis.distances import change_of_distance
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.pairs import Pair
from fmaudit.probe import Binary, Mean, Rate, Real, Statistic
from tests.gate.simulated_rows import answers

SETTINGS = Settings()
MEASURES = (Binary("outcome"), Real("score", low=0.0, high=1.0), Real("free"))


def weighted_mean(table):
    return float(table.columns["score"] @ table.weight / table.weight.sum())


RATE = Rate("rate", of="outcome", direction="target", ideal=0.5)
BOUNDED = Mean("bounded", of="score", direction="target", ideal=0.3)
FREE = Mean("free", of="free", direction="target", ideal=-1.0)
STATISTIC = Statistic(
    "statistic", weighted_mean, needs=("score",), direction="target", ideal=0.3, worst=(0.0, 1.0)
)


def pair(base, adapted, n=200, lost=0, seed=0):
    """Scores around two means; an outcome is a score above one half. ``lost``: answers the adapted lacks."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.05, n)
    sides = []
    for mean, gone in ((base, 0), (adapted, lost)):
        score = np.clip(mean + shared + rng.normal(0, 0.05, n), 0, 1)
        outcome = (score > 0.5).astype(float)
        free = 4 * score
        for column in (score, outcome, free):
            column[:gone] = np.nan
        sides.append(answers({"outcome": outcome, "score": score, "free": free}))
    return Pair(*sides)


@pytest.mark.parametrize("metric", [BOUNDED, STATISTIC], ids=["mean", "statistic"])
@pytest.mark.parametrize(
    ("base", "adapted", "change"), [(0.1, 0.45, -0.05), (0.3, 0.45, 0.15), (0.2, 0.1, 0.1)]
)
def test_the_interval_is_that_of_the_distance(metric, base, adapted, change):
    found = change_of_distance(metric, pair(base, adapted), MEASURES, SETTINGS)
    assert found["lower"] < found["value"] < found["upper"]
    assert found["value"] == pytest.approx(change, abs=0.02)
    assert found["upper"] - found["lower"] < 0.08
    assert found["lower"] > 0 or found["upper"] < 0
    assert found["p"] < 0.05
    assert (found["base"], found["adapted"]) == pytest.approx((abs(base - 0.3), abs(adapted - 0.3)), abs=0.02)
    assert found["worst_interval"] == (found["lower"], found["upper"])
    assert found["ideal"] == 0.3


def test_an_unbounded_mean_has_a_distance_and_none_of_what_it_lacks():
    whole = change_of_distance(FREE, pair(0.2, 0.4), MEASURES, SETTINGS)
    assert whole["value"] == pytest.approx(0.8, abs=0.05)
    assert whole["lower"] > 0.7
    lacking = change_of_distance(FREE, pair(0.2, 0.4, lost=20), MEASURES, SETTINGS)
    assert lacking["coverage"] == pytest.approx(0.9)
    assert lacking["worst_interval"] is None


@pytest.mark.parametrize("metric", [RATE, BOUNDED, STATISTIC], ids=["rate", "mean", "statistic"])
def test_missing_answers_widen_it_to_what_they_could_have_been(metric):
    found = change_of_distance(metric, pair(0.45, 0.55, lost=40), MEASURES, SETTINGS)
    low, high = found["worst_interval"]
    assert low < found["lower"]
    assert found["upper"] < high
    assert found["coverage"] == pytest.approx(0.8)
    for filled in (0.0, 1.0):
        answered = pair(0.45, 0.55)
        for name in ("outcome", "score"):
            answered.adapted.numeric[name][:40] = filled
        value = change_of_distance(metric, answered, MEASURES, SETTINGS)["value"]
        assert low <= value <= high


def test_a_metric_without_a_target_has_no_distance():
    plain = Rate("rate", of="outcome", ideal=0.0)
    assert change_of_distance(plain, pair(0.4, 0.6), MEASURES, SETTINGS) is None


def test_without_common_answers_it_is_unmeasured():
    found = change_of_distance(BOUNDED, pair(0.4, 0.6, n=20, lost=20), MEASURES, SETTINGS)
    assert (found["state"], found["value"], found["conclusive"]) == ("unmeasured", None, False)
