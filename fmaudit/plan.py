"""What a run will ask: probes x data sets x variants, ordered items, blocks, protocol.

A plan needs no model. It is a pure function of the command and the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fmaudit.canonical import digest
from fmaudit.data import Dataset
from fmaudit.data.levels import alike_levels
from fmaudit.errors import DataError, DataUnavailable, ProbeError
from fmaudit.ordering import random_order
from fmaudit.probe import Item, Probe
from fmaudit.question import Question
from fmaudit.requests import Generate, Request, Score

BLOCK_ITEMS = 64
DRAWS = "common to base and adapted, own for each reference and retest"
"""Who is sampled on which random numbers: a part of the protocol of everything that is sampled."""
MAX_LEVELS = 40
"""A slice column with more levels than this is an id, not a slice."""


@dataclass(frozen=True)
class Block:
    """Consecutive items of the random order: the unit of writing and of resuming."""

    index: int
    start: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class PlannedMeasurement:
    """One probe variant on one data set, or the reason why it cannot be asked.

    ``rest``: the items that a limit left out, in their order. ``notes``: what a reader has to know of the
    user's own data, one sentence each.
    """

    probe: Probe
    dataset: Dataset | None
    items: tuple[Item, ...]
    available: int
    reason: str = ""
    rest: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def question(self) -> Question:
        """What is asked and judged."""
        return Question(self.probe.id, self.dataset.id if self.dataset else "", self.probe.variant)

    @property
    def key(self) -> str:
        """Name of the measurement within a subject, fit for a folder."""
        return self.question.key

    @property
    def partial(self) -> bool:
        """Whether a limit cut the items."""
        return len(self.items) < self.available

    @property
    def sampled(self) -> bool:
        """Whether another seed would give other answers."""
        return any(
            decoding["temperature"] > 0
            for decoding in self.text_protocol()["decoding"]
            if decoding["kind"] == "generate"
        )

    def clusters(self) -> dict[str, Any] | None:
        """The cluster factor, the weight of its largest level in the whole data set, and the levels cut.

        The factor is empty where every item is its own cluster; None with crossed factors.
        """
        every = (*self.items, *self.rest)
        factors = {factor for item in every for factor in item.clusters}
        if len(factors) > 1:
            return None
        factor = next(iter(factors), "")
        weights: dict[str, float] = {}
        for item in every:
            name = item.clusters.get(factor, item.id)
            weights[name] = weights.get(name, 0.0) + item.weight
        asked = {item.clusters.get(factor, item.id) for item in self.items}
        missing = {item.clusters.get(factor, item.id) for item in self.rest}
        return {
            "factor": factor,
            "largest": max(weights.values(), default=0.0),
            "cut": sorted(asked & missing),
        }

    def slices(self) -> dict[str, list[str]]:
        """The levels of every slice column of the items asked, by column; the empty level is no level.

        Columns with a single level, or with more than ``MAX_LEVELS``, make no slices.
        """
        levels = {column: sorted(names) for column, names in sorted(self._levels().items())}
        return {column: names for column, names in levels.items() if 2 <= len(names) <= MAX_LEVELS}

    def _levels(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for item in self.items:
            for column, level in item.slices.items():
                found.setdefault(column, set()).add(level)
        return {column: names - {""} for column, names in found.items()}

    def unsliced(self) -> tuple[str, ...]:
        """One sentence for each slice column with more levels than are shown, so that none goes missing."""
        found = sorted(self._levels().items())
        return tuple(
            f"Column {column} has {len(names)} levels, more than {MAX_LEVELS}: "
            "there are no numbers by its levels."
            for column, names in found
            if len(names) > MAX_LEVELS
        )

    def head(self, n: int) -> PlannedMeasurement:
        """The same measurement with a limit of ``n`` items."""
        every = (*self.items, *self.rest)
        return replace(self, items=every[:n], rest=every[n:])

    def blocks(self) -> Iterator[Block]:
        """The items in blocks of the random order."""
        for index, start in enumerate(range(0, len(self.items), BLOCK_ITEMS)):
            yield Block(index, start, self.items[start : start + BLOCK_ITEMS])

    def text_protocol(self) -> dict[str, Any]:
        """The part of the protocol that needs no model: the text-level items and how they are asked."""
        requests = [request for item in self.items for request in self.probe.requests(item)]
        return {
            "probe": self.question.probe,
            "version": self.probe.version,
            "variant": self.question.variant,
            "dataset": self.question.dataset,
            "format": self.question.format,
            "items": digest([_plain_item(item) for item in self.items]),
            "requests": digest([_plain_request(request) for request in requests]),
            "decoding": _decodings(requests),
            "settings": dict(self.probe.protocol()),
        }


def plan_measurements(
    probes: Sequence[Probe],
    load: Callable[[Probe, str], Dataset],
    *,
    limit: int | None,
    seed: int,
    datasets: Sequence[str] | None = None,
) -> list[PlannedMeasurement]:
    """Plan every probe on each of its data sets that is at hand, or on those of ``datasets``.

    ``load`` raises :class:`DataUnavailable` for a data set that was not given. A
    probe without any is planned with the reason, so that the report shows it as
    unmeasured. Data that is given and broken raises DataError.
    """
    planned: list[PlannedMeasurement] = []
    for probe in probes:
        missing: list[str] = []
        found = False
        wanted = [name for name in probe.datasets_of(probe.variant) if datasets is None or name in datasets]
        if not wanted:
            continue
        for dataset_id in wanted:
            try:
                dataset = load(probe, dataset_id)
            except DataUnavailable as absence:
                missing.append(str(absence))
                continue
            found = True
            planned.append(_measure(probe, dataset, limit, seed))
        if not found:
            planned.append(PlannedMeasurement(probe, None, (), 0, "; ".join(missing) or "no data set"))
    return planned


def _measure(probe: Probe, dataset: Dataset, limit: int | None, seed: int) -> PlannedMeasurement:
    items = list(probe.items(dataset))
    if not items:
        raise DataError(f"data set {dataset.id} gives probe {probe.id} no item: check its rows and columns")
    ids = [item.id for item in items]
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ProbeError(f"probe {probe.id} gives two items the id {twice!r} on data set {dataset.id}")
    ordered = tuple(random_order(items, seed))
    cut = len(ordered) if limit is None else min(limit, len(ordered))
    # What ships is what its card says; a user's own file is worth a second look.
    notes = alike_levels(items) if dataset.source != "embedded" else ()
    found = PlannedMeasurement(probe, dataset, ordered[:cut], len(ordered), rest=ordered[cut:], notes=notes)
    return replace(found, notes=(*notes, *found.unsliced()))


def _plain_item(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "payload": dict(item.payload),
        "clusters": dict(item.clusters),
        "slices": dict(item.slices),
        "weight": item.weight,
    }


def _plain_request(request: Request) -> dict[str, Any]:
    return {"kind": type(request).__name__, **asdict(request)}


def _decodings(requests: Sequence[Request]) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for request in requests:
        if isinstance(request, Score):
            entry: dict[str, Any] = {"kind": "score", **asdict(request.decoding)}
        elif isinstance(request, Generate):
            entry = {
                "kind": "generate",
                **asdict(request.decoding),
                "n": request.n,
                "max_new_tokens": request.max_new_tokens,
                "stop": list(request.stop),
            }
            if request.decoding.temperature > 0:
                entry["draws"] = DRAWS
        else:
            continue
        seen[digest(entry)] = entry
    return [seen[name] for name in sorted(seen)]
