"""The model card of one subject inside the CycloneDX bill of materials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmaudit.context import card_of
from fmaudit.exports.common import ExportSource, details, gap, missing, plain, slice_text
from fmaudit.schema import Comparison, ContrastResult, Estimate, Numbers, Subject, Verdict

PROPERTY_PREFIX = "fmaudit:"
# The verdicts that say that a defect is there.
DEFECT: frozenset[Verdict] = frozenset(("introduced", "amplified", "inherited", "coincident", "association"))
_TASKS = {"causal": "text-generation", "masked": "fill-mask", "classifier": "text-classification"}


def model_card(source: ExportSource, subject: Subject, ref: str) -> dict[str, Any]:
    """``modelCard`` of a component: numbers with their intervals, limits, groups at risk."""
    estimates = source.estimates_of(subject.id)
    return {
        "bom-ref": ref,
        "modelParameters": {"task": _TASKS[subject.kind]} if subject.kind in _TASKS else {},
        "quantitativeAnalysis": {
            "performanceMetrics": [
                performance_metric(source, estimate) for estimate in estimates if not gap(estimate)
            ]
        },
        "considerations": {
            **_stated_use(source),
            "technicalLimitations": _limitations(source, subject),
            "ethicalConsiderations": _considerations(source, subject),
            "fairnessAssessments": _assessments(source, subject),
        },
        "properties": [
            *named_properties(
                {f"estimate:{estimate.id}": plain(_record(source, estimate)) for estimate in estimates}
            ),
            *named_properties(
                {
                    f"unmeasured-{place}": plain(entry)
                    for place, entry in enumerate(missing(source, subject.id), 1)
                }
            ),
            *named_properties(
                {
                    "comparisons-elsewhere": f"{_left_out(source, subject)} comparisons by slice, by step or "
                    "of metrics that are no headline stand only in audit.json"
                }
            ),
        ],
    }


def performance_metric(source: ExportSource, estimate: Estimate) -> dict[str, Any]:
    """One number with both limits; its n, coverage and method are the property of its id."""
    metric: dict[str, Any] = {
        "type": metric_name(source, estimate),
        "value": plain(estimate.value),
        "confidenceInterval": {
            "lowerBound": plain(estimate.lower),
            "upperBound": plain(estimate.upper),
        },
    }
    if estimate.slice:
        metric["slice"] = slice_text(estimate.slice)
    return metric


def metric_name(source: ExportSource, estimate: Estimate) -> str:
    """Metric and the question it was measured on, as ``probe@dataset+variant/metric``."""
    return f"{source.key(estimate.measurement)}/{estimate.metric.partition('/')[2] or estimate.metric}"


def named_properties(facts: Mapping[str, str]) -> list[dict[str, str]]:
    """Facts as properties of the fmaudit namespace, sorted by name; empty ones are left out."""
    return [
        {"name": PROPERTY_PREFIX + name, "value": value} for name, value in sorted(facts.items()) if value
    ]


def number_phrase(numbers: Numbers) -> str:
    """A number in a sentence: value, interval, n and coverage, or why there is none."""
    reason = gap(numbers)
    if reason:
        return f"no number ({reason})"
    level = plain(round(100 * numbers.level, 6))
    return (
        f"{plain(numbers.value)}, {level} % interval {plain(numbers.lower)} to {plain(numbers.upper)}, "
        f"n {numbers.n}, coverage {plain(numbers.coverage)}"
    )


def _record(source: ExportSource, estimate: Estimate) -> dict[str, Any]:
    record: dict[str, Any] = {
        **details(estimate),
        "measurement": source.key(estimate.measurement),
        "metric": estimate.metric,
        "slice": dict(estimate.slice),
    }
    found = source.measurements.get(estimate.measurement)
    if found:
        record |= {
            "assurance": found.assurance,
            "partial": found.partial,
            "protocol": plain(found.protocol.get("digest", "")),
        }
    reason = gap(estimate)
    return record | ({"not_exported": reason} if reason else {})


def _limitations(source: ExportSource, subject: Subject) -> list[str]:
    found: list[str] = []
    for measurement in source.measurements_of(subject.id):
        key = source.key(measurement.id)
        found += [f"{key}: {limit}" for limit in measurement.limits]
        found += [f"{key}, data set: {limit}" for limit in (measurement.dataset or _NO_DATA).limits]
        if measurement.state != "measured":
            found.append(f"{key}: {measurement.state}: {measurement.reason or 'no reason recorded'}")
        if measurement.partial:
            found.append(f"{key}: only the head of its items was asked")
    used = {name for entry in source.measurements_of(subject.id) for name in entry.instruments}
    found += [
        f"instrument {card.title}: {card.warning}"
        for card in source.audit.instruments
        if card.warning and card.id in used
    ]
    return list(dict.fromkeys(found))


def _stated_use(source: ExportSource) -> dict[str, list[str]]:
    card = card_of(source.audit.context)
    return {"useCases": [card.intended_use]} if card and card.intended_use else {}


class _NoData:
    limits: tuple[str, ...] = ()


_NO_DATA = _NoData()


def _considerations(source: ExportSource, subject: Subject) -> list[dict[str, str]]:
    return [
        {
            "name": f"{comparison.verdict}: {source.title(comparison)} "
            f"({source.key(comparison.measurement)}); change against the base "
            f"{number_phrase(comparison)}",
            "mitigationStrategy": "none recorded: an audit measures, it does not mitigate",
        }
        for comparison in source.headline_comparisons()
        if comparison.adapted == subject.id and comparison.verdict in DEFECT
    ]


def _assessments(source: ExportSource, subject: Subject) -> list[dict[str, str]]:
    """Groups whose defect has a verdict, and group contrasts whose interval leaves 0 out."""
    sliced = [
        _sliced(source, comparison)
        for comparison in source.audit.comparisons
        if comparison.adapted == subject.id
        and comparison.slice
        and comparison.step == "from_base"
        and comparison.verdict in DEFECT
        and source.is_headline(comparison)
    ]
    contrasts = [
        _contrasted(source, contrast)
        for contrast in source.audit.contrasts
        if contrast.headline
        and contrast.kind == "within_subject"
        and not gap(contrast)
        and {term.subject for term in contrast.terms} == {subject.id}
        and (float(contrast.lower or 0) > 0 or float(contrast.upper or 0) < 0)
    ]
    return sliced + contrasts


def _sliced(source: ExportSource, comparison: Comparison) -> dict[str, str]:
    return {
        "groupAtRisk": slice_text(comparison.slice),
        "harms": f"{comparison.verdict}: {source.title(comparison)} "
        f"({source.key(comparison.measurement)}); change against the base {number_phrase(comparison)}",
    }


def _contrasted(source: ExportSource, contrast: ContrastResult) -> dict[str, str]:
    groups = "; ".join(slice_text(term.slice) for term in contrast.terms if term.coefficient > 0)
    return {
        "groupAtRisk": groups or contrast.title,
        "harms": f"{contrast.title} ({source.key(contrast.measurement)}, {source.title(contrast)}): "
        f"{number_phrase(contrast)}",
    }


def _left_out(source: ExportSource, subject: Subject) -> int:
    all_of = sum(found.adapted == subject.id for found in source.audit.comparisons)
    return all_of - sum(found.adapted == subject.id for found in source.headline_comparisons())
