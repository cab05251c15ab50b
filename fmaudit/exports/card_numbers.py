"""The numbers of one model as rows of its card: data sets, metrics, results, slices, contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.report.index import AuditIndex, levels_text
from fmaudit.report.numbers import NumberView
from fmaudit.schema import Estimate, Subject

MAX_SLICES = 60
"""Rows a table by group shows; the others are counted."""
_DIRECTIONS = {
    "lower_is_better": "lower is better",
    "higher_is_better": "higher is better",
    "target": "closest to its target is best",
    "none": "no direction is better",
}


@dataclass(frozen=True)
class DatasetRow:
    """One data set as this model was asked it."""

    id: str
    title: str
    licence: str
    digest: str
    asked: str
    source: str
    probes: tuple[str, ...]


@dataclass(frozen=True)
class MetricRow:
    """What a number is and which change of it matters."""

    id: str
    title: str
    unit: str
    direction: str
    margins: str


@dataclass(frozen=True)
class ResultRow:
    """One overall number; ``protocol`` is the short digest of how it was asked."""

    metric: str
    variant: str
    title: str
    question: str
    number: NumberView
    protocol: str
    headline: bool

    @property
    def conclusive(self) -> bool:
        """Whether the number may carry a conclusion."""
        return self.number.conclusive


@dataclass(frozen=True)
class SliceTable:
    """A headline number by group: one column (``crossed`` False) or several at once."""

    title: str
    question: str
    columns: tuple[str, ...]
    crossed: bool
    rows: tuple[tuple[str, NumberView], ...]
    left_out: int


@dataclass(frozen=True)
class ContrastRow:
    """A difference between groups within this model, or its change from the base."""

    title: str
    question: str
    kind: str
    number: NumberView


def dataset_rows(index: AuditIndex, subject: Subject) -> tuple[DatasetRow, ...]:
    """Each data set once, with the probes that asked it."""
    found: dict[tuple[str, str, str], DatasetRow] = {}
    for measurement in index.audit.measurements:
        data = measurement.dataset
        if measurement.subject != subject.id or data is None:
            continue
        asked = f"{data.n_asked:,} of {data.n_items:,} items"
        key = (data.id, data.digest, asked)
        before = found[key].probes if key in found else ()
        found[key] = DatasetRow(
            data.id,
            data.title,
            data.licence or "not recorded",
            data.digest,
            asked,
            f"{data.source}, {'as pinned by its card' if data.pinned else 'not the pinned file of its card'}",
            tuple(dict.fromkeys((*before, measurement.probe))),
        )
    return tuple(found.values())


def result_rows(index: AuditIndex, subject: Subject) -> tuple[ResultRow, ...]:
    """The overall numbers that have a value, headline numbers first."""
    rows = [
        ResultRow(
            estimate.metric,
            index.question(estimate.measurement, estimate.metric).variant,
            index.metric_title(estimate.metric),
            _question(index, estimate),
            _number(index, estimate),
            index.protocol(estimate.measurement),
            _headline(index, estimate),
        )
        for estimate in index.audit.estimates
        if estimate.subject == subject.id and not estimate.slice
    ]
    return tuple(sorted((row for row in rows if row.number.has_value), key=lambda row: not row.headline))


def metric_rows(index: AuditIndex, results: Sequence[ResultRow]) -> tuple[MetricRow, ...]:
    """What each metric among ``results`` is."""
    rows = []
    for metric, variant in dict.fromkeys((row.metric, row.variant) for row in results):
        known = index.metrics.get(metric, variant)
        if known is None:
            rows.append(MetricRow(metric, index.metric_title(metric), "", "not recorded", ""))
            continue
        target = f" ({known.ideal:g})" if known.direction == "target" and known.ideal is not None else ""
        margins = [
            f"{name} {value:g}"
            for name, value in (
                ("tolerated (eps)", known.eps),
                ("a change that matters (delta)", known.delta),
            )
            if value is not None
        ]
        rows.append(
            MetricRow(
                metric,
                index.metric_title(metric),
                known.unit or ("share" if known.kind == "rate" else ""),
                _DIRECTIONS[known.direction] + target,
                ", ".join(margins) or "none declared with the metric",
            )
        )
    return tuple(dict.fromkeys(rows))


def slice_tables(index: AuditIndex, subject: Subject) -> tuple[SliceTable, ...]:
    """Headline numbers by group, gaps among them included; groups of several columns apart."""
    grouped: dict[tuple[str, str, tuple[str, ...]], list[Estimate]] = {}
    for estimate in index.audit.estimates:
        if estimate.subject == subject.id and estimate.slice and _headline(index, estimate):
            key = (estimate.measurement, estimate.metric, tuple(sorted(estimate.slice)))
            grouped.setdefault(key, []).append(estimate)
    return tuple(
        SliceTable(
            index.metric_title(metric),
            _question(index, found[0]),
            columns,
            len(columns) > 1,
            tuple((levels_text(entry.slice), _number(index, entry)) for entry in found[:MAX_SLICES]),
            max(0, len(found) - MAX_SLICES),
        )
        for (_measurement, metric, columns), found in grouped.items()
    )


def contrast_rows(index: AuditIndex, subject: Subject) -> tuple[ContrastRow, ...]:
    """The contrasts that start from this model."""
    own = {m.id: m.question.label for m in index.audit.measurements if m.subject == subject.id}
    return tuple(
        ContrastRow(
            found.title or index.metric_title(found.metric),
            own[found.measurement],
            "within this model" if found.kind == "within_subject" else "change from the base",
            index.number(found, found.metric, found.measurement, difference=True),
        )
        for found in index.audit.contrasts
        if found.measurement in own and found.terms and found.terms[0].subject == subject.id
    )


def _question(index: AuditIndex, estimate: Estimate) -> str:
    label = index.question(estimate.measurement, estimate.metric).label
    found = index.measurements.get(estimate.measurement)
    imported = found is not None and found.assurance == "imported"
    return f"{label}; imported, not measured by the auditor" if imported else label


def _number(index: AuditIndex, estimate: Estimate) -> NumberView:
    return index.number(estimate, estimate.metric, estimate.measurement, difference=False)


def _headline(index: AuditIndex, estimate: Estimate) -> bool:
    known = index.metrics.of(estimate)
    return known is not None and known.headline
