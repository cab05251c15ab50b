"""Claims and evidence of the CycloneDX bill of materials: what the audit says of base against adapted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmaudit.exports.common import ExportSource, auditor, details, gap, plain, relationship
from fmaudit.exports.ml_bom_card import number_phrase
from fmaudit.schema import Comparison, Measurement


def declarations(source: ExportSource, refs: Mapping[str, str]) -> dict[str, Any]:
    """``declarations``: a claim for each headline comparison, its evidence, and the assessor if stated.

    ``refs``: the bom-ref of each subject.
    """
    comparisons = [found for found in source.headline_comparisons() if found.adapted in refs]
    measurements = {found.id: f"evidence-{place}" for place, found in enumerate(source.audit.measurements)}
    found: dict[str, Any] = {
        "claims": [
            _claim(source, comparison, f"claim-{place}", refs, measurements)
            for place, comparison in enumerate(comparisons)
        ],
        "evidence": [
            _evidence(source, measurement, measurements[measurement.id])
            for measurement in source.audit.measurements
        ],
    }
    organization = auditor(source.audit)
    if organization:
        assessor: dict[str, Any] = {"bom-ref": "assessor", "organization": {"name": organization}}
        if relationship(source.audit) in ("first_party", "third_party"):
            assessor["thirdParty"] = relationship(source.audit) == "third_party"
        found["assessors"] = [assessor]
    return found


def _claim(
    source: ExportSource,
    comparison: Comparison,
    ref: str,
    refs: Mapping[str, str],
    measurements: Mapping[str, str],
) -> dict[str, Any]:
    # The base was asked the same question; its rows are evidence of the claim too.
    key = source.key(comparison.measurement)
    asked = [comparison.measurement, f"{comparison.base}/{key}"]
    return {
        "bom-ref": ref,
        "target": refs[comparison.adapted],
        "predicate": f"{comparison.verdict}: {source.title(comparison)} ({key}), against the base",
        "reasoning": plain(_reasoning(comparison)),
        "evidence": [measurements[name] for name in dict.fromkeys(asked) if name in measurements],
    }


def _reasoning(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as plain data; a change without interval is its reason."""
    reason = gap(comparison)
    # The audit keeps no interval beside these two; each model's own numbers have theirs in its model card.
    whole = comparison.model_dump(mode="json", exclude={"base_value", "adapted_value"})
    if reason:
        whole |= {"value": None, "not_exported": reason}
    return whole | {"details": details(comparison), "in_words": number_phrase(comparison)}


def _evidence(source: ExportSource, measurement: Measurement, ref: str) -> dict[str, Any]:
    dataset = measurement.dataset
    facts = {
        "assurance": measurement.assurance,
        "coverage": measurement.coverage,
        "dataset": dataset.model_dump(mode="json", exclude={"limits"}) if dataset else None,
        "invalid": measurement.invalid,
        "measurement": measurement.id,
        "partial": measurement.partial,
        "protocol": measurement.protocol.get("digest"),
        "reason": measurement.reason,
        "rows": measurement.n_rows,
        "state": measurement.state,
    }
    return {
        "bom-ref": ref,
        "propertyName": "fmaudit:measurement",
        "description": plain(facts),
        "data": [{"name": "audit.json", "contents": {"url": "audit.json"}}],
    }
