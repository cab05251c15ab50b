"""How a contrast or a comparison reads: shown or not, harmful or not, and the word for it."""

from __future__ import annotations

from collections.abc import Sequence

from fmaudit.report.index import AuditIndex, Question
from fmaudit.report.numbers import plain_value, scale_of, status_of
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.report.verdict_words import DECIDED, MARKS, decided, headline
from fmaudit.schema import Comparison, ContrastResult, Margins, MetricInfo, Numbers, Subject

ALPHA = 0.05
BOTH_ALIKE = "In both; no change shown"
DISAGREE = "Unclear: interval and test disagree"
AFTER_CORRECTION = "after correction"
WITHIN_MARGIN = "within the margin"
_KEPT = "_corrected_away"


def harmful_sign(metric: MetricInfo | None) -> int:
    """Whether a rise of the metric is the defect (+1) or its repair (-1)."""
    return -1 if metric is not None and metric.direction == "higher_is_better" else 1


def excludes_zero(numbers: Numbers) -> bool:
    """Whether the interval, and the p-value where there is one, tell the number from 0."""
    if numbers.lower is None or numbers.upper is None:
        return False
    return not numbers.lower <= 0 <= numbers.upper and (numbers.p is None or numbers.p < ALPHA)


def disagree(numbers: Numbers) -> bool:
    """Whether exactly one of interval and p-value tells the number from 0."""
    if numbers.lower is None or numbers.upper is None or numbers.p is None:
        return False
    return (not numbers.lower <= 0 <= numbers.upper) != (numbers.p < ALPHA)


def shown(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether a conclusive number differs from 0, a headline number also after Holm's correction."""
    return nominally_shown(index, numbers) and numbers.id not in corrected_away(index)


def nominally_shown(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether a conclusive number differs from 0 before any correction for many numbers."""
    partial = index.partial(numbers.measurement)
    return status_of(numbers, partial=partial) == "measured" and excludes_zero(numbers)


def unclear(index: AuditIndex, numbers: ContrastResult | Comparison) -> bool:
    """Whether interval and test of a conclusive number disagree."""
    partial = index.partial(numbers.measurement)
    return status_of(numbers, partial=partial) == "measured" and disagree(numbers)


def corrected_away(index: AuditIndex) -> frozenset[str]:
    """Ids of the headline changes that Holm's step-down does not keep at 5 %; computed once an audit."""
    found: frozenset[str] | None = vars(index).get(_KEPT)
    if found is None:
        tested = [candidate for candidate in headline_changes(index) if candidate.p is not None]
        kept = _holm([candidate.p or 0.0 for candidate in tested])
        found = frozenset(candidate.id for candidate, keep in zip(tested, kept, strict=True) if not keep)
        # As functools.cached_property does on this frozen class.
        vars(index)[_KEPT] = found
    return found


def headline_changes(index: AuditIndex) -> list[ContrastResult | Comparison]:
    """The family of headline changes that are tested together.

    A contrast within the adapted model counts only where its change from the base was not measured.
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


def _holm(p_values: Sequence[float]) -> list[bool]:
    kept = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] > ALPHA / (len(p_values) - rank):
            break
        kept[place] = True
    return kept


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
    if disagree(comparison):
        return "open", DISAGREE
    margin = f", {WITHIN_MARGIN}" if within_margin(comparison) else ""
    if not shown(index, comparison):
        if nominally_shown(index, comparison):
            return "open", f"No change shown {AFTER_CORRECTION}{margin}"
        return "calm", f"No change shown{margin}"
    metric = index.metrics.get(comparison.metric)
    word = ("Higher than base" if (comparison.value or 0) > 0 else "Lower than base") + margin
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
    return plain_value(value, comparison, scale_of(index.metrics.get(comparison.metric), difference=False))


def margins_text(margins: Margins) -> str:
    """The margins a verdict used and who declared them."""
    stated = [
        f"{name} {value:g}"
        for name, value in (("eps", margins.eps), ("delta", margins.delta))
        if value is not None
    ]
    return ", ".join(stated) + (f" ({margins.source})" if stated and margins.source else "")
