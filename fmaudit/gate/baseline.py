"""The baseline of the last release: what a later run is compared with, checked when it is opened.

Layout of its folder::

    baseline.json     which audit, why it was taken, its gate verdicts, what it replaced, sha256 of every file
    run/              run.json, audit.json, gate records, rows of evidence without generated text
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmaudit.canonical import digest_bytes, digest_file
from fmaudit.errors import UsageError
from fmaudit.evidence.directory import AUDIT_FILE, RUN_FILE, RunDirectory
from fmaudit.schema import read_audit

SCHEMA: Final = "fmaudit/baseline/1"
BASELINE_FILE = "baseline.json"
RUN_FOLDER = "run"
DEFAULT_BASELINE = Path(".fmaudit") / "baseline"
_AGAIN = "restore it, or set the baseline again (fmaudit baseline set)"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GateVerdict(_Section):
    """One gate record of the run: its policy, verdict, and the audit it was taken on."""

    policy: str
    digest: str
    verdict: str
    looks: int
    audit: str


class BaselineSubject(_Section):
    """One model of the release."""

    id: str
    role: str
    name: str
    digest: str


class Replaced(_Section):
    """A baseline that stood here before."""

    audit: str
    reason: str
    accepted_failed: str


class BaselineRecord(_Section):
    """The content of ``baseline.json``. ``accepted_failed``: why it was taken without a passed gate.

    ``files``: sha256 by path from the baseline's folder. ``history``: what was replaced, the oldest first.
    """

    schema_: Literal["fmaudit/baseline/1"] = Field(default=SCHEMA, alias="schema")
    tool: dict[str, str]
    audit: str
    subjects: list[BaselineSubject]
    gates: list[GateVerdict]
    reason: str
    accepted_failed: str
    files: dict[str, str]
    history: list[Replaced]

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    def to_bytes(self) -> bytes:
        """Sorted and indented, to be read in a review."""
        plain = self.model_dump(mode="json", by_alias=True)
        return (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


@dataclass(frozen=True)
class Baseline:
    """A checked baseline. ``digest`` is that of ``baseline.json``, which lists every file's."""

    path: Path
    digest: str
    record: BaselineRecord

    @property
    def directory(self) -> RunDirectory:
        """The run as it was kept."""
        return RunDirectory(self.path / RUN_FOLDER)

    @property
    def subjects(self) -> dict[str, str]:
        """Digests of its models by id."""
        return {subject.id: subject.digest for subject in self.record.subjects}


def open_baseline(path: Path) -> Baseline:
    """Open a baseline and check every byte of it.

    Raises:
        UsageError: It is no baseline, or a file of it is missing, changed or was added; names the file.
    """
    data = _read(path)
    record = parse_record(data, path)
    for name, digest in sorted(record.files.items()):
        _check_file(path, name, digest)
    kept = path / RUN_FOLDER
    found = {place.relative_to(path).as_posix() for place in kept.rglob("*") if not _plain_folder(place)}
    added = sorted(found - set(record.files))
    if added:
        raise UsageError(f"baseline {path.name}: {added[0]} was added since it was set: {_AGAIN}")
    _check_agreement(path, record)
    return Baseline(path, digest_bytes(data), record)


def parse_record(data: bytes, path: Path) -> BaselineRecord:
    """The content of a ``baseline.json``. Raises UsageError for any other content."""
    try:
        return BaselineRecord.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise UsageError(
            f"{BASELINE_FILE} of {path.name} is not a baseline: {place}: {first['msg']}: {_AGAIN}"
        ) from None


def run_or_baseline(path: Path) -> RunDirectory:
    """The run directory that ``path`` is, or that the baseline in it keeps, which is then checked."""
    return open_baseline(path).directory if (path / BASELINE_FILE).is_file() else RunDirectory(path)


def inside(name: str) -> bool:
    """Whether a listed path stays inside the folder it is relative to."""
    place = PurePosixPath(name)
    return bool(place.parts) and not place.is_absolute() and ".." not in place.parts and "\\" not in name


def _read(path: Path) -> bytes:
    try:
        return (path / BASELINE_FILE).read_bytes()
    except OSError:
        pass
    if (path / RUN_FILE).is_file():
        raise UsageError(
            f"{path.name} is a run, not a baseline: fmaudit baseline set {path.name} -o DIR makes one of it"
        )
    raise UsageError(
        f"no baseline in {path.name}: fmaudit baseline set RUN -o DIR makes one of the run of a release"
    )


def _check_file(path: Path, name: str, digest: str) -> None:
    place = path / name
    if not inside(name) or PurePosixPath(name).parts[0] != RUN_FOLDER:
        raise UsageError(f"{BASELINE_FILE} of {path.name} lists {name!r}, which is not in it: {_AGAIN}")
    if place.is_symlink() or not place.is_file():
        raise UsageError(f"baseline {path.name}: {name} is missing: {_AGAIN}")
    try:
        found = digest_file(place)
    except OSError as error:
        raise UsageError(f"baseline {path.name}: {name} cannot be read: {error.strerror or error}") from None
    if found != digest:
        raise UsageError(f"baseline {path.name}: {name} changed since it was set: {_AGAIN}")


def _check_agreement(path: Path, record: BaselineRecord) -> None:
    """What ``baseline.json`` says of the audit has to be what the audit says."""
    if record.files.get(f"{RUN_FOLDER}/{AUDIT_FILE}") != record.audit:
        raise UsageError(f"{BASELINE_FILE} of {path.name} names another audit than it keeps: {_AGAIN}")
    subjects = [
        BaselineSubject(id=one.id, role=one.role, name=one.name, digest=one.digest)
        for one in read_audit(path / RUN_FOLDER).subjects
    ]
    if subjects != record.subjects:
        raise UsageError(f"{BASELINE_FILE} of {path.name} names other models than its audit: {_AGAIN}")


def _plain_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()
