"""What a policy will decide about a run that has not begun: a claim for each rule, slice and limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fmaudit.analysis.distances import target_of
from fmaudit.gate.absent import not_planned, reason_of
from fmaudit.gate.cases import DISTANCE_KINDS, ideal_of, limits
from fmaudit.gate.finding import Kind
from fmaudit.gate.names import KnownNames
from fmaudit.gate.policy_model import EVERY, Policy, Rule
from fmaudit.gate.verdict import Limit
from fmaudit.plan import PlannedMeasurement
from fmaudit.probe import Contrast, Gap, Item, Metric, Rate, Statistic


@dataclass(frozen=True)
class Model:
    """A model of the run: its id and role, and what of the plan it can answer, by key."""

    id: str
    role: str
    keys: frozenset[str]


@dataclass(frozen=True)
class PlannedClaim:
    """A limit on one number of one measurement, for the models that have the same claim.

    ``metric`` is None where no planned measurement has it; ``reason`` says why.
    """

    rule: Rule
    models: tuple[str, ...]
    kind: Kind
    limit: Limit
    slice: dict[str, str] = field(default_factory=dict)
    entry: PlannedMeasurement | None = None
    metric: Metric | None = None
    contrast: Contrast | None = None
    reason: str = ""

    @property
    def ideal(self) -> float | None:
        """Where it is held by the change of the distance to a target, that target."""
        target = None if self.metric is None else target_of(self.metric)
        return ideal_of(self.rule, target) if target is not None and self.kind in DISTANCE_KINDS else None

    @cached_property
    def every_item(self) -> tuple[Item, ...]:
        """All items of the data set in the order of the run."""
        return (*self.entry.items, *self.entry.rest) if self.entry else ()

    @cached_property
    def counted(self) -> np.ndarray:
        """Which of the items the number is made of, shape (n,)."""
        return np.array([self._counts(item) for item in self.every_item], dtype=bool)

    @property
    def asked(self) -> int:
        """Items of the number that the run asks."""
        return int(self.counted[: len(self.entry.items)].sum()) if self.entry else 0

    @property
    def available(self) -> int:
        """Items of the number that the data set has."""
        return int(self.counted.sum())

    def run_items(self, needed: int) -> int | None:
        """Items a run has to ask until ``needed`` of them count; None where the data set has not so many."""
        places = np.flatnonzero(self.counted)
        return int(places[needed - 1]) + 1 if 0 < needed <= len(places) else None

    def _counts(self, item: Item) -> bool:
        slices = item.slices
        if any(slices.get(column) != level for column, level in self.slice.items()):
            return False
        if self.contrast is not None:
            return slices.get(self.contrast.column) in (self.contrast.plus, self.contrast.minus)
        where = self.metric.where if isinstance(self.metric, Rate) else None
        if where is None or where[0] in self.slice or where[0] not in self._columns:
            return True
        return slices.get(where[0]) == where[1]

    @cached_property
    def _columns(self) -> frozenset[str]:
        return frozenset(column for item in self.every_item for column in item.slices)


def planned_claims(
    policy: Policy, planned: Sequence[PlannedMeasurement], models: Sequence[Model]
) -> list[PlannedClaim]:
    """Every claim of a policy on a plan, in the order of its rules."""
    return [claim for rule in policy.rules for claim in _of_rule(rule, planned, models)]


def planned_names(planned: Sequence[PlannedMeasurement], models: Sequence[Model]) -> KnownNames:
    """The names that the run will have, as its policy may speak of them."""
    slices: dict[str, list[Mapping[str, str]]] = {}
    contrasts: dict[str, set[str]] = {}
    for entry in planned:
        own = [] if not entry.items else _one_column(entry)
        for metric in entry.probe.metrics if entry.items else ():
            whole = isinstance(metric, (Statistic, Gap)) and not metric.by_slice
            slices.setdefault(f"{entry.probe.id}/{metric.id}", []).extend([{}, *([] if whole else own)])
        for contrast in entry.probe.contrasts if entry.items else ():
            if all({contrast.column: level} in own for level in (contrast.plus, contrast.minus)):
                contrasts.setdefault(f"{entry.probe.id}/{contrast.metric}", set()).add(contrast.id)
    probes = {entry.probe.id for entry in planned}
    of = {name: [entry for entry in planned if entry.probe.id == name] for name in probes}
    return KnownNames(
        subjects=frozenset(model.id for model in models),
        variants={name: frozenset(one.probe.variant for one in found) for name, found in of.items()},
        datasets={
            name: frozenset(one.dataset.id for one in found if one.dataset) for name, found in of.items()
        },
        slices={metric: tuple(found) for metric, found in slices.items()},
        contrasts={metric: frozenset(found) for metric, found in contrasts.items()},
    )


def _one_column(entry: PlannedMeasurement) -> list[dict[str, str]]:
    """Every slice that the audit will hold: one column at one of its levels, as the items asked have them."""
    return [{column: level} for column, levels in entry.slices().items() for level in levels]


def _of_rule(
    rule: Rule, planned: Sequence[PlannedMeasurement], models: Sequence[Model]
) -> Iterator[PlannedClaim]:
    own = [model for model in models if rule.subject in (model.id, model.role)]
    if not own:
        yield from _without(rule, (rule.subject,), f"the run has no {rule.subject} model")
        return
    entries = [entry for entry in planned if rule.asks(entry.question)]
    found = False
    for entry in entries:
        answering = tuple(model.id for model in own if entry.key in model.keys and entry.items)
        if not answering:
            continue
        metric = _metric(entry, rule)
        if metric is None:
            continue
        contrast = next((one for one in entry.probe.contrasts if one.id == rule.contrast), None)
        if rule.contrast is not None and contrast is None:
            continue
        found = True
        for wanted in rule.every_slice:
            for slice_ in _levels(entry, wanted):
                for kind, limit in limits(rule, _ideal(rule, metric)):
                    yield PlannedClaim(rule, answering, kind, limit, slice_, entry, metric, contrast)
    names = tuple(model.id for model in own)
    if found:
        for absent in not_planned(rule, planned):
            yield from _without(rule, names, reason_of(absent))
    else:
        yield from _without(rule, names, _why_missing(rule, entries, planned))


def _without(rule: Rule, names: tuple[str, ...], reason: str) -> Iterator[PlannedClaim]:
    for kind, limit in limits(rule, None):
        yield PlannedClaim(rule, names, kind, limit, reason=reason)


def _ideal(rule: Rule, metric: Metric) -> float | None:
    target = target_of(metric)
    return None if target is None else ideal_of(rule, target)


def _why_missing(
    rule: Rule, entries: Sequence[PlannedMeasurement], planned: Sequence[PlannedMeasurement]
) -> str:
    unable = next((entry.reason for entry in entries if entry.reason), "")
    if unable:
        return unable
    if entries:
        return "no model of the rule answers what the probe asks, or the data has no such contrast"
    probe = rule.metric.partition("/")[0]
    if any(entry.probe.id == probe for entry in planned):
        where = " ".join(part for part in (rule.variant, rule.dataset) if part)
        return f"{probe} is not asked of {where}: choose it with --datasets or --data"
    return f"{probe} is not asked: choose it with --probes, and give its data with --data"


def _metric(entry: PlannedMeasurement, rule: Rule) -> Metric | None:
    name = rule.metric.partition("/")[2]
    return next((metric for metric in entry.probe.metrics if metric.id == name), None)


def _levels(entry: PlannedMeasurement, wanted: dict[str, str]) -> list[dict[str, str]]:
    if EVERY not in wanted.values():
        return [wanted]
    found = [slice_ for slice_ in _one_column(entry) if set(slice_) == set(wanted)]
    return found or [wanted]
