"""What a model got from its base or parent, as rows of its card."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, figure_text, span_text
from fmaudit.report.readings import side_value
from fmaudit.report.verdict_words import MARKS, defect_title, is_defect, pairs_note
from fmaudit.schema import Comparison, Subject


@dataclass(frozen=True)
class InheritanceRow:
    """One defect against the base or the parent: verdict word with all its numbers."""

    title: str
    question: str
    step: str
    verdict: str
    symbol: str
    flags: tuple[str, ...]
    before: str
    after: str
    change: NumberView
    copy: str
    verdict_interval: str
    reason: str


def inheritance_rows(index: AuditIndex, subject: Subject) -> tuple[InheritanceRow, ...]:
    """The headline defects of an adapted model; none for a base or a reference."""
    return tuple(
        _row(index, found)
        for found in index.audit.comparisons
        if found.adapted == subject.id and not found.slice and is_defect(index.metrics.of(found))
    )


def inheritance_note(index: AuditIndex, subject: Subject) -> str:
    """What the words rest on in this audit, or why there are none."""
    if subject.role == "base":
        return "This model is the base of the audit; what other models got from it is in their cards."
    if subject.role == "reference":
        return "This model is an unrelated control of the audit; nothing is said of what it inherited."
    return pairs_note(index) or "This model was not compared with its base in this audit."


def _row(index: AuditIndex, found: Comparison) -> InheritanceRow:
    copied = found.copy_fraction
    reason = found.verdict_reason or found.reason
    needed = f"{found.items_needed:,} items needed" if found.items_needed is not None else ""
    return InheritanceRow(
        title=defect_title(index, found.metric),
        question=index.question(found.measurement, found.metric).label,
        step="base" if found.step == "from_base" else "parent",
        verdict=found.verdict,
        symbol=MARKS[found.verdict][0],
        flags=tuple(found.flags),
        before=side_value(index, found, found.base_value),
        after=side_value(index, found, found.adapted_value),
        change=index.number(found, found.metric, found.measurement, difference=True),
        copy=figure_text(copied.value) if copied and copied.value is not None else "",
        verdict_interval=span_text(copied.verdict_interval) if copied else "",
        reason="; ".join(part for part in (reason, needed) if part),
    )
