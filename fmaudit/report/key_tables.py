"""Key numbers of a family of models: one table a card, and the worst word over the adapted models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from fmaudit.report.index import AuditIndex
from fmaudit.report.key_cards import (
    KeyNumber,
    KeyRow,
    Reading,
    Statement,
    basis_of,
    size_of,
    toned,
    topic_of,
)
from fmaudit.report.numbers import NumberView, scale_of, status_of
from fmaudit.report.readings import (
    AFTER_CORRECTION,
    BOTH_ALIKE,
    DISAGREE,
    UNANSWERED,
    UNTESTED,
    adapted_of,
    comparison_verdict,
    harms,
    nominally_shown,
    shown,
    unclear,
)
from fmaudit.report.verdict_words import MARKS, decided
from fmaudit.schema import Comparison, ContrastResult, Estimate

Found = TypeVar("Found")
MOST_IN_SENTENCES = 2
GREW = "Grew from base to adapted"
LEFT = "Smaller, but still there"
MOVED = "Moved from base to adapted"
_TONES = ("alert", "open", "calm")
_WORST = (
    "introduced",
    "amplified",
    GREW.lower(),
    "inherited",
    "changed, size unresolved",
    BOTH_ALIKE.lower(),
    DISAGREE.lower(),
    UNANSWERED.lower(),
    UNTESTED.lower(),
    LEFT.lower(),
    "association",
    "coincident",
    "inconclusive",
    "unmeasured",
)


def tabled(index: AuditIndex) -> bool:
    """Whether an audit has too many models for sentences."""
    return len(index.audit.subjects) > MOST_IN_SENTENCES


def comparison_reading(index: AuditIndex, found: Comparison) -> Reading:
    """The verdict word where the decision table gave one; else only which way the number went."""
    status = status_of(found, partial=index.partial(found.measurement))
    if status == "measured" and decided(found):
        symbol, tone = MARKS[found.verdict]
        return Reading(tone, found.verdict.capitalize(), symbol)
    return toned(*comparison_verdict(index, found))


def worst_reading(readings: Iterable[Reading]) -> Reading:
    """The word that a reader has to know first; nothing read is inconclusive."""

    def place(reading: Reading) -> tuple[int, int]:
        word = reading.word.lower()
        return _TONES.index(reading.tone), _WORST.index(word) if word in _WORST else len(_WORST)

    return min(readings, key=place, default=toned("open", "Inconclusive"))


def comparison_table(index: AuditIndex, group: Sequence[Comparison]) -> KeyNumber:
    """One metric on one question: every model's value, then the change of every adapted model."""
    first = group[0]
    metric = index.metrics.of(first)
    question = index.question(first.measurement, first.metric)
    found = (index.estimates.get((s.id, question, first.metric)) for s in index.ordered_subjects)
    readings = {c.id: comparison_reading(index, c) for c in group}
    target: tuple[Statement, ...] = ()
    if metric is not None and metric.ideal is not None:
        scale = scale_of(metric, difference=False)
        value = scale.with_unit(f"{metric.ideal * scale.factor:g}")
        target = (Statement("The target is", value, ".", ""),)
    worst = worst_reading(readings.values())
    return KeyNumber(
        topic_of(index, first.metric, first.measurement),
        index.metric_title(first.metric),
        worst,
        target,
        basis_of(index, first),
        rows=tuple(_estimate_row(index, estimate) for estimate in found if estimate is not None),
        changes=tuple(
            _row(index, c.adapted, index.number(c, c.metric, c.measurement, difference=True), readings[c.id])
            for c in _by_subject(index, {c.adapted: c for c in group})
        ),
        count=_count(worst, list(readings.values())),
    )


def contrast_table(index: AuditIndex, group: Sequence[ContrastResult]) -> KeyNumber:
    """One contrast: its value in every model, then how far every adaptation moved it."""
    first = group[0]
    own = {c.terms[0].subject: c for c in group if c.kind == "within_subject" and c.terms}
    moved = {
        adapted.id: c
        for c in group
        if c.kind == "difference_in_differences" and (adapted := adapted_of(index, c)) is not None
    }
    verdicts = _verdicts(index, first)
    readings = {
        subject: worst_reading([_contrast_reading(index, subject, own, moved), *verdicts.get(subject, [])])
        for subject in (s.id for s in index.ordered_subjects if s.role == "adapted")
        if subject in moved or subject in own
    }
    if not readings:
        readings = {subject: _own_reading(index, contrast) for subject, contrast in own.items()}
    worst = worst_reading(readings.values())
    return KeyNumber(
        topic_of(index, first.metric, first.measurement),
        first.title,
        worst,
        (),
        basis_of(index, first),
        rows=tuple(_contrast_row(index, c.terms[0].subject, c, None) for c in _by_subject(index, own)),
        changes=tuple(
            _contrast_row(index, subject, moved[subject], readings.get(subject))
            for subject in (s.id for s in index.ordered_subjects)
            if subject in moved
        ),
        count=_count(worst, list(readings.values())),
        table_words=table_words(index, first) if worst.word == BOTH_ALIKE else "",
    )


def table_words(index: AuditIndex, contrast: ContrastResult) -> str:
    """The decision table's words for a contrast's metric and question, each with its models."""
    named: dict[str, list[str]] = {}
    for subject, readings in _verdicts(index, contrast).items():
        for reading in readings:
            named.setdefault(reading.word.lower(), []).append(index.subject_label(subject))
    return "; ".join(f"{word} ({', '.join(models)})" for word, models in named.items())


def estimate_table(index: AuditIndex, group: Sequence[Estimate], reading: Reading) -> KeyNumber:
    """One metric that nothing is compared on: every model's value."""
    first = group[0]
    found = _by_subject(index, {estimate.subject: estimate for estimate in group})
    return KeyNumber(
        topic_of(index, first.metric, first.measurement),
        index.metric_title(first.metric),
        reading,
        (),
        basis_of(index, first),
        rows=tuple(_estimate_row(index, estimate) for estimate in found),
    )


def _count(worst: Reading, readings: Sequence[Reading]) -> str:
    alike = sum(reading.word == worst.word for reading in readings)
    return f"in {alike} of {len(readings)}" if len(readings) > 1 else ""


def _by_subject(index: AuditIndex, found: Mapping[str, Found]) -> list[Found]:
    return [found[subject.id] for subject in index.ordered_subjects if subject.id in found]


def _verdicts(index: AuditIndex, contrast: ContrastResult) -> dict[str, list[Reading]]:
    """What the decision table says of the same metric on the same question, by adapted model."""
    question = index.question(contrast.measurement, contrast.metric)
    found: dict[str, list[Reading]] = {}
    for c in index.audit.comparisons:
        own = c.metric == contrast.metric and c.step == "from_base" and not c.slice and decided(c)
        if own and index.question(c.measurement, c.metric) == question:
            found.setdefault(c.adapted, []).append(comparison_reading(index, c))
    return found


def _contrast_reading(
    index: AuditIndex,
    subject: str,
    own: dict[str, ContrastResult],
    moved: dict[str, ContrastResult],
) -> Reading:
    change, within = moved.get(subject), own.get(subject)
    if change is None:
        return _own_reading(index, within) if within else toned("open", "Inconclusive")
    there = within is not None and harms(index, within)
    if shown(index, change):
        if harms(index, change):
            return toned("alert", GREW)
        if change.reading != "better":
            return toned("open", MOVED)
        return toned("open", LEFT) if there else toned("calm", "Fell from base to adapted")
    if why := unclear(index, change):
        return toned("open", why)
    if nominally_shown(index, change):
        return toned("open", f"No change shown {AFTER_CORRECTION}")
    before = next((c for s, c in own.items() if index.subjects[s].role == "base"), None)
    if there and before is not None and shown(index, before):
        return toned("open", BOTH_ALIKE)
    if status_of(change, partial=index.partial(change.measurement)) != "measured":
        return toned("open", "Inconclusive")
    return toned("calm", "No difference shown")


def _own_reading(index: AuditIndex, contrast: ContrastResult) -> Reading:
    if status_of(contrast, partial=index.partial(contrast.measurement)) != "measured":
        return toned("open", "Inconclusive")
    if why := unclear(index, contrast):
        return toned("open", why)
    if not shown(index, contrast):
        if nominally_shown(index, contrast):
            return toned("open", f"No difference shown {AFTER_CORRECTION}")
        return toned("calm", "No difference shown")
    return toned("alert" if harms(index, contrast) else "calm", "Difference shown")


def _contrast_row(
    index: AuditIndex, subject: str, contrast: ContrastResult, reading: Reading | None
) -> KeyRow:
    view = index.number(contrast, contrast.metric, contrast.measurement, difference=True)
    return _row(index, subject, view, reading)


def _estimate_row(index: AuditIndex, found: Estimate) -> KeyRow:
    view = index.number(found, found.metric, found.measurement, difference=False)
    return _row(index, found.subject, view, None)


def _row(index: AuditIndex, subject: str, view: NumberView, reading: Reading | None) -> KeyRow:
    known = index.subjects.get(subject)
    interval = view.plain_interval or view.interval
    return KeyRow(
        label=index.subject_label(subject),
        role=known.role if known else "reference",
        value=view.value if view.has_value else view.status,
        interval=(interval + ("" if view.conclusive else ", inconclusive"))
        if view.has_value
        else view.reason or "no reason recorded",
        p=_under_p(view.p) if view.conclusive else "",
        basis=size_of(view),
        reading=reading,
        at=view.at,
    )


def _under_p(text: str) -> str:
    """``p = 0.03`` under a heading that already says p."""
    return text.removeprefix("p").lstrip("=\u00a0 ")
