"""``run.json`` and the gate's records as packs read them, checked at the border; they may be a stranger's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmaudit.pack.faults import PackFault
from fmaudit.pack.json_text import read_object

SCHEMA = "fmaudit/gate/1"
RUN_SCHEMA = "fmaudit/run/1"
_GATE_RECORD = re.compile(r"gate/[^/]+\.json")
_DIGEST = r"^sha256:[0-9a-f]{64}$"


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Subject(_Record):
    id: str
    role: str
    base: str | None = None
    digest: str = ""
    parts: dict[str, str] = {}


class _Dataset(_Record):
    id: str
    n_asked: int


class _Measurement(_Record):
    subject: str
    key: str
    probe: str
    state: str
    variant: str = ""
    dataset: _Dataset | None = None


class _Run(_Record):
    subjects: list[_Subject]
    measurements: list[_Measurement]
    finished: bool
    tool: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    sessions: list[dict[str, Any]] = []


class PolicyRef(_Record):
    """The policy a record was made with; ``digest`` is of its meaning, not of the file's bytes."""

    id: str
    digest: str = Field(pattern=_DIGEST)


class FindingRef(_Record):
    """What names a finding and what it came to."""

    rule: str
    tier: Literal["block", "warn", "monitor"]
    kind: str
    metric: str
    subject: str
    verdict: Literal["pass", "fail", "inconclusive"]
    variant: str = ""
    dataset: str = ""
    slice: dict[str, str] = {}
    contrast: str = ""
    waiver: str = ""


class _Gate(_Record):
    policy: PolicyRef
    verdict: Literal["pass", "fail", "inconclusive", "nothing evaluated"]
    audit: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    findings: list[FindingRef]
    waivers: list[Any] = []


class _TakenOut(_Record):
    file: str
    hash: str


class _TakenFrom(_TakenOut):
    texts: int


class _Redactions(_Record):
    key: str
    algorithm: str
    evidence: list[_TakenFrom]
    left_out: list[_TakenOut]
    levels: dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class GateRecord:
    """One record: what packs need of it, and the findings as they were written."""

    policy: PolicyRef
    verdict: str
    audit: str
    findings: tuple[FindingRef, ...]
    waivers: int
    raw_findings: tuple[Mapping[str, Any], ...]

    @property
    def stem(self) -> str:
        """The file name of the record without its ending: the hex digest of the policy."""
        return self.policy.digest.rpartition(":")[2]


def is_gate_record(name: str) -> bool:
    """Whether a file of a run is a verdict on it; records set aside in folders below are of earlier looks."""
    return _GATE_RECORD.fullmatch(name) is not None


def read_run(data: bytes, file: str) -> dict[str, Any]:
    """The content of a run.json. Raises PackFault, naming ``file`` and the field, for another shape."""
    fields = read_object(data, file)
    if fields.get("schema") != RUN_SCHEMA:
        raise PackFault(file, f"describes no run ({RUN_SCHEMA})")
    try:
        _Run.model_validate(fields)
    except ValidationError as error:
        raise PackFault(file, f"describes no run: {_place(error)} is missing or of another kind") from None
    return fields


def read_gate(data: bytes, file: str) -> GateRecord:
    """A record of ``gate/``. Raises PackFault, naming ``file`` and the field, for what is none."""
    fields = read_object(data, file)
    if fields.get("schema") != SCHEMA:
        raise PackFault(file, f"is no record of a gate ({SCHEMA})")
    try:
        found = _Gate.model_validate(fields)
    except ValidationError as error:
        raise PackFault(
            file, f"is no record of a gate: {_place(error)} is missing or of another kind"
        ) from None
    return GateRecord(
        found.policy,
        found.verdict,
        found.audit,
        tuple(found.findings),
        len(found.waivers),
        tuple(fields["findings"]),
    )


def read_redactions(data: bytes, file: str) -> dict[str, Any]:
    """The content of a redactions.json. Raises PackFault, naming ``file`` and the field, for what is none."""
    fields = read_object(data, file)
    try:
        _Redactions.model_validate(fields)
    except ValidationError as error:
        raise PackFault(
            file, f"does not say what was taken out: {_place(error)} is missing or of another kind"
        ) from None
    return fields


def _place(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.errors()[0]["loc"])
