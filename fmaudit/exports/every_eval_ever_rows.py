"""Instances of the Every Eval Ever records: ids, digests and scores; the model's text only on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fmaudit.exports.common import ExportSource, jsonl_bytes, plain
from fmaudit.exports.evidence import EvidenceRows, generated_texts, measured
from fmaudit.report.escape import redacted
from fmaudit.schema import Measurement

_OUTCOME = "outcome"
_NO_OUTCOME = "its measures have no right and wrong, which an instance requires"


@dataclass(frozen=True)
class Instances:
    """The JSON lines of one subject: bytes, their sha256, how many, and what could not be a line."""

    data: bytes
    checksum: str
    total: int
    left_out: Mapping[str, Mapping[str, int]]


def instances_of(
    source: ExportSource, subject: str, evaluation_id: str, model_id: str, rows: EvidenceRows, reveal: bool
) -> Instances:
    """Every row with an outcome as one instance.

    A row without outcome has no score, and the schema wants one: it is counted by
    measurement and reason in ``left_out``, and never becomes a 0.
    """
    left_out: dict[str, dict[str, int]] = {}
    records: list[dict[str, Any]] = []
    names = {"evaluation_id": evaluation_id, "model_id": model_id}
    for measurement in source.measurements_of(subject):
        key = source.key(measurement.id)
        for row in rows(subject, key):
            found = measured(row)
            reason = found.reasons.get(_OUTCOME, _NO_OUTCOME if _OUTCOME not in found.values else "")
            if reason:
                reasons = left_out.setdefault(key, {})
                reasons[reason] = reasons.get(reason, 0) + 1
                continue
            records.append(names | _instance(measurement, key, row, reveal))
    data = jsonl_bytes(records)
    return Instances(data, sha256(data).hexdigest(), len(records), left_out)


def _instance(measurement: Measurement, key: str, row: Mapping[str, Any], reveal: bool) -> dict[str, Any]:
    found = measured(row)
    question = _question(measurement, str(row["item_id"]))
    return {
        "schema_version": "0.3.0",
        "evaluation_name": key,
        "sample_id": str(row["item_id"]),
        "sample_hash": sha256(question.encode("utf-8", "backslashreplace")).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": question, "reference": []},
        "output": {"raw": [text if reveal else redacted(text) for text in generated_texts(row)]},
        "answer_attribution": [],
        "evaluation": {"score": float(found.values[_OUTCOME]), "is_correct": not found.values[_OUTCOME]},
        "metadata": dict(_metadata(row, found.values)),
    }


def _question(measurement: Measurement, item: str) -> str:
    # The evidence names items and does not hold their text.
    digest = measurement.dataset.digest if measurement.dataset else "unknown"
    return f"[item {item} of data set {digest}; its text is not part of the evidence]"


def _metadata(row: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "score_means", "outcome of the probe: 1 = defect, 0 = none"
    yield "seed", str(row["seed"])
    yield "sample", str(row["sample"])
    yield "weight", plain(row["weight"])
    yield "clusters", plain(dict(row["clusters"]))
    yield "slices", plain(dict(row["slices"]))
    responses = str(row["responses"]).encode("utf-8", "backslashreplace")
    yield "responses_sha256", sha256(responses).hexdigest()
    for name, value in values.items():
        yield f"measure:{name}", plain(value)
