"""Crossed clusters, and runs that were interrupted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from fmaudit.analysis import numbers
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers
from fmaudit.engines.batching import plan_batches
from fmaudit.ordering import random_order
from fmaudit.plan import BLOCK_ITEMS, PlannedMeasurement
from fmaudit.probe import Item
from fmaudit_probes.bias.occupations import Occupations

TEMPLATES, OCCUPATIONS = 32, 44
SPREAD, LEANING = 0.6, 0.3
TRUE = float(norm.cdf(LEANING / (1 + 2 * SPREAD**2) ** 0.5))


def _covered(make: Callable[..., Answers], data_sets: int, *, crossed: bool) -> float:
    probe = Occupations()
    metric = next(metric for metric in probe.metrics if metric.id == "pct_stereotype")
    template = np.repeat(np.arange(TEMPLATES), OCCUPATIONS)
    occupation = np.tile(np.arange(OCCUPATIONS), TEMPLATES)
    clusters = {"template": template, "occupation": occupation} if crossed else None
    hits = 0
    for seed in range(data_sets):
        rng = np.random.default_rng([17, seed])
        pull = rng.normal(0, SPREAD, TEMPLATES)[template] + rng.normal(0, SPREAD, OCCUPATIONS)[occupation]
        outcome = LEANING + pull + rng.normal(size=len(template)) > 0
        fields = numbers.estimate(
            metric, make(clusters=clusters, outcome=outcome), probe.measures, Settings(seed=seed)
        )
        hits += fields["lower"] <= TRUE <= fields["upper"]
    return hits / data_sets


def test_crossed_intervals_cover_and_rows_alone_do_not(
    make_answers: Callable[..., Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "DRAWS", 400)
    # Three standard errors of a coverage of .95 over 200 data sets are .046.
    assert _covered(make_answers, 200, crossed=True) >= 0.904
    assert _covered(make_answers, 200, crossed=False) < 0.75


@pytest.mark.slow
def test_crossed_intervals_cover_on_a_thousand_data_sets(make_answers: Callable[..., Answers]) -> None:
    assert _covered(make_answers, 1000, crossed=True) >= 0.93


def _items(n: int) -> tuple[list[Item], dict[str, float], dict[str, int]]:
    """Unequal clusters; longer items are likelier defects."""
    rng = np.random.default_rng(2)
    items, outcome, length = [], {}, {}
    for index in range(n):
        name = f"item{index}"
        document = int(40 * rng.random() ** 2)
        items.append(Item(name, {}, clusters={"document": str(document)}))
        length[name] = int(rng.integers(5, 60))
        outcome[name] = float(rng.random() < length[name] / 80 + document / 200)
    return items, outcome, length


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_a_run_interrupted_after_complete_blocks_is_unbiased(blocks: int) -> None:
    items, outcome, _ = _items(6 * BLOCK_ITEMS)
    true = np.mean(list(outcome.values()))
    heads = []
    for seed in range(400):
        plan = PlannedMeasurement(Occupations(), None, tuple(random_order(items, seed)), len(items))
        asked = [item.id for block in list(plan.blocks())[:blocks] for item in block.items]
        assert len(asked) == blocks * BLOCK_ITEMS
        heads.append(np.mean([outcome[name] for name in asked]))
    error = np.std(heads, ddof=1) / len(heads) ** 0.5
    assert abs(np.mean(heads) - true) < 3.5 * error


def test_a_head_of_all_items_sorted_by_length_is_biased_and_so_is_half_a_block() -> None:
    items, outcome, length = _items(6 * BLOCK_ITEMS)
    true = np.mean(list(outcome.values()))
    short_first = sorted(items, key=lambda item: length[item.id])[:BLOCK_ITEMS]
    assert np.mean([outcome[item.id] for item in short_first]) < true - 0.15
    halves = []
    for seed in range(200):
        block = random_order(items, seed)[:BLOCK_ITEMS]
        batches = plan_batches([length[item.id] for item in block], 256)
        places = [place for batch in batches for place in batch][: BLOCK_ITEMS // 2]
        halves.append(np.mean([outcome[block[place].id] for place in places]))
    assert np.mean(halves) < true - 0.05
