"""A few rows of each probe for the report's evidence section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.evidence.responses import decode_responses
from fmaudit.evidence.rows import REASON_SUFFIX, read_parts
from fmaudit.report.evidence import MAX_EXAMPLES, EvidenceSample
from fmaudit.report.flip_rows import flip_samples
from fmaudit.report.flips import FlipSample
from fmaudit.requests import Generations
from fmaudit.schema import read_audit


def evidence_samples(run: RunDirectory) -> list[EvidenceSample | FlipSample]:
    """The most severe rows of each probe, adapted subjects first, and the flipped items of each comparison.

    Generated text is given as it is, to be redacted.
    """
    state = run.read_state() or {}
    roles = {entry["id"]: entry["role"] for entry in state.get("subjects", [])}
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for record in state.get("measurements", []):
        if record["state"] == "measured":
            grouped.setdefault(record["probe"], []).append(record)
    samples: list[EvidenceSample | FlipSample] = [
        _sample(run, probe, records, roles) for probe, records in sorted(grouped.items())
    ]
    # Which items flipped is a question about comparisons, which the audit holds.
    return samples + list(flip_samples(run, read_audit(run.path))) if _audited(run) else samples


def _audited(run: RunDirectory) -> bool:
    return (run.path / AUDIT_FILE).is_file()


def _sample(
    run: RunDirectory, probe: str, records: Sequence[Mapping[str, Any]], roles: Mapping[str, str]
) -> EvidenceSample:
    rows: list[dict[str, Any]] = []
    total = 0
    for record in sorted(
        records, key=lambda entry: (roles.get(entry["subject"]) != "adapted", entry["subject"])
    ):
        table = read_parts(run.evidence(record["subject"], record["key"])).to_pylist()
        total += len(table)
        ranked = sorted(table, key=lambda row: -_severity(row))
        rows += [_example(record["subject"], row) for row in ranked[: max(2, MAX_EXAMPLES // len(records))]]
    return EvidenceSample(probe, rows[:MAX_EXAMPLES], total)


def _severity(row: Mapping[str, Any]) -> float:
    severity = row.get("severity")
    return float("-inf") if severity is None else float(severity)


def _example(subject: str, row: Mapping[str, Any]) -> dict[str, Any]:
    texts = [
        sample.text
        for response in decode_responses(row["responses"])
        if isinstance(response, Generations)
        for sample in response.samples
    ]
    return {
        "subject": subject,
        "item_id": row["item_id"],
        "sample": row["sample"],
        "outcome": row.get("outcome"),
        "severity": row.get("severity"),
        "text": texts[0] if texts else None,
        "reason": row.get("outcome" + REASON_SUFFIX, ""),
    }
