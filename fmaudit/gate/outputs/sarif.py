"""SARIF 2.1.0 for code scanning: one result for each finding that does not pass, at its rule's line.

GitHub reads a subset: it ignores ``kind`` and ``suppressions``, knows the levels note,
warning and error, and tells defects apart by ``primaryLocationLineHash`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any
from urllib.parse import quote

from fmaudit.exports.common import json_bytes
from fmaudit.gate.outputs.words import (
    MESSAGE_LENGTH,
    NAME_LENGTH,
    Entry,
    Record,
    blocks,
    facts,
    findings_of,
    fingerprints,
    limit_text,
    mark_of,
    message,
    short,
    status,
    unexplained,
    waiver_of,
    waiver_text,
)

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "fmauditFinding/v1"
MAX_RESULTS = 25_000
_MAX_TAGS = 20
_VERDICT_RULE = "fmaudit-gate-verdict"
_SECURITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
_PROBLEM = {"block": "error", "warn": "warning", "monitor": "recommendation"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
# Brackets begin links and braces begin placeholders in a SARIF message.
_BRACKETS = str.maketrans("[]{}", "()()")


def sarif(record: Record, policy_path: str) -> bytes:
    """The record as a SARIF 2.1.0 log; ``policy_path`` is relative to the repository.

    GitHub refuses more than 25,000 results: the worst are kept, the rest is counted
    in the run's properties.
    """
    open_ones = [entry for entry in findings_of(record) if status(entry) != "pass"]
    rules = _Rules(record)
    marked = list(zip(open_ones, fingerprints(open_ones), strict=True))
    results = [_result(record, rules, entry, mark, policy_path) for entry, mark in marked[:MAX_RESULTS]]
    if unexplained(record):
        results.insert(0, _verdict_result(record, rules, policy_path))
    policy = record["policy"]["digest"]
    properties = {"verdict": record["verdict"], "policy": policy, "audit": record["audit"]}
    omitted = len(marked) - len(marked[:MAX_RESULTS])
    run = {
        "tool": {"driver": rules.driver()},
        "automationDetails": {"id": _category(record)},
        "invocations": [{"executionSuccessful": True, "exitCode": record["exit_code"]}],
        "taxonomies": rules.taxonomies(),
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {name: short(text) for name, text in properties.items()} | {"omittedResults": omitted},
    }
    return json_bytes({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


class _Rules:
    """The policy's rules and the controls they name, with their places in the log."""

    def __init__(self, record: Record) -> None:
        entries: Sequence[Entry] = record["findings"]
        self._policy = short(record["policy"]["id"], NAME_LENGTH)
        self._groups: dict[str, list[Entry]] = {}
        for entry in entries:
            self._groups.setdefault(entry["rule"], []).append(entry)
        self._places = {rule: place for place, rule in enumerate(self._groups)}
        named = sorted({control for entry in entries for control in entry["controls"]})
        self._controls: dict[str, list[str]] = {}
        for control in named:
            self._controls.setdefault(_framework(control), []).append(control)

    def reference(self, rule: str) -> dict[str, Any]:
        """The fields of a result that name its rule."""
        return {"ruleId": _rule_id(rule), "ruleIndex": self._places[rule]}

    def verdict_reference(self) -> dict[str, Any]:
        """The same for the rule that stands for the whole policy."""
        return {"ruleId": _VERDICT_RULE, "ruleIndex": len(self._places)}

    def taxa(self, controls: Sequence[str]) -> list[dict[str, Any]]:
        """References to controls."""
        frameworks = list(self._controls)
        return [
            {
                "id": _control_id(control),
                "index": self._controls[_framework(control)].index(control),
                "toolComponent": {
                    "name": short(_framework(control), NAME_LENGTH),
                    "index": frameworks.index(_framework(control)),
                },
            }
            for control in dict.fromkeys(controls)
        ]

    def taxonomies(self) -> list[dict[str, Any]]:
        """The frameworks with the controls that the policy names."""
        return [
            {
                "name": short(framework, NAME_LENGTH),
                "shortDescription": {"text": "Controls that rules of the policy name as relevant."},
                "taxa": [{"id": _control_id(control)} for control in controls],
            }
            for framework, controls in self._controls.items()
        ]

    def driver(self) -> dict[str, Any]:
        """The tool with its rules."""
        rules = [self._descriptor(rule, group) for rule, group in self._groups.items()]
        return {
            "name": "fmaudit",
            "version": metadata.version("fmaudit"),
            "rules": [*rules, _verdict_descriptor()],
            "supportedTaxonomies": [
                {"name": short(framework, NAME_LENGTH), "index": place}
                for place, framework in enumerate(self._controls)
            ],
        }

    def _descriptor(self, rule: str, group: Sequence[Entry]) -> dict[str, Any]:
        first = group[0]
        controls = list(dict.fromkeys(control for entry in group for control in entry["controls"]))
        limits = dict.fromkeys(f"{entry['kind']}: {limit_text(entry)}" for entry in group)
        title = f"{first['metric']}, {'; '.join(limits)}"
        about = (
            f"Rule {rule} of policy {self._policy} (tier {first['tier']}) on {title}. It passes only where "
            "the whole interval, with missing answers counted as defects, lies inside; what was not measured "
            "or is not decided does not pass."
        )
        return {
            "id": _rule_id(rule),
            "shortDescription": {"text": _plain(title)},
            "fullDescription": {"text": _plain(about)},
            "help": {"text": _plain(about)},
            "defaultConfiguration": {"level": _tier_level(first)},
            "relationships": [
                {"target": reference, "kinds": ["relevant"]} for reference in self.taxa(controls)
            ],
            "properties": _rule_properties(first, controls),
        }


def _rule_properties(entry: Entry, controls: Sequence[str]) -> dict[str, Any]:
    # A security severity makes GitHub treat the rule as a security alert: leaked training text is one,
    # a stereotype is a defect.
    security = str(entry["metric"]).startswith("memorization.")
    tags = ["security"] if security else []
    tags += [short(control, NAME_LENGTH) for control in controls]
    severity = (
        {"security-severity": _SECURITY.get(entry["severity"], "8.0")}
        if security
        else {"problem.severity": _PROBLEM.get(entry["tier"], "error")}
    )
    return {"tags": tags[:_MAX_TAGS], "precision": "high", **severity}


def _result(record: Record, rules: _Rules, entry: Entry, mark: str, path: str) -> dict[str, Any]:
    result = {
        **rules.reference(entry["rule"]),
        "kind": "fail",
        "level": _level(entry),
        "message": {"text": _plain(message(entry))},
        "locations": [_location(path, entry["line"])],
        "partialFingerprints": {"primaryLocationLineHash": mark, FINGERPRINT: mark},
        "taxa": rules.taxa(entry["controls"]),
        "properties": facts(record, entry),
    }
    if status(entry) != "waived":
        return result
    waiver = waiver_of(record, entry) or {}
    named = [name for name in ("id", "approved_by", "created", "expires") if name in waiver]
    suppression = {
        "kind": "external",
        "status": "accepted",
        "justification": _plain(waiver_text(record, entry)),
        "properties": {name: short(waiver[name]) for name in named},
    }
    return result | {"suppressions": [suppression]}


def _level(entry: Entry) -> str:
    """Error, warning or note.

    What is not decided keeps kind ``fail``: the standard ties ``open`` to level none, and
    GitHub would show blocking findings as nothing.
    """
    if entry["waiver"]:
        return "note"
    if blocks(entry):
        return "error"
    return "warning" if entry["tier"] == "warn" and entry["verdict"] == "fail" else "note"


def _tier_level(entry: Entry) -> str:
    return {"block": "error", "warn": "warning"}.get(entry["tier"], "note")


def _verdict_descriptor() -> dict[str, Any]:
    text = "The gate as a whole did not pass, and no single rule accounts for it."
    return {
        "id": _VERDICT_RULE,
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": text},
        "defaultConfiguration": {"level": "error"},
        "properties": {"problem.severity": "error", "precision": "high"},
    }


def _verdict_result(record: Record, rules: _Rules, path: str) -> dict[str, Any]:
    mark = mark_of("gate verdict", record["policy"]["id"])
    return {
        **rules.verdict_reference(),
        "kind": "fail",
        "level": "error",
        "message": {"text": _plain(unexplained(record))},
        "locations": [_location(path, 1)],
        "partialFingerprints": {"primaryLocationLineHash": mark, FINGERPRINT: mark},
    }


def _location(path: str, line: int) -> dict[str, Any]:
    at = max(1, line)
    uri = quote(path.encode("utf-8", "backslashreplace"), safe="/")
    region = {"startLine": at, "startColumn": 1, "endLine": at, "endColumn": 2}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def _category(record: Record) -> str:
    """``fmaudit/POLICY/ADAPTED/AUDIT``; what stands before the last slash is GitHub's category."""
    adapted = [subject["id"] for subject in record["subjects"] if subject["role"] == "adapted"]
    parts = (record["policy"]["id"], "+".join(adapted), str(record["audit"]).rpartition(":")[2][:12])
    return "/".join(["fmaudit", *(_UNSAFE.sub("-", short(part, NAME_LENGTH)) or "none" for part in parts)])


def _rule_id(rule: str) -> str:
    shown = short(rule, NAME_LENGTH)
    # Two long or hostile ids must not become one rule.
    return shown if shown == rule else f"{shown[:150]}-{mark_of(rule)[:12]}"


def _framework(control: str) -> str:
    return control.partition("/")[0]


def _control_id(control: str) -> str:
    return short(control.partition("/")[2] or control, NAME_LENGTH)


def _plain(text: str) -> str:
    return short(text, MESSAGE_LENGTH).translate(_BRACKETS)
