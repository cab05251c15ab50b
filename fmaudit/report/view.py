"""From an audit to what a page says, in order; nothing here knows a probe by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.canonical import digest_bytes
from fmaudit.question import Question
from fmaudit.report.banner import Banner, banner
from fmaudit.report.findings import FAMILY_ORDER, key_numbers
from fmaudit.report.homogeneity import HomogenizationView, homogenization_views
from fmaudit.report.imported import imported_notice
from fmaudit.report.index import AuditIndex, flat_pairs, short_digest, without_paths
from fmaudit.report.key_cards import KeyNumber
from fmaudit.report.lineage import LineageView, lineage_view
from fmaudit.report.matrix import MatrixView, matrix_view
from fmaudit.report.numbers import share
from fmaudit.report.sections import ProbeSection, probe_sections
from fmaudit.report.verdict_words import methods, pairs_note
from fmaudit.schema import Audit, InstrumentCard, Measurement, Subject

# What of the context the audit card shows.
_CARD = ("card", "digest", "given", "replaces")


@dataclass(frozen=True)
class ScopeCell:
    """Whether one subject was asked one question: state word and detail."""

    state: str
    word: str
    detail: str


@dataclass(frozen=True)
class ScopeRow:
    """One question and its cell a subject."""

    probe: str
    question: str
    cells: tuple[ScopeCell, ...]

    @property
    def shared(self) -> str:
        """The detail that all cells have alike; empty where they differ."""
        details = {cell.detail for cell in self.cells}
        return next(iter(details)) if len(details) == 1 else ""


@dataclass(frozen=True)
class SubjectView:
    """One model and what identifies it."""

    role: str
    label: str
    name: str
    kind: str
    digest: str
    lineage: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class InstrumentView:
    """What an instrument is and how often it is wrong."""

    id: str
    title: str
    measures: str
    warning: str
    digest: str
    facts: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReportView:
    """The whole report as plain data.

    ``pedigree_first``: in the terminal a family of models opens with what was passed on, before its key
    numbers; pages have one order for all.
    """

    title: str
    tool: tuple[tuple[str, str], ...]
    banner: Banner
    key_numbers: tuple[KeyNumber, ...]
    subject_labels: tuple[str, ...]
    scope: tuple[ScopeRow, ...]
    sections: tuple[ProbeSection, ...]
    instruments: tuple[InstrumentView, ...]
    subjects: tuple[SubjectView, ...]
    context: tuple[tuple[str, str], ...]
    pedigree_first: bool
    imported: str
    lineage: LineageView | None
    matrix: MatrixView | None
    homogenization: tuple[HomogenizationView, ...]
    pairs_note: str
    methods: tuple[tuple[str, str], ...]
    digest: str
    read_as: str
    sources: tuple[tuple[str, str], ...]
    unsigned: str


def report_view(audit: Audit, digest: str | None = None) -> ReportView:
    """Everything the renderers print, in reading order, without absolute paths.

    ``digest``: that of the bytes ``audit`` was read from, where they are known. An audit of an earlier
    release is upgraded on reading, so that its own bytes have another digest than those on disk.
    """
    canonical = audit_digest(audit)
    index = AuditIndex(without_paths(audit))
    clean = index.audit
    return ReportView(
        title=_title(index.ordered_subjects),
        tool=flat_pairs(clean.tool) + upgraded(canonical, digest),
        banner=banner(index),
        key_numbers=key_numbers(index),
        subject_labels=tuple(index.subject_label(subject.id) for subject in index.ordered_subjects),
        scope=_scope(index),
        sections=_in_family_order(probe_sections(index)),
        instruments=tuple(_instrument(card) for card in clean.instruments),
        subjects=tuple(_subject(index, subject) for subject in index.ordered_subjects),
        context=flat_pairs({name: value for name, value in clean.context.items() if name not in _CARD}),
        pedigree_first=_pedigree_first(index),
        imported=imported_notice(audit),
        lineage=lineage_view(index),
        matrix=matrix_view(index),
        homogenization=homogenization_views(index),
        pairs_note=pairs_note(index),
        methods=methods(index),
        digest=digest or canonical,
        read_as=canonical if digest not in (None, canonical) else "",
        sources=_sources(index),
        unsigned=_unsigned(clean),
    )


def upgraded(canonical: str, digest: str | None) -> tuple[tuple[str, str], ...]:
    """The digest an audit of an earlier release has once it is read; nothing where both are one."""
    if digest is None or digest == canonical:
        return ()
    return (
        ("read as", f"{canonical}: audit.json is not in this release's form and was upgraded on reading"),
    )


def _sources(index: AuditIndex) -> tuple[tuple[str, str], ...]:
    """What was asked and how, as far as the audit says it: data sets, protocols and seeds."""
    found: dict[str, dict[str, None]] = {}
    for measurement in index.audit.measurements:
        if measurement.dataset:
            data = measurement.dataset
            pinned = "as its card pins it" if data.pinned else "not pinned by a card"
            found.setdefault(f"data set {data.id}", {})[f"{data.digest}, {pinned}"] = None
        asked = " · ".join(part for part in (measurement.probe, measurement.variant) if part)
        if measurement.protocol.get("digest"):
            found.setdefault(f"protocol {asked}", {})[str(measurement.protocol["digest"])] = None
        if measurement.protocol.get("seed") is not None:
            found.setdefault("seed of asking", {})[str(measurement.protocol["seed"])] = None
    for numbers in (*index.audit.estimates, *index.audit.contrasts, *index.audit.comparisons):
        if numbers.resampling is not None:
            found.setdefault("seed of resampling", {})[str(numbers.resampling.seed)] = None
    return tuple((name, ", ".join(sorted(values))) for name, values in sorted(found.items()))


def _unsigned(audit: Audit) -> str:
    """That the audit names neither its date nor who answers for it, where that is so."""
    names = " ".join(name for name, _ in flat_pairs({**audit.context, **audit.tool})).lower()
    given = set(re.split(r"[^a-z]+", names))
    kinds = {"date": {"date", "dated", "begun"}, "signature": {"signature", "signatures", "signed"}}
    missing = [word for word, known in kinds.items() if not known & given]
    if not missing:
        return ""
    said = " and ".join(f"no {word}" for word in missing)
    return f"{said.capitalize()} {'are' if len(missing) > 1 else 'is'} given in audit.json."


def audit_digest(audit: Audit) -> str:
    """Digest of the canonical bytes the report was made from."""
    return digest_bytes(audit.to_bytes())


def _pedigree_first(index: AuditIndex) -> bool:
    roles = [subject.role for subject in index.audit.subjects]
    return "reference" in roles or roles.count("adapted") > 1


def _title(subjects: Sequence[Subject]) -> str:
    base = [subject.name for subject in subjects if subject.role == "base"]
    adapted = [subject.name for subject in subjects if subject.role == "adapted"]
    if adapted and base:
        return f"{', '.join(adapted)} against {', '.join(base)}"
    return ", ".join(base or adapted or [subject.name for subject in subjects]) or "An audit without models"


def _scope(index: AuditIndex) -> tuple[ScopeRow, ...]:
    cells: dict[Question, dict[str, Measurement]] = {}
    for measurement in index.audit.measurements:
        cells.setdefault(measurement.question, {})[measurement.subject] = measurement
    return tuple(
        ScopeRow(
            question.probe,
            question.label,
            tuple(_cell(index, by_subject.get(subject.id)) for subject in index.ordered_subjects),
        )
        for question, by_subject in cells.items()
    )


def _cell(index: AuditIndex, measurement: Measurement | None) -> ScopeCell:
    if measurement is None:
        return ScopeCell("unasked", "Not asked", "not in this run's plan")
    if measurement.state != "measured":
        return ScopeCell(
            measurement.state, measurement.state.capitalize(), measurement.reason or "no reason recorded"
        )
    asked = (
        f"{measurement.dataset.n_asked:,} of {measurement.dataset.n_items:,} items"
        if measurement.dataset
        else ""
    )
    coverage = f"coverage {share(measurement.coverage)}" if measurement.coverage is not None else ""
    detail = ", ".join(part for part in (asked, coverage) if part)
    rows = [row for row in index.audit.estimates if row.measurement == measurement.id and not row.slice]
    if measurement.partial:
        return ScopeCell("inconclusive", "Cut short", detail)
    if not any(row.conclusive and row.state == "measured" for row in rows):
        return ScopeCell("inconclusive", "Too few", detail)
    return ScopeCell("measured", "Measured", detail)


def _in_family_order(sections: Sequence[ProbeSection]) -> tuple[ProbeSection, ...]:
    def place(section: ProbeSection) -> int:
        return FAMILY_ORDER.index(section.family) if section.family in FAMILY_ORDER else len(FAMILY_ORDER)

    return tuple(sorted(sections, key=place))


def _subject(index: AuditIndex, subject: Subject) -> SubjectView:
    verified = {True: "verified", False: "refuted", None: "not verified"}[subject.lineage.verified]
    lineage = ""
    if subject.base or subject.lineage.declared:
        base = subject.lineage.declared or subject.base or ""
        found = index.subjects.get(base)
        lineage = f"declared: adapted from {found.name if found else base}; {verified}"
        lineage += f" ({subject.lineage.evidence})" if subject.lineage.evidence else ""
    facts = [
        ("recipe", subject.recipe or ""),
        ("training seed", "" if subject.training_seed is None else str(subject.training_seed)),
    ]
    facts += [(f"{name}", digest) for name, digest in sorted(subject.parts.items())]
    return SubjectView(
        role=subject.role,
        label=index.subject_label(subject.id),
        name=subject.name,
        kind=subject.kind,
        digest=subject.digest,
        lineage=lineage,
        facts=tuple((name, value) for name, value in facts if value),
        notes=tuple(subject.notes),
    )


def _instrument(card: InstrumentCard) -> InstrumentView:
    facts = [
        ("sensitivity", "" if card.sensitivity is None else share(card.sensitivity)),
        ("specificity", "" if card.specificity is None else share(card.specificity)),
        ("threshold", f"{card.threshold:g}"),
        ("checked on", f"{card.labelled_set}, n {card.n:,}" if card.labelled_set else ""),
    ]
    groups = tuple((name, share(rate)) for name, rate in sorted(card.groups.items()))
    shown = tuple((name, value) for name, value in facts if value)
    return InstrumentView(
        card.id, card.title, card.measures, card.warning, short_digest(card.digest), shown, groups
    )
