"""``fmaudit rows``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click

from fmaudit.cli.options import REVEAL_OPTION, RUN_ARGUMENT
from fmaudit.cli.terminals import write_data
from fmaudit.errors import UsageError


@click.command("rows", no_args_is_help=True)
@RUN_ARGUMENT
@click.argument("probe")
@click.option("--subject", help="Only this subject.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@REVEAL_OPTION
def command(run: Path, probe: str, subject: str | None, form: str, reveal: bool) -> None:
    """Export the rows of evidence of PROBE to stdout: every measure, its validity and its reason.

    Responses hold generated text; they are left out unless --reveal is given.
    """
    rows = _rows(run, probe, subject, reveal)
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink, compression="zstd")
        write_data(sink.getvalue())
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(names)
    writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    write_data(stream.getvalue())


def _rows(run: Path, probe: str, subject: str | None, reveal: bool) -> list[dict[str, Any]]:
    from fmaudit.evidence.directory import RunDirectory
    from fmaudit.evidence.rows import read_parts

    directory = RunDirectory(run)
    state = directory.read_state()
    if state is None:
        raise UsageError(f"{run.name} has no run.json: it is not a run directory")
    records = [entry for entry in state["measurements"] if entry["state"] == "measured"]
    chosen = [entry for entry in records if entry["probe"] == probe and subject in (None, entry["subject"])]
    if not chosen:
        known = sorted({f"{entry['probe']} ({entry['subject']})" for entry in records})
        raise UsageError(
            f"no rows of {probe}{f' for {subject}' if subject else ''}; this run has {', '.join(known)}"
        )
    found: list[dict[str, Any]] = []
    for record in chosen:
        for row in read_parts(directory.evidence(record["subject"], record["key"])).to_pylist():
            found.append(_flat(record, row, reveal))
    return found


def _flat(record: dict[str, Any], row: dict[str, Any], reveal: bool) -> dict[str, Any]:
    flat: dict[str, Any] = {"subject": record["subject"], "measurement": record["key"]}
    for name, value in row.items():
        if name in ("clusters", "slices"):
            flat[name] = json.dumps(dict(value), ensure_ascii=False, sort_keys=True)
        elif name != "responses" or reveal:
            flat[name] = value
    for name in ("outcome", "severity"):
        flat.setdefault(name, None)
    return flat


def _cell(value: Any) -> Any:
    # A number is no formula, however it begins.
    from fmaudit.report.escape import csv_cell, visible

    return csv_cell(visible(value, keep_lines=True)) if isinstance(value, str) else value
