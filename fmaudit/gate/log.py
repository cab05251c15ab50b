"""The gate's readable log: one line a finding, then the verdict."""

from __future__ import annotations

from collections import Counter

from fmaudit.gate.finding import Finding, GateResult
from fmaudit.report.escape import terminal

_MARKS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "OPEN"}


def log_lines(result: GateResult) -> list[str]:
    """One line a finding, then the verdict; safe to print."""
    counts = Counter(finding.verdict for finding in result.findings)
    summary = ", ".join(f"{counts[word]} {word}" for word in ("pass", "fail", "inconclusive"))
    waived = sum(bool(finding.waiver) for finding in result.findings)
    waivers = f" ({waived} waived)" if waived else ""
    code = int(result.exit_code)
    verdict = f"gate {result.verdict} (exit code {code}): {summary}{waivers}; policy {result.policy.id}"
    return [*(terminal(_line(finding)) for finding in result.findings), terminal(verdict)]


def _line(finding: Finding) -> str:
    where = " ".join(part for part in (finding.subject, finding.variant, finding.dataset) if part)
    levels = "".join(f" {column}={level}" for column, level in sorted(finding.slice.items()))
    tier = "" if finding.tier == "block" else f" [{finding.tier}]"
    waived = f" [waived by {finding.waiver}]" if finding.waiver else ""
    action = f" -> {finding.action}" if finding.action and finding.verdict != "pass" else ""
    contrast = f" of {finding.contrast}" if finding.contrast else ""
    held = f"{finding.rule}: {finding.metric} {finding.kind}{contrast} ({where}{levels})"
    return f"{_MARKS[finding.verdict]}{tier}{waived} {held}: {_number(finding)}{finding.reason}{action}"


def _number(finding: Finding) -> str:
    number = finding.number
    if number is None or number.value is None:
        return ""
    interval = "no interval"
    if number.lower is not None and number.upper is not None:
        shown = f"{number.level * 100:.4g}%"
        interval = f"{shown} two-sided interval {number.lower:.4g} to {number.upper:.4g}"
    return f"{number.value:.4g} ({interval}, n {number.n:,}, coverage {number.coverage:.1%}); "
