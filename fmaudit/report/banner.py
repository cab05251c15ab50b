"""The verdict in plain words that every form of the report opens with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmaudit.gate.verdict import NEEDED_CLUSTERS
from fmaudit.report.findings import key_numbers
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import status_of
from fmaudit.report.presence import memorization_open, still_there
from fmaudit.report.readings import (
    BOTH_ALIKE,
    adapted_of,
    comparison_verdict,
    harms,
    headline_changes,
    several_adapted,
    shown,
    subject_role,
)
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.report.verdict_words import DECIDED, association_note, decided, defect_title, headline
from fmaudit.schema import Comparison, ContrastResult, Estimate

NOTHING_CONCLUDED = "Nothing can be concluded from this run"
_MAX_NAMED = 8
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
    groups = _groups(index, _counted_once(index, claims))
    memorized = [
        claim for claim in claims if _family(index, claim) == "memorization" and _harmful(index, claim)
    ]
    if memorized:
        title, text = _memorization_title(index, memorized), _memorization_text(index, memorized)
        text = f"{text} {_listed(index, groups, without=memorized)}".strip()
        return Banner("alert", title, text, (*memorization_open(index), *gaps))
    if groups:
        text = f"{_listed(index, groups)} {association_note(index)}".strip()
        return Banner("alert", _defects_title(groups), text, gaps)
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
    """Headline changes that the audit shows after its correction."""
    return [candidate for candidate in headline_changes(index) if shown(index, candidate)]


def _counted_once(
    index: AuditIndex, claims: Sequence[ContrastResult | Comparison]
) -> list[ContrastResult | Comparison]:
    """Claims without the contrasts whose number has a verdict of its own in the same model."""
    said = {
        (found.metric, index.question(found.measurement, found.metric), found.adapted)
        for found in index.audit.comparisons
        if headline(index, found) and decided(found) and found.verdict in DECIDED
    }

    def told(claim: ContrastResult | Comparison) -> bool:
        adapted = adapted_of(index, claim)
        asked = claim.metric, index.question(claim.measurement, claim.metric)
        return isinstance(claim, ContrastResult) and adapted is not None and (*asked, adapted.id) in said

    return [claim for claim in claims if not told(claim)]


def _groups(
    index: AuditIndex, claims: Sequence[ContrastResult | Comparison]
) -> dict[str, list[ContrastResult | Comparison]]:
    """What the verdict lists, in its order: what is new, what grew, what is worse, what was passed on."""
    groups: dict[str, list[ContrastResult | Comparison]] = {
        word: [claim for claim in claims if isinstance(claim, Comparison) and claim.verdict == word]
        for word in ("introduced", "amplified")
    }
    groups["worse"] = [
        claim
        for claim in claims
        if _harmful(index, claim) and not (isinstance(claim, Comparison) and claim.verdict in DECIDED)
    ]
    # Its claim is that the change is small, so no test of a change speaks for it.
    groups["inherited"] = [
        found
        for found in index.audit.comparisons
        if found.verdict == "inherited"
        and headline(index, found)
        and status_of(found, partial=index.partial(found.measurement)) == "measured"
    ]
    return {word: found for word, found in groups.items() if found}


def _defects_title(groups: Mapping[str, Sequence[ContrastResult | Comparison]]) -> str:
    if set(groups) == {"worse"}:
        count = len(groups["worse"])
        return (
            f"The adapted model is worse than its base on {count} headline number{'' if count == 1 else 's'}"
        )
    counts = [f"{len(found)} {word}" for word, found in groups.items()]
    total = sum(len(found) for found in groups.values())
    return f"Headline defect{'' if total == 1 else 's'} in the adapted models: {', '.join(counts)}"


def _listed(
    index: AuditIndex,
    groups: Mapping[str, Sequence[ContrastResult | Comparison]],
    without: Sequence[ContrastResult | Comparison] = (),
) -> str:
    left_out = {claim.id for claim in without}
    several = several_adapted(index)
    sentences = []
    for word, claims in groups.items():
        named: dict[str, list[str]] = {}
        for claim in claims:
            if claim.id in left_out:
                continue
            models = named.setdefault(_claim_title(index, claim), [])
            if several and (adapted := adapted_of(index, claim)) is not None:
                models.append(index.subject_label(adapted.id))
        names = [
            f"{title} ({', '.join(dict.fromkeys(models))})" if models else title
            for title, models in named.items()
        ]
        if names:
            more = f", and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
            sentences.append(f"{word.capitalize()}: {', '.join(names[:_MAX_NAMED])}{more}.")
    return " ".join(sentences)


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
    if base and not any(_harmful(index, contrast) for contrast in base):
        return (
            "The adapted model memorized its training data; none was detected in the base on the same records"
        )
    return "The adapted model shows memorization of its training data"


def _memorization_text(index: AuditIndex, claims: Sequence[ContrastResult | Comparison]) -> str:
    titles = ", ".join(dict.fromkeys(_claim_title(index, claim) for claim in claims))
    return (
        "It tells records it was trained on from comparable records it never saw "
        f"({titles}). A model that had not learned them could not. {association_note(index)}"
    )


def _claim_title(index: AuditIndex, claim: ContrastResult | Comparison) -> str:
    return claim.title if isinstance(claim, ContrastResult) else defect_title(index, claim.metric)


def _gaps(index: AuditIndex) -> tuple[str, ...]:
    measurements = index.audit.measurements
    partial = sum(measurement.partial for measurement in measurements)
    gaps = [
        f"{index.subject_label(subject.id)}: the declared lineage is refuted"
        f" ({subject.lineage.evidence or 'no evidence recorded'}); nothing of it is called inherited."
        for subject in index.audit.subjects
        if subject.role == "adapted" and False in (subject.lineage.verified, subject.lineage.from_base)
    ]
    gaps += [
        f"{BOTH_ALIKE}{f', {card.count}' if card.count else ''}: {card.title}"
        f"{f'; decision table: {card.table_words}' if card.table_words else ''}."
        for card in key_numbers(index)
        if card.word == BOTH_ALIKE
    ]
    gaps += still_there(index)
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
