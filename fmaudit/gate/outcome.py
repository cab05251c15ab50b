"""The gate's record in the run directory, and its readable log."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmaudit.canonical import canonical_bytes
from fmaudit.evidence.atomic import write_atomically
from fmaudit.gate.evaluate import Finding, GateResult
from fmaudit.report.escape import terminal

SCHEMA = "fmaudit/gate/1"
_MARKS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "OPEN"}


def write_outcome(run_dir: Path, result: GateResult, *, looks: int, locked: bool) -> Path:
    """Write ``gate/<policy digest>.json``, canonical.

    ``looks`` counts how often the run was evaluated; ``locked`` says whether the
    policy's digest was recorded before the run began. Raises ExecutionError when
    it cannot be written.
    """
    path = run_dir / "gate" / f"{result.policy_digest.rpartition(':')[2]}.json"
    write_atomically(path, canonical_bytes(outcome(result, looks=looks, locked=locked)))
    return path


def outcome(result: GateResult, *, looks: int, locked: bool) -> dict[str, Any]:
    """The record as plain data."""
    return {
        "schema": SCHEMA,
        "policy": {
            "id": result.policy.id,
            "digest": result.policy_digest,
            "confidence": result.policy.defaults.confidence,
            "locked_before_run": locked,
        },
        "verdict": result.verdict,
        "exit_code": int(result.exit_code),
        "looks": looks,
        "findings": [_plain(finding) for finding in result.findings],
    }


def log_lines(result: GateResult) -> list[str]:
    """One line a finding, then the verdict; safe to print."""
    counts = Counter(finding.verdict for finding in result.findings)
    summary = ", ".join(f"{counts[word]} {word}" for word in ("pass", "fail", "inconclusive"))
    verdict = (
        f"gate {result.verdict} (exit code {int(result.exit_code)}): {summary}; policy {result.policy.id}"
    )
    return [*(terminal(_line(finding)) for finding in result.findings), terminal(verdict)]


def _line(finding: Finding) -> str:
    where = " ".join(part for part in (finding.subject, finding.variant, finding.dataset) if part)
    levels = "".join(f" {column}={level}" for column, level in sorted(finding.slice.items()))
    tier = "" if finding.tier == "block" else f" [{finding.tier}]"
    action = f" -> {finding.action}" if finding.action else ""
    held = f"{finding.rule}: {finding.metric} {finding.kind} ({where}{levels})"
    return f"{_MARKS[finding.verdict]}{tier} {held}: {_number(finding)}{finding.reason}{action}"


def _number(finding: Finding) -> str:
    number = finding.number
    if number is None or number.value is None:
        return ""
    interval = "no interval"
    if number.lower is not None and number.upper is not None:
        interval = f"{number.level:.0%} two-sided interval {number.lower:.4g} to {number.upper:.4g}"
    return f"{number.value:.4g} ({interval}, n {number.n:,}, coverage {number.coverage:.1%}); "


def _plain(finding: Finding) -> dict[str, Any]:
    number = finding.number
    fields = asdict(finding) | {"limit": {"min": finding.limit.min, "max": finding.limit.max}}
    shown = ("value", "lower", "upper", "level", "method", "n", "coverage", "worst_interval", "conclusive")
    fields["number"] = None if number is None else {name: getattr(number, name) for name in shown}
    return fields
