"""Every Eval Ever records, schema 0.3.0: one aggregate record a subject, and its redacted instances."""

from __future__ import annotations

from typing import Any

from fmaudit.errors import UsageError
from fmaudit.exports.common import (
    NOT_STATED,
    ExportFile,
    ExportSource,
    auditor,
    details,
    gap,
    iso_time,
    json_bytes,
    missing,
    place_of,
    plain,
    random_looking_uuid,
    relationship,
    safe_name,
    slice_text,
)
from fmaudit.exports.every_eval_ever_rows import Instances, instances_of
from fmaudit.exports.evidence import EvidenceRows
from fmaudit.schema import Estimate, Measurement, MetricInfo, Subject

SCHEMA_VERSION = "0.3.0"
COLLECTION = "fmaudit"
_LOCAL = "local"
_NO_DIRECTION = "lower_is_better does not apply: read direction and ideal"


def export_every_eval_ever(
    source: ExportSource, rows: EvidenceRows, reveal: bool = False
) -> list[ExportFile]:
    """One aggregate record a subject, and its instances where the evidence is there.

    Raises UsageError where no time is recorded: the schema requires one.
    """
    if source.moment is None:
        raise UsageError(
            "Every Eval Ever records need a time and this run has none recorded: set SOURCE_DATE_EPOCH "
            "(seconds since 1970) and repeat the command"
        )
    files: list[ExportFile] = []
    for subject in source.audit.subjects:
        developer, _, name = _model_id(subject).partition("/")
        folder = f"data/{COLLECTION}/{safe_name(developer)}/{safe_name(name)}"
        stem = str(random_looking_uuid(source.digest, "every-eval-ever", subject.id))
        record = aggregate_record(source, subject, source.moment)
        found = instances_of(source, subject.id, record["evaluation_id"], _model_id(subject), rows, reveal)
        if found.total:
            place = f"{folder}/{stem}_samples.jsonl"
            record["detailed_evaluation_results"] = _companion(place, found)
            files.append(ExportFile(place, found.data))
        files.append(ExportFile(f"{folder}/{stem}.json", json_bytes(record)))
    return files


def aggregate_record(source: ExportSource, subject: Subject, moment: int) -> dict[str, Any]:
    """The record of one subject, without its instances. Source: eval.schema.json 0.3.0 of Every Eval Ever.

    ``moment``: seconds since 1970, UTC.
    """
    model_id = _model_id(subject)
    tool = source.audit.tool
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{COLLECTION}/{model_id}/{moment}/{source.digest}",
        "evaluation_timestamp": iso_time(moment),
        "retrieved_timestamp": str(moment),
        "source_metadata": {
            "source_name": f"fmaudit audit {source.digest}",
            "source_type": "evaluation_run",
            "source_organization_name": auditor(source.audit) or NOT_STATED,
            "evaluator_relationship": relationship(source.audit) or "other",
            "additional_details": {
                "audit_digest": source.digest,
                "audit_schema": source.audit.schema_,
                "relationship_as_stated": relationship(source.audit) or NOT_STATED,
                "not_measured": plain(missing(source, subject.id)),
            },
        },
        "eval_library": {
            "name": tool.get("name", "fmaudit"),
            "version": tool.get("version", "unknown"),
            "additional_details": {name: value for name, value in tool.items() if name != "version"},
        },
        "model_info": _model_info(source, subject),
        "evaluation_results": [
            _result(source, estimate) for estimate in source.estimates_of(subject.id) if not gap(estimate)
        ],
    }


def _model_id(subject: Subject) -> str:
    developer, slash, name = subject.name.partition("/")
    return subject.name if slash and developer and name and "/" not in name else f"{_LOCAL}/{subject.name}"


def _model_info(source: ExportSource, subject: Subject) -> dict[str, Any]:
    engines = {
        str(entry.protocol["engine"])
        for entry in source.measurements_of(subject.id)
        if entry.protocol.get("engine")
    }
    lineage = subject.lineage
    facts = {
        "role": subject.role,
        "kind": subject.kind,
        "digest": subject.digest,
        "base": subject.base,
        "lineage_declared": lineage.declared,
        "lineage_verified": {True: "verified", False: "refuted", None: "not verified"}[lineage.verified],
        "lineage_evidence": lineage.evidence,
        "recipe": subject.recipe,
        **{f"digest_of:{name}": digest for name, digest in subject.parts.items()},
    }
    found: dict[str, Any] = {
        "name": subject.name,
        "id": _model_id(subject),
        "additional_details": {
            **{name: value for name, value in facts.items() if value},
            "deployment_type": "self_deployed" if engines == {"transformers"} else "unknown",
            "model_availability": "unknown",
        },
    }
    if len(engines) == 1:
        found["inference_engine"] = {"name": engines.pop()}
    return found


def _result(source: ExportSource, estimate: Estimate) -> dict[str, Any]:
    measurement = source.measurements.get(estimate.measurement)
    levels = slice_text(estimate.slice)
    result: dict[str, Any] = {
        "evaluation_result_id": estimate.id,
        "evaluation_name": source.key(estimate.measurement) + (f" [{levels}]" if levels else ""),
        "source_data": _source_data(measurement),
        "metric_config": _metric_config(estimate.metric, source.metrics.of(estimate)),
        "score_details": {
            "score": estimate.value,
            "details": details(estimate) | _pedigree(source, estimate),
            "uncertainty": _uncertainty(estimate),
        },
    }
    if measurement:
        result["metric_config"]["evaluation_description"] = measurement.title or measurement.probe
        result["generation_config"] = _generation(measurement)
    return result


def _source_data(measurement: Measurement | None) -> dict[str, Any]:
    dataset = measurement.dataset if measurement else None
    if dataset is None:
        return {"dataset_name": NOT_STATED, "source_type": "other"}
    facts = dataset.model_dump(mode="json", exclude={"limits"})
    return {
        "dataset_name": dataset.id,
        "source_type": "other",
        "additional_details": {name: plain(value) for name, value in facts.items() if value != ""},
    }


def _metric_config(id: str, metric: MetricInfo | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "metric_id": id,
        # The schema knows no metric without a better end; what has none says so in its details.
        "lower_is_better": metric is None or metric.direction != "higher_is_better",
        "score_type": "continuous",
        "min_score": "-Infinity",
        "max_score": "Infinity",
    }
    if metric is None:
        return config
    low, high = metric.range
    config |= {
        "metric_name": metric.title,
        "metric_kind": metric.kind,
        "metric_unit": metric.unit or ("proportion" if metric.kind == "rate" else NOT_STATED),
        "min_score": "-Infinity" if low is None else low,
        "max_score": "Infinity" if high is None else high,
        "metric_parameters": {"ideal": metric.ideal, "eps": metric.eps, "delta": metric.delta},
        "additional_details": {"direction": metric.direction},
    }
    if metric.direction in ("target", "none"):
        config["additional_details"]["note"] = _NO_DIRECTION
    return config


def _uncertainty(estimate: Estimate) -> dict[str, Any]:
    found: dict[str, Any] = {
        "confidence_interval": {
            "lower": estimate.lower,
            "upper": estimate.upper,
            "confidence_level": estimate.level,
            "method": estimate.method,
        },
        "num_samples": estimate.n,
    }
    if estimate.resampling:
        found["num_bootstrap_samples"] = estimate.resampling.draws
    return found


def _pedigree(source: ExportSource, estimate: Estimate) -> dict[str, str]:
    """What the audit says of this number against the base's: the record has no field for a change."""
    found = source.changes.get(place_of(estimate.subject, estimate))
    if found is None:
        return {}
    facts: dict[str, Any] = {"verdict": found.verdict, "verdict_reason": found.verdict_reason}
    reason = gap(found)
    if reason:
        facts["change_from_base_missing"] = reason
    else:
        facts |= {
            "change_from_base": found.value,
            "change_lower": found.lower,
            "change_upper": found.upper,
            "change_level": found.level,
            "change_n": found.n,
            "change_coverage": found.coverage,
        }
    return {name: plain(value) for name, value in facts.items() if value != ""}


def _generation(measurement: Measurement) -> dict[str, Any]:
    decoding = measurement.protocol.get("decoding")
    found: dict[str, Any] = {
        "additional_details": {
            name: plain(value) for name, value in measurement.protocol.items() if value is not None
        }
    }
    only = decoding[0] if isinstance(decoding, list) and len(decoding) == 1 else None
    if isinstance(only, dict) and only.get("kind") == "generate":
        found["generation_args"] = {
            "temperature": only.get("temperature"),
            "top_p": only.get("top_p"),
            # In the audit 0 means that no cut is made.
            "top_k": only.get("top_k") or None,
        }
        if only.get("max_new_tokens"):
            found["generation_args"]["max_tokens"] = only["max_new_tokens"]
    return found


def _companion(name: str, found: Instances) -> dict[str, Any]:
    return {
        "format": "jsonl",
        "file_path": name,
        "hash_algorithm": "sha256",
        "checksum": found.checksum,
        "total_rows": found.total,
        "additional_details": {"left_out": plain(found.left_out)},
    }
