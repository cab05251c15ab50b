"""What the charts show: headline numbers with intervals, margins and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fmaudit.question import Question
from fmaudit.report.escape import terminal
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, Scale, scale_of
from fmaudit.report.readings import adapted_of, contrast_levels, several_adapted
from fmaudit.report.slopes import Slope as Slope
from fmaudit.report.slopes import slopes as slopes
from fmaudit.schema import Comparison, ContrastResult, MetricInfo, Numbers

Kind: TypeAlias = Literal["contrast", "change", "level"]
Limits: TypeAlias = Mapping[str, tuple[float, Literal["max", "min"]]]
"""By metric: a policy's limit in the metric's own unit, and whether it is the most or the least allowed."""

CHANGE_PREFIX = "Change from base: "
CHANGE_SUFFIX = ", change"
_ORDER = ("adapted", "base", "reference", "change")


@dataclass(frozen=True)
class ForestRow:
    """One interval; values are in the panel's unit. ``mark``: base, adapted, reference or change.

    ``outer``: the simultaneous interval, where there is one.
    """

    label: str
    mark: str
    value: float
    lower: float
    upper: float
    text: str
    outer: tuple[float, float] | None = None
    number: NumberView | None = None


@dataclass(frozen=True)
class ForestGroup:
    """The rows of one metric under its title.

    ``ideal`` draws a target line, ``zone`` shades the changes from minus to plus
    this that do not matter, ``ticks`` mark where a tolerated defect ends, and
    ``limit`` brackets what a policy allows. ``margins`` says them in words.
    """

    title: str
    rows: tuple[ForestRow, ...]
    ideal: float | None
    zone: float | None = None
    ticks: tuple[float, ...] = ()
    limit: tuple[float, Literal["max", "min"]] | None = None
    margins: str = ""


@dataclass(frozen=True)
class ForestPanel:
    """Groups that share an axis; ``zero`` draws the line of no difference."""

    unit: str
    zero: bool
    groups: tuple[ForestGroup, ...]
    kind: Kind = "level"


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


@dataclass(frozen=True)
class _Key:
    """What may share an axis: kind, unit, and for numbers without a unit the range they can have."""

    kind: Kind
    unit: str
    span: tuple[float | None, float | None]


def forest_panels(index: AuditIndex, limits: Limits | None = None) -> tuple[ForestPanel, ...]:
    """Headline contrasts, changes from base, and levels; one panel a kind and unit, every group of it."""
    panels: dict[_Key, list[ForestGroup]] = {}
    for key, group in (*_contrasts(index), *_changes(index), *_levels(index, limits or {})):
        panels.setdefault(key, []).append(group)
    return tuple(
        ForestPanel(key.unit, key.kind != "level", tuple(groups), key.kind) for key, groups in panels.items()
    )


def _key(kind: Kind, metric: MetricInfo | None, scale: Scale) -> _Key:
    return _Key(kind, scale.unit, metric.range if metric and not scale.unit else (None, None))


def _contrasts(index: AuditIndex) -> list[tuple[_Key, ForestGroup]]:
    groups: dict[tuple[str, str], list[ForestRow]] = {}
    keys: dict[tuple[str, str], _Key] = {}
    titles: dict[tuple[str, str], str] = {}
    several = _repeated_titles(index)
    for contrast in index.audit.contrasts:
        if not contrast.headline or not contrast.terms:
            continue
        metric = index.metrics.of(contrast)
        plus, minus = contrast_levels(contrast)
        question = index.question(contrast.measurement, contrast.metric)
        place = (f"{contrast.metric}: {plus} minus {minus}", question.label)
        change = contrast.kind == "difference_in_differences"
        if place not in titles or not change:
            title = contrast.title or f"{index.metric_title(contrast.metric)}: {plus} minus {minus}"
            titles[place] = title + (f" ({question.label})" if contrast.metric in several else "")
        subject = index.subjects.get(contrast.terms[0].subject)
        mark = "change" if change else subject.role if subject else "reference"
        label = _change_label(index, contrast) if change else _label(index, contrast.terms[0].subject)
        row = _row(index, contrast, contrast.metric, label, mark)
        if row is not None:
            groups.setdefault(place, []).append(row)
            keys[place] = _key("contrast", metric, scale_of(metric, difference=True))
    return [
        (
            keys[place],
            ForestGroup(
                terminal(titles[place]), tuple(sorted(rows, key=lambda row: _ORDER.index(row.mark))), None
            ),
        )
        for place, rows in groups.items()
    ]


def _changes(index: AuditIndex) -> list[tuple[_Key, ForestGroup]]:
    groups: dict[tuple[str, Question], list[Comparison]] = {}
    for found in index.audit.comparisons:
        metric = index.metrics.of(found)
        if metric is not None and metric.headline and found.step == "from_base" and not found.slice:
            groups.setdefault((found.metric, index.question(found.measurement, found.metric)), []).append(
                found
            )
    several = _repeated_titles(index)
    made = []
    for (metric_id, question), found_here in groups.items():
        metric = index.metrics.get(metric_id, question.variant)
        assert metric is not None
        scale = scale_of(metric, difference=True)
        rows = [_row(index, found, metric_id, _label(index, found.adapted), "change") for found in found_here]
        shown = tuple(row for row in rows if row is not None)
        if not shown:
            continue
        delta = _only({found.margins.delta for found in found_here})
        words = (
            f"changes up to {_plain(scale, delta)} do not matter"
            if delta is not None
            else "no margin declared"
        )
        title = CHANGE_PREFIX + _title(index, metric_id, question, several)
        group = ForestGroup(
            terminal(title), shown, None, zone=None if delta is None else delta * scale.factor, margins=words
        )
        made.append((_key("change", metric, scale), group))
    return made


def _levels(index: AuditIndex, limits: Limits) -> list[tuple[_Key, ForestGroup]]:
    groups: dict[tuple[str, Question], list[ForestRow]] = {}
    for subject in index.ordered_subjects:
        for (owner, question, metric_id), estimate in index.estimates.items():
            metric = index.metrics.get(metric_id, question.variant)
            if owner != subject.id or metric is None or not metric.headline:
                continue
            row = _row(index, estimate, metric_id, _label(index, subject.id), subject.role, difference=False)
            if row is not None:
                groups.setdefault((metric_id, question), []).append(row)
    several = _repeated_titles(index)
    made = []
    for (metric_id, question), rows in groups.items():
        metric = index.metrics.get(metric_id, question.variant)
        assert metric is not None
        scale = scale_of(metric, difference=False)
        eps = _tolerated(index, metric, question)
        limit = limits.get(metric_id)
        group = ForestGroup(
            terminal(_title(index, metric_id, question, several)),
            tuple(rows),
            None if metric.ideal is None else metric.ideal * scale.factor,
            ticks=tuple(place * scale.factor for place in _ends_of_tolerance(metric, eps)),
            limit=None if limit is None else (limit[0] * scale.factor, limit[1]),
            margins=_level_words(scale, eps, limit),
        )
        made.append((_key("level", metric, scale), group))
    return made


def _tolerated(index: AuditIndex, metric: MetricInfo, question: Question) -> float | None:
    used = {
        found.margins.eps
        for found in index.audit.comparisons
        if found.metric == metric.id
        and not found.slice
        and index.question(found.measurement, found.metric) == question
    }
    return _only(used) if len(used) == 1 else metric.eps


def _ends_of_tolerance(metric: MetricInfo, eps: float | None) -> tuple[float, ...]:
    if eps is None or metric.direction == "none":
        return ()
    if metric.direction == "target":
        return () if metric.ideal is None else (metric.ideal - eps, metric.ideal + eps)
    if metric.direction == "lower_is_better":
        best = metric.ideal if metric.ideal is not None else metric.range[0]
        return () if best is None else (best + eps,)
    best = metric.ideal if metric.ideal is not None else metric.range[1]
    return () if best is None else (best - eps,)


def _level_words(scale: Scale, eps: float | None, limit: tuple[float, str] | None) -> str:
    words = [f"tolerated up to {_plain(scale, eps)} from the best"] if eps is not None else []
    if limit is not None:
        words.append(f"policy: at {'most' if limit[1] == 'max' else 'least'} {_plain(scale, limit[0])}")
    return "; ".join(words) or "no margin declared"


def _plain(scale: Scale, value: float) -> str:
    unit = "points" if scale.unit == "%" else scale.unit
    return Scale(scale.factor, unit, False).with_unit(f"{value * scale.factor:g}")


def _only(values: set[float | None]) -> float | None:
    return next(iter(values)) if len(values) == 1 else None


def _title(index: AuditIndex, metric: str, question: Question, several: set[str]) -> str:
    title = index.metric_title(metric, question.variant)
    return title + (f" ({question.label})" if metric in several else "")


def _label(index: AuditIndex, subject: str) -> str:
    """The name alone where a role is shared: the mark tells the role."""
    found = index.subjects.get(subject)
    shared = found is not None and sum(other.role == found.role for other in index.audit.subjects) > 1
    return found.name if found is not None and shared else index.subject_label(subject)


def _change_label(index: AuditIndex, contrast: ContrastResult) -> str:
    adapted = adapted_of(index, contrast)
    return f"{adapted.name}{CHANGE_SUFFIX}" if adapted is not None and several_adapted(index) else "Change"


def _repeated_titles(index: AuditIndex) -> set[str]:
    seen: dict[str, set[str]] = {}
    for _, question, metric in index.estimates:
        seen.setdefault(metric, set()).add(question.label)
    return {metric for metric, labels in seen.items() if len(labels) > 1}


def _row(
    index: AuditIndex,
    numbers: ContrastResult | Comparison | Numbers,
    metric: str,
    label: str,
    mark: str,
    *,
    difference: bool = True,
) -> ForestRow | None:
    if numbers.value is None or numbers.lower is None or numbers.upper is None:
        return None
    measurement = str(getattr(numbers, "measurement", ""))
    number = index.number(numbers, metric, measurement, difference=difference)
    factor = scale_of(index.metrics.at(metric, measurement), difference=difference).factor
    low, high = numbers.adjusted_lower, numbers.adjusted_upper
    return ForestRow(
        terminal(label),
        mark,
        numbers.value * factor,
        numbers.lower * factor,
        numbers.upper * factor,
        terminal(number.value + ("" if number.conclusive else " ◇")),
        None if low is None or high is None else (low * factor, high * factor),
        number,
    )


def rows_of(panels: Sequence[ForestPanel]) -> int:
    """How many intervals the panels hold."""
    return sum(len(group.rows) for panel in panels for group in panel.groups)
