"""The policy file: read, checked, with its digest and the line of every field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fmaudit.canonical import digest
from fmaudit.errors import UsageError
from fmaudit.gate.policy_model import Policy
from fmaudit.gate.yaml_file import Location, line_of, parse_yaml, read_yaml, validated
from fmaudit.resources import shipped_folder

STARTERS = ("release", "strict", "exploratory")
"""Policies that ship with fmaudit, by name."""


@dataclass(frozen=True)
class PolicyFile:
    """A policy with its digest (of its meaning, not of its layout), its line numbers and its text."""

    policy: Policy
    name: str
    digest: str
    lines: Mapping[Location, int]
    text: str = ""

    def line(self, rule: int, field: str = "") -> int:
        """Where a rule stands in the file, or a field of it."""
        return line_of(self.lines, ("rules", rule, field) if field else ("rules", rule))

    def check_margins(self, known: Collection[str]) -> None:
        """Raise UsageError where margins are declared for a metric that is not in ``known``."""
        for metric in self.policy.margins:
            if metric not in known:
                line = line_of(self.lines, ("margins", metric))
                own = ", ".join(sorted(k for k in known if k.partition("/")[0] == metric.partition("/")[0]))
                hint = f"its probe has {own}" if own else "see fmaudit ls probes"
                raise UsageError(f"{self.name}, line {line}: margins of unknown metric {metric!r}: {hint}")

    def refuse(self, rule: int, field: str, problem: str) -> NoReturn:
        """Raise UsageError that points at a field of a rule."""
        id = self.policy.rules[rule].id
        raise UsageError(f"{self.name}, line {self.line(rule, field)}: rule {id!r}: {problem}")


def load_policy(path: Path) -> PolicyFile:
    """Read and check a policy file, or a shipped policy by its bare name.

    Raises UsageError with the line of the first problem.
    """
    if not path.exists() and str(path) in STARTERS:
        path = starter(str(path))
    text, data, lines = read_yaml(path, "policy", "--policy")
    return _policy(text, data, lines, path.name)


def starter(name: str) -> Path:
    """The file of a shipped policy. Raises UsageError for a name that does not ship."""
    if name not in STARTERS:
        raise UsageError(f"no shipped policy is called {name!r}: they are {', '.join(STARTERS)}")
    return shipped_folder("templates") / "policies" / f"{name}.yaml"


def parse_policy(text: str, name: str = "policy") -> PolicyFile:
    """Check the text of a policy. Raises UsageError with the line of the first problem."""
    data, lines = parse_yaml(text, name)
    return _policy(text, data, lines, name)


def _policy(text: str, data: object, lines: Mapping[Location, int], name: str) -> PolicyFile:
    if not data:
        raise UsageError(f"{name} is empty: a policy needs schema, id and at least one rule")
    policy = validated(Policy, data, lines, name)
    return PolicyFile(policy, name, digest(policy.meaning()), lines, text)
