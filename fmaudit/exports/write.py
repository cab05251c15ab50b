"""Exports into the run directory or where the user says, each file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.evidence.directory import RUN_FILE, RunDirectory
from fmaudit.exports.common import ExportFile, ExportSource, source_of
from fmaudit.schema import read_audit

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
FOLDER = "exports"
_SINGLE = ("ml-bom", "croissant")


def _ml_bom(source: ExportSource, run: Path, reveal: bool) -> list[ExportFile]:
    from fmaudit.exports.ml_bom import export_ml_bom

    return export_ml_bom(source)


def _every_eval_ever(source: ExportSource, run: Path, reveal: bool) -> list[ExportFile]:
    from fmaudit.exports.every_eval_ever import export_every_eval_ever
    from fmaudit.exports.evidence import evidence_rows

    return export_every_eval_ever(source, evidence_rows(run), reveal)


def _croissant(source: ExportSource, run: Path, reveal: bool) -> list[ExportFile]:
    from fmaudit.exports.croissant import evidence_parts, export_croissant

    parts = evidence_parts(run)
    if not parts:
        raise UsageError(f"{run.name} holds no evidence that Croissant could describe: name a run directory")
    return export_croissant(source, parts)


def _harness(source: ExportSource, run: Path, reveal: bool) -> list[ExportFile]:
    from fmaudit.exports.evidence import evidence_rows
    from fmaudit.exports.harness_results import export_harness

    return export_harness(source, evidence_rows(run), reveal)


_MAKERS: Mapping[str, Callable[[ExportSource, Path, bool], list[ExportFile]]] = {
    "ml-bom": _ml_bom,
    "every-eval-ever": _every_eval_ever,
    "croissant": _croissant,
    "harness": _harness,
}
FORMATS = tuple(_MAKERS)


def write_exports(
    run: Path, formats: Sequence[str], output: Path | None = None, reveal: bool = False
) -> list[Path]:
    """Write a run's exports and return the files written.

    Args:
        run: A finished run directory.
        formats: Of ``FORMATS``.
        output: A file (formats of one file), or a folder; the run's own place when None.
        reveal: Put generated text into the formats that hold any, in folders of their own name.

    Raises:
        UsageError: for an unknown format, a run without ``audit.json``, no time
            where the format requires one, or several formats into one file.
        ExecutionError: where a file cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(
            f"unknown export format {(unknown or ['nothing'])[0]!r}: choose from {', '.join(FORMATS)}"
        )
    if not run.is_dir():
        raise UsageError(f"{run.name} is not a run directory: name the folder of a finished run")
    source = source_of(read_audit(run), moment_of(run, os.environ))
    names = list(dict.fromkeys(formats))
    written: list[Path] = []
    for name in names:
        made = _MAKERS[name](source, run, reveal)
        for path, data in _places(name, made, run, output, alone=len(names) == 1, reveal=reveal):
            write_atomically(path, data)
            written.append(path)
    return written


def moment_of(run: Path, environment: Mapping[str, str]) -> int | None:
    """Seconds since 1970 that stand for the audit's time.

    ``SOURCE_DATE_EPOCH`` where it is set, else the end of the run's last session;
    None where neither is known. Raises UsageError for a value that is no number.
    """
    given = environment.get(EPOCH_VARIABLE, "").strip()
    if given:
        if not given.isascii() or not given.isdigit() or len(given) > 11:
            raise UsageError(f"{EPOCH_VARIABLE} wants whole seconds since 1970, got {given!r}")
        return int(given)
    if not (run / RUN_FILE).is_file():
        return None
    sessions = (RunDirectory(run).read_state() or {}).get("sessions")
    ends = [_seconds(entry.get("ended")) for entry in sessions or () if isinstance(entry, Mapping)]
    known = [end for end in ends if end is not None]
    return max(known, default=None)


def _seconds(text: Any) -> int | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return int(moment.timestamp()) if moment and moment.tzinfo else None


def _places(
    name: str, made: Sequence[ExportFile], run: Path, output: Path | None, *, alone: bool, reveal: bool
) -> list[tuple[Path, bytes]]:
    if name in _SINGLE:
        return [(_single_place(name, file, run, output, alone), file.data) for file in made]
    if output is not None and output.is_file():
        raise UsageError(f"{name} writes several files and {output.name} is a file: name a folder with -o")
    # Revealed text never replaces the redacted files.
    folder = (output or run / FOLDER) / (f"{name}-revealed" if reveal else name)
    return [(folder.joinpath(*file.name.split("/")), file.data) for file in made]


def _single_place(name: str, file: ExportFile, run: Path, output: Path | None, alone: bool) -> Path:
    if output is None:
        # A Croissant file describes the folder it lies in, so its relative paths begin at the run.
        return run / file.name if name == "croissant" else run / FOLDER / file.name
    if output.is_dir() or not output.suffix:
        return output / file.name
    if not alone:
        raise UsageError(f"several formats do not fit into the file {output.name}: name a folder with -o")
    return output
