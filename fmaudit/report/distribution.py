"""How the scores of answers are spread: one histogram a model on a common axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fmaudit.report.escape import terminal
from fmaudit.report.index import ROLES, AuditIndex
from fmaudit.report.numbers import Scale, share
from fmaudit.report.slice_grids import short_label

BINS = 20
MANY_SUBJECTS = 6
MAX_MULTIPLES = 24
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class SubjectScores:
    """The scores of one model: answers a bin, how many had one, and how many counted as a defect.

    ``asked``: rows; ``valid``: rows with a score; ``judged``: rows with a score
    and an outcome, ``defects`` of them with outcome 1. ``middle``: the first
    decile, the median and the last decile. ``reason`` says why there is nothing.
    """

    subject: str
    counts: tuple[int, ...] = ()
    asked: int = 0
    valid: int = 0
    judged: int = 0
    defects: int = 0
    middle: tuple[float, float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class ScoreSample:
    """One score of one measurement, all its models on common bins.

    ``edges``: ascending, one more than bins; scores beyond the ends count in the
    end bins (``outside`` of them). ``threshold``: above it an answer counts as a
    defect; None where the score alone does not decide. ``where`` names the items
    that carry the defect, where the others are controls. ``left``: other scores
    of this measurement that were not read.
    """

    measurement: str
    measure: str
    title: str
    unit: str
    edges: tuple[float, ...]
    outside: int
    threshold: float | None
    where: str
    subjects: tuple[SubjectScores, ...]
    left: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class DistributionRow:
    """One model in the table behind a drawing; ``at``: JSON pointer of its headline rate."""

    label: str
    role: str
    answers: str
    missing: str
    coverage: str
    deciles: str
    beyond: str
    interval: str
    reason: str
    at: str = ""


@dataclass(frozen=True)
class StepLine:
    """One model's histogram as shares of its answers."""

    label: str
    role: str
    shares: tuple[float, ...]


@dataclass(frozen=True)
class DistributionPanel:
    """One small drawing: the models on it."""

    title: str
    lines: tuple[StepLine, ...]


@dataclass(frozen=True)
class BinRow:
    """One bin with the share of answers of every model."""

    bounds: str
    shares: tuple[str, ...]


@dataclass(frozen=True)
class DistributionView:
    """One score: its drawings on common scales, and the table behind them."""

    anchor: str
    title: str
    question: str
    unit: str
    edges: tuple[float, ...]
    threshold: float | None
    threshold_text: str
    top: float
    panels: tuple[DistributionPanel, ...]
    rows: tuple[DistributionRow, ...]
    bins: tuple[BinRow, ...]
    notes: tuple[str, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are drawn."""
        drawn = {line.role for panel in self.panels for line in panel.lines}
        return tuple(role for role in ROLES if role in drawn)


def bin_edges(low: float, high: float) -> tuple[float, ...]:
    """At most 20 bins of one round width that cover ``low`` to ``high``; 0 is an edge if it lies within.

    >>> bin_edges(0.0, 1.0)[:3]
    (0.0, 0.05, 0.1)
    """
    reach = high - low
    if not reach > 0:
        low, high, reach = low - 0.5, high + 0.5, 1.0
    power = 10.0 ** math.floor(math.log10(reach / BINS))
    for factor in _NICE:
        step = factor * power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= BINS:
            return tuple(float(f"{place * step:.12g}") for place in range(first, last + 1))
    return bin_edges(low - 0.5 * power, high + 0.5 * power)


def distribution_views(index: AuditIndex, samples: Sequence[object] | None) -> tuple[DistributionView, ...]:
    """A view of every score read from the rows; other samples are left out."""
    own = [sample for sample in samples or () if isinstance(sample, ScoreSample)]
    return tuple(_view(index, sample, f"scores-{place}") for place, sample in enumerate(own, 1))


def _view(index: AuditIndex, sample: ScoreSample, anchor: str) -> DistributionView:
    order = {subject.id: place for place, subject in enumerate(index.ordered_subjects)}
    subjects = sorted(sample.subjects, key=lambda found: order.get(found.subject, len(order)))
    lines = [_line(index, found) for found in subjects if found.valid]
    panels, left = _panels(lines)
    shown = [line for panel in panels for line in panel.lines]
    notes = [
        f"Only items with {sample.where}: the others are controls." if sample.where else "",
        f"{sample.outside:,} scores lie beyond the ends and count in the end bins." if sample.outside else "",
        f"{left} models are left to the table." if left else "",
        f"Other scores of these answers are not drawn: {', '.join(sample.left)}." if sample.left else "",
        sample.reason,
    ]
    measured = index.measurements.get(sample.measurement)
    asked = measured.question.label if measured else ""
    threshold = None if sample.threshold is None else f"{sample.threshold:.4g} {sample.unit}".strip()
    return DistributionView(
        anchor=anchor,
        title=terminal(sample.title or sample.measure),
        question=terminal(" · ".join(part for part in (measured.probe if measured else "", asked) if part)),
        unit=terminal(sample.unit),
        edges=sample.edges,
        threshold=sample.threshold,
        threshold_text=terminal(threshold or ""),
        top=max((part for line in shown for part in line.shares), default=1.0),
        panels=panels,
        rows=tuple(_row(index, sample, found) for found in subjects),
        bins=_bins(sample, [found for found in subjects if found.valid]),
        notes=tuple(terminal(note) for note in notes if note),
    )


def _line(index: AuditIndex, found: SubjectScores) -> StepLine:
    subject = index.subjects.get(found.subject)
    label = short_label(index, subject) if subject else terminal(found.subject)
    return StepLine(
        label, subject.role if subject else "reference", tuple(n / found.valid for n in found.counts)
    )


def _panels(lines: Sequence[StepLine]) -> tuple[tuple[DistributionPanel, ...], int]:
    base = [line for line in lines if line.role == "base"]
    adapted = [line for line in lines if line.role == "adapted"]
    if not adapted:
        return tuple(DistributionPanel(line.label, (line,)) for line in lines[:MAX_MULTIPLES]), max(
            0, len(lines) - MAX_MULTIPLES
        )
    panels = [DistributionPanel(line.label, (*base, line)) for line in adapted[:MAX_MULTIPLES]]
    rest = [line for line in lines if line.role == "reference"]
    if len(lines) <= MANY_SUBJECTS:
        return (*panels, *(DistributionPanel(line.label, (*base, line)) for line in rest)), 0
    return tuple(panels), len(adapted) - len(panels) + len(rest)


def _row(index: AuditIndex, sample: ScoreSample, found: SubjectScores) -> DistributionRow:
    subject = index.subjects.get(found.subject)
    scale = Scale(1.0, sample.unit, False)
    interval, at = _defect_rate(index, sample, found.subject)
    digits = [f"{value:.3g}".replace("-", "\u2212") for value in found.middle] if found.middle else []
    return DistributionRow(
        label=terminal(index.subject_label(found.subject)),
        role=subject.role if subject else "reference",
        answers=f"{found.valid:,} of {found.asked:,}",
        missing=f"{found.asked - found.valid:,}",
        coverage=share(found.valid / found.asked) if found.asked else "none",
        deciles=scale.with_unit(f"{digits[1]} ({digits[0]} to {digits[2]})") if digits else "none",
        beyond=(
            f"{found.defects:,} of {found.judged:,} ({share(found.defects / found.judged)})"
            if found.judged
            else "not judged"
        ),
        interval=interval,
        reason=terminal(found.reason),
        at=at,
    )


def _defect_rate(index: AuditIndex, sample: ScoreSample, subject: str) -> tuple[str, str]:
    """The headline rate of the same measurement and its place: the shares here are plain counts."""
    measured = index.measurements.get(sample.measurement)
    if measured is None:
        return "", ""
    question = measured.question
    for (owner, asked, metric), estimate in index.estimates.items():
        info = index.metrics.get(metric, question.variant)
        if owner == subject and asked == question and info and info.headline and info.kind == "rate":
            number = index.number(estimate, metric, estimate.measurement, difference=False)
            open_ = "" if number.conclusive else " ◇"
            if number.has_value:
                said = f"{number.value} ({number.plain_interval or number.interval}){open_}"
                return terminal(said), number.at
            return terminal(f"{number.status}: {number.reason}"), number.at
    return "", ""


def _bins(sample: ScoreSample, subjects: Sequence[SubjectScores]) -> tuple[BinRow, ...]:
    edges = [f"{edge:g}".replace("-", "\u2212") for edge in sample.edges]
    return tuple(
        BinRow(f"{low} to {high}", tuple(share(found.counts[place] / found.valid) for found in subjects))
        for place, (low, high) in enumerate(pairwise(edges))
    )
