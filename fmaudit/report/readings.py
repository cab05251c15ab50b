"""How a contrast or a comparison reads in words. What is shown, and what is worse, the audit says itself."""

from __future__ import annotations

from fmaudit.analysis.reading import SHOWN, limits
from fmaudit.question import Question
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import plain_value, scale_of, status_of
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.report.verdict_words import DECIDED, MARKS, decided, headline
from fmaudit.schema import Comparison, ContrastResult, Margins, Numbers, Subject

BOTH_ALIKE = "In both; no change shown"
DISAGREE = "Unclear: interval and test disagree"
UNANSWERED = "Unclear: missing answers have no bounds"
UNTESTED = "Unclear: there is no test of it"
AFTER_CORRECTION = "after correction"
WITHIN_MARGIN = "within the margin"


def shown(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether a conclusive number is shown to differ from 0 after the audit's own correction."""
    return _measured(index, numbers) and numbers.reading in SHOWN


def nominally_shown(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether interval and test alone would tell a conclusive number from 0, before any correction."""
    found = _spoken_of(numbers)
    if not _measured(index, numbers) or found is None or found[0] <= 0 <= found[1]:
        return False
    p = numbers.p if numbers.worst_p is None else numbers.worst_p
    return p is not None and p < 1 - numbers.level


def disagree(numbers: Numbers) -> bool:
    """Whether exactly one of plain interval and p-value tells the number from 0."""
    if numbers.lower is None or numbers.upper is None or numbers.p is None:
        return False
    return (not numbers.lower <= 0 <= numbers.upper) != (numbers.p < 1 - numbers.level)


def unclear(index: AuditIndex, numbers: ContrastResult | Comparison) -> str:
    """Why a number that is not shown is unclear rather than without a change; empty where it is not."""
    if not _measured(index, numbers) or numbers.reading in SHOWN:
        return ""
    if numbers.reading == "unclear":
        return UNANSWERED if _spoken_of(numbers) is None else UNTESTED
    return DISAGREE if disagree(numbers) else ""


def _spoken_of(numbers: Numbers) -> tuple[float, float] | None:
    return limits(numbers.model_dump(include={"lower", "upper", "coverage", "worst_interval"}))


def _measured(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    return status_of(numbers, partial=index.partial(numbers.measurement)) == "measured"


def headline_changes(index: AuditIndex) -> list[ContrastResult | Comparison]:
    """The headline changes that the verdict speaks of.

    A contrast within the adapted model is spoken of only where its change from the base was not measured.
    """
    headlines = [contrast for contrast in index.audit.contrasts if contrast.headline]
    changed = {
        _asked(index, contrast) for contrast in headlines if contrast.kind == "difference_in_differences"
    }
    candidates: list[ContrastResult | Comparison] = [
        contrast
        for contrast in headlines
        if contrast.kind == "difference_in_differences"
        or (subject_role(index, contrast) == "adapted" and _asked(index, contrast) not in changed)
    ]
    return candidates + [comparison for comparison in index.audit.comparisons if headline(index, comparison)]


def _asked(index: AuditIndex, contrast: ContrastResult) -> tuple[str, Question]:
    return contrast.metric, index.question(contrast.measurement, contrast.metric)


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
    """Whether a number is shown to go the way of the defect, or away from its target."""
    return shown(index, numbers) and numbers.reading == "worse"


def comparison_verdict(index: AuditIndex, comparison: Comparison) -> tuple[Tone, str]:
    """Tone and word of a comparison: its verdict, or else only that it is higher or lower."""
    status = status_of(comparison, partial=index.partial(comparison.measurement))
    if status != "measured":
        return "open", {"inconclusive": "Inconclusive"}.get(status, status.capitalize())
    if comparison.verdict in DECIDED:
        return MARKS[comparison.verdict][1], comparison.verdict.capitalize()
    if why := unclear(index, comparison):
        return "open", why
    margin = f", {WITHIN_MARGIN}" if within_margin(comparison) else ""
    if not shown(index, comparison):
        if nominally_shown(index, comparison):
            return "open", f"No change shown {AFTER_CORRECTION}{margin}"
        return "calm", f"No change shown{margin}"
    word = ("Higher" if comparison.direction == "rose" else "Lower") + f" than base{margin}"
    return ("alert" if harms(index, comparison) else "calm"), word


def within_margin(comparison: Comparison) -> bool:
    """Whether the interval that decided a comparison lies within the change that matters."""
    delta, lower, upper = comparison.margins.delta, comparison.lower, comparison.upper
    if comparison.adjusted_lower is not None and comparison.adjusted_upper is not None:
        lower, upper = comparison.adjusted_lower, comparison.adjusted_upper
    if not decided(comparison) or delta is None or lower is None or upper is None:
        return False
    return -delta <= lower and upper <= delta


def comparison_word(index: AuditIndex, comparison: Comparison) -> tuple[str, str, Tone]:
    """Word, mark and tone: the verdict where one was reached, else only which way the number went."""
    if decided(comparison):
        return (comparison.verdict, *MARKS[comparison.verdict])
    tone, word = comparison_verdict(index, comparison)
    marks: dict[str, tuple[str, Tone]] = {str(verdict): mark for verdict, mark in MARKS.items()}
    symbol, _ = marks.get(word.lower(), (SYMBOLS[tone], tone))
    return word.lower(), symbol, tone


def side_value(index: AuditIndex, comparison: Comparison, value: float | None) -> str:
    """The base's or the adapted subject's value of a comparison, as precise as the change."""
    if value is None:
        return "—"
    return plain_value(value, comparison, scale_of(index.metrics.of(comparison), difference=False))


def margins_text(margins: Margins) -> str:
    """The margins a verdict used and who declared them."""
    stated = [
        f"{name} {value:g}"
        for name, value in (("eps", margins.eps), ("delta", margins.delta))
        if value is not None
    ]
    return ", ".join(stated) + (f" ({margins.source})" if stated and margins.source else "")
