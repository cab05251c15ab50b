"""The fields of ``run.json`` that its readers rely on; what else it holds is the writer's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmaudit.schema import DatasetRef, InstrumentCard, Subject


class _Part(BaseModel):
    # Strict: a number that became a text is damage, not another spelling.
    model_config = ConfigDict(extra="allow", strict=True)


class _Measurement(_Part):
    subject: str
    key: str
    probe: str
    version: int
    variant: str
    state: Literal["measured", "unmeasured", "unmeasurable", "failed"]
    reason: str
    partial: bool
    protocol: dict[str, Any]
    instruments: list[str]
    dataset: DatasetRef | None


class _Session(_Part):
    begun: str = ""
    ended: str = ""
    tool: dict[str, str] | None = None
    environment: dict[str, Any] | None = None


class _Extension(_Part):
    looks: int = Field(default=0, ge=0)


class _Policy(_Part):
    digest: str
    id: str
    margins: dict[str, dict[str, Any]] = {}


class _Plan(_Part):
    seed: int = Field(ge=0, lt=2**63)
    limit: int | None = None
    measurements: dict[str, Any] = {}
    subjects: dict[str, Any] = {}


class _RunFile(_Part):
    plan: _Plan
    subjects: list[Subject]
    measurements: list[_Measurement]
    sessions: list[_Session] = []
    extensions: list[_Extension] = []
    instruments: list[InstrumentCard]
    tool: dict[str, str]
    policy: _Policy | None = None
    context: dict[str, Any] | None = None
    retests: list[str] = []
    mixed: list[str] = []
    looks: int = Field(default=0, ge=0)
    finished: bool = False


def damage(state: object) -> str:
    """What is wrong with the content of a ``run.json``, as ``place: what``; empty where nothing is."""
    try:
        run = _RunFile.model_validate(state)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        return f"{place}: {first['msg'].lower()}"
    named = {subject.id for subject in run.subjects}
    if len(named) < len(run.subjects):
        return "subjects: an id stands twice"
    for number, entry in enumerate(run.measurements):
        if entry.subject not in named:
            return f"measurements.{number}.subject: no subject has this id"
        if entry.state == "measured" and entry.dataset is None:
            return f"measurements.{number}.dataset: what is measured has one"
    return ""
