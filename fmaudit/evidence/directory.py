"""The run directory: what is where, what is finished, and its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest_file
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.atomic import PARTIAL_SUFFIX, remove_partial_files, write_atomically
from fmaudit.evidence.lock import LOCK_FILE
from fmaudit.evidence.rows import Row, parquet_bytes, part_counts
from fmaudit.evidence.run_shape import damage
from fmaudit.probe import Measure

RUN_FILE = "run.json"
MANIFEST_FILE = "manifest.json"
AUDIT_FILE = "audit.json"
RETEST_SUFFIX = "#retest"


@dataclass(frozen=True)
class RunDirectory:
    """One audit on disk."""

    path: Path

    def evidence(self, subject: str, key: str) -> Path:
        """Folder of one measurement's parts."""
        return self.path / "evidence" / subject / key

    def has_block(self, subject: str, key: str, block: int) -> bool:
        """Whether a block is finished."""
        return self._part(subject, key, block).is_file()

    def write_block(
        self,
        subject: str,
        key: str,
        block: int,
        rows: Sequence[Row],
        measures: Sequence[Measure],
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Write a finished block and its counts; a killed write leaves nothing that counts."""
        write_atomically(self._part(subject, key, block), parquet_bytes(rows, measures, counts))

    def block_counts(self, subject: str, key: str, block: int) -> dict[str, int]:
        """The counts that a finished block was written with."""
        return part_counts(self._part(subject, key, block))

    def drop_block(self, subject: str, key: str, block: int) -> None:
        """Remove a block, if it is there."""
        self._part(subject, key, block).unlink(missing_ok=True)

    def read_state(self) -> dict[str, Any] | None:
        """The content of ``run.json``; None for a fresh directory. Raises ExecutionError where damaged."""
        path = self.path / RUN_FILE
        if not path.exists():
            return None
        try:
            state = json.loads(path.read_bytes())
        except ValueError:
            raise ExecutionError(
                f"{RUN_FILE} of {self.path.name} is not valid JSON: choose another folder with -o"
            ) from None
        if not isinstance(state, dict):
            raise ExecutionError(
                f"{RUN_FILE} of {self.path.name} is not a run: choose another folder with -o"
            )
        if wrong := damage(state):
            raise ExecutionError(
                f"{RUN_FILE} of {self.path.name} was changed by something else than fmaudit ({wrong}): "
                "bring back a copy of it, or choose another folder with -o"
            )
        return state

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace ``run.json``."""
        write_atomically(self.path / RUN_FILE, _pretty(state))

    def write_manifest(self) -> None:
        """Write the sha256 of every file of the run."""
        files = sorted(
            path
            for path in self.path.rglob("*")
            if path.is_file()
            and path.name not in (MANIFEST_FILE, LOCK_FILE)
            and not path.name.endswith(PARTIAL_SUFFIX)
        )
        listing = {path.relative_to(self.path).as_posix(): digest_file(path) for path in files}
        write_atomically(
            self.path / MANIFEST_FILE, _pretty({"schema": "fmaudit/manifest/1", "files": listing})
        )

    def _part(self, subject: str, key: str, block: int) -> Path:
        return self.evidence(subject, key) / f"part-{block:05d}.parquet"


def retest_key(key: str) -> str:
    """Name of the evidence folder of a measurement's independent replicate."""
    return key + RETEST_SUFFIX


def open_run_directory(path: Path, plan: Mapping[str, Any]) -> tuple[RunDirectory, dict[str, Any]]:
    """Open a fresh directory or the one this very plan was begun in.

    Raises UsageError, naming the field that differs, when another audit lives there.
    """
    run = RunDirectory(path)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path.name} is a file: choose another folder with -o")
    state = run.read_state()
    if state is None:
        if path.is_dir() and any(
            entry.name[:1] != "." for entry in path.iterdir() if not entry.name.endswith(PARTIAL_SUFFIX)
        ):
            raise UsageError(f"folder {path.name} is not empty and holds no run: choose another with -o")
        return run, {}
    field = first_difference(state.get("plan"), plan)
    if field:
        raise UsageError(
            f"folder {path.name} holds another audit (it differs in {field}): "
            "repeat that command, or choose another folder with -o"
        )
    remove_partial_files(path)
    return run, state


def first_difference(old: Any, new: Any, place: str = "") -> str:
    """Where two plain values first differ, as a dotted path; empty when equal."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(set(old) | set(new)):
            found = first_difference(old.get(name), new.get(name), f"{place}.{name}" if place else str(name))
            if found:
                return found
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            found = first_difference(left, right, f"{place}[{index}]")
            if found:
                return found
        return ""
    return "" if old == new else (place or "plan")


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
