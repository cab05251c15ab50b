"""What the charts show: headline numbers with intervals, and their way from base to adapted."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.report.escape import terminal
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import number_view, scale_of, status_of
from fmaudit.report.readings import adapted_of, contrast_levels, several_adapted
from fmaudit.schema import Comparison, ContrastResult, Numbers

MAX_GROUPS = 6
MAX_SLOPES = 8


@dataclass(frozen=True)
class ForestRow:
    """One interval; values are in the panel's unit. ``mark``: base, adapted, reference or change."""

    label: str
    mark: str
    value: float
    lower: float
    upper: float
    text: str


@dataclass(frozen=True)
class ForestGroup:
    """The rows of one metric under its title; ``ideal`` draws a target line."""

    title: str
    rows: tuple[ForestRow, ...]
    ideal: float | None


@dataclass(frozen=True)
class ForestPanel:
    """Groups that share an axis; ``zero`` draws the line of no difference."""

    unit: str
    zero: bool
    groups: tuple[ForestGroup, ...]


@dataclass(frozen=True)
class Slope:
    """One metric from base to adapted; each end is value, lower, upper."""

    title: str
    unit: str
    base: tuple[float, float, float]
    adapted: tuple[float, float, float]
    change: str


@dataclass(frozen=True)
class CurvePoint:
    """One dose and the response to it with its interval."""

    dose: float
    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Curve:
    """A dose-response curve."""

    title: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Histogram:
    """Share of items by how many models fail on them, observed and if they failed independently."""

    title: str
    observed: tuple[float, ...]
    independent: tuple[float, ...]


def forest_panels(index: AuditIndex) -> tuple[ForestPanel, ...]:
    """Headline contrasts, then headline metrics, one panel a unit."""
    panels: dict[tuple[str, bool], list[ForestGroup]] = {}
    for unit, group in _contrast_groups(index):
        panels.setdefault((unit, True), []).append(group)
    for unit, group in _metric_groups(index):
        panels.setdefault((unit, False), []).append(group)
    return tuple(
        ForestPanel(unit, zero, tuple(groups[:MAX_GROUPS])) for (unit, zero), groups in panels.items()
    )


def slopes(index: AuditIndex) -> tuple[Slope, ...]:
    """Headline metrics with an interval on both sides."""
    found = []
    for comparison in index.audit.comparisons:
        metric = index.metrics.get(comparison.metric)
        own = comparison.step == "from_base" and not comparison.slice
        slope = _slope(index, comparison) if metric and metric.headline and own else None
        if slope is not None:
            found.append(slope)
    return tuple(found[:MAX_SLOPES])


def _contrast_groups(index: AuditIndex) -> list[tuple[str, ForestGroup]]:
    groups: dict[tuple[str, str], list[ForestRow]] = {}
    units: dict[tuple[str, str], str] = {}
    for contrast in index.audit.contrasts:
        if not contrast.headline or not contrast.terms:
            continue
        scale = scale_of(index.metrics.get(contrast.metric), difference=True)
        plus, minus = contrast_levels(contrast)
        question = index.question(contrast.measurement, contrast.metric)
        title = f"{index.metric_title(contrast.metric)}: {plus} minus {minus}"
        key = (title, question.label)
        change = contrast.kind == "difference_in_differences"
        subject = index.subjects.get(contrast.terms[0].subject)
        mark = "change" if change else subject.role if subject else "reference"
        label = _change_label(index, contrast) if change else _label(index, contrast.terms[0].subject)
        row = _row(
            contrast,
            label,
            mark,
            scale.factor,
            index.partial(contrast.measurement),
            _text(index, contrast, contrast.metric, contrast.measurement, True),
        )
        if row is not None:
            groups.setdefault(key, []).append(row)
            units[key] = scale.unit
    order = ("adapted", "base", "reference", "change")
    return [
        (
            units[key],
            ForestGroup(terminal(key[0]), tuple(sorted(rows, key=lambda row: order.index(row.mark))), None),
        )
        for key, rows in groups.items()
    ]


def _metric_groups(index: AuditIndex) -> list[tuple[str, ForestGroup]]:
    groups: dict[tuple[str, str], list[ForestRow]] = {}
    keep: dict[tuple[str, str], tuple[str, str, float | None]] = {}
    several = _repeated_titles(index)
    for subject in index.ordered_subjects:
        for (owner, question, metric_id), estimate in index.estimates.items():
            metric = index.metrics.get(metric_id)
            if owner != subject.id or metric is None or not metric.headline:
                continue
            scale = scale_of(metric, difference=False)
            text = _text(index, estimate, metric_id, estimate.measurement, False)
            row = _row(
                estimate,
                _label(index, subject.id),
                subject.role,
                scale.factor,
                index.partial(estimate.measurement),
                text,
            )
            if row is None:
                continue
            key = (metric_id, question.label)
            groups.setdefault(key, []).append(row)
            title = metric.title + (f" ({question.label})" if metric_id in several else "")
            keep[key] = (scale.unit, title, None if metric.ideal is None else metric.ideal * scale.factor)
    return [
        (keep[key][0], ForestGroup(terminal(keep[key][1]), tuple(rows), keep[key][2]))
        for key, rows in groups.items()
    ]


def _label(index: AuditIndex, subject: str) -> str:
    """The name alone where a role is shared: the mark tells the role."""
    found = index.subjects.get(subject)
    shared = found is not None and sum(other.role == found.role for other in index.audit.subjects) > 1
    return found.name if found is not None and shared else index.subject_label(subject)


def _change_label(index: AuditIndex, contrast: ContrastResult) -> str:
    adapted = adapted_of(index, contrast)
    return f"Change {adapted.name}" if adapted is not None and several_adapted(index) else "Change"


def _repeated_titles(index: AuditIndex) -> set[str]:
    seen: dict[str, set[str]] = {}
    for _, question, metric in index.estimates:
        seen.setdefault(metric, set()).add(question.label)
    return {metric for metric, labels in seen.items() if len(labels) > 1}


def _row(
    numbers: Numbers, label: str, mark: str, factor: float, partial: bool, text: str
) -> ForestRow | None:
    if numbers.value is None or numbers.lower is None or numbers.upper is None:
        return None
    if status_of(numbers, partial=partial) != "measured":
        text += " ◇"
    return ForestRow(
        terminal(label),
        mark,
        numbers.value * factor,
        numbers.lower * factor,
        numbers.upper * factor,
        terminal(text),
    )


def _text(index: AuditIndex, numbers: Numbers, metric: str, measurement: str, difference: bool) -> str:
    return index.number(numbers, metric, measurement, difference=difference).value


def _slope(index: AuditIndex, comparison: Comparison) -> Slope | None:
    question = index.question(comparison.measurement, comparison.metric)
    scale = scale_of(index.metrics.get(comparison.metric), difference=False)
    ends = []
    for subject in (comparison.base, comparison.adapted):
        found = index.estimates.get((subject, question, comparison.metric))
        if found is None or found.value is None or found.lower is None or found.upper is None:
            return None
        ends.append((found.value * scale.factor, found.lower * scale.factor, found.upper * scale.factor))
    change = number_view(
        comparison, scale_of(index.metrics.get(comparison.metric), difference=True), partial=False
    )
    adapted = index.subjects.get(comparison.adapted)
    model = f"{adapted.name}: " if adapted is not None and several_adapted(index) else ""
    title = terminal(model + index.metric_title(comparison.metric))
    return Slope(
        title,
        scale.unit,
        ends[0],
        ends[1],
        terminal(change.value) if change.has_value else "change not measured",
    )
