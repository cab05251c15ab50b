"""What in-toto predicates say of a gate's record: its test result, and each finding with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmaudit.evidence.directory import retest_key
from fmaudit.pack.bagit import PAYLOAD, lines_digest
from fmaudit.pack.records import FindingRef, GateRecord
from fmaudit.question import question_of
from fmaudit.report.escape import terminal

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SCAI = "https://in-toto.io/attestation/scai/v0.3"
_CONDITIONS = (
    "rule", "tier", "kind", "metric", "subject", "model_digest", "variant", "dataset", "slice", "contrast",
    "limit", "blocked_words", "word", "verdict", "missing", "reason", "severity", "controls", "protocol",
    "waiver", "fingerprint", "number",
)  # fmt: skip
_WITH_BASE = frozenset({"change", "contrast change", "verdict"})
Json = dict[str, Any]


def test_result(gate: GateRecord, configuration: Sequence[Json]) -> Json:
    """The predicate ``test-result`` 0.1.

    FAILED for anything but a pass: who admits on PASSED or WARNED must not admit what was
    not decided. WARNED: passed, with a waiver used or a rule that does not block unmet.
    """
    blocking = [finding for finding in gate.findings if _standing(finding) == "failed"]
    warned = [finding for finding in gate.findings if _standing(finding) == "warned"]
    passed = gate.verdict == "pass" and not blocking and bool(gate.findings)
    return {
        "result": ("WARNED" if warned else "PASSED") if passed else "FAILED",
        "configuration": list(configuration),
        "passedTests": [test_name(finding) for finding in gate.findings if _standing(finding) == "passed"],
        "warnedTests": [test_name(finding) for finding in warned],
        "failedTests": [test_name(finding) for finding in blocking],
        "fmauditVerdict": gate.verdict,
    }


def test_name(finding: FindingRef) -> str:
    """One line that names a finding: rule, metric, kind, model, question and slice."""
    levels = "".join(f" {column}={level}" for column, level in sorted(finding.slice.items()))
    question = " ".join(part for part in (finding.variant, finding.dataset, finding.contrast) if part)
    where = f"{finding.subject}; {question}" if question else finding.subject
    return terminal(f"{finding.rule}: {finding.metric} {finding.kind} ({where}{levels})")


def attribute_report(
    gate: GateRecord, run: Mapping[str, Any], digests: Mapping[str, str], models: Mapping[str, Json]
) -> Json:
    """The predicate SCAI 0.3: one attribute a finding.

    Args:
        gate: The record; it has findings.
        run: The content of run.json.
        digests: Hex SHA-256 of every payload file by its path in the bag.
        models: in-toto descriptors of the subjects, by id.
    """
    return {
        "attributes": [
            _attribute(finding, raw, run, digests, models)
            for finding, raw in zip(gate.findings, gate.raw_findings, strict=True)
        ],
        "producer": {"uri": f"pkg:pypi/fmaudit@{_version(run)}", "name": "fmaudit"},
    }


def _attribute(
    finding: FindingRef,
    raw: Mapping[str, Any],
    run: Mapping[str, Any],
    digests: Mapping[str, str],
    models: Mapping[str, Json],
) -> Json:
    base = _base_of(run, finding.subject) if finding.kind in _WITH_BASE else finding.subject
    folders = evidence_folders(finding, run)
    files = {name: digest for name, digest in digests.items() if name.startswith(tuple(folders))}
    found: Json = {
        "attribute": f"FMAUDIT_FINDING_{finding.verdict.upper()}",
        "conditions": {name: raw[name] for name in _CONDITIONS if name in raw},
    }
    if base in models:
        found["target"] = models[base]
    if files:
        found["evidence"] = {
            "name": "lines of manifest-sha256.txt",
            "digest": {"sha256": lines_digest(files)},
            "mediaType": "text/plain",
            "annotations": {
                "folders": [name for name in folders if _any_in(name, files)],
                "files": len(files),
            },
        }
    return found


def evidence_folders(finding: FindingRef, run: Mapping[str, Any]) -> list[str]:
    """The folders of the bag whose rows a finding rests on: its model's, its base's, its references'."""
    subjects = [finding.subject]
    if finding.kind in _WITH_BASE:
        subjects.append(_base_of(run, finding.subject))
    if finding.kind == "verdict":
        subjects += [entry["id"] for entry in run["subjects"] if entry.get("role") == "reference"]
    found: list[str] = []
    for entry in run["measurements"]:
        if entry["subject"] in subjects and _asks(entry, finding):
            keys = [entry["key"], retest_key(entry["key"])]
            found += [f"{PAYLOAD}evidence/{entry['subject']}/{key}/" for key in keys]
    return sorted(found)


def _asks(entry: Mapping[str, Any], finding: FindingRef) -> bool:
    asked = question_of(entry)
    named = (asked.probe, asked.variant, asked.dataset)
    return named == (finding.metric.partition("/")[0], finding.variant, finding.dataset)


def _base_of(run: Mapping[str, Any], subject: str) -> str:
    own: Mapping[str, Any] = next((entry for entry in run["subjects"] if entry["id"] == subject), {})
    return str(own.get("base") or subject)


def _any_in(folder: str, files: Mapping[str, str]) -> bool:
    return any(name.startswith(folder) for name in files)


def _standing(finding: FindingRef) -> str:
    if finding.verdict == "pass":
        return "passed"
    return "failed" if finding.tier == "block" and not finding.waiver else "warned"


def _version(run: Mapping[str, Any]) -> str:
    return str((run.get("tool") or {}).get("version", "0"))
