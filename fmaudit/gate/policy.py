"""The policy file: which numbers may not leave which limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fmaudit.canonical import digest
from fmaudit.errors import UsageError
from fmaudit.resources import shipped_folder

SCHEMA = "fmaudit/policy/1"
Tier = Literal["block", "warn", "monitor"]
Location = tuple[str | int, ...]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Defaults(_Section):
    """What holds for every rule. ``confidence`` is one-sided; ``min_n`` counts items."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_n: int = Field(default=30, ge=1)
    on_missing: Literal["inconclusive"] = "inconclusive"


class AgainstBase(_Section):
    """How far the adapted model's number may move from its base's, in the metric's own unit."""

    max_increase: float | None = Field(default=None, ge=0)
    max_decrease: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _has_limit(self) -> AgainstBase:
        if self.max_increase is None and self.max_decrease is None:
            raise ValueError("give max_increase, max_decrease or both")
        return self


class Rule(_Section):
    """Limits of one metric. ``min`` and ``max`` bound the number, ``vs_base`` its change.

    Numbers imported from another tool's log pass only with ``accept_imported``.
    With ``contrast`` they bound that contrast (within the subject, and from base
    to adapted) instead of the metric.
    """

    id: str = Field(min_length=1)
    metric: str = Field(pattern=r"^[^/\s]+/[^/\s]+$")
    variant: str | None = None
    dataset: str | None = None
    subject: str = "adapted"
    slice: dict[str, str] = Field(default_factory=dict)
    min: float | None = None
    max: float | None = None
    vs_base: AgainstBase | None = None
    contrast: str | None = None
    tier: Tier = "block"
    accept_imported: bool = False
    min_n: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _has_consistent_limits(self) -> Rule:
        if self.min is None and self.max is None and self.vs_base is None:
            raise ValueError("no limit: give min, max or vs_base")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"contradictory limits: min {self.min:g} is above max {self.max:g}")
        if self.contrast is not None and self.slice:
            raise ValueError("a contrast names its own slices: remove slice")
        if self.vs_base is not None and self.subject == "base":
            raise ValueError("vs_base needs an adapted subject, not base")
        return self


class MetricMargins(_Section):
    """Margins of one metric's verdicts: ``eps``, tolerated defect; ``delta``, the change that matters."""

    eps: float | None = Field(default=None, ge=0, lt=1)
    delta: float | None = Field(default=None, gt=0, lt=1)


class Policy(_Section):
    """The whole file. ``margins`` count where the policy was given to the run itself, before it measured."""

    schema_: Literal["fmaudit/policy/1"] = Field(alias="schema")
    id: str = Field(min_length=1)
    description: str = ""
    defaults: Defaults = Defaults()
    margins: dict[str, MetricMargins] = Field(default_factory=dict)
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_unique_ids(self) -> Policy:
        ids = [rule.id for rule in self.rules]
        twice = next((id for id in ids if ids.count(id) > 1), None)
        if twice is not None:
            raise ValueError(f"two rules have the id {twice!r}")
        return self


@dataclass(frozen=True)
class PolicyFile:
    """A policy with its digest (of its meaning, not of its layout) and its line numbers."""

    policy: Policy
    name: str
    digest: str
    lines: Mapping[Location, int]

    def check_margins(self, known: Collection[str]) -> None:
        """Raise UsageError where margins are declared for a metric that is not in ``known``."""
        for metric in self.policy.margins:
            if metric not in known:
                line = _line_of(self.lines, ("margins", metric))
                own = ", ".join(sorted(k for k in known if k.partition("/")[0] == metric.partition("/")[0]))
                hint = f"its probe has {own}" if own else "see fmaudit ls probes"
                raise UsageError(f"{self.name}, line {line}: margins of unknown metric {metric!r}: {hint}")

    def refuse(self, rule: int, field: str, problem: str) -> NoReturn:
        """Raise UsageError that points at a field of a rule."""
        line = _line_of(self.lines, ("rules", rule, field))
        raise UsageError(f"{self.name}, line {line}: rule {self.policy.rules[rule].id!r}: {problem}")


def load_policy(path: Path) -> PolicyFile:
    """Read and check a policy file, or a shipped policy by its bare name.

    Raises UsageError with the line of the first problem.
    """
    shipped = shipped_folder("templates") / "policies" / f"{path}.yaml"
    if not path.exists() and path.name == str(path) and shipped.is_file():
        path = shipped
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read policy {path.name}: {error.strerror}; check --policy") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"policy {path.name} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    return parse_policy(text, path.name)


def parse_policy(text: str, name: str = "policy") -> PolicyFile:
    """Check the text of a policy. Raises UsageError with the line of the first problem."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise UsageError(f"{name}{place}: {problem}; correct the file") from None
    if tree is None or not data:
        raise UsageError(f"{name} is empty: a policy needs schema, id and at least one rule")
    lines: dict[Location, int] = {}
    _collect_lines(tree, (), lines, name)
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        raise UsageError(_explain(error, lines, name)) from None
    return PolicyFile(policy, name, digest(_meaning(policy)), lines)


def _meaning(policy: Policy) -> dict[str, Any]:
    # A field that changes nothing leaves the digests of policies locked before it existed as they were.
    plain = policy.model_dump(mode="json", by_alias=True)
    for rule in plain["rules"]:
        if not rule["accept_imported"]:
            del rule["accept_imported"]
    return plain


def _explain(error: ValidationError, lines: Mapping[Location, int], name: str) -> str:
    first = error.errors()[0]
    location = tuple(part for part in first["loc"])
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = "unknown field"
    elif first["type"] == "missing":
        problem = "missing"
    field = ".".join(str(part) for part in location) or "file"
    return f"{name}, line {_line_of(lines, location)}: {field}: {problem}"


def _line_of(lines: Mapping[Location, int], location: Location) -> int:
    while location and location not in lines:
        location = location[:-1]
    return lines.get(location, 1)


def _collect_lines(node: Any, location: Location, lines: dict[Location, int], name: str) -> None:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*location, str(key.value))
            if place in lines:
                raise UsageError(f"{name}, line {key.start_mark.line + 1}: {key.value} is given twice")
            lines[place] = key.start_mark.line + 1
            _collect_lines(value, place, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*location, index), lines, name)
