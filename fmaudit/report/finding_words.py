"""What a comparison or a contrast says in one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence

from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, status_of
from fmaudit.report.readings import (
    AFTER_CORRECTION,
    DISAGREE,
    UNANSWERED,
    UNTESTED,
    comparison_verdict,
    contrast_levels,
    harms,
    nominally_shown,
    shown,
    side_value,
    subject_role,
    unclear,
)
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import MARKS, decided, is_defect
from fmaudit.schema import Comparison, ContrastResult, Verdict

_SENTENCES: dict[Verdict, str] = {
    "introduced": "New in {adapted}: {change}; the base is within the tolerated rate, this model is not.",
    "amplified": "{adapted} shows more of what its base showed: {change}, beyond the declared margin.",
    "inherited": (
        "Passed on from the base: {change}, and {adapted} fails on the base's own items more than unrelated "
        "models do."
    ),
    "coincident": (
        "Both models show it ({change}), but {adapted} is not shown to repeat the base's items more than "
        "unrelated models do."
    ),
    "association": (
        "Both models show it ({change}); without three good unrelated references nothing says where "
        "{adapted} has it from."
    ),
    "changed, size unresolved": "It moved ({change}) in {adapted}, but by how much is not settled.",
    "inconclusive": "Not settled for {adapted}: {change}, which supports no statement either way.",
    "unmeasured": "Not compared for {adapted}. That is not a sign of safety.",
    "mitigated": "{adapted} shows less of it than its base: {change}, beyond the declared margin.",
    "repaired": "Gone in {adapted}: {change}; the base is above the tolerated rate, this model within it.",
    "clean": "Neither model shows it beyond the tolerated rate ({change}): there is nothing to inherit.",
}


_CHANGES: dict[str, tuple[str, str, Tone]] = {
    "worse": ("gap grew", "▲", "alert"),
    "better": ("gap shrank", "◐", "calm"),
}


def comparison_reading(index: AuditIndex, found: Comparison) -> tuple[str, str, Tone]:
    """Word, mark and tone of a comparison.

    The verdict where the number is a defect and a verdict was reached, so that every part of the report
    uses one word; else whether it is higher or lower. A harmful change that is shown stays an alert
    whatever its word.
    """
    tone, word = comparison_verdict(index, found)
    if decided(found) and is_defect(index.metrics.of(found)):
        mark, own = MARKS[found.verdict]
        return found.verdict, mark, "alert" if "alert" in (tone, own) else own
    if status_of(found, partial=index.partial(found.measurement)) != "measured":
        return word.lower(), "?", "open"
    return word.lower(), {"alert": "▲", "calm": "○"}.get(tone, "◇"), tone


def comparison_sentence(index: AuditIndex, found: Comparison) -> str:
    """What base and adapted model show, in words; the numbers stand beside it with their intervals."""
    adapted = index.model_phrase(found.adapted)
    change = (
        f"{side_value(index, found, found.base_value)} to {side_value(index, found, found.adapted_value)}"
    )
    if decided(found) and is_defect(index.metrics.of(found)):
        text = _SENTENCES[found.verdict].format(adapted="\0", change=change)
        if text.startswith("\0"):
            adapted = adapted[0].upper() + adapted[1:]
        # A name may hold braces, so it comes in last.
        said = text.replace("\0", adapted)
        if comparison_verdict(index, found)[0] == "alert" and MARKS[found.verdict][1] != "alert":
            said += " The change goes the way of the defect."
        return said
    if found.value is None or status_of(found, partial=index.partial(found.measurement)) != "measured":
        return f"Nothing is settled about {adapted} here."
    why = unclear(index, found)
    if why == DISAGREE:
        return f"Interval and test disagree on whether {adapted} changed from its base ({change})."
    if why:
        return f"{why}, so nothing is said of how {adapted} differs from its base ({change})."
    if not shown(index, found):
        after = f" {AFTER_CORRECTION} for many numbers" if nominally_shown(index, found) else ""
        return f"No change from the base is shown in {adapted}{after} ({change})."
    way = "Higher" if found.direction == "rose" else "Lower"
    return f"{way} in {adapted} than in its base: {change}."


def contrast_reading(index: AuditIndex, found: ContrastResult) -> tuple[str, str, Tone]:
    """Word, mark and tone of a signed sum of groups."""
    status = status_of(found, partial=index.partial(found.measurement))
    if status != "measured":
        return ("inconclusive", "?", "open") if status == "inconclusive" else (status, "✕", "open")
    change = found.kind == "difference_in_differences"
    if why := unclear(index, found):
        return why.lower(), "?", "open"
    if not shown(index, found):
        word = "no change shown" if change else "no difference shown"
        if nominally_shown(index, found):
            return f"{word} {AFTER_CORRECTION}", "◇", "open"
        return word, "○", "calm"
    if change:
        return _CHANGES.get(found.reading, ("gap moved", "◐", "open"))
    if subject_role(index, found) == "base":
        return "gap in the base", "◇", "open"
    return ("gap shown", "▲", "alert") if harms(index, found) else ("gap shown", "◇", "open")


def contrast_sentence(index: AuditIndex, found: ContrastResult) -> str:
    """What the groups of a contrast show, in words."""
    plus, minus = contrast_levels(found) if found.terms else ("the first group", "the second group")
    model = index.model_phrase(found.terms[0].subject) if found.terms else "the model"
    word = contrast_reading(index, found)[0]
    gap = f"The gap between {plus} and {minus} items"
    if word == DISAGREE.lower():
        return f"Interval and test disagree on {gap[0].lower()}{gap[1:]} in {model}."
    if word in (UNANSWERED.lower(), UNTESTED.lower()):
        return f"{word.capitalize()}, so nothing is said of {gap[0].lower()}{gap[1:]} in {model}."
    after = f", {AFTER_CORRECTION} for many numbers" if word.endswith(AFTER_CORRECTION) else ""
    word = word.removesuffix(f" {AFTER_CORRECTION}")
    if found.kind == "difference_in_differences":
        said = {
            "gap grew": f"{gap} grew from the base to {model}.",
            "gap shrank": f"{gap} shrank from the base to {model}.",
            "gap moved": f"{gap} moved from the base to {model}.",
            "no change shown": f"{gap} did not change detectably in {model}{after}.",
        }
    else:
        said = dict.fromkeys(("gap shown", "gap in the base"), f"{plus} and {minus} items differ in {model}.")
        said["no difference shown"] = f"{plus} and {minus} items do not differ detectably in {model}{after}."
    return said.get(word, f"Too little was asked to tell {plus} from {minus} items in {model}.")


def number_facts(number: NumberView) -> tuple[tuple[str, str], ...]:
    """What a number rests on beside its interval, n and coverage."""
    return filled(
        [
            (
                "simultaneous interval",
                number.simultaneous and f"{number.simultaneous} ({number.simultaneous_level})",
            ),
            ("p", number.p),
            ("missing counted both ways", "" if number.complete else number.worst or "no bounds"),
            ("clusters", number.clusters),
            ("method", f"{number.method}, level {number.level}" if number.method else ""),
            ("smallest detectable change", number.smallest_detectable),
        ]
    )


def filled(facts: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The facts that say something."""
    return tuple((name, value) for name, value in facts if value)
