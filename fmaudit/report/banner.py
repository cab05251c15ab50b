"""The verdict in plain words that every form of the report opens with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.gate.verdict import NEEDED_CLUSTERS
from fmaudit.report.findings import key_numbers
from fmaudit.report.index import AuditIndex, Question
from fmaudit.report.numbers import status_of
from fmaudit.report.readings import (
    ALPHA,
    BOTH_ALIKE,
    SYMBOLS,
    Tone,
    comparison_verdict,
    harms,
    shown,
    subject_role,
)
from fmaudit.schema import Comparison, ContrastResult, Estimate

NOTHING_CONCLUDED = "Nothing can be concluded from this run"
NOT_SAFE = "What was not measured is not known to be safe."


@dataclass(frozen=True)
class Banner:
    """The report's first words: ``title`` is the verdict, ``text`` and ``reasons`` say why."""

    tone: Tone
    title: str
    text: str
    reasons: tuple[str, ...]

    @property
    def symbol(self) -> str:
        """The shape that carries the tone without colour."""
        return SYMBOLS[self.tone]


def banner(index: AuditIndex) -> Banner:
    """The verdict of a run; a run that measured too little says so and nothing else."""
    if not any(measurement.state == "measured" for measurement in index.audit.measurements):
        return Banner("open", NOTHING_CONCLUDED, f"Nothing was measured. {NOT_SAFE}", _state_reasons(index))
    if not _conclusive(index):
        text = (
            f"The numbers below are printed for completeness; none of them supports a statement. {NOT_SAFE}"
        )
        return Banner("open", NOTHING_CONCLUDED, text, _size_reasons(index))
    gaps = _gaps(index)
    claims = _surviving(index)
    memorized = [
        claim for claim in claims if _family(index, claim) == "memorization" and _harmful(index, claim)
    ]
    harmful = [claim for claim in claims if _harmful(index, claim)]
    if memorized:
        return Banner(
            "alert", _memorization_title(index, memorized), _memorization_text(index, memorized), gaps
        )
    if harmful:
        names = ", ".join(dict.fromkeys(_claim_title(index, claim) for claim in harmful))
        count = len(harmful)
        title = (
            f"The adapted model is worse than its base on {count} headline number{'' if count == 1 else 's'}"
        )
        return Banner("alert", title, f"Worse: {names}. {_association(index)}", gaps)
    if any(subject.role == "adapted" for subject in index.audit.subjects):
        title = "No headline number is shown to be worse in the adapted model"
        text = f"That does not prove it safe: smaller changes than the intervals stay unseen. {NOT_SAFE}"
        return Banner("calm", title, text, gaps)
    text = f"No adapted model was measured. A policy has to say which numbers are acceptable. {NOT_SAFE}"
    return Banner("calm", "The model was measured; nothing is compared", text, gaps)


def _conclusive(index: AuditIndex) -> bool:
    audit = index.audit
    numbers: list[Estimate | ContrastResult | Comparison] = [
        *audit.estimates,
        *audit.contrasts,
        *audit.comparisons,
    ]
    return any(
        status_of(number, partial=index.partial(number.measurement)) == "measured" for number in numbers
    )


def _surviving(index: AuditIndex) -> list[ContrastResult | Comparison]:
    """Headline changes that Holm's step-down keeps at 5 %; without a p-value the interval decides.

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
    candidates += [
        comparison
        for comparison in index.audit.comparisons
        if not comparison.slice
        and (metric := index.metrics.get(comparison.metric)) is not None
        and metric.headline
    ]
    tested = [candidate for candidate in candidates if candidate.p is not None]
    kept = _holm([candidate.p or 0.0 for candidate in tested])
    rejected = {candidate.id for candidate, keep in zip(tested, kept, strict=True) if not keep}
    return [candidate for candidate in candidates if candidate.id not in rejected and shown(index, candidate)]


def _asked(index: AuditIndex, contrast: ContrastResult) -> tuple[str, Question]:
    return contrast.metric, index.question(contrast.measurement, contrast.metric)


def _holm(p_values: Sequence[float]) -> list[bool]:
    kept = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] > ALPHA / (len(p_values) - rank):
            break
        kept[place] = True
    return kept


def _harmful(index: AuditIndex, claim: ContrastResult | Comparison) -> bool:
    if isinstance(claim, Comparison):
        return comparison_verdict(index, claim)[0] == "alert"
    return harms(index, claim)


def _family(index: AuditIndex, claim: ContrastResult | Comparison) -> str:
    return (
        index.question(claim.measurement, claim.metric).probe.partition(".")[0]
        if isinstance(claim, ContrastResult)
        else ""
    )


def _memorization_title(index: AuditIndex, claims: Sequence[ContrastResult | Comparison]) -> str:
    asked = {index.question(claim.measurement, claim.metric) for claim in claims}
    own = [
        contrast
        for contrast in index.audit.contrasts
        if contrast.headline
        and contrast.kind == "within_subject"
        and index.question(contrast.measurement, contrast.metric) in asked
    ]
    base = [contrast for contrast in own if subject_role(index, contrast) == "base"]
    if base and not any(shown(index, contrast) and _harmful(index, contrast) for contrast in base):
        return "The adapted model memorized its training data; the base model did not"
    return "The adapted model shows memorization of its training data"


def _memorization_text(index: AuditIndex, claims: Sequence[ContrastResult | Comparison]) -> str:
    titles = ", ".join(dict.fromkeys(_claim_title(index, claim) for claim in claims))
    return (
        "It tells records it was trained on from comparable records it never saw "
        f"({titles}). A model that had not learned them could not. {_association(index)}"
    )


def _association(index: AuditIndex) -> str:
    references = any(subject.role == "reference" for subject in index.audit.subjects)
    return (
        ""
        if references
        else "No unrelated reference model was measured, so what base and adapted share is an association."
    )


def _claim_title(index: AuditIndex, claim: ContrastResult | Comparison) -> str:
    return claim.title if isinstance(claim, ContrastResult) else index.metric_title(claim.metric)


def _gaps(index: AuditIndex) -> tuple[str, ...]:
    measurements = index.audit.measurements
    partial = sum(measurement.partial for measurement in measurements)
    gaps = [
        f"Both models show it alike: {card.title} (an association)."
        for card in key_numbers(index)
        if card.word == BOTH_ALIKE
    ]
    for state in ("unmeasured", "unmeasurable"):
        count = sum(measurement.state == state for measurement in measurements)
        if count:
            gaps.append(
                f"{count} of {len(measurements)} measurements {'is' if count == 1 else 'are'} {state};"
                " see the scope."
            )
    if partial:
        gaps.append(f"{partial} of {len(measurements)} measurements asked only a part of their items (-L).")
    return tuple(gaps)


def _state_reasons(index: AuditIndex) -> tuple[str, ...]:
    lines = [
        f"{measurement.probe} on {index.subject_label(measurement.subject)}: {measurement.state}"
        f" ({measurement.reason or 'no reason recorded'})"
        for measurement in index.audit.measurements
    ]
    return tuple(dict.fromkeys(lines)) or ("The plan holds no measurement.",)


def _size_reasons(index: AuditIndex) -> tuple[str, ...]:
    reasons = [
        f"A statement needs at least {NEEDED_CLUSTERS} independent clusters of items;"
        " an interval from fewer cannot be trusted."
    ]
    partial = [measurement for measurement in index.audit.measurements if measurement.partial]
    if partial:
        asked = max((m.dataset.n_asked for m in partial if m.dataset), default=0)
        reasons.append(
            f"The run was cut short on purpose (-L): at most {asked:,} items of a data set were asked."
        )
    for measurement in index.audit.measurements:
        if measurement.state != "measured":
            continue
        rows = [
            estimate
            for estimate in index.audit.estimates
            if estimate.measurement == measurement.id and not estimate.slice
        ]
        n = max((estimate.n for estimate in rows), default=0)
        clusters = max((count for estimate in rows for count in estimate.clusters.values()), default=n)
        if clusters >= NEEDED_CLUSTERS:
            continue
        label = index.subject_label(measurement.subject)
        question = index.question(measurement.id, measurement.probe).label
        reasons.append(
            f"{measurement.probe} ({question}), {label}: {n:,} items in {clusters:,} clusters,"
            f" {NEEDED_CLUSTERS} needed."
        )
    return tuple(dict.fromkeys(reasons))
