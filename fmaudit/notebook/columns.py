"""One estimate or comparison as one tidy row; what is not known stays None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fmaudit.report.index import AuditIndex
from fmaudit.schema import Comparison, CopyFraction, Estimate, Numbers, Quantity, Span

if TYPE_CHECKING:
    from pandas import DataFrame

SLICE_PREFIX = "slice."
_KINDS: Mapping[str, Sequence[str]] = {
    "float64": (
        *("value", "base_value", "adapted_value", "change", "lower", "upper", "level"),
        *("adjusted_level", "adjusted_lower", "adjusted_upper", "n_eff", "coverage"),
        *("worst_low", "worst_high", "mde", "p", "p_adjusted"),
        *("copy_fraction", "copy_lower", "copy_upper", "copy_conditional_lower", "copy_conditional_upper"),
        *("retention", "retention_lower", "retention_upper", "eps", "delta"),
        *("severity_change", "severity_change_lower", "severity_change_upper"),
    ),
    "Int64": ("n", "samples_per_item", "n11", "n10", "n01", "n00", "family_size", "items_needed"),
    "boolean": ("headline", "conclusive", "partial", "equivalent"),
}
_IDENTITY = ("id", "metric", "title", "unit", "kind", "direction", "headline", "probe", "variant", "dataset")
_NUMBERS = (
    *("lower", "upper", "level", "n", "clusters", "coverage", "state", "reason"),
    *("conclusive", "partial", "worst_low", "worst_high", "n_eff", "samples_per_item"),
    *("adjusted_level", "adjusted_lower", "adjusted_upper", "p", "p_adjusted", "mde", "method", "estimand"),
    *("measurement", "assurance", "protocol"),
)
ESTIMATE_COLUMNS = (*_IDENTITY, "subject", "model", "role", "value", *_NUMBERS)
COMPARISON_COLUMNS = (
    *_IDENTITY,
    *("base", "adapted", "model", "step", "base_value", "adapted_value", "change", "verdict"),
    *("verdict_reason", "flags", *_NUMBERS, "n11", "n10", "n01", "n00"),
    *("copy_fraction", "copy_lower", "copy_upper", "copy_conditional_lower", "copy_conditional_upper"),
    *("copy_reason", "retention", "retention_lower", "retention_upper", "equivalent"),
    *("severity_change", "severity_change_lower", "severity_change_upper"),
    *("eps", "delta", "margins_source", "family", "family_size", "items_needed"),
)


def estimate_row(index: AuditIndex, record: Estimate) -> dict[str, Any]:
    """An estimate by column."""
    subject = index.subjects.get(record.subject)
    own = {
        "subject": record.subject,
        "model": subject.name if subject else None,
        "role": subject.role if subject else None,
        "value": record.value,
    }
    return _shared(index, record) | own


def comparison_row(index: AuditIndex, record: Comparison) -> dict[str, Any]:
    """A comparison by column; the number fields are those of the change."""
    adapted = index.subjects.get(record.adapted)
    copied = record.copy_fraction or CopyFraction()
    table = record.table
    own: dict[str, Any] = {
        "base": record.base,
        "adapted": record.adapted,
        "model": adapted.name if adapted else None,
        "step": record.step,
        "base_value": record.base_value,
        "adapted_value": record.adapted_value,
        "change": record.value,
        "verdict": record.verdict,
        "verdict_reason": record.verdict_reason,
        "flags": ", ".join(record.flags),
        **{name: getattr(table, name) if table else None for name in ("n11", "n10", "n01", "n00")},
        "copy_fraction": copied.value,
        **_ends("copy", copied.verdict_interval),
        **_ends("copy_conditional", copied.conditional),
        "copy_reason": copied.reason,
        **_quantity("retention", record.retention),
        "equivalent": record.equivalence.equivalent if record.equivalence else None,
        **_quantity("severity_change", record.severity.change if record.severity else None),
        "eps": record.margins.eps,
        "delta": record.margins.delta,
        "margins_source": record.margins.source,
        "family": record.family,
        "family_size": record.family_size,
        "items_needed": record.items_needed,
    }
    return _shared(index, record) | own


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> DataFrame:
    """Rows as a frame with these columns, then one a slice column; numbers stay numbers where all miss."""
    import pandas as pd

    slices = sorted({name for row in rows for name in row if name.startswith(SLICE_PREFIX)})
    made = pd.DataFrame(list(rows), columns=[*columns, *slices])
    kinds = {name: kind for kind, names in _KINDS.items() for name in names if name in made.columns}
    return made.astype(kinds)


def _shared(index: AuditIndex, record: Estimate | Comparison) -> dict[str, Any]:
    metric = index.metrics.of(record)
    measurement = index.measurements.get(record.measurement)
    question = index.question(record.measurement, record.metric)
    return {
        "id": record.id,
        "metric": record.metric,
        "title": index.metric_title(record.metric),
        "unit": metric.unit if metric else None,
        "kind": metric.kind if metric else None,
        "direction": metric.direction if metric else None,
        "headline": metric.headline if metric else None,
        "probe": question.probe,
        "variant": question.variant,
        "dataset": question.dataset,
        "measurement": record.measurement,
        "assurance": measurement.assurance if measurement else None,
        "protocol": measurement.protocol.get("digest") if measurement else None,
        "partial": measurement.partial if measurement else None,
        **_numbers(record),
        **{SLICE_PREFIX + column: level for column, level in sorted(record.slice.items())},
    }


def _numbers(record: Numbers) -> dict[str, Any]:
    plain = (
        *("lower", "upper", "level", "n", "coverage", "state", "reason", "conclusive", "n_eff"),
        *("samples_per_item", "adjusted_level", "adjusted_lower", "adjusted_upper"),
        *("p", "p_adjusted", "mde", "method", "estimand"),
    )
    low, high = record.worst or (None, None)
    clusters = ", ".join(f"{name}: {count}" for name, count in sorted(record.clusters.items()))
    numbers = {name: getattr(record, name) for name in plain}
    return numbers | {"clusters": clusters, "worst_low": low, "worst_high": high}


def _ends(name: str, span: Span) -> dict[str, float | None]:
    return {f"{name}_lower": span.lower, f"{name}_upper": span.upper}


def _quantity(name: str, found: Quantity | None) -> dict[str, float | None]:
    value, lower, upper = (found.value, found.lower, found.upper) if found else (None, None, None)
    return {name: value, f"{name}_lower": lower, f"{name}_upper": upper}
