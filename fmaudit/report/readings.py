"""How a contrast or a comparison reads: shown or not, harmful or not, and the word for it."""

from __future__ import annotations

from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import plain_value, scale_of, status_of
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import DECIDED, MARKS
from fmaudit.schema import Comparison, ContrastResult, Margins, MetricInfo, Numbers, Subject

ALPHA = 0.05
BOTH_ALIKE = "In both models alike"


def harmful_sign(metric: MetricInfo | None) -> int:
    """Whether a rise of the metric is the defect (+1) or its repair (-1)."""
    return -1 if metric is not None and metric.direction == "higher_is_better" else 1


def excludes_zero(numbers: Numbers) -> bool:
    """Whether the interval, and the p-value where there is one, tell the number from 0."""
    if numbers.lower is None or numbers.upper is None:
        return False
    return not numbers.lower <= 0 <= numbers.upper and (numbers.p is None or numbers.p < ALPHA)


def shown(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether a conclusive number differs from 0."""
    partial = index.partial(numbers.measurement)
    return status_of(numbers, partial=partial) == "measured" and excludes_zero(numbers)


def subject_role(index: AuditIndex, contrast: ContrastResult) -> str:
    """Role of the subject a contrast starts from."""
    found = index.subjects.get(contrast.terms[0].subject) if contrast.terms else None
    return found.role if found else ""


def adapted_of(index: AuditIndex, claim: ContrastResult | Comparison) -> Subject | None:
    """The adapted subject that a change is about; None for a contrast within another subject."""
    if isinstance(claim, Comparison):
        return index.subjects.get(claim.adapted)
    found = (index.subjects.get(term.subject) for term in claim.terms)
    return next((subject for subject in found if subject is not None and subject.role == "adapted"), None)


def several_adapted(index: AuditIndex) -> bool:
    """Whether a change has to be named by its model."""
    return sum(subject.role == "adapted" for subject in index.audit.subjects) > 1


def contrast_levels(contrast: ContrastResult) -> tuple[str, str]:
    """The levels on the plus and the minus side of the first subject."""
    own = [term for term in contrast.terms if term.subject == contrast.terms[0].subject]
    plus = [", ".join(term.slice.values()) for term in own if term.coefficient > 0]
    minus = [", ".join(term.slice.values()) for term in own if term.coefficient < 0]
    return " + ".join(plus) or "the first group", " + ".join(minus) or "the second group"


def harms(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether a change goes the way of the defect."""
    return (numbers.value or 0.0) * harmful_sign(index.metrics.get(numbers.metric)) > 0


def comparison_verdict(index: AuditIndex, comparison: Comparison) -> tuple[Tone, str]:
    """Tone and word of a comparison: its verdict, or else only that it is higher or lower."""
    status = status_of(comparison, partial=index.partial(comparison.measurement))
    if status != "measured":
        return "open", {"inconclusive": "Inconclusive"}.get(status, status.capitalize())
    if comparison.verdict in DECIDED:
        return MARKS[comparison.verdict][1], comparison.verdict.capitalize()
    if not shown(index, comparison):
        return "calm", "No change shown"
    metric = index.metrics.get(comparison.metric)
    word = "Higher than base" if (comparison.value or 0) > 0 else "Lower than base"
    directed = metric is not None and metric.direction in {"lower_is_better", "higher_is_better"}
    if metric is not None and metric.direction == "target" and metric.ideal is not None:
        before, after = comparison.base_value, comparison.adapted_value
        away = (
            before is not None
            and after is not None
            and abs(after - metric.ideal) > abs(before - metric.ideal)
        )
        return ("alert" if away else "calm"), word
    return ("alert" if directed and harms(index, comparison) else "calm"), word


def side_value(index: AuditIndex, comparison: Comparison, value: float | None) -> str:
    """The base's or the adapted subject's value of a comparison, as precise as the change."""
    if value is None:
        return "—"
    return plain_value(value, comparison, scale_of(index.metrics.get(comparison.metric), difference=False))


def margins_text(margins: Margins) -> str:
    """The margins a verdict used and who declared them."""
    stated = [
        f"{name} {value:g}"
        for name, value in (("eps", margins.eps), ("delta", margins.delta))
        if value is not None
    ]
    return ", ".join(stated) + (f" ({margins.source})" if stated and margins.source else "")
