"""What policies said of the numbers of an audit, as recorded beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fmaudit.errors import UsageError
from fmaudit.report.index import AuditIndex
from fmaudit.schema import Comparison, ContrastResult

SCHEMA = "fmaudit/gate/1"
Side = Literal["max", "min"]
Limits = Mapping[str, tuple[float, Side]]
_SIDES: tuple[Side, ...] = ("max", "min")
_SYMBOLS = {"pass": "✓", "fail": "✕", "inconclusive": "?"}
_ORDER = ("fail", "inconclusive", "pass")


@dataclass(frozen=True)
class GateMark:
    """One rule of a policy held against one number: ``pass``, ``fail`` or ``inconclusive``."""

    verdict: str
    rule: str
    policy: str
    tier: str
    kind: str
    reason: str

    @property
    def symbol(self) -> str:
        """The shape of the verdict."""
        return verdict_symbol(self.verdict)


def verdict_symbol(verdict: str) -> str:
    """The shape that carries a gate's verdict without colour."""
    return _SYMBOLS.get(verdict, "?")


def read_gates(run: Path) -> list[dict[str, Any]]:
    """The records in ``gate/`` of a run directory, by name. Raises UsageError for one that is none."""
    found = []
    for path in sorted((run / "gate").glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
        except ValueError:
            record = None
        if not _is_record(record):
            raise UsageError(f"gate/{path.name} is no record of a gate: repeat fmaudit gate, or remove it")
        found.append(record)
    return found


def _is_record(record: object) -> bool:
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return False
    findings = record.get("findings")
    return isinstance(findings, list) and all(isinstance(found, dict) for found in findings)


def gate_marks(
    index: AuditIndex, claim: Comparison | ContrastResult, gates: Sequence[Mapping[str, Any]]
) -> tuple[GateMark, ...]:
    """What the policies said of this number or of the adapted model's level of it, the worst first."""
    question = index.question(claim.measurement, claim.metric)
    if isinstance(claim, Comparison):
        subjects, levels = {claim.adapted}, claim.slice
        kinds: tuple[str, ...] = ("level", "change", "release change", "verdict")
    else:
        subjects, levels = {term.subject for term in claim.terms}, {}
        kinds = ("contrast" if claim.kind == "within_subject" else "contrast change",)
    named = claim.id.rpartition("/")[2] if isinstance(claim, ContrastResult) else ""
    marks = [
        _mark(found, gate)
        for gate in gates
        for found in gate.get("findings", ())
        if found.get("metric") == claim.metric
        and found.get("kind") in kinds
        and found.get("subject") in subjects
        and found.get("variant", "") == question.variant
        and found.get("dataset", "") == question.dataset
        and found.get("slice", {}) == levels
        and found.get("contrast", "") == named
    ]
    return tuple(sorted(marks, key=lambda mark: _ORDER.index(mark.verdict) if mark.verdict in _ORDER else 1))


def gate_limits(gates: Sequence[Mapping[str, Any]]) -> Limits:
    """The limit that policies set on the level of a metric, and its side, ``max`` or ``min``.

    A metric with several limits, or with both sides, is left out: one line cannot show them.
    """
    found: dict[str, set[tuple[float, Side]]] = {}
    for gate in gates:
        for finding in gate.get("findings", ()):
            limit = finding.get("limit")
            if finding.get("kind") != "level" or finding.get("slice") or not isinstance(limit, Mapping):
                continue
            for side in _SIDES:
                if limit.get(side) is not None:
                    found.setdefault(str(finding.get("metric", "")), set()).add((float(limit[side]), side))
    return {metric: next(iter(limits)) for metric, limits in sorted(found.items()) if len(limits) == 1}


def _mark(found: Mapping[str, Any], gate: Mapping[str, Any]) -> GateMark:
    policy = gate.get("policy")
    return GateMark(
        verdict=str(found.get("verdict", "")),
        rule=str(found.get("rule", "")),
        policy=str(policy.get("id", "") if isinstance(policy, Mapping) else ""),
        tier=str(found.get("tier", "")),
        kind=str(found.get("kind", "")),
        reason=" → ".join(str(found[name]) for name in ("reason", "action") if found.get(name)),
    )
