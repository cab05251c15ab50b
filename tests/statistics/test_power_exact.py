"""Chances of decisions against enumeration, published exact designs and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multinomial
from statsmodels.stats.power import TTestPower

from fmaudit.statistics import clopper_pearson, items_for_absence, items_for_change, tango
from fmaudit.statistics.layout import alone
from fmaudit.statistics.power import MeanModel, RateModel
from fmaudit.statistics.power_change import ChangeModel
from fmaudit.statistics.proposals import grouped
from fmaudit.statistics.sizing import (
    chance_above,
    chance_below,
    chance_beyond,
    chance_inside,
    detectable,
    items_needed,
    joint,
    room_needed,
    share_of_power,
    smallest,
)
from tests.statistics.power_releases import LEVEL, change_limits, rate_limits

ROWS = RateModel(alone(30))
CLUSTERS = RateModel(grouped(5, 0.1).layout)


@pytest.mark.parametrize("n", [1, 5, 17, 64, 201])
@pytest.mark.parametrize("truth", [0.0, 0.004, 0.03, 0.3, 0.8, 1.0])
def test_a_rate_is_decided_as_often_as_its_intervals_say(n, truth):
    limits = np.array([clopper_pearson(events, n, LEVEL) for events in range(n + 1)])
    mass = binom.pmf(np.arange(n + 1), n, truth)
    for bound in (0.011, 0.052, 0.1, 0.31, 0.77, 0.99):
        below = mass[limits[:, 1] <= bound].sum()
        above = mass[limits[:, 0] >= bound].sum()
        assert chance_below(ROWS, truth, n, bound, LEVEL)[0] == pytest.approx(below, abs=1e-9)
        assert chance_above(ROWS, truth, n, bound, LEVEL)[0] == pytest.approx(above, abs=1e-9)


def test_the_enumerated_intervals_are_those_that_the_gate_decides_on():
    for events in (0, 3, 12, 30, 60):
        values = np.r_[np.ones(events), np.zeros(60 - events)]
        assert rate_limits(values) == pytest.approx(clopper_pearson(events, 60, LEVEL))
    base, adapted = np.zeros(60), np.zeros(60)
    adapted[:7], base[7:10] = 1, 1
    lower, upper = tango(7, 3, 60, LEVEL)
    assert change_limits(base, adapted) == pytest.approx((lower - 1 / 60, upper + 1 / 60))


@pytest.mark.parametrize("n", [8, 20, 33])
@pytest.mark.parametrize(
    ("discordance", "truth"), [(0.1, 0), (0.1, 0.05), (0.1, -0.1), (0.5, 0.2), (1.0, 0.3), (0, 0)]
)
def test_a_change_is_decided_as_often_as_its_intervals_say(n, discordance, truth):
    # 1/20 is a bound at which the correction for continuity ends at 0 exactly.
    tables = [(gained, lost) for gained in range(n + 1) for lost in range(n + 1 - gained)]
    limits = np.array([tango(*table, n, LEVEL) for table in tables]) + np.array([-1 / n, 1 / n])
    counts = np.array([(*table, n - sum(table)) for table in tables])
    shares = [(discordance + truth) / 2, (discordance - truth) / 2, 1 - discordance]
    mass = multinomial.pmf(counts, n, shares)
    model = ChangeModel(discordance, alone(30))
    for bound in (-0.5, -0.21, 0.0, 0.02, 0.05, 0.2, 0.8, 0.99):
        below = mass[np.minimum(limits[:, 1], 1) <= bound].sum()
        above = mass[np.maximum(limits[:, 0], -1) >= bound].sum()
        assert chance_below(model, truth, n, bound, LEVEL)[0] == pytest.approx(below, abs=1e-9)
        assert chance_above(model, truth, n, bound, LEVEL)[0] == pytest.approx(above, abs=1e-9)


@pytest.mark.parametrize(
    ("bound", "sizes"),
    [(0.05, (59, 93, 124, 153)), (0.1, (29, 46, 61, 76)), (0.01, (299, 473, 628, 773))],
)
def test_acceptance_numbers_of_published_binomial_sampling_plans(bound, sizes):
    # Demonstration tests at 95 % confidence with 0, 1, 2 and 3 allowed failures.
    truth = bound / 3
    for events, n in enumerate(sizes):
        assert chance_below(ROWS, truth, n, bound, LEVEL)[0] == pytest.approx(binom.cdf(events, n, truth))
        before = binom.cdf(events - 1, n - 1, truth)
        assert chance_below(ROWS, truth, n - 1, bound, LEVEL)[0] == pytest.approx(before)


@pytest.mark.parametrize(
    ("unwanted", "wanted", "power", "n"),
    [(0.05, 0.20, 0.8, 27), (0.1, 0.3, 0.8, 25), (0.2, 0.4, 0.8, 35), (0.2, 0.4, 0.9, 47)],
)
def test_exact_single_stage_designs_of_ahern(unwanted, wanted, power, n):
    # A'Hern (2001), one-sided 5 %: the smallest size that has the power.
    sizes = np.arange(5, 60)
    enough = chance_above(ROWS, wanted, sizes, unwanted, LEVEL) >= power
    assert sizes[np.flatnonzero(enough)[0]] == n


def test_absence_takes_as_many_items_as_planning_says():
    for margin in (0.002, 0.01, 0.05):
        n = items_needed(ROWS, 0.0, (None, margin), LEVEL, power=0.99)
        assert n == items_for_absence(margin, level=LEVEL)


@pytest.mark.parametrize("n", [10, 40, 400])
@pytest.mark.parametrize("effect", [0.05, 0.2, 0.6])
def test_a_mean_has_the_power_of_the_one_sided_t_test(n, effect):
    model = MeanModel(2.0, alone(30))
    expected = TTestPower().power(effect, n, (1 - LEVEL) / 2, alternative="larger")
    assert chance_above(model, 1 + 2 * effect, n, 1.0, LEVEL)[0] == pytest.approx(expected, abs=1e-8)
    assert chance_below(model, 1 - 2 * effect, n, 1.0, LEVEL)[0] == pytest.approx(expected, abs=1e-8)


def test_a_mean_far_from_its_bound_is_certain():
    model = MeanModel(1.0, alone(30))
    assert chance_below(model, 0.0, 10_000, 1.0, LEVEL)[0] == 1
    assert chance_below(model, 1.0, 10_000, 0.0, LEVEL)[0] < 1e-12
    assert chance_below(MeanModel(0.0, alone(30)), 0.1, 30, 0.2, LEVEL)[0] == 1


@pytest.mark.parametrize(("discordance", "difference"), [(0.1, 0.03), (0.2, 0.05), (0.3, 0.1)])
def test_the_detectable_change_is_that_of_connors_formula(discordance, difference):
    # The gate's limits are widened for continuity and two-sided .95 here, as Connor's test is.
    n = items_for_change(discordance, difference)
    found = detectable(ChangeModel(discordance, alone(30)), 0.0, n, 0.95)
    assert found == pytest.approx(difference, rel=0.1)
    assert found >= 0.98 * difference


def test_the_detectable_effect_of_a_mean_is_the_mde_of_its_standard_error():
    from fmaudit.statistics import mde

    n = 2000
    found = detectable(MeanModel(3.0, alone(30)), 0.0, n, LEVEL)
    assert found == pytest.approx(mde(3.0 / n**0.5, level=LEVEL), rel=2e-3)


def test_a_limit_of_nothing_is_broken_by_one_event():
    for n in (30, 400, 100_000):
        assert chance_beyond(ROWS, 0.01, n, (None, 0.0), LEVEL)[0] == pytest.approx(1 - 0.99**n)
        assert chance_beyond(ROWS, 0.99, n, (1.0, None), LEVEL)[0] == pytest.approx(1 - 0.99**n)
        assert chance_beyond(ROWS, 0.0, n, (None, 0.0), LEVEL)[0] == 0
        assert detectable(ROWS, 0.0, n, LEVEL) == pytest.approx(1 - 0.2 ** (1 / n), rel=1e-4)


@pytest.mark.parametrize("model", [ROWS, CLUSTERS], ids=["rows", "clusters"])
def test_certain_outcomes_are_decided_for_sure(model):
    assert chance_below(model, 1.0, 400, 0.5, LEVEL)[0] == 0
    assert chance_above(model, 1.0, 400, 0.5, LEVEL)[0] == 1
    assert chance_below(model, 0.0, 400, 0.5, LEVEL)[0] == 1
    assert chance_beyond(model, 1.0, 400, (0.9, 0.95), LEVEL)[0] == 1
    assert chance_below(model, 0.3, 400, 1.0, LEVEL)[0] == 1
    assert chance_below(model, 0.3, 400, 0.0, LEVEL)[0] == 0


MODELS = (
    ROWS,
    CLUSTERS,
    ChangeModel(0.1, alone(30)),
    ChangeModel(0.1, grouped(5, 0.1).layout),
    MeanModel(0.3, grouped(3, 0.2).layout),
)


@settings(max_examples=60, deadline=None)
@example(CLUSTERS, 0.0, 0.25, 0.25, 30, 0.75)
@given(
    st.sampled_from(MODELS),
    st.floats(-0.4, 0.9),
    st.floats(0, 0.3),
    st.floats(-0.3, 0.9),
    st.integers(30, 600),
    st.floats(0.6, 0.98),
)
def test_chances_are_chances_and_go_the_right_way(model, truth, step, bound, n, level):
    if isinstance(model, RateModel):
        truth, bound = abs(truth), abs(bound)
    chance = chance_below(model, truth, n, bound, level)[0]
    assert 0 <= chance <= 1 + 1e-12
    # A worse truth, a tighter bound and more confidence never make it likelier. Where clusters are so few
    # that a rate without any event is not below the bound, one event can be: it shows that clusters differ.
    if not isinstance(model, RateModel) or chance_below(model, 0.0, n, bound, level)[0] == 1:
        assert chance_below(model, min(truth + step, 1.0), n, bound, level)[0] <= chance + 0.02
    assert chance_below(model, truth, n, bound - step, level)[0] <= chance + 1e-9
    assert chance_below(model, truth, n, bound, level + 0.019)[0] <= chance + 1e-9
    # At the bound itself an interval lies on the right side no more often than its error allows.
    if 0 < bound < 1:
        error = (1 - level) / 2
        assert chance_below(model, bound, n, bound, level)[0] <= error * 1.35 + 0.01


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MODELS), st.floats(0.05, 0.5), st.integers(60, 800), st.booleans())
def test_detectable_and_room_are_the_smallest_distances(model, reference, n, side):
    distance = detectable(model, reference, n, LEVEL, upward=side)
    room = room_needed(model, reference, n, LEVEL, power=0.9, upper=side)
    if distance is not None:
        truth = reference + distance * (1 if side else -1)
        bounds = (None, reference) if side else (reference, None)
        assert chance_beyond(model, truth, n, bounds, LEVEL)[0] >= 0.8
        nearer = truth - 0.01 * distance * (1 if side else -1)
        assert chance_beyond(model, nearer, n, bounds, LEVEL)[0] <= 0.8
    if room is not None:
        truth = reference - room * (1 if side else -1)
        bounds = (None, reference) if side else (reference, None)
        assert chance_inside(model, truth, n, bounds, LEVEL)[0] >= 0.9
        # The other way round it is a detectable effect.
        again = detectable(model, reference, n, LEVEL, power=0.9, upward=not side)
        assert room == pytest.approx(again, rel=1e-5)


def test_no_possible_value_is_far_enough():
    assert detectable(ROWS, 0.05, 30, LEVEL, upward=False) is None
    assert room_needed(ROWS, 0.01, 100, LEVEL, power=0.9) is None
    assert smallest(lambda distance: 0.5, float("inf"), 0.8) is None
    assert smallest(lambda distance: 1.0, 0.0, 0.8) is None


def test_both_sides_are_never_likelier_than_one():
    for n in (100, 500, 900):
        both = chance_inside(ChangeModel(0.1, alone(30)), 0.0, n, (-0.05, 0.05), LEVEL)[0]
        one = chance_inside(ChangeModel(0.1, alone(30)), 0.0, n, (None, 0.05), LEVEL)[0]
        assert both <= one
        assert both >= 2 * one - 1 - 1e-12


def test_shares_of_power_add_up():
    assert share_of_power(0.9, 1) == pytest.approx(0.9)
    assert joint([share_of_power(0.9, 7)] * 7) == pytest.approx(0.9)
    assert joint([0.2, 0.3]) == 0
