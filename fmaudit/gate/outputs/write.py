"""The outputs of a gate as files: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.gate.outputs.gitlab import code_quality
from fmaudit.gate.outputs.junit import junit
from fmaudit.gate.outputs.openmetrics import metrics, openmetrics
from fmaudit.gate.outputs.sarif import sarif
from fmaudit.gate.outputs.step_summary import SUMMARY_LIMIT, step_summary
from fmaudit.gate.outputs.words import Record


@dataclass(frozen=True)
class Outputs:
    """Which files are wanted; None leaves one out. The names are those of the command's options."""

    junit: Path | None = None
    sarif: Path | None = None
    code_quality: Path | None = None
    metrics: Path | None = None
    openmetrics: Path | None = None
    summary: Path | None = None

    def wanted(self) -> dict[str, Path]:
        """The files by option name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in named.items() if path is not None}

    def check(self) -> None:
        """Raise UsageError where a file would replace a folder, or another output."""
        taken: dict[Path, str] = {}
        for name, path in self.wanted().items():
            option = f"--{name.replace('_', '-')}"
            if path.is_dir():
                raise UsageError(f"{option} {path} is a folder: name a file in it")
            other = taken.setdefault(path.resolve(), option)
            if other != option:
                raise UsageError(f"{other} and {option} name the same file {path}: give each its own")


def write_outputs(record: Record, requested: Outputs, policy_path: str) -> list[Path]:
    """Write the files that are wanted and return their paths.

    ``policy_path``: the policy file relative to the repository (:func:`repository_path`),
    where findings are shown. Raises UsageError before anything is written where two outputs
    collide, ExecutionError where a file cannot be written.
    """
    requested.check()
    render: dict[str, Callable[[], bytes]] = {
        "junit": lambda: junit(record),
        "sarif": lambda: sarif(record, policy_path),
        "code_quality": lambda: code_quality(record, policy_path),
        "metrics": lambda: metrics(record).encode(),
        "openmetrics": lambda: openmetrics(record).encode(),
        "summary": lambda: step_summary(record).encode(),
    }
    files = {path: render[name]() for name, path in requested.wanted().items()}
    for path, data in files.items():
        write_atomically(path, data)
    return list(files)


def append_summary(record: Record, path: Path) -> None:
    """Add the summary to a job's summary file, which other commands of the step may have begun.

    Raises ExecutionError where it cannot be written.
    """
    try:
        used = path.stat().st_size if path.exists() else 0
        text = step_summary(record, SUMMARY_LIMIT - used - 1)
        with path.open("ab") as stream:
            # A blank line, or the heading would belong to what another command wrote.
            stream.write((b"\n" if used and text else b"") + text.encode())
    except OSError as error:
        raise ExecutionError(
            f"cannot append to {path.name}: {error.strerror or error}; check $GITHUB_STEP_SUMMARY"
        ) from error


def repository_path(policy: Path, root: Path) -> str:
    """``policy`` relative to the repository's ``root``, links resolved; its name where it lies elsewhere."""
    try:
        return policy.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return policy.name
