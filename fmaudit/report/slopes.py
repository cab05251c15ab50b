"""Headline numbers on their way from the base to every adapted model."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.question import Question
from fmaudit.report.escape import terminal
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, scale_of
from fmaudit.schema import Comparison, Estimate


@dataclass(frozen=True)
class SlopeEnd:
    """Where one adapted model arrives: its number, and its change in words.

    ``level`` and ``difference`` are the same two for a table, with all that belongs to them.
    """

    label: str
    value: float
    lower: float
    upper: float
    change: str
    level: NumberView | None = None
    difference: NumberView | None = None


@dataclass(frozen=True)
class Slope:
    """One metric from its base (value, lower, upper) to each adapted model, in the metric's unit."""

    title: str
    unit: str
    base: tuple[float, float, float]
    ends: tuple[SlopeEnd, ...]
    start: NumberView | None = None

    @property
    def change(self) -> str:
        """The change of a lone model, or the reach of several."""
        if len(self.ends) == 1:
            return self.ends[0].change
        least, most = (pick(self.ends, key=lambda end: end.value) for pick in (min, max))
        unit = "points" if self.unit == "%" else self.unit
        bare = least.change.removesuffix(" ◇").removesuffix(f" {unit}")
        return f"{len(self.ends)} models, {bare} to {most.change}"


def slopes(index: AuditIndex) -> tuple[Slope, ...]:
    """Headline metrics with an interval on both sides; one a metric and question."""
    found: dict[tuple[str, Question], list[Comparison]] = {}
    for comparison in index.audit.comparisons:
        metric = index.metrics.of(comparison)
        own = comparison.step == "from_base" and not comparison.slice
        if metric is not None and metric.headline and own:
            question = index.question(comparison.measurement, comparison.metric)
            found.setdefault((comparison.metric, question), []).append(comparison)
    questions: dict[str, int] = {}
    for metric_id, _ in found:
        questions[metric_id] = questions.get(metric_id, 0) + 1
    made = (
        _slope(index, metric_id, question, own, questions[metric_id] > 1)
        for (metric_id, question), own in found.items()
    )
    return tuple(slope for slope in made if slope is not None)


def _slope(
    index: AuditIndex, metric: str, question: Question, comparisons: list[Comparison], several: bool
) -> Slope | None:
    scale = scale_of(index.metrics.get(metric, question.variant), difference=False)
    base = _end(index, comparisons[0].base, question, metric, scale.factor)
    ends = []
    for comparison in comparisons:
        own = _end(index, comparison.adapted, question, metric, scale.factor)
        if own is None:
            continue
        number = index.number(comparison, metric, comparison.measurement, difference=True)
        subject = index.subjects.get(comparison.adapted)
        change = (
            number.value + ("" if number.conclusive else " ◇") if number.has_value else "change not measured"
        )
        ends.append(
            SlopeEnd(
                terminal(subject.name if subject else comparison.adapted),
                *own,
                terminal(change),
                _level(index, comparison.adapted, question, metric),
                number,
            )
        )
    if base is None or not ends:
        return None
    title = index.metric_title(metric, question.variant) + (f" ({question.label})" if several else "")
    start = _level(index, comparisons[0].base, question, metric)
    return Slope(terminal(title), scale.unit, base, tuple(ends), start)


def _level(index: AuditIndex, subject: str, question: Question, metric: str) -> NumberView | None:
    found: Estimate | None = index.estimates.get((subject, question, metric))
    return index.number(found, metric, found.measurement, difference=False) if found else None


def _end(
    index: AuditIndex, subject: str, question: Question, metric: str, factor: float
) -> tuple[float, float, float] | None:
    found = index.estimates.get((subject, question, metric))
    if found is None or found.value is None or found.lower is None or found.upper is None:
        return None
    return found.value * factor, found.lower * factor, found.upper * factor
