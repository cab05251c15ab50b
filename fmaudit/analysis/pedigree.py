"""One pair of subjects on one rate: equivalence, copy rule and verdict at any confidence level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.imported import as_imported
from fmaudit.analysis.numbers import COMPLETE, DRAWS, ItemValues, Settings
from fmaudit.analysis.tables import Answers
from fmaudit.inheritance.copy_fraction import CopyFraction, carries_inheritance, copy_fraction
from fmaudit.inheritance.verdicts import NOT_MORE, CapabilityState, Case, CopyRule, Decision, Limits, decide
from fmaudit.probe import Rate


@dataclass(frozen=True)
class Scale:
    """How a rate becomes one of defects: turned over where higher is better, and held against ``ideal``.

    ``two_sided``: the ideal is a target that can be missed on either side;
    otherwise what is better than the ideal is as good as it.
    """

    ideal: float = 0.0
    turned: bool = False
    two_sided: bool = False

    def defects(self, found: ItemValues) -> ItemValues:
        """Item values turned so that 1 is the defect."""
        if not self.turned:
            return found
        low = None if found.high is None else 1 - found.high
        high = None if found.low is None else 1 - found.low
        return replace(found, values=1 - found.values, low=low, high=high)

    def distance(self, rate: Limits) -> Limits:
        """An interval of the defect rate as one of its signed distance from the ideal."""
        lower, upper = rate.lower - self.ideal, rate.upper - self.ideal
        return Limits(lower, upper) if self.two_sided else Limits(max(lower, 0.0), max(upper, 0.0))

    def as_printed(self, change: Limits) -> Limits:
        """A change of the defect rate as one of the metric itself."""
        return Limits(-change.upper, -change.lower) if self.turned else change


def scale_of(metric: Rate) -> Scale | None:
    """The scale of a rate; None where no direction is better, so that nothing is a defect."""
    if metric.direction == "lower_is_better":
        return Scale(metric.ideal or 0.0)
    if metric.direction == "higher_is_better":
        return Scale(0.0 if metric.ideal is None else 1.0 - metric.ideal, turned=True)
    if metric.direction == "target" and metric.ideal is not None:
        return Scale(metric.ideal, two_sided=True)
    return None


@dataclass(frozen=True)
class Margin:
    """Tolerated distance, change that matters, and who declared them."""

    eps: float
    delta: float
    source: str


@dataclass(frozen=True)
class Controls:
    """Good unrelated references on the cell's items, in its order; ``refusal`` says why there are too few."""

    outcomes: dict[str, np.ndarray]
    lineages: dict[str, str]
    retest: np.ndarray | None
    refusal: str = ""


@dataclass(frozen=True)
class Cell:
    """A pair of subjects on one rate and slice, ready to be judged at any confidence level.

    ``rows`` gives weights and clusters of the items; ``old`` and ``new`` their
    values under base and adapted subject, 1 = defect, with the missing counted both ways.
    ``sampled``: another seed would give other answers; ``old`` and ``new`` then share random numbers.
    ``stopped`` says why nothing may be concluded; empty where it may. ``imported``:
    the rows come from another tool's log, so that no more than an association can be shown.
    """

    rows: Answers
    old: ItemValues
    new: ItemValues
    scale: Scale
    margin: Margin
    controls: Controls
    capability: CapabilityState
    settings: Settings
    stopped: str = ""
    imported: bool = False
    sampled: bool = False

    @property
    def apart(self) -> np.ndarray | None:
        """The base's outcomes that share no random numbers with the child's; None where it has none such."""
        return self.controls.retest if self.sampled else self.old.values

    @property
    def both(self) -> np.ndarray:
        """Items with a value under both subjects."""
        both: np.ndarray = self.old.valid & self.new.valid
        return both


@dataclass(frozen=True)
class Judgement:
    """A verdict with what it rests on."""

    decision: Decision
    level: float
    change: Limits | None


def judge(cell: Cell, level: float) -> Judgement:
    """The verdict from intervals of confidence ``level``; two one-sided tests at the matching size."""
    base, adapted = _rate_limits(cell, cell.old, level), _rate_limits(cell, cell.new, level)
    change = change_limits(cell, level)
    if cell.stopped or base is None or adapted is None or change is None:
        reason = cell.stopped or "missing answers leave an interval without bounds"
        return Judgement(Decision("inconclusive", reason=reason), level, change)
    case = Case(
        base=cell.scale.distance(base),
        adapted=cell.scale.distance(adapted),
        change=change,
        equivalent=judged_equivalent(cell, level),
        eps=cell.margin.eps,
        delta=cell.margin.delta,
        copy_rule="no good references",
        capability=cell.capability,
    )
    found = decide(case)
    if cell.imported:
        found = as_imported(found)
    elif found.word == "association":
        found = _by_copying(cell, level)
    return Judgement(found, level, change)


def judged_equivalent(cell: Cell, level: float) -> bool:
    """Two one-sided tests of size ``1 - level``, whatever the missing answers were."""
    inside, delta = change_limits(cell, 2 * level - 1), cell.margin.delta
    return inside is not None and -delta < inside.lower and inside.upper < delta


def _by_copying(cell: Cell, level: float) -> Decision:
    if cell.controls.refusal:
        return Decision("association", reason=cell.controls.refusal)
    found = copied(cell, level)
    if found is None or found.value is None:
        reason = "no item with every answer" if found is None else found.reason
        return Decision("association", reason=f"no copy fraction: {reason}")
    rule: CopyRule = "met" if carries_inheritance(found) else "not met"
    if rule == "met":
        return Decision("inherited")
    return Decision("coincident", reason=NOT_MORE)


def copied(cell: Cell, level: float) -> CopyFraction | None:
    """The copy fraction on the items that every subject answered.

    None without references or items, and where sampled answers have no retest.
    """
    if cell.apart is None:
        return None
    arrays = [cell.old.values, cell.new.values, *cell.controls.outcomes.values()]
    if cell.controls.retest is not None:
        arrays.append(cell.controls.retest)
    complete = ~np.isnan(np.column_stack(arrays)).any(axis=1)
    if not cell.controls.outcomes or not complete.any():
        return None
    retest = cell.controls.retest
    return copy_fraction(
        cell.old.values[complete],
        cell.new.values[complete],
        {name: values[complete] for name, values in cell.controls.outcomes.items()},
        None if retest is None else retest[complete],
        {name: labels[complete] for name, labels in cell.rows.clusters.items()},
        level,
        cell.settings.seed,
        weights=cell.rows.weights[complete],
        lineages=cell.controls.lineages,
        draws=DRAWS,
    )


def change_limits(cell: Cell, level: float) -> Limits | None:
    """Interval of the change, wide enough to hold whatever the missing answers were."""

    def interval(old: np.ndarray, new: np.ndarray, kept: np.ndarray) -> statistics.Interval:
        rows = cell.rows.take(kept)
        return statistics.rate_change(
            old[kept], new[kept], rows.weights, rows.clusters,
            level=level, draws=DRAWS, seed=cell.settings.seed,
        )  # fmt: skip

    every = np.ones(cell.rows.n_items, dtype=bool)
    if min(cell.old.coverage, cell.new.coverage) >= COMPLETE and cell.both.all():
        return _limits(interval(cell.old.values, cell.new.values, every))
    if cell.old.low is None or cell.old.high is None or cell.new.low is None or cell.new.high is None:
        return None
    least = _limits(interval(cell.old.high, cell.new.low, every))
    most = _limits(interval(cell.old.low, cell.new.high, every))
    return Limits(least.lower, most.upper) if least is not None and most is not None else None


def _rate_limits(cell: Cell, side: ItemValues, level: float) -> Limits | None:
    def interval(values: np.ndarray) -> Limits | None:
        return _limits(
            statistics.rate(
                values, cell.rows.weights, cell.rows.clusters,
                level=level, draws=DRAWS, seed=cell.settings.seed,
            )
        )  # fmt: skip

    if side.coverage >= COMPLETE and side.valid.all():
        return interval(side.values)
    if side.low is None or side.high is None:
        return None
    least, most = interval(side.low), interval(side.high)
    return Limits(least.lower, most.upper) if least is not None and most is not None else None


def _limits(found: statistics.Interval) -> Limits | None:
    if found.lower is None or found.upper is None:
        return None
    return Limits(found.lower, found.upper)
