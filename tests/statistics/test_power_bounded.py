"""Means in a declared range: the planned number of items against intervals of simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fmaudit.statistics import contrast, mean
from fmaudit.statistics.layout import alone
from fmaudit.statistics.power_bounded import BoundedModel, ContrastModel
from fmaudit.statistics.proposals import Aim, grouped, independent, proposed_items
from fmaudit.statistics.sizing import chance_above, chance_below, items_needed

LEVEL, POWER = 0.9, 0.9
LONE = alone(100)


def drawn(rng, truth, sd, limits, n):
    """Beta values in the limits; all alike without a deviation."""
    low, high = limits
    p, spread = (truth - low) / (high - low), sd / (high - low)
    if not spread:
        return np.full(n, truth)
    mass = p * (1 - p) / spread**2 - 1
    return low + (high - low) * rng.beta(p * mass, (1 - p) * mass, n)


def mean_passes(case, n, runs, seed=0):
    truth, sd, limits, bound = case
    rng = np.random.default_rng(seed)
    low, high = limits
    ends = [
        mean(drawn(rng, truth, sd, limits, n), low=low, high=high, level=LEVEL).upper for _ in range(runs)
    ]
    return float(np.mean(np.array(ends) <= bound))


def contrast_passes(sd, limits, bound, n, runs):
    rng = np.random.default_rng(1)
    low, high = limits
    first, centre = np.arange(n) % 2 == 0, (low + high) / 2
    ends = [
        contrast(
            drawn(rng, centre, sd, limits, n), first, ~first, low=low, high=high, level=LEVEL, draws=50
        ).upper
        for _ in range(runs)
    ]
    return float(np.mean(np.array(ends) <= bound))


def test_without_any_variation_it_is_the_number_that_the_range_costs():
    n = items_needed(BoundedModel(0.0, LONE, (-4, 4)), 0.0, (None, 0.1), LEVEL, power=POWER)
    assert n == pytest.approx(-math.log(0.05) * 4 / 0.1, rel=0.02)
    assert mean_passes((0.0, 0.0, (-4, 4), 0.1), n, 1) == 1
    assert mean_passes((0.0, 0.0, (-4, 4), 0.1), n - 1, 1) == 0


@pytest.mark.parametrize(
    "case",
    [
        (0.0, 0.05, (-4.0, 4.0), 0.1),
        (0.0, 0.4, (-4.0, 4.0), 0.15),
        (0.05, 0.1, (0.0, 1.0), 0.1),
        pytest.param((0.02, 0.1, (0.0, 1.0), 0.05), marks=pytest.mark.slow),
        pytest.param((0.0, 1.4, (-4.0, 4.0), 0.3), marks=pytest.mark.slow),
        pytest.param((0.3, 0.2, (0.0, 1.0), 0.35), marks=pytest.mark.slow),
        pytest.param((1.0, 0.2, (0.0, 4.0), 1.2), marks=pytest.mark.slow),
    ],
)
def test_the_items_of_a_mean_are_within_a_tenth_of_the_fewest_that_pass(case):
    truth, sd, limits, bound = case
    n = items_needed(BoundedModel(sd, LONE, limits), truth, (None, bound), LEVEL, power=POWER)
    # Two standard errors of 500 runs.
    assert mean_passes(case, math.ceil(1.1 * n), 500) >= POWER - 0.027
    assert mean_passes(case, math.floor(0.9 * n), 500) <= POWER + 0.027


@pytest.mark.parametrize(
    ("sd", "limits", "bound"),
    [(0.1, (-2.77, 2.77), 0.25), pytest.param(0.25, (0.0, 1.0), 0.1, marks=pytest.mark.slow)],
)
def test_the_items_of_a_contrast_are_within_a_tenth_of_the_fewest_that_pass(sd, limits, bound):
    n = items_needed(
        ContrastModel(sd, LONE, limits, (0.5, 0.5)), 0.0, (None, bound), LEVEL, power=POWER, least=30
    )
    assert contrast_passes(sd, limits, bound, math.ceil(1.1 * n), 200) >= POWER - 0.042
    assert contrast_passes(sd, limits, bound, math.floor(0.9 * n), 200) <= POWER + 0.042


@pytest.mark.parametrize(
    "model",
    [BoundedModel(0.3, LONE, (-1, 3)), ContrastModel(0.3, LONE, (-1, 3), (0.4, 0.6))],
)
def test_both_directions_are_one_and_chances_rise_with_room_and_items(model):
    low, high = model.range
    middle = (low + high) / 2
    counts = np.arange(30, 400, 20)
    below = chance_below(model, middle, counts, middle + 0.3, LEVEL)
    assert np.allclose(below, chance_above(model, middle, counts, middle - 0.3, LEVEL), atol=1e-9)
    assert (np.diff(below) >= -1e-9).all()
    assert (below <= chance_below(model, middle, counts, middle + 0.4, LEVEL) + 1e-9).all()
    assert chance_below(model, middle, 50, high, LEVEL) == 1


def test_clusters_cost_items_and_a_larger_group_does_not_help_a_small_one():
    aim = Aim("mean", 0.0, (None, 0.2), spread=0.4, limits=(-2.0, 2.0))
    assert proposed_items(aim, grouped(5, 0.2)) > proposed_items(aim, independent())
    even, uneven = (
        Aim("mean", 0.0, (None, 0.3), spread=0.2, limits=(-2.0, 2.0), groups=groups)
        for groups in ((0.5, 0.5), (0.9, 0.1))
    )
    assert proposed_items(uneven, independent()) > 2 * proposed_items(even, independent())
