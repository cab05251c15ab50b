"""How small a change this run could have seen, beside the margin that decides its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.question import Question
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import Scale, magnitude, plain_value, scale_of
from fmaudit.report.verdict_words import headline
from fmaudit.schema import Comparison


@dataclass(frozen=True)
class DetectableRow:
    """One headline change: its model, what it rests on, and what it could have shown."""

    at: str
    title: str
    question: str
    model: str
    n: str
    n_eff: str
    smallest: str
    margin: str
    reading: str
    needed: str


def detectable_rows(index: AuditIndex) -> tuple[DetectableRow, ...]:
    """A row for every headline change from the base, in the order of the audit.

    The smallest detectable change is the true change that a two-sided test at the
    5 % level finds with 80 % power, from the change's own standard error.
    """
    found = [c for c in index.audit.comparisons if c.step == "from_base" and headline(index, c)]
    return tuple(_row(index, c) for c in _by_question(index, found))


def _by_question(index: AuditIndex, found: Sequence[Comparison]) -> list[Comparison]:
    groups: dict[tuple[Question, str], list[Comparison]] = {}
    for c in found:
        groups.setdefault((index.question(c.measurement, c.metric), c.metric), []).append(c)
    return [c for group in groups.values() for c in group]


def _row(index: AuditIndex, found: Comparison) -> DetectableRow:
    change = scale_of(index.metrics.of(found), difference=True)
    plain = Scale(change.factor, change.unit, False)
    delta = found.margins.delta
    view = index.number(found, found.metric, found.measurement, difference=True)
    needed = "" if found.items_needed is None else f"{found.items_needed:,}"
    return DetectableRow(
        at=view.at,
        title=index.metric_title(found.metric),
        question=index.question(found.measurement, found.metric).label,
        model=index.subject_label(found.adapted),
        n=view.n,
        n_eff=view.n_eff,
        smallest=magnitude(found.mde, found, change) if found.mde is not None else "not computed",
        margin="none declared" if delta is None else plain_value(delta, found, plain),
        reading=_reading(found),
        needed=needed,
    )


def _reading(found: Comparison) -> str:
    delta = found.margins.delta
    if found.mde is None:
        return found.reason or "no interval, so nothing could be shown"
    if delta is None:
        return "no margin to hold it against"
    if found.mde <= delta:
        return "a change as large as the margin would be seen"
    return "coarser than the margin: a relevant change may go unseen"
