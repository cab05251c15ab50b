"""What the body of a model card prints, as plain data; nothing here knows a probe by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.exports.card_context import Stated, stated_in
from fmaudit.exports.card_facts import CardOptions, Gap, Origin, gaps_of, origin_of
from fmaudit.exports.card_inheritance import InheritanceRow, inheritance_note, inheritance_rows
from fmaudit.exports.card_numbers import (
    ContrastRow,
    DatasetRow,
    MetricRow,
    ResultRow,
    SliceTable,
    contrast_rows,
    dataset_rows,
    metric_rows,
    result_rows,
    slice_tables,
)
from fmaudit.report.homogeneity import HomogenizationView, homogenization_views
from fmaudit.report.index import AuditIndex, flat_pairs
from fmaudit.report.numbers import quantity_text, share
from fmaudit.report.verdict_words import LEGEND
from fmaudit.schema import Subject

_KINDS = {
    "causal": "causal language model",
    "masked": "masked language model",
    "classifier": "sequence classifier",
}
_ASK_AGAIN = frozenset({"inconclusive", "changed, size unresolved"})
_DEFECTS = ("introduced", "amplified", "inherited", "coincident", "association")


@dataclass(frozen=True)
class CardView:
    """The body of one model's card, in the order of the template."""

    name: str
    tool: str
    audit_digest: str
    report_url: str
    stated: Stated
    facts: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]
    recipe: str
    gaps: tuple[Gap, ...]
    limits: tuple[tuple[str, tuple[str, ...]], ...]
    recommendations: tuple[str, ...]
    datasets: tuple[DatasetRow, ...]
    columns: tuple[str, ...]
    metrics: tuple[MetricRow, ...]
    results: tuple[ResultRow, ...]
    slices: tuple[SliceTable, ...]
    contrasts: tuple[ContrastRow, ...]
    summary: tuple[str, ...]
    inheritance: tuple[InheritanceRow, ...]
    inheritance_note: str
    together: tuple[HomogenizationView, ...]
    digests: tuple[tuple[str, str], ...]
    protocols: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    instruments: tuple[tuple[str, str], ...]
    legend: tuple[tuple[str, str], ...]

    @property
    def headlines(self) -> tuple[ResultRow, ...]:
        """The numbers a reader has to know first."""
        return tuple(row for row in self.results if row.headline)


def card_view(index: AuditIndex, subject: Subject, options: CardOptions, audit_digest: str) -> CardView:
    """Everything the templates print about ``subject``; ``index`` holds an audit without paths."""
    origin = origin_of(index, subject, options)
    gaps = gaps_of(index, subject)
    results = result_rows(index, subject)
    slices = slice_tables(index, subject)
    rows = inheritance_rows(index, subject)
    audit = index.audit
    measured = [m for m in audit.measurements if m.subject == subject.id]
    used = {name for m in measured for name in m.instruments}
    return CardView(
        name=subject.name,
        tool=f"{audit.tool.get('name', 'fmaudit')} {audit.tool.get('version', '')}".strip(),
        audit_digest=audit_digest,
        report_url=options.report_url or "",
        stated=stated_in(audit),
        facts=_facts(subject, origin),
        statements=origin.statements,
        recipe=subject.recipe or "",
        gaps=gaps,
        limits=_limits(index, subject),
        recommendations=_recommendations(rows, results, gaps),
        datasets=dataset_rows(index, subject),
        columns=tuple(sorted({column for table in slices for column in table.columns})),
        metrics=metric_rows(index, results),
        results=results,
        slices=slices,
        contrasts=contrast_rows(index, subject),
        summary=_summary(results, rows, gaps),
        inheritance=rows,
        inheritance_note=inheritance_note(index, subject),
        together=tuple(
            view
            for found, view in zip(audit.homogenization, homogenization_views(index), strict=True)
            if subject.id in found.subjects
        ),
        digests=(("whole", subject.digest), *sorted(subject.parts.items())),
        protocols=tuple(
            (m.id, str(m.protocol.get("digest", "not recorded"))) for m in measured if m.state == "measured"
        ),
        settings=flat_pairs({name: value for name, value in audit.context.items() if name != "card"}),
        instruments=tuple((c.title or c.id, c.digest) for c in audit.instruments if c.id in used),
        legend=tuple(LEGEND),
    )


def _facts(subject: Subject, origin: Origin) -> tuple[tuple[str, str], ...]:
    divergence = subject.lineage.divergence_bits
    facts = [
        ("Name in the audit", subject.name),
        ("Role in the audit", subject.role),
        ("Model type", _KINDS.get(subject.kind, "")),
        ("Digest", subject.digest),
        ("Adapted from", origin.parent),
        ("Relation to it", origin.relation or ""),
        ("Recipe recorded", subject.recipe or ""),
        ("Training seed recorded", "" if subject.training_seed is None else str(subject.training_seed)),
        ("Next-token divergence from the base, bits", quantity_text(divergence) if divergence else ""),
        *(("Note", note) for note in subject.notes),
    ]
    return tuple((name, value) for name, value in facts if value)


def _limits(index: AuditIndex, subject: Subject) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, dict[str, None]] = {}
    used: set[str] = set()
    for measurement in index.audit.measurements:
        if measurement.subject != subject.id:
            continue
        used.update(measurement.instruments)
        title = measurement.title or measurement.probe
        for limit in (*measurement.limits, *(measurement.dataset.limits if measurement.dataset else ())):
            found.setdefault(title, {})[limit] = None
    for card in index.audit.instruments:
        if card.id not in used:
            continue
        said = found.setdefault(f"Instrument {card.title or card.id}", {})
        said |= {text: None for text in (f"It measures: {card.measures}", card.warning) if text}
        for name, rate in (("Sensitivity", card.sensitivity), ("Specificity", card.specificity)):
            if rate is not None:
                where = f"{card.labelled_set or 'a labelled set'} (n {card.n:,})"
                said[f"{name} {share(rate)} at threshold {card.threshold:g} on {where}, without interval"] = (
                    None
                )
    return tuple((title, tuple(limits)) for title, limits in found.items())


def _recommendations(
    rows: Sequence[InheritanceRow], results: Sequence[ResultRow], gaps: Sequence[Gap]
) -> tuple[str, ...]:
    said = []
    if any(row.verdict in _DEFECTS for row in rows):
        said.append(
            "Where a defect below is introduced, amplified, inherited, coincident or an association, test "
            "the model on inputs of your own use before you rely on it there."
        )
    if any(row.verdict == "association" for row in rows):
        said.append(
            "An association does not say where a defect comes from: audit again with at least three "
            "unrelated reference models."
        )
    if any(row.verdict in _ASK_AGAIN for row in rows) or any(not row.conclusive for row in results):
        said.append(
            "Inconclusive numbers support no statement in either direction: audit again with more items."
        )
    if gaps:
        said.append(
            "What was not measured is not known to be safe: measure it before a use in which it matters."
        )
    said.append(
        "These numbers hold for the questions, data sets, language and protocol named below; they are no "
        "certificate for another use."
    )
    return tuple(said)


def _summary(
    results: Sequence[ResultRow], rows: Sequence[InheritanceRow], gaps: Sequence[Gap]
) -> tuple[str, ...]:
    weak = sum(not row.conclusive for row in results)
    said = [
        f"{len(results):,} overall numbers were measured; {weak:,} of them are inconclusive and support no "
        "statement.",
        f"{len(gaps):,} questions or numbers have no result; they are listed under risks.",
    ]
    for verdict, _meaning in LEGEND:
        titles = [row.title for row in rows if row.verdict == verdict and row.step == "base"]
        if titles:
            said.append(f"Against the base, {verdict}: {'; '.join(titles)}.")
    return tuple(said)
