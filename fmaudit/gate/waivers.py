"""Waivers: somebody answers by name, for one model and a limited time, for one finding that does not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, NoReturn

from pydantic import Field, model_validator

from fmaudit.errors import UsageError
from fmaudit.gate.finding import Finding
from fmaudit.gate.policy_model import Section, Slice
from fmaudit.gate.verdict import Limit, span
from fmaudit.gate.yaml_file import Location, line_of, read_yaml, validated

SCHEMA = "fmaudit/waivers/1"


class Waiver(Section):
    """One waiver. Dates are days, and a waiver still holds on the day it expires.

    ``max_value`` is the worst value that it covers, in the metric's own unit (a change for a
    rule on changes): the whole interval has to lie within it. A waiver of an inheritance
    verdict has none and names the ``word`` instead.
    """

    id: str = Field(min_length=1)
    rule: str = Field(min_length=1)
    subject: str = Field(default="adapted", min_length=1)
    variant: str | None = None
    dataset: str | None = None
    kind: str | None = None
    slice: Slice = Field(default_factory=dict)
    model_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    reason: str = Field(min_length=10)
    approved_by: str = Field(min_length=1)
    requested_by: str | None = None
    created: date = Field(strict=False)
    expires: date = Field(strict=False)
    max_value: float | None = None
    word: str | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Waiver:
        if self.expires < self.created:
            raise ValueError("it expires before it was created")
        if (self.max_value is None) == (self.word is None):
            raise ValueError(
                "give max_value, the worst value it covers (or word, for an inheritance verdict)"
            )
        if self.requested_by is not None and self.requested_by.strip() == self.approved_by.strip():
            raise ValueError("nobody approves a waiver of their own: name another approver")
        if "*" in (self.rule, self.subject, *self.slice.values()):
            raise ValueError("over-broad: a waiver covers one finding, '*' is not allowed")
        return self


class Waivers(Section):
    """The whole file."""

    schema_: Literal["fmaudit/waivers/1"] = Field(alias="schema")
    waivers: list[Waiver]

    @model_validator(mode="after")
    def _has_unique_ids(self) -> Waivers:
        ids = [waiver.id for waiver in self.waivers]
        twice = next((id for id in ids if ids.count(id) > 1), None)
        if twice is not None:
            raise ValueError(f"two waivers have the id {twice!r}")
        return self


@dataclass(frozen=True)
class WaiverFile:
    """Waivers with the lines they stand on."""

    waivers: tuple[Waiver, ...]
    name: str
    lines: Mapping[Location, int]
    text: str

    def refuse(self, place: int, problem: str, field: str = "") -> NoReturn:
        """Raise UsageError that points at a waiver."""
        line = line_of(self.lines, ("waivers", place, field) if field else ("waivers", place))
        raise UsageError(f"{self.name}, line {line}: waiver {self.waivers[place].id!r}: {problem}")


def load_waivers(path: Path) -> WaiverFile:
    """Read and check a file of waivers. Raises UsageError with the line of the first problem."""
    text, data, lines = read_yaml(path, "waivers", "--waivers")
    found = validated(Waivers, data, lines, path.name)
    return WaiverFile(tuple(found.waivers), path.name, lines, text)


def apply_waivers(
    findings: Sequence[Finding], file: WaiverFile, today: date, longest_days: int
) -> tuple[list[Finding], list[tuple[Waiver, str]]]:
    """The findings with those that are waived marked, and each waiver with its finding's fingerprint.

    Raises UsageError, with the line, for a waiver that is expired, not yet valid, too long,
    of another model, unused, or that covers several findings.
    """
    marked = list(findings)
    used: list[tuple[Waiver, str]] = []
    for place, waiver in enumerate(file.waivers):
        _check_dates(file, place, waiver, today, longest_days)
        place_of = _only_match(file, place, waiver, marked)
        finding = marked[place_of]
        if finding.model_digest != waiver.model_digest:
            problem = f"it is of another model; {finding.subject} of this run is {finding.model_digest}"
            file.refuse(place, problem, "model_digest")
        if finding.waiver:
            file.refuse(place, f"waiver {finding.waiver!r} covers the same finding: remove one")
        if finding.verdict == "pass":
            file.refuse(place, "unused: the finding passes without it; remove it")
        marked[place_of] = _covered(finding, waiver)
        used.append((waiver, finding.fingerprint))
    return marked, used


def _check_dates(file: WaiverFile, place: int, waiver: Waiver, today: date, longest_days: int) -> None:
    if today < waiver.created:
        problem = f"created on {waiver.created}, and this machine's clock says {today}: set the clock"
        file.refuse(place, problem, "created")
    if today > waiver.expires:
        file.refuse(place, f"expired on {waiver.expires}: mitigate, or have it renewed", "expires")
    days = (waiver.expires - waiver.created).days
    if days > longest_days:
        problem = f"over-broad: it holds for {days} days, the policy allows {longest_days}"
        file.refuse(place, problem, "expires")


def _only_match(file: WaiverFile, place: int, waiver: Waiver, findings: Sequence[Finding]) -> int:
    matches = [index for index, finding in enumerate(findings) if _matches(waiver, finding)]
    if not matches:
        file.refuse(place, f"unused: no finding of rule {waiver.rule!r} is of that subject and slice", "rule")
    if len(matches) > 1:
        told_apart = sorted(
            {
                f"{name}: {getattr(findings[index], name)}"
                for index in matches
                for name in ("variant", "dataset", "kind")
            }
        )
        problem = f"over-broad: it covers {len(matches)} findings; name one of {', '.join(told_apart)}"
        file.refuse(place, problem, "rule")
    return matches[0]


def _matches(waiver: Waiver, finding: Finding) -> bool:
    named = all(
        getattr(waiver, name) in (None, getattr(finding, name)) for name in ("variant", "dataset", "kind")
    )
    same = (waiver.rule, waiver.subject) == (finding.rule, finding.subject)
    return named and same and dict(waiver.slice) == dict(finding.slice)


def _covered(finding: Finding, waiver: Waiver) -> Finding:
    """The finding as waived, or with the reason why the waiver does not reach far enough."""
    why_not = _beyond_waiver(finding, waiver)
    if why_not:
        return replace(finding, reason=f"{finding.reason}; waiver {waiver.id} does not cover it: {why_not}")
    return replace(
        finding,
        waiver=waiver.id,
        reason=f"{finding.reason}; waived until {waiver.expires} by {waiver.approved_by}: {waiver.reason}",
    )


def _beyond_waiver(finding: Finding, waiver: Waiver) -> str:
    if finding.missing:
        return "what was not measured cannot be waived"
    if finding.kind == "verdict":
        if waiver.word is None:
            return "it names no word"
        return (
            "" if finding.word == waiver.word else f"it covers {waiver.word!r}, the verdict is {finding.word}"
        )
    if waiver.max_value is None:
        return "it names a word and no max_value"
    if finding.number is None or finding.number.lower is None:
        return "what was not measured cannot be waived"
    limit = _relaxed(finding.limit, waiver.max_value)
    low, high = span(finding.number)
    if limit.contains(low, high):
        return ""
    return f"it covers {limit.text()}, the interval is {low:.4g} to {high:.4g}"


def _relaxed(limit: Limit, value: float) -> Limit:
    """The limit with the side that ``value`` lies beyond moved there."""
    if limit.max is not None and value >= limit.max:
        return Limit(limit.min, value)
    if limit.min is not None and value <= limit.min:
        return Limit(value, limit.max)
    return limit
