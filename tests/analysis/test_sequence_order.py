"""Anytime intervals bet in the order of the whole run, so that a later one lies inside the earlier."""

from itertools import pairwise

import numpy as np
import pytest

from fmaudit.analysis.numbers import Settings, estimate, item_values
from fmaudit.analysis.sequences import Units, completion, sequence_of_level
from fmaudit.analysis.tables import Answers
from fmaudit.ordering import random_order
from fmaudit.probe import Binary, Item, Rate

RATE, MEASURES = Rate("rate"), (Binary("outcome"),)
LOOKS = (60, 120, 180, 240)


def run(seed):
    items = [
        Item(f"c{cluster}-{place}", {}, {"doc": f"c{cluster}"}, {"group": "ab"[place // 2]})
        for cluster in range(60)
        for place in range(4)
    ]
    ordered = random_order(items, seed)
    rng = np.random.default_rng(seed)
    chance = {f"c{cluster}": rng.beta(1.2, 2.8) for cluster in range(60)}
    return ordered, {item.id: float(rng.random() < chance[item.clusters["doc"]]) for item in ordered}


def limits(ordered, outcome, asked, level):
    head, rest = ordered[:asked], ordered[asked:]

    def labels(values):
        return np.array(list(values), dtype=object)

    answers = Answers(
        labels(item.id for item in head),
        np.ones(asked),
        {"doc": labels(item.clusters["doc"] for item in head)},
        {"group": labels(item.slices["group"] for item in head)},
        {"outcome": np.array([[outcome[item.id]] for item in head])},
        {},
        {},
    )
    cut = {item.clusters["doc"] for item in head} & {item.clusters["doc"] for item in rest}
    units = Units("doc", 4.0, frozenset(cut), completion("doc", answers))
    rows = answers if level is None else answers.take(answers.slices["group"] == level)
    fields = estimate(RATE, rows, MEASURES, Settings())
    found = sequence_of_level(fields, item_values(RATE, rows, MEASURES), rows, units, 0.95)
    return found["lower"], found["upper"]


def nested(seeds, level):
    inside = 0
    for seed in seeds:
        ordered, outcome = run(seed)
        ends = [limits(ordered, outcome, asked, level) for asked in LOOKS]
        inside += all(new[0] >= old[0] - 1e-9 and new[1] <= old[1] + 1e-9 for old, new in pairwise(ends))
    return inside


@pytest.mark.parametrize("level", ["a", None])
def test_a_later_interval_lies_inside_the_earlier_one(level):
    # Ordered within the slice, 1 run in 18 left it.
    assert nested(range(60), level) == 60


@pytest.mark.slow
@pytest.mark.parametrize("level", ["a", None])
def test_of_five_hundred_runs_all_are_nested(level):
    assert nested(range(1000, 1500), level) == 500
