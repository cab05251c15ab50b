"""Means, changes and contrasts of measures with a declared range, and without one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fmaudit.statistics import clopper_pearson, contrast, contrast_of_changes, mean, mean_change
from fmaudit.statistics.bounded import mean_limits

DRAWS = 100


@pytest.mark.parametrize(("events", "n"), [(0, 40), (1, 100), (5, 100), (10, 300), (150, 300), (50, 50)])
@pytest.mark.parametrize("level", [0.9, 0.99, 0.999])
def test_for_zeros_and_ones_the_limits_are_clopper_and_pearsons(events, n, level):
    values = np.arange(n) < events
    found = mean_limits(values.astype(float), np.ones(n), level)
    assert found == pytest.approx(clopper_pearson(events, n, level), rel=0.06, abs=2e-3)


def test_limits_of_smooth_values_are_close_to_a_t_interval():
    values = np.random.default_rng(0).beta(5, 5, 400)
    half = 1.966 * values.std(ddof=1) / 20
    lower, upper = mean_limits(values, np.ones(400), 0.95)
    assert lower == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert upper == pytest.approx(values.mean() + half, abs=0.1 * half)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.sampled_from([0.5, 0.9, 0.999]),
    st.integers(0, 3),
)
def test_limits_lie_in_the_range_around_the_mean_and_widen_with_the_level(values, level, repeats):
    sums = np.array(values)
    weights = np.ones(len(sums)) * (1 + repeats)
    lower, upper = mean_limits(sums * (1 + repeats), weights, level)
    wider = mean_limits(sums * (1 + repeats), weights, (1 + level) / 2)
    assert 0 <= wider[0] <= lower + 1e-7
    assert lower - 1e-6 <= sums.mean() <= upper + 1e-6
    assert upper - 1e-7 <= wider[1] <= 1


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0, 17),
    st.floats(0, 9),
    st.integers(2, 300),
    st.floats(0.1, 9.0),
    st.sampled_from([0.5, 0.95, 0.9999]),
)
@example(7, 2, 40, 1.0, 0.95)
def test_values_of_every_magnitude_have_limits(power, fall, n, weight, level):
    """Probabilities of 1e-9 beside one of 1e-7 divided by zero: the unseen value rounded away."""
    values = 10.0 ** -np.append(power, np.full(n, power + fall))
    weights = weight * np.linspace(1.0, 1.7, len(values))
    average = float(weights @ values / weights.sum())
    for sums, mirrored in ((weights * values, False), (weights - weights * values, True)):
        lower, upper = mean_limits(np.clip(sums, 0, weights), weights, level)
        assert 0 <= lower <= upper <= 1
        assert lower - 1e-6 <= (1 - average if mirrored else average) <= upper + 1e-6


def test_forty_zeros_are_not_conclusively_zero():
    found = mean(np.zeros(40), low=0, high=1, level=0.9)
    assert found.lower == found.value == 0
    assert found.upper == pytest.approx(0.0722, abs=0.001)
    assert found.conclusive
    assert not found.approximate
    assert found.se > 0
    unbounded = mean(np.zeros(40))
    assert unbounded.approximate
    assert not unbounded.conclusive
    assert unbounded.method.startswith("approximate: ")


def test_an_unseen_jump_of_a_noisy_change_is_in_its_interval():
    rng = np.random.default_rng(1)
    base = 0.4 + 0.01 * rng.random(100)
    found = mean_change(base, base + 0.001 * rng.normal(size=100), low=0, high=1, level=0.9)
    assert found.upper > 0.028
    assert found.lower < -0.028
    same = mean_change(base, base, low=0, high=1)
    assert same.lower < 0 < same.upper
    assert same.p == 1
    assert mean_change(base, base).approximate


def test_limits_move_with_the_unit_of_the_measure():
    values = np.random.default_rng(2).random(60)
    plain, scaled = mean(values, low=0, high=1), mean(8 * values - 3, low=-3, high=5)
    assert [scaled.lower, scaled.upper] == pytest.approx([8 * plain.lower - 3, 8 * plain.upper - 3])


def test_clusters_without_variation_inside_count_once():
    few = np.repeat(np.arange(40), 5)
    found = mean(np.zeros(200), clusters={"document": few}, low=0, high=1, level=0.9)
    assert found.upper == pytest.approx(0.0722, abs=0.001)
    crossed = {"a": np.repeat(np.arange(40), 40), "b": np.tile(np.arange(40), 40)}
    assert mean(np.zeros(1600), clusters=crossed, low=0, high=1, level=0.9).upper > 0.07


def test_a_value_outside_the_range_is_refused():
    with pytest.raises(ValueError, match="outside the declared range 0 to 1"):
        mean([0.2, 1.5], low=0, high=1)
    with pytest.raises(ValueError, match="outside the declared range -1 to 1"):
        mean_change([0.0, 0.0], [0.2, 1.5], low=0, high=1)


def negated(found):
    return [-found.value, -found.upper, -found.lower, found.p, found.conclusive]


def shown(found):
    return [found.value, found.lower, found.upper, found.p, found.conclusive]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["binary", "real", "zero"]), st.booleans(), st.booleans())
def test_negated_values_give_the_negated_contrast(seed, kind, ranged, clustered):
    rng = np.random.default_rng(seed)
    values = {"binary": (rng.random(24) < 0.3).astype(float), "real": rng.random(24), "zero": np.zeros(24)}[
        kind
    ]
    plus = np.arange(24) < 10
    clusters = {"document": rng.integers(0, 12, 24)} if clustered else None
    ends = ({"low": 0, "high": 1}, {"low": -1, "high": 0}) if ranged else ({}, {})
    first = contrast(values, plus, ~plus, None, clusters, draws=DRAWS, **ends[0])
    second = contrast(-values, plus, ~plus, None, clusters, draws=DRAWS, **ends[1])
    assert shown(first) == negated(second)
    assert first.approximate is not ranged


def test_one_lost_control_is_one_gained_member():
    plus = np.arange(300) < 150
    zeros, lost, gained = np.zeros(300), np.zeros(300), np.zeros(300)
    lost[200], gained[3] = 1, 1
    one = contrast_of_changes(lost, zeros, plus, ~plus, low=0, high=1, level=0.9)
    other = contrast_of_changes(zeros, gained, plus, ~plus, low=0, high=1, level=0.9)
    assert shown(one) == pytest.approx(shown(other))
    assert one.upper > 0.02
    assert one.lower < 0


def test_a_contrast_does_not_guess_its_range_from_the_values():
    plus = np.arange(80) < 40
    values = np.r_[np.zeros(40), np.full(40, 0.5)]
    narrow = contrast(values, plus, ~plus, low=0, high=1)
    wide = contrast(values, plus, ~plus, low=0, high=8)
    assert wide.upper - wide.lower > 5 * (narrow.upper - narrow.lower)


def rejections(spreads, spanning, sets):
    """Share of null data sets of 40 against 200 rows with p < .05, some documents in both groups."""
    rng = np.random.default_rng(5)
    plus = np.arange(240) < 40
    documents = np.arange(240)
    documents[40 : 40 + spanning] = np.arange(spanning)
    found = 0
    for _ in range(sets):
        values = np.r_[rng.normal(0, spreads[0], 40), rng.normal(0, spreads[1], 200)]
        found += contrast(values, plus, ~plus, None, {"document": documents}, draws=20).p < 0.05
    return found / sets


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(3, 1), (1, 1), (1, 3)])
@pytest.mark.parametrize("spanning", [1, 5, 40])
def test_a_few_documents_in_both_groups_leave_the_test_its_level(spreads, spanning):
    assert rejections(spreads, spanning, 600) <= 0.07


def test_one_document_in_both_groups_and_unequal_spreads():
    assert rejections((3, 1), 1, 40) <= 0.15


@pytest.mark.parametrize(("height", "shown"), [(1.0, True), (0.0, False)])
def test_groups_without_any_variation_are_told_apart_by_swaps(height: float, shown: bool):
    """All of one group 1 and all of the other 0, as where every member is repeated: a t test has no error."""
    documents = np.r_[np.arange(40), np.arange(80)]
    plus = np.arange(120) < 40
    found = contrast(np.where(plus, height, 0.0), plus, ~plus, None, {"document": documents}, low=0, high=1)
    assert (found.p < 0.001) == shown
    assert found.p <= 1


def test_two_documents_show_nothing():
    found = contrast([1.0, 0.0, 0.0], [True, False, False], [False, True, True], None, {"d": [0, 0, 1]})
    assert found.p == 1
    assert not found.conclusive


def test_swaps_alone_do_not_decide_where_many_documents_lie_in_one_group():
    """Forty documents in both groups, 160 in the wilder one alone: swaps alone reject in .10 of 600."""
    assert rejections((1, 3), 40, 40) <= 0.15
    rng = np.random.default_rng(5)
    documents = np.r_[np.arange(40), np.arange(200)]
    found = contrast(rng.normal(size=240), np.arange(240) < 40, np.arange(240) >= 40, None, {"d": documents})
    assert found.method.endswith("largest p of random swaps of the groups within clusters and of a t test")


def test_all_assignments_are_tried_where_they_are_few():
    values = np.array([1.0, 0.0, 5.0, 4.0, 0.5])
    plus = np.array([True, False, True, False, False])
    found = contrast(values, plus, ~plus, None, {"document": np.array([0, 0, 1, 2, 3])})
    assert "exact" in found.method
    assert 0 < found.p <= 1
