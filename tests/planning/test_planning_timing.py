"""Sampling of batches, extrapolation over layers, and speeds by workload and kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.engines.base import Ask
from fmaudit.planning.timing import Speed, Timed, extrapolated, sampled, speed_of, spread
from fmaudit.planning.workload import Batch
from fmaudit.requests import Score


def batch(rows, length=10, kind="score", generated=0):
    return Batch(kind, rows, length, generated, (Ask("a", 0, Score("a text")),))


def test_layers_are_extrapolated_on_a_straight_line():
    def at(depth):
        return [Timed("m", batch(3), 2.0 + 0.5 * depth), Timed("m", batch(5), 4.0 + 0.25 * depth)]

    found = extrapolated(at(1), at(4), (1, 4), 30)
    assert [one.seconds for one in found] == pytest.approx([2 + 15, 4 + 7.5])


def test_a_layer_never_costs_less_than_nothing():
    (found,) = extrapolated([Timed("m", batch(3), 2.0)], [Timed("m", batch(3), 1.9)], (1, 2), 30)
    assert found.seconds == 1.9


def test_a_workload_has_its_own_speed_and_a_small_one_that_of_its_kind():
    speed = speed_of([Timed("long", batch(10), 5.0), Timed("short", batch(10), 1.0)])
    assert speed.of("long", [batch(20)]) == pytest.approx(10.0)
    assert speed.of("short", [batch(20)]) == pytest.approx(2.0)
    assert speed.of("never timed", [batch(20)]) == pytest.approx(6.0)


def test_a_kind_that_was_not_timed_has_no_seconds():
    assert Speed({}, {"score": 1.0}).of("m", [batch(1), batch(1, kind="generate", generated=4)]) is None
    assert Speed({}, {}).of("m", []) == 0.0


def test_every_kind_is_timed_once_and_the_budget_ends_the_rest():
    loads = {
        "texts": [batch(rows) for rows in (1, 2, 3, 4)],
        "prompts": [batch(rows, kind="generate", generated=5) for rows in (1, 2)],
    }
    assert {one.batch.kind for one in sampled(loads, lambda _: (9.0, 9.0), 1.0)} == {"score", "generate"}
    assert len(sampled(loads, lambda _: (9.0, 9.0), 1.0)) == 2
    assert len(sampled(loads, lambda _: (0.1, 0.1), 100.0)) == 6


def test_a_workload_that_does_not_matter_is_not_timed():
    loads = {"large": [batch(1000)], "small": [batch(1)]}
    assert [one.label for one in sampled(loads, lambda _: (0.1, 0.1), 100.0)] == ["large"]


def test_nothing_to_ask_is_nothing_to_time():
    assert sampled({"none": []}, lambda _: (1.0, 1.0), 1.0) == []


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40))
def test_the_first_batch_lies_in_the_middle_of_the_cost(rows):
    batches = [batch(n) for n in rows]
    first = spread(batches)[0]
    below = sum(one.cost for one in batches if one.cost < first.cost)
    above = sum(one.cost for one in batches if one.cost > first.cost)
    half = sum(one.cost for one in batches) / 2
    assert below <= half
    assert above <= half


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40))
def test_no_batch_is_timed_twice(rows):
    found = spread([batch(n, length=place + 1) for place, n in enumerate(rows)])
    assert len({id(one) for one in found}) == len(found)
