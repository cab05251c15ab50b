"""A few rows of each probe for the report's evidence section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.evidence.rows import REASON_SUFFIX
from fmaudit.report.columns import RunRows, numbers_of, run_rows
from fmaudit.report.distribution import ScoreSample
from fmaudit.report.distribution_rows import score_samples
from fmaudit.report.evidence import MAX_EXAMPLES, EvidenceSample
from fmaudit.report.explorer import EncodedRows
from fmaudit.report.explorer_rows import encoded_rows
from fmaudit.report.flip_rows import flip_samples
from fmaudit.report.flips import FlipSample
from fmaudit.schema import read_audit

Evidence: TypeAlias = EvidenceSample | FlipSample | ScoreSample | EncodedRows


def evidence_samples(run: RunDirectory) -> list[Evidence]:
    """What a report shows of the rows, each measurement read once.

    The most severe rows of each probe, adapted subjects first; where there is an audit also the flipped
    items of each comparison, the spread of scores, and all rows encoded for the explorer. Generated text
    is given as it is, to be redacted; the encoded rows hold none.
    """
    state = run.read_state() or {}
    roles = {entry["id"]: entry["role"] for entry in state.get("subjects", [])}
    rows = run_rows(run)
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for record in rows.records.values():
        grouped.setdefault(record["probe"], []).append(record)
    samples: list[Evidence] = [
        _sample(rows, probe, records, roles) for probe, records in sorted(grouped.items())
    ]
    # Which items flipped is a question about comparisons, which the audit holds.
    if _audited(run):
        audit = read_audit(run.path)
        samples += flip_samples(run, audit, rows)
        samples += score_samples(run, audit)
        samples.append(encoded_rows(rows, audit))
    return samples


def _audited(run: RunDirectory) -> bool:
    return (run.path / AUDIT_FILE).is_file()


def _sample(
    rows: RunRows, probe: str, records: Sequence[Mapping[str, Any]], roles: Mapping[str, str]
) -> EvidenceSample:
    found: list[dict[str, Any]] = []
    total = 0
    each = max(2, MAX_EXAMPLES // len(records))
    for record in sorted(
        records, key=lambda entry: (roles.get(entry["subject"]) != "adapted", entry["subject"])
    ):
        subject, key = record["subject"], record["key"]
        table = rows.table(subject, key)
        total += table.num_rows
        if len(found) < MAX_EXAMPLES:
            found += _most_severe(rows, subject, key, table.take(_ranked(table)[:each]))
    return EvidenceSample(probe, found[:MAX_EXAMPLES], total)


def _ranked(table: pa.Table) -> np.ndarray:
    if "severity" not in table.column_names:
        return np.arange(table.num_rows)
    severity = numbers_of(table["severity"])
    return np.argsort(-np.where(np.isnan(severity), -np.inf, severity), kind="stable")


def _most_severe(rows: RunRows, subject: str, key: str, table: pa.Table) -> list[dict[str, Any]]:
    chosen = table.to_pylist()
    texts = rows.texts(subject, key, [(row["item_id"], row["sample"]) for row in chosen])
    return [
        {
            "subject": subject,
            "item_id": row["item_id"],
            "sample": row["sample"],
            "outcome": row.get("outcome"),
            "severity": row.get("severity"),
            "text": texts.get((row["item_id"], row["sample"])),
            "reason": row.get("outcome" + REASON_SUFFIX, ""),
        }
        for row in chosen
    ]
