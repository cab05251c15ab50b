"""Results and sample logs in the style of lm-evaluation-harness 0.4: for tools that read those.

That format has one value and one standard error a task and metric. It has no
interval, no coverage and no state, so these stand under the extra key ``fmaudit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from statistics import NormalDist
from typing import Any

from fmaudit.exports.common import (
    ExportFile,
    ExportSource,
    details,
    gap,
    iso_time,
    json_bytes,
    jsonl_bytes,
    missing,
    safe_name,
)
from fmaudit.exports.evidence import EvidenceRows, generated_texts, measured
from fmaudit.report.escape import redacted
from fmaudit.schema import Estimate, Measurement, Subject

_FILTER = "none"
STDERR_NOTE = (
    "half the width of the interval at its level over the normal quantile of that level; not estimated as a "
    "standard error: read lower and upper under fmaudit.estimates, which need not be symmetric"
)
_BETTER = {"higher_is_better": True, "lower_is_better": False}


def export_harness(source: ExportSource, rows: EvidenceRows, reveal: bool = False) -> list[ExportFile]:
    """For each subject its results, and a sample log for each of its tasks with evidence."""
    stamp = "" if source.moment is None else "_" + iso_time(source.moment).rstrip("Z").replace(":", "-")
    files: list[ExportFile] = []
    for subject in source.audit.subjects:
        folder = safe_name(subject.id)
        results = harness_results(source, subject)
        files.append(ExportFile(f"{folder}/results{stamp}.json", json_bytes(results)))
        for measurement in source.measurements_of(subject.id):
            key = source.key(measurement.id)
            records = [_sample(measurement, row, reveal) for row in rows(subject.id, key)]
            if records:
                name = f"{folder}/samples_{safe_name(key)}{stamp}.jsonl"
                files.append(ExportFile(name, jsonl_bytes(records)))
    return files


def harness_results(source: ExportSource, subject: Subject) -> dict[str, Any]:
    """The results of one subject: its numbers over all items, the rest under ``fmaudit``."""
    measurements = {source.key(entry.id): entry for entry in source.measurements_of(subject.id)}
    estimates = [entry for entry in source.estimates_of(subject.id) if not gap(entry)]
    overall = [entry for entry in estimates if not entry.slice]
    tasks = sorted({source.key(entry.measurement) for entry in overall} & set(measurements))
    results: dict[str, Any] = {
        "results": {
            task: {"alias": task}
            | _values(source, [entry for entry in overall if source.key(entry.measurement) == task])
            for task in tasks
        },
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: _config(measurements[task]) for task in tasks},
        "versions": {task: measurements[task].version for task in tasks},
        "higher_is_better": {task: _directions(source, task, overall) for task in tasks},
        "n-samples": {task: _counts(measurements[task]) for task in tasks},
        "config": {
            "model": source.audit.tool.get("name", "fmaudit"),
            "model_args": f"digest={subject.digest}",
        },
        "model_source": "fmaudit",
        "model_name": subject.name,
        "model_name_sanitized": safe_name(subject.name),
        "fmaudit": {
            "audit_digest": source.digest,
            "tool": dict(source.audit.tool),
            "subject": subject.model_dump(mode="json"),
            "stderr": STDERR_NOTE,
            "estimates": [_estimate(source, entry) for entry in estimates],
            "not_measured": missing(source, subject.id),
        },
    }
    if source.moment is not None:
        results["date"] = source.moment
    return results


def stderr_of(estimate: Estimate) -> float | None:
    """What stands for a standard error; see ``STDERR_NOTE``. None where there is no interval."""
    if estimate.lower is None or estimate.upper is None or not 0 < estimate.level < 1:
        return None
    return (estimate.upper - estimate.lower) / 2 / NormalDist().inv_cdf((1 + estimate.level) / 2)


def _values(source: ExportSource, estimates: list[Estimate]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for estimate in estimates:
        name = _short(estimate.metric)
        stderr = stderr_of(estimate)
        found[f"{name},{_FILTER}"] = estimate.value
        found[f"{name}_stderr,{_FILTER}"] = "N/A" if stderr is None else stderr
    return found


def _short(metric: str) -> str:
    # A comma would begin the name of a filter.
    return (metric.partition("/")[2] or metric).replace(",", ";")


def _directions(source: ExportSource, task: str, estimates: list[Estimate]) -> dict[str, bool | None]:
    found: dict[str, bool | None] = {}
    for estimate in estimates:
        if source.key(estimate.measurement) == task:
            metric = source.metrics.of(estimate)
            found[_short(estimate.metric)] = _BETTER.get(metric.direction) if metric else None
    return found


def _config(measurement: Measurement) -> dict[str, Any]:
    dataset = measurement.dataset
    return {
        "task": measurement.probe,
        "task_alias": measurement.title or measurement.probe,
        "dataset_path": dataset.id if dataset else None,
        "metadata": {
            "version": measurement.version,
            "variant": measurement.variant,
            "protocol": measurement.protocol,
            "dataset": dataset.model_dump(mode="json") if dataset else None,
            "assurance": measurement.assurance,
            "partial": measurement.partial,
            "coverage": measurement.coverage,
            "limits": measurement.limits,
        },
    }


def _counts(measurement: Measurement) -> dict[str, int]:
    dataset = measurement.dataset
    return {
        "original": dataset.n_items if dataset else measurement.n_rows,
        "effective": dataset.n_asked if dataset else measurement.n_rows,
    }


def _estimate(source: ExportSource, estimate: Estimate) -> dict[str, Any]:
    return estimate.model_dump(mode="json") | {
        "task": source.key(estimate.measurement),
        "details": details(estimate),
    }


def _sample(measurement: Measurement, row: Mapping[str, Any], reveal: bool) -> dict[str, Any]:
    """One row: its measures under their own names, null where invalid, with the reason."""
    found = measured(row)
    item = str(row["item_id"])
    dataset = measurement.dataset.digest if measurement.dataset else "unknown"
    texts = [text if reveal else redacted(text) for text in generated_texts(row)]
    values = dict.fromkeys(found.reasons) | dict(found.values)
    return values | {
        "doc_id": row["position"],
        "doc": {
            "item_id": item,
            "slices": dict(row["slices"]),
            "clusters": dict(row["clusters"]),
            "weight": row["weight"],
            "seed": row["seed"],
            "sample": row["sample"],
        },
        "target": None,
        "arguments": {},
        "resps": [texts],
        "filtered_resps": texts,
        "filter": _FILTER,
        "metrics": [*found.values, *found.reasons],
        "doc_hash": sha256(f"{dataset}\n{item}".encode("utf-8", "backslashreplace")).hexdigest(),
        "prompt_hash": "",
        "target_hash": "",
        "fmaudit_invalid": dict(found.reasons),
    }
