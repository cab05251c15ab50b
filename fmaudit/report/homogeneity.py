"""Whether the models of a family fail together, beside unrelated models that do or do not."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.report.escape import terminal
from fmaudit.report.figures import Histogram
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import SHARE, figure_text, quantity_text, share
from fmaudit.report.verdict_words import defect_title
from fmaudit.schema import Homogenization


@dataclass(frozen=True)
class FailureRow:
    """Items on which this many models fail: observed, and if models failed independently."""

    failures: str
    observed: str
    independent: str


@dataclass(frozen=True)
class HomogenizationView:
    """One defect over a family of models."""

    title: str
    question: str
    subjects: str
    controls: str
    n: str
    observed: str
    expected: str
    ratio: str
    control_ratio: str
    family_effect: str
    group_forms: tuple[tuple[str, str], ...]
    reason: str
    rows: tuple[FailureRow, ...]
    histogram: Histogram | None
    at: str


def homogenization_views(index: AuditIndex) -> tuple[HomogenizationView, ...]:
    """Every family that was measured, in the order of the audit."""
    return tuple(_view(index, found) for found in index.audit.homogenization)


def _view(index: AuditIndex, found: Homogenization) -> HomogenizationView:
    title = defect_title(index, found.metric)
    complete = len(found.histogram) == len(found.independent) > 1
    return HomogenizationView(
        title=title,
        question=_question(index, found),
        subjects=_names(index, found.subjects),
        controls=_names(index, found.control_subjects),
        n=f"{found.n:,}",
        observed=_point(found.observed, found.n),
        expected=_point(found.expected, found.n),
        ratio=quantity_text(found.ratio),
        control_ratio=(
            quantity_text(found.control_ratio)
            if found.control_subjects or found.control_ratio.value is not None
            else f"no unrelated control: {found.control_ratio.reason or 'no reference was measured'}"
        ),
        family_effect=quantity_text(found.family_effect),
        group_forms=tuple(
            (name, figure_text(value))
            for name, value in sorted(found.group_forms.items())
            if value is not None
        ),
        reason=found.reason,
        rows=tuple(
            FailureRow(str(count), share(seen), share(independent))
            for count, (seen, independent) in enumerate(zip(found.histogram, found.independent, strict=False))
        )
        if complete
        else (),
        histogram=(
            Histogram(terminal(title), tuple(found.histogram), tuple(found.independent)) if complete else None
        ),
        at=index.place(found),
    )


def _point(value: float | None, n: int) -> str:
    """A share of these items: a figure of the items at hand, which claims no interval."""
    return f"{figure_text(value, SHARE)} of {n:,} items" if value is not None else "not computed"


def _question(index: AuditIndex, found: Homogenization) -> str:
    # One measurement stands for those of all subjects, named by its own id or without the subject.
    same = (name for name in index.measurements if name.endswith(f"/{found.measurement}"))
    name = found.measurement if found.measurement in index.measurements else next(same, "")
    return index.question(name, found.metric).label or found.measurement


def _names(index: AuditIndex, subjects: list[str]) -> str:
    return ", ".join(index.subject_label(subject) for subject in subjects)
