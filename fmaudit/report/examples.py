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

    The most severe rows of each probe, defects first; where there is an audit also the flipped
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
    """The most severe answers over all subjects; of two alike, that of an adapted one."""
    ordered = sorted(records, key=lambda entry: (roles.get(entry["subject"]) != "adapted", entry["subject"]))
    tables = [rows.table(record["subject"], record["key"]) for record in ordered]
    binary = any(not np.isnan(_column(table, "outcome")).all() for table in tables)
    # Rank first, then measurement and row: a stable order that the same rows give again.
    ranked = sorted(
        (mild, grade, place, row)
        for place, table in enumerate(tables)
        for mild, grade, row in _ranked(table, binary=binary)[:MAX_EXAMPLES]
    )[:MAX_EXAMPLES]
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for place, record in enumerate(ordered):
        chosen = [row for _, _, at, row in ranked if at == place]
        if chosen:
            read = _read(rows, record["subject"], record["key"], tables[place].take(chosen))
            found |= {(place, row): one for row, one in zip(chosen, read, strict=True)}
    declared = binary or any("outcome" in table.column_names for table in tables)
    return EvidenceSample(
        probe,
        [found[place, row] for _, _, place, row in ranked],
        sum(table.num_rows for table in tables),
        declared,
    )


def _ranked(table: pa.Table, *, binary: bool) -> list[tuple[float, float, int]]:
    """Rows as (0 for a defect, else 1; severity negated; row), the worst first.

    Where the probe has outcomes, rows without one are left out: nothing was found of them.
    """
    outcome, severity = _column(table, "outcome"), _column(table, "severity")
    places = np.flatnonzero(~np.isnan(outcome)) if binary else np.arange(table.num_rows)
    mild = (outcome[places] != 1).astype(float) if binary else np.ones(len(places))
    grade = -np.where(np.isnan(severity[places]), -np.inf, severity[places])
    order = np.lexsort((places, grade, mild))[:MAX_EXAMPLES]
    return [(float(mild[at]), float(grade[at]), int(places[at])) for at in order]


def _column(table: pa.Table, name: str) -> np.ndarray:
    return numbers_of(table[name]) if name in table.column_names else np.full(table.num_rows, np.nan)


def _read(rows: RunRows, subject: str, key: str, table: pa.Table) -> list[dict[str, Any]]:
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
