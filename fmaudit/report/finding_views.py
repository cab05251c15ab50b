"""Findings: everything an audit concluded, or could not conclude, in the order of what matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fmaudit.canonical import digest_bytes
from fmaudit.question import Question
from fmaudit.report.finding_words import (
    comparison_reading,
    comparison_sentence,
    contrast_reading,
    contrast_sentence,
    filled,
    number_facts,
)
from fmaudit.report.gate_marks import GateMark, gate_marks
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, figure_text, span_text
from fmaudit.report.readings import adapted_of, margins_text, shown, side_value, subject_role
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import ORDER, defect_title, headline
from fmaudit.schema import Comparison, ContrastResult, Measurement, Subject

REFUTED = "lineage refuted"
_TONES: tuple[Tone, ...] = ("alert", "open", "calm")
# What has to be known before and after the verdicts of one tone.
_WORDS = (
    REFUTED,
    "introduced",
    "amplified",
    "higher than base",
    "lower than base",
    "gap grew",
    "gap moved",
    "inherited",
    "gap shown",
    *(word for word in ORDER if word not in {"introduced", "amplified", "inherited"}),
)
_NO_REASON = "no reason recorded"


@dataclass(frozen=True)
class FindingView:
    """One finding, ready to print.

    ``claim`` is the id of its comparison, empty for others: flipped items are looked up by it. ``number`` is
    None where there is nothing to measure; ``reason`` then says why. ``rank``: its place, from 1.
    ``n``: items, for sorting; ``number`` carries them in words.
    """

    anchor: str
    rank: int
    word: str
    symbol: str
    tone: Tone
    title: str
    sentence: str
    model: str
    probe: str
    question: str
    number: NumberView | None
    facts: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    reason: str
    controls: tuple[str, ...]
    gates: tuple[GateMark, ...]
    claim: str
    subjects: tuple[str, ...]
    n: int = 0


@dataclass(frozen=True)
class FindingsView:
    """All findings, what they can be filtered by, and how many there are of each word in that order."""

    findings: tuple[FindingView, ...]
    words: tuple[tuple[str, int], ...]
    models: tuple[str, ...]
    probes: tuple[str, ...]
    gated: bool


@dataclass(frozen=True)
class _Context:
    index: AuditIndex
    gates: Sequence[Mapping[str, Any]]
    controls: Mapping[str, Sequence[str]]
    changes: frozenset[tuple[str, Question, str]]

    def controls_of(self, metric: str, probe: str) -> tuple[str, ...]:
        """Controls given for a metric, its probe or the probe's family."""
        names = (metric, probe, probe.partition(".")[0])
        return tuple(dict.fromkeys(one for name in names for one in self.controls.get(name, ())))


def finding_views(
    index: AuditIndex,
    gates: Sequence[Mapping[str, Any]] = (),
    controls: Mapping[str, Sequence[str]] | None = None,
) -> FindingsView:
    """The findings of an audit.

    Headline comparisons over all items with every verdict, headline contrasts (within one model only where
    shown, or not measured), refuted lineages, and measurements that were not made. First what is an alert,
    then what is open, then what is calm; within these in the order of the verdict words.

    Args:
        index: The audit without paths.
        gates: Records of ``gate/*.json``.
        controls: Control ids by metric id, probe id or family of probes.
    """
    changes = frozenset(
        (found.metric, index.question(found.measurement, found.metric), _subject_of(index, found))
        for found in index.audit.contrasts
        if found.kind == "difference_in_differences" and found.headline and found.state == "measured"
    )
    context = _Context(index, gates, controls or {}, changes)
    made = [_lineage(context, subject) for subject in index.audit.subjects if _refuted(subject)]
    made += [_comparison(context, found) for found in index.audit.comparisons if headline(index, found)]
    made += [_contrast(context, found) for found in index.audit.contrasts if _tells(index, found)]
    made += [_gap(context, found) for found in index.audit.measurements if found.state != "measured"]
    ordered = sorted(made, key=_place)
    ranked = tuple(_ranked(found, rank) for rank, found in enumerate(ordered, 1))
    words = [found.word for found in ranked]
    return FindingsView(
        findings=ranked,
        words=tuple((word, words.count(word)) for word in dict.fromkeys(words)),
        models=tuple(dict.fromkeys(found.model for found in ranked)),
        probes=tuple(sorted({found.probe for found in ranked if found.probe})),
        gated=bool(gates),
    )


def anchor_of(kind: str, id: str) -> str:
    """Where a finding stands in the page: the same for the same comparison, contrast or subject."""
    digest = digest_bytes(f"{kind}\n{id}".encode("utf-8", "surrogatepass")).rpartition(":")[2]
    return f"finding-{digest[:12]}"


def _place(found: FindingView) -> tuple[int, int]:
    word = _WORDS.index(found.word) if found.word in _WORDS else len(_WORDS)
    return _TONES.index(found.tone), word


def _ranked(found: FindingView, rank: int) -> FindingView:
    return replace(found, rank=rank)


def _tells(index: AuditIndex, found: ContrastResult) -> bool:
    if not found.headline or subject_role(index, found) == "reference":
        return False
    return found.kind != "within_subject" or found.state != "measured" or shown(index, found)


def _subject_of(index: AuditIndex, found: ContrastResult) -> str:
    adapted = adapted_of(index, found)
    return adapted.id if adapted else found.terms[0].subject if found.terms else ""


def _refuted(subject: Subject) -> bool:
    return subject.role == "adapted" and False in (subject.lineage.verified, subject.lineage.from_base)


def _comparison(context: _Context, found: Comparison) -> FindingView:
    index = context.index
    question = index.question(found.measurement, found.metric)
    word, symbol, tone = comparison_reading(index, found)
    number = index.number(found, found.metric, found.measurement, difference=True)
    copied = found.copy_fraction
    facts = [
        ("base", side_value(index, found, found.base_value)),
        ("adapted", side_value(index, found, found.adapted_value)),
        ("margins", margins_text(found.margins)),
        ("family of claims", f"{found.family} ({found.family_size:,})" if found.family else ""),
        ("items that would settle it", f"{found.items_needed:,}" if found.items_needed is not None else ""),
    ]
    if copied is not None and copied.value is not None:
        interval = span_text(copied.verdict_interval)
        facts.append(("copy fraction", f"{figure_text(copied.value)} ({interval or 'no verdict interval'})"))
    return FindingView(
        anchor=anchor_of("comparison", found.id),
        rank=0,
        word=word,
        symbol=symbol,
        tone=tone,
        title=defect_title(index, found.metric),
        sentence=comparison_sentence(index, found),
        model=index.subject_label(found.adapted),
        probe=question.probe,
        question=question.label,
        number=number,
        facts=(*filled(facts), *number_facts(number)),
        flags=tuple(found.flags),
        reason=found.verdict_reason or number.reason,
        controls=context.controls_of(found.metric, question.probe),
        gates=gate_marks(index, found, context.gates),
        claim=found.id,
        subjects=(found.base, found.adapted),
        n=found.n,
    )


def _contrast(context: _Context, found: ContrastResult) -> FindingView:
    index = context.index
    question = index.question(found.measurement, found.metric)
    word, symbol, tone = contrast_reading(index, found)
    number = index.number(found, found.metric, found.measurement, difference=True)
    family = ("family of claims", f"{found.family} ({found.family_size:,})" if found.family else "")
    named = _subject_of(index, found)
    if found.kind == "within_subject" and (found.metric, question, named) in context.changes:
        # Whether the gap came with the adaptation is what the finding of its change says.
        symbol, tone = "◇", "open"
    return FindingView(
        anchor=anchor_of("contrast", found.id),
        rank=0,
        word=word,
        symbol=symbol,
        tone=tone,
        title=found.title,
        sentence=contrast_sentence(index, found),
        model=index.subject_label(named),
        probe=question.probe,
        question=question.label,
        number=number,
        facts=(*filled([family]), *number_facts(number)),
        flags=(),
        reason=number.reason,
        controls=context.controls_of(found.metric, question.probe),
        gates=gate_marks(index, found, context.gates),
        claim="",
        subjects=tuple(dict.fromkeys(term.subject for term in found.terms)),
        n=found.n,
    )


def _lineage(context: _Context, subject: Subject) -> FindingView:
    index, lineage = context.index, subject.lineage
    evidence = "; ".join(part for part in (lineage.evidence, lineage.from_base_evidence) if part)
    declared = lineage.declared or subject.base or ""
    parent = index.model_phrase(declared) if declared in index.subjects else f"the model {declared}"
    return FindingView(
        anchor=anchor_of("lineage", subject.id),
        rank=0,
        word=REFUTED,
        symbol="✕",
        tone="alert",
        title="Declared lineage",
        sentence=f"{subject.name} is not adapted from {parent}: nothing of it is called inherited.",
        model=index.subject_label(subject.id),
        probe="",
        question="",
        number=None,
        facts=filled([("evidence", evidence or "none recorded")]),
        flags=(),
        reason="a lineage is shown or refuted, it has no number",
        controls=context.controls_of("lineage", "lineage"),
        gates=(),
        claim="",
        subjects=(subject.id,),
    )


def _gap(context: _Context, found: Measurement) -> FindingView:
    index = context.index
    question = index.question(found.id, found.probe)
    return FindingView(
        anchor=anchor_of("measurement", found.id),
        rank=0,
        word=found.state,
        symbol="✕",
        tone="open",
        title=found.title or found.probe,
        sentence=f"{index.subject_label(found.subject)} was not measured here. That is not a sign of safety.",
        model=index.subject_label(found.subject),
        probe=found.probe,
        question=question.label,
        number=None,
        facts=(),
        flags=(),
        reason=found.reason or _NO_REASON,
        controls=context.controls_of(found.probe, found.probe),
        gates=(),
        claim="",
        subjects=(found.subject,),
    )
