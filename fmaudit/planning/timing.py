"""How fast this machine answers: the architecture with random weights, asked real batches.

Speed does not depend on what the weights are. A model that is small enough is timed at
its full depth; of a larger one two shallow cuts tell what a layer costs and what the
rest costs, and the whole model lies on the straight line through them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fmaudit.engines.base import Ask, EngineSettings
from fmaudit.engines.start import Start
from fmaudit.engines.transformers_engine import TransformersEngine
from fmaudit.planning.outline import Outline, shallow
from fmaudit.planning.workload import Batch
from fmaudit.requests import Generate
from fmaudit.subjects import LoadOptions

MOST_BYTES = 1 << 30
"""Of the layers that are made with random weights."""
DEEP_SHARE = 0.75
"""Of the time for timing; the shallower cut is asked the same batches."""
SMALL_SHARE = 0.02
"""A measurement below this share of its kind is as fast as its kind."""
STEPS = 16
"""Tokens of a longer generation that are timed."""
WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}

Loads = Mapping[str, Sequence[Batch]]
Group = tuple[str, str]


@dataclass(frozen=True)
class Timed:
    """One batch of the workload ``label`` and the seconds it takes at one depth."""

    label: str
    batch: Batch
    seconds: float


@dataclass(frozen=True)
class Speed:
    """Seconds for one unit of cost (:attr:`Batch.cost`) of the whole model.

    ``groups``: by workload and request kind; ``kinds``: of all that were timed of a kind.
    """

    groups: Mapping[Group, float]
    kinds: Mapping[str, float]

    def of(self, label: str, batches: Sequence[Batch]) -> float | None:
        """Seconds for these batches of a workload; None where one is of a kind that was not timed."""
        total = 0.0
        for batch in batches:
            rate = self.groups.get((label, batch.kind), self.kinds.get(batch.kind))
            if rate is None:
                return None
            total += batch.cost * rate
        return total


def measured_speed(
    found: Outline,
    tokenizer: Any,
    device: str,
    settings: EngineSettings,
    context_length: int,
    loads: Loads,
    options: LoadOptions,
    budget: float,
    start: Start | None = None,
) -> Speed:
    """Ask random models a sample of the batches of each workload, about ``budget`` seconds long."""
    depths = timed_depths(found)

    def engine_of(depth: int) -> TransformersEngine:
        model = shallow(found, depth, device, options)
        return TransformersEngine(model, tokenizer, found.kind, device, settings, context_length, start=start)

    # One model at a time is in memory.
    engine = engine_of(depths[-1])
    _warm(engine, loads)
    share = 1.0 if len(depths) == 1 else DEEP_SHARE
    deep = sampled(loads, partial(_timed, engine), budget * share)
    if len(depths) == 1:
        return speed_of(deep)
    engine = engine_of(depths[0])
    _warm(engine, loads)
    flat = [replace(one, seconds=_timed(engine, one.batch)[0]) for one in deep]
    return speed_of(extrapolated(flat, deep, depths, found.layers))


def timed_depths(found: Outline) -> tuple[int, ...]:
    """Layers of the models that are timed: all, or one and as many as fit beside it."""
    layer = max(found.layer_parameters, 1) * WIDTH.get(found.dtype, 4)
    deep = max(MOST_BYTES // layer, 2)
    return (found.layers,) if found.layers <= deep else (1, int(deep))


def extrapolated(
    flat: Sequence[Timed], deep: Sequence[Timed], depths: tuple[int, ...], layers: int
) -> list[Timed]:
    """What batches timed at two depths take with all layers; a layer never costs less than nothing."""
    found = []
    for one, other in zip(flat, deep, strict=True):
        layer = max(other.seconds - one.seconds, 0.0) / (depths[-1] - depths[0])
        found.append(replace(one, seconds=other.seconds + layer * (layers - depths[-1])))
    return found


def speed_of(timed: Sequence[Timed]) -> Speed:
    """Seconds a unit of cost, by workload and by kind."""
    groups: dict[Group, list[Timed]] = defaultdict(list)
    kinds: dict[str, list[Timed]] = defaultdict(list)
    for one in timed:
        groups[one.label, one.batch.kind].append(one)
        kinds[one.batch.kind].append(one)
    return Speed(
        {group: _rate(own) for group, own in groups.items()},
        {kind: _rate(own) for kind, own in kinds.items()},
    )


def _rate(timed: Sequence[Timed]) -> float:
    return sum(one.seconds for one in timed) / sum(one.batch.cost for one in timed)


def sampled(loads: Loads, ask: Callable[[Batch], tuple[float, float]], budget: float) -> list[Timed]:
    """Time batches of each workload in turn, the largest workload of a kind first.

    Every kind is timed at least once, whatever ``budget`` says. ``ask`` answers a
    batch and gives the seconds that it stands for, and those that were spent.
    """
    groups: dict[Group, list[Batch]] = defaultdict(list)
    total: dict[str, float] = defaultdict(float)
    for label, batches in loads.items():
        for batch in batches:
            groups[label, batch.kind].append(batch)
            total[batch.kind] += batch.cost
    weight = {group: sum(batch.cost for batch in own) / total[group[1]] for group, own in groups.items()}
    order = sorted(groups, key=lambda group: (-weight[group], group))
    queues = {group: spread(groups[group]) for group in order}
    known: set[str] = set()
    found: list[Timed] = []
    spent = 0.0
    for turn in range(max((len(queue) for queue in queues.values()), default=0)):
        for group in order:
            label, kind = group
            if turn >= len(queues[group]) or (kind in known and weight[group] < SMALL_SHARE):
                continue
            if kind in known and spent > budget:
                continue
            seconds, used = ask(queues[group][turn])
            found.append(Timed(label, queues[group][turn], seconds))
            known.add(kind)
            spent += used
        if spent > budget:
            break
    return found


def spread(batches: Sequence[Batch]) -> list[Batch]:
    """Batches in an order whose every head stands for all sizes: halves, then quarters of the whole cost."""
    ordered = sorted(batches, key=lambda batch: batch.cost)
    ends, place = [], 0.0
    for batch in ordered:
        place += batch.cost
        ends.append(place)
    chosen: dict[int, None] = {}
    parts = 2
    while len(chosen) < len(ordered) and parts <= 4 * len(ordered):
        for odd in range(1, parts, 2):
            chosen.setdefault(next(i for i, end in enumerate(ends) if end >= odd / parts * place), None)
        parts *= 2
    return [ordered[i] for i in chosen]


def _warm(engine: TransformersEngine, loads: Loads) -> None:
    """The first call of a kind pays for what later ones reuse."""
    smallest: dict[str, Batch] = {}
    for batches in loads.values():
        for batch in batches:
            if batch.kind not in smallest or batch.cost < smallest[batch.kind].cost:
                smallest[batch.kind] = batch
    for batch in smallest.values():
        _seconds(engine, _short(batch.asks[:1], 2))


def _timed(engine: TransformersEngine, batch: Batch) -> tuple[float, float]:
    """Seconds that a batch takes, and those that were spent to know it."""
    if batch.generated <= STEPS:
        seconds = _seconds(engine, batch.asks)
        return seconds, seconds
    first, more = (_seconds(engine, _short(batch.asks, steps)) for steps in (1, STEPS))
    step = max(more - first, 0.0) / (STEPS - 1)
    return more + step * (batch.generated - STEPS), first + more


def _short(asks: Sequence[Ask], steps: int) -> list[Ask]:
    return [
        replace(ask, request=replace(ask.request, max_new_tokens=min(steps, ask.request.max_new_tokens)))
        if isinstance(ask.request, Generate)
        else ask
        for ask in asks
    ]


def _seconds(engine: TransformersEngine, asks: Sequence[Ask]) -> float:
    begun = time.perf_counter()
    for _ in engine.run(asks):
        pass
    return time.perf_counter() - begun
