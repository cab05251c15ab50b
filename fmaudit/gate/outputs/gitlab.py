"""GitLab's code quality report: one issue for each finding that does not pass, at its rule's line."""

from __future__ import annotations

from typing import Any

from fmaudit.exports.common import json_bytes
from fmaudit.gate.outputs.words import (
    NAME_LENGTH,
    Entry,
    Record,
    blocks,
    findings_of,
    fingerprints,
    mark_of,
    message,
    short,
    status,
    unexplained,
    waiver_text,
)

_BLOCKING = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor"}


def code_quality(record: Record, policy_path: str) -> bytes:
    """The code quality report (a JSON array); ``policy_path`` is relative to the repository."""
    entries = [entry for entry in findings_of(record) if status(entry) != "pass"]
    issues = [
        _issue(record, entry, mark, policy_path)
        for entry, mark in zip(entries, fingerprints(entries), strict=True)
    ]
    if unexplained(record):
        mark = mark_of("gate verdict", record["policy"]["id"])
        issues.append(_plain_issue(unexplained(record), "gate", mark, "blocker", policy_path, 1))
    return json_bytes(issues)


def _issue(record: Record, entry: Entry, mark: str, path: str) -> dict[str, Any]:
    waived = status(entry) == "waived"
    text = f"{waiver_text(record, entry)} {message(entry)}" if waived else message(entry)
    return _plain_issue(text, entry["rule"], mark, _severity(entry), path, entry["line"])


def _plain_issue(text: str, rule: str, mark: str, severity: str, path: str, line: int) -> dict[str, Any]:
    return {
        "description": text,
        "check_name": f"fmaudit/{short(rule, NAME_LENGTH)}",
        "fingerprint": mark,
        "severity": severity,
        "location": {"path": short(path, 2 * NAME_LENGTH), "lines": {"begin": max(1, line)}},
    }


def _severity(entry: Entry) -> str:
    """One of info, minor, major, critical and blocker: what blocks by its severity, all else below."""
    if blocks(entry):
        return _BLOCKING.get(entry["severity"], "critical")
    return "minor" if entry["tier"] == "warn" and not entry["waiver"] else "info"
