"""The files of a finished run, checked against its manifest before anything is packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import DIGEST_PREFIX, digest_bytes, digest_file
from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import PARTIAL_SUFFIX
from fmaudit.evidence.directory import AUDIT_FILE, MANIFEST_FILE, RUN_FILE
from fmaudit.pack.faults import PackFault
from fmaudit.pack.json_text import read_object
from fmaudit.pack.paths import walk
from fmaudit.pack.records import GateRecord, is_gate_record, read_gate, read_run
from fmaudit.schema import read_audit

MANIFEST_SCHEMA = "fmaudit/manifest/1"
_MADE_HERE = ("attestations/", "subjects/", "environment.json", "redactions.json")


@dataclass(frozen=True)
class RunFiles:
    """A finished run as it lies on disk.

    ``digests``: hex SHA-256 of every file but the manifest itself, by its name in the run.
    """

    path: Path
    state: Mapping[str, Any]
    digests: Mapping[str, str]
    gates: tuple[GateRecord, ...]


def read_run_files(run: Path) -> RunFiles:
    """Read a run and hold it against its manifest.

    Raises UsageError, naming the file, for a folder that is no run, an unfinished run, a file that was
    changed, added or removed since, and a gate record without its policy.
    """
    try:
        return _read(run)
    except PackFault as fault:
        raise UsageError(f"{run.name}: {fault}; make it anew, or pack another run") from None


def _read(run: Path) -> RunFiles:
    if not (run / RUN_FILE).is_file():
        raise UsageError(f"{run.name} has no {RUN_FILE}: it is not a run directory")
    state = read_run((run / RUN_FILE).read_bytes(), RUN_FILE)
    if not state["finished"] or not (run / AUDIT_FILE).is_file():
        raise UsageError(f"{run.name} is not finished: repeat the fmaudit run command, then pack it")
    digests = _checked(run)
    read_audit(run)
    gates = tuple(_gate(run, name, digests) for name in digests if is_gate_record(name))
    return RunFiles(run, state, digests, gates)


def _checked(run: Path) -> dict[str, str]:
    if not (run / MANIFEST_FILE).is_file():
        raise UsageError(
            f"{run.name} has no {MANIFEST_FILE}: repeat fmaudit report {run.name}, which writes it"
        )
    listed = _listed(run)
    found = walk(run)
    if found.faults:
        raise UsageError(f"{run.name}: {found.faults[0]}; it cannot be packed")
    for name in sorted({*found.files, *listed} - {MANIFEST_FILE}):
        if name.startswith(_MADE_HERE):
            raise UsageError(f"{run.name}: {name} has the name of a file that packing makes: move it away")
        if name.endswith(PARTIAL_SUFFIX):
            raise UsageError(f"{run.name}: {name} was left by an interrupted command: repeat that command")
        if name not in listed:
            raise UsageError(
                f"{run.name}: {name} is not in {MANIFEST_FILE}: move it out of the run, or, if it belongs, "
                f"repeat fmaudit report {run.name}, which writes the manifest anew"
            )
        if name not in found.files:
            raise UsageError(f"{run.name}: {name} of {MANIFEST_FILE} is missing: restore it, or run anew")
        if digest_file(run / name) != listed[name]:
            raise UsageError(f"{run.name}: {name} was changed since {MANIFEST_FILE} was written: restore it")
    return {name: digest.removeprefix(DIGEST_PREFIX) for name, digest in sorted(listed.items())}


def _listed(run: Path) -> dict[str, str]:
    fields = read_object((run / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)
    files = fields.get("files")
    if fields.get("schema") != MANIFEST_SCHEMA or not isinstance(files, dict):
        raise PackFault(MANIFEST_FILE, f"lists no files ({MANIFEST_SCHEMA})")
    return {str(name): str(digest) for name, digest in files.items()}


def _gate(run: Path, name: str, digests: Mapping[str, str]) -> GateRecord:
    record = read_gate((run / name).read_bytes(), name)
    if f"gate/{record.stem}.policy.yaml" not in digests or name != f"gate/{record.stem}.json":
        raise UsageError(
            f"{run.name}: {name} has no policy beside it: repeat fmaudit gate {run.name} with that policy, "
            "or remove the record and repeat fmaudit report"
        )
    own = digest_bytes((run / AUDIT_FILE).read_bytes())
    if record.audit and record.audit != own:
        raise UsageError(
            f"{run.name}: {name} is of an earlier {AUDIT_FILE}: repeat fmaudit gate with that policy"
        )
    return record
