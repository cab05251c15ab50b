"""The gate's record in the run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fmaudit.canonical import canonical_bytes
from fmaudit.evidence.atomic import write_atomically
from fmaudit.gate.finding import Finding, GateResult
from fmaudit.gate.waivers import Waiver
from fmaudit.schema import Audit

SCHEMA = "fmaudit/gate/1"
_NUMBER = (
    "value",
    "lower",
    "upper",
    "level",
    "method",
    "n",
    "coverage",
    "worst_interval",
    "conclusive",
    "approximate",
)


@dataclass(frozen=True)
class Circumstances:
    """What the record says beside the findings.

    ``looks``: how often the run was gated. ``locked``: whether the policy's digest was
    recorded before the run began. ``audit``: digest of audit.json. ``release``: digest and
    subjects of the baseline.
    """

    looks: int
    locked: bool
    audit: str = ""
    release: Mapping[str, Any] | None = None
    waivers: Sequence[tuple[Waiver, str]] = field(default=())


def gate_file(run_dir: Path, result: GateResult, suffix: str = ".json") -> Path:
    """Where a policy's record is, or what belongs to it."""
    return run_dir / "gate" / (result.policy_digest.rpartition(":")[2] + suffix)


def write_outcome(run_dir: Path, record: Mapping[str, Any], result: GateResult) -> Path:
    """Write ``gate/<policy digest>.json``, canonical. Raises ExecutionError when it cannot be written."""
    path = gate_file(run_dir, result)
    write_atomically(path, canonical_bytes(record))
    return path


def outcome(audit: Audit, result: GateResult, found: Circumstances) -> dict[str, Any]:
    """The record as plain data."""
    defaults = result.policy.defaults
    return {
        "schema": SCHEMA,
        "policy": {
            "id": result.policy.id,
            "description": result.policy.description,
            "digest": result.policy_digest,
            "file": result.policy_name,
            "confidence": defaults.confidence,
            "form": defaults.form,
            "multiplicity": defaults.multiplicity,
            "locked_before_run": found.locked,
        },
        "audit": found.audit,
        "verdict": result.verdict,
        "exit_code": int(result.exit_code),
        "looks": found.looks,
        "release": None if found.release is None else dict(found.release),
        "subjects": [
            {"id": one.id, "role": one.role, "name": one.name, "digest": one.digest} for one in audit.subjects
        ],
        "waivers": [_waiver(waiver, fingerprint) for waiver, fingerprint in found.waivers],
        "findings": [_plain(finding) for finding in result.findings],
    }


def _waiver(waiver: Waiver, fingerprint: str) -> dict[str, Any]:
    named = ("id", "approved_by", "reason", "max_value")
    plain = {name: getattr(waiver, name) for name in named}
    dates = {"created": waiver.created.isoformat(), "expires": waiver.expires.isoformat()}
    return plain | dates | {"finding": fingerprint, "used": True}


def _plain(finding: Finding) -> dict[str, Any]:
    number = finding.number
    fields = asdict(finding) | {
        "limit": {"min": finding.limit.min, "max": finding.limit.max},
        "blocked_words": list(finding.blocked_words),
        "controls": list(finding.controls),
        "fingerprint": finding.fingerprint,
    }
    fields["number"] = None if number is None else {name: getattr(number, name) for name in _NUMBER}
    if number is not None and number.worst_interval is not None:
        fields["number"]["worst_interval"] = list(number.worst_interval)
    return fields
