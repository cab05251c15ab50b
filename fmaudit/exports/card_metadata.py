"""The YAML metadata of a Hugging Face model card: base model, tags and ``model-index`` with intervals.

Fields: https://github.com/huggingface/hub-docs/blob/main/modelcard.md. ``model-index`` has no
field for an interval, so that everything a value may not travel without is in the ``args`` of its metric.
"""

from __future__ import annotations

import re
from typing import Any

from fmaudit.exports.card_facts import CardOptions, Origin
from fmaudit.exports.card_yaml import line
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import status_of
from fmaudit.schema import Estimate, Measurement, Subject

TOOL = "fmaudit"
_TASKS = {
    "causal": ("text-generation", "Text generation"),
    "masked": ("fill-mask", "Fill-mask"),
    "classifier": ("text-classification", "Text classification"),
}
_NOT_A_TAG = re.compile(r"[^a-z0-9]+")


def metadata(
    index: AuditIndex, subject: Subject, origin: Origin, options: CardOptions, audit_digest: str
) -> dict[str, Any]:
    """The front matter of a new card, in the order of the documentation."""
    found: dict[str, Any] = {}
    if origin.base_model:
        found["base_model"] = origin.base_model
    if origin.relation:
        found["base_model_relation"] = origin.relation
    if subject.kind in _TASKS:
        found["pipeline_tag"] = _TASKS[subject.kind][0]
    found["tags"] = _tags(index, subject)
    results = results_of(index, subject, options, audit_digest)
    if results:
        found["model-index"] = [{"name": line(subject.name), "results": results}]
    return found


def results_of(
    index: AuditIndex, subject: Subject, options: CardOptions, audit_digest: str
) -> list[dict[str, Any]]:
    """One result a measurement: its overall numbers that have a value. Slices and gaps are in the body."""
    common = {
        "tool": TOOL,
        "tool_version": line(index.audit.tool.get("version", "not recorded")),
        "audit": audit_digest,
        "model": line(subject.digest),
    }
    results = []
    for measurement in index.audit.measurements:
        if measurement.subject != subject.id or measurement.state != "measured":
            continue
        metrics = [
            _metric(index, measurement, estimate, common)
            for estimate in index.audit.estimates
            if estimate.measurement == measurement.id
            and not estimate.slice
            and estimate.state == "measured"
            and estimate.value is not None
        ]
        if metrics:
            results.append(_result(subject, measurement, metrics, options))
    return results


def _result(
    subject: Subject, measurement: Measurement, metrics: list[dict[str, Any]], options: CardOptions
) -> dict[str, Any]:
    kind, title = _TASKS.get(subject.kind, ("other", "Not stated in the imported log"))
    config = measurement.probe + (f"+{measurement.variant}" if measurement.variant else "")
    dataset: dict[str, Any] = {"name": "No data set", "type": "none", "config": line(config)}
    if measurement.dataset:
        found = measurement.dataset
        dataset = {
            "name": line(found.title or found.id),
            "type": line(found.id),
            "config": line(config),
            "revision": line(found.digest),
            "args": {
                "n_items": found.n_items,
                "n_asked": found.n_asked,
                "pinned": found.pinned,
                "source": found.source,
            },
        }
    result: dict[str, Any] = {
        "task": {"type": kind, "name": title},
        "dataset": dataset,
        "metrics": metrics,
    }
    if options.report_url:
        result["source"] = {"name": TOOL, "url": options.report_url}
    return result


def _metric(
    index: AuditIndex, measurement: Measurement, estimate: Estimate, common: dict[str, Any]
) -> dict[str, Any]:
    status = status_of(estimate, partial=measurement.partial)
    args: dict[str, Any] = dict(common)
    if estimate.lower is None or estimate.upper is None:
        args["interval"] = f"none: {line(estimate.reason or 'no reason recorded')}"
    else:
        args |= {"ci_lower": estimate.lower, "ci_upper": estimate.upper, "ci_level": estimate.level}
    args |= {
        "n": estimate.n,
        "n_eff": estimate.n_eff,
        "coverage": estimate.coverage,
        "method": line(estimate.method or "not recorded"),
        "estimand": line(estimate.estimand or "not recorded"),
        "conclusive": status == "measured",
        "assurance": measurement.assurance,
        "protocol": line(measurement.protocol.get("digest", "not recorded")),
    }
    if estimate.reason:
        args["reason"] = line(estimate.reason)
    if measurement.partial:
        args["partial"] = True
    if estimate.worst is not None:
        args["missing_counted_both_ways"] = list(estimate.worst)
    known = index.metrics.of(estimate)
    if known is not None:
        args["direction"] = known.direction
        if known.unit:
            args["unit"] = line(known.unit)
    return {
        "type": line(estimate.metric),
        "value": estimate.value,
        "name": line(index.metric_title(estimate.metric)),
        "args": args,
    }


def _tags(index: AuditIndex, subject: Subject) -> list[str]:
    families = {
        _NOT_A_TAG.sub("-", line(m.family, 40).lower()).strip("-")
        for m in index.audit.measurements
        if m.subject == subject.id and m.state == "measured"
    }
    return [TOOL, "model-audit", *sorted(families - {""})]
