"""A baseline as lines for a terminal."""

from __future__ import annotations

from fmaudit.gate.baseline import Baseline
from fmaudit.report.escape import terminal


def baseline_lines(found: Baseline) -> list[str]:
    """What it is, what its gates said, what it replaced; safe to print."""
    record = found.record
    lines = [f"baseline {found.digest}", f"audit {record.audit}"]
    lines += [f"{one.role} {one.id}: {one.name}, {one.digest or 'no digest'}" for one in record.subjects]
    lines += [
        f"gate {one.verdict}: policy {one.policy} ({one.digest}), look {one.looks}" for one in record.gates
    ]
    if record.accepted_failed:
        lines.append(f"taken without a passed gate: {record.accepted_failed}")
    lines.append(f"reason: {record.reason or 'none given'}")
    lines += [
        f"replaced audit {one.audit}: {one.accepted_failed or one.reason or 'no reason given'}"
        for one in reversed(record.history)
    ]
    files = len(record.files)
    lines.append(f"{files:,} file{'' if files == 1 else 's'} checked, none with generated text")
    return [terminal(line) for line in lines]
