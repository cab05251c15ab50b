"""Gate records as plain data, finding by finding: what the outputs are functions of."""

from __future__ import annotations

from typing import Any

from fmaudit.canonical import digest

POLICY_PATH = "policies/release.yaml"


def number(value: float = 0.1, half: float = 0.02, /, **fields: Any) -> dict[str, Any]:
    return {
        "value": value,
        "lower": value - half,
        "upper": value + half,
        "level": 0.95,
        "method": "wilson",
        "n": 1200,
        "coverage": 1.0,
        "worst_interval": [value - half, value + half],
        "conclusive": True,
    } | fields


def finding(rule: str = "a-rate", /, **fields: Any) -> dict[str, Any]:
    entry = {
        "rule": rule,
        "tier": "block",
        "kind": "level",
        "metric": "toy.probe/rate",
        "subject": "adapted",
        "model_digest": "sha256:" + "ef" * 32,
        "variant": "plain",
        "dataset": "toy",
        "slice": {},
        "contrast": "",
        "ideal": None,
        "limit": {"min": None, "max": 0.05},
        "blocked_words": [],
        "word": "",
        "verdict": "fail",
        "missing": False,
        "reason": "interval 0.08 to 0.12 lies beyond at most 0.05",
        "action": "mitigate, or have the limit reviewed",
        "severity": "high",
        "controls": ["nist-ai-600-1/MS-2.11-001", "owasp-llm/LLM02:2025"],
        "line": 7,
        "protocol": "sha256:" + "ab" * 32,
        "waiver": "",
        "number": number(),
    } | fields
    named = [entry[name] for name in ("rule", "kind", "metric", "subject", "variant", "dataset", "contrast")]
    plain = [str(part).encode("utf-8", "backslashreplace").decode() for part in (*named, entry["slice"])]
    return {"fingerprint": digest(plain).rpartition(":")[2]} | entry


def missing(rule: str = "not-asked", /, **fields: Any) -> dict[str, Any]:
    lack = {"verdict": "inconclusive", "missing": True, "number": None, "reason": "it was not asked"}
    return finding(rule, **(lack | {"variant": "", "dataset": "", "action": "run the probe"} | fields))


def passing(rule: str = "good", /, **fields: Any) -> dict[str, Any]:
    return finding(
        rule, **({"verdict": "pass", "limit": {"min": None, "max": 0.2}, "reason": "lies within"} | fields)
    )


def waiver(id: str = "W-1", /, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "finding": "0" * 64,
        "approved_by": "A. Reviewer",
        "reason": "mitigated downstream by a filter",
        "created": "2026-11-01",
        "expires": "2026-12-31",
        "max_value": 0.2,
        "used": True,
    } | fields


def record(*findings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    blocking = {entry["verdict"] for entry in findings if entry["tier"] == "block" and not entry["waiver"]}
    exit_code = 1 if "fail" in blocking else 3 if "inconclusive" in blocking else 0
    return {
        "schema": "fmaudit/gate/1",
        "policy": {
            "id": "release",
            "description": "An adapted model may not be worse than its base.",
            "digest": "sha256:" + "12" * 32,
            "file": "release.yaml",
            "confidence": 0.95,
            "form": "fixed",
            "locked_before_run": True,
        },
        "audit": "sha256:" + "34" * 32,
        "verdict": {0: "pass", 1: "fail", 3: "inconclusive"}[exit_code],
        "exit_code": exit_code,
        "looks": 1,
        "release": None,
        "subjects": [
            {"id": role, "role": role, "name": f"{role}-model", "digest": "sha256:" + "56" * 32}
            for role in ("base", "adapted")
        ],
        "waivers": [waiver(entry["waiver"]) for entry in findings if entry["waiver"]],
        "findings": list(findings),
    } | fields


def nothing_evaluated() -> dict[str, Any]:
    return record(missing(tier="warn"), verdict="nothing evaluated", exit_code=5)


def mixed() -> dict[str, Any]:
    """One finding of every kind."""
    inconclusive = {
        "verdict": "inconclusive",
        "reason": "reaches across at most 0.11",
        "action": "ask more items",
    }
    return record(
        passing(),
        finding("a-rate", slice={"group": "a", "age": "b"}),
        finding("on-verdicts", kind="verdict", blocked_words=["inherited", "amplified"], word="inherited")
        | {"limit": {"min": None, "max": None}},
        finding("undecided", **inconclusive, number=number(coverage=0.9996, worst_interval=[0.06, 0.4])),
        missing(),
        finding("accepted", waiver="W-1", contrast="gap", kind="contrast"),
        finding("memorized", metric="memorization.canary/mean_exposure", severity="critical", controls=[]),
        finding("warned", tier="warn"),
        finding("warned-open", tier="warn", **inconclusive),
        finding("watched", tier="monitor", limit={"min": 0.5, "max": 0.7}),
    )


def map_texts(value: Any, change: Any) -> Any:
    """The same record with every free text changed; what the contract enumerates stays."""
    fixed = {"tier", "verdict", "kind", "severity", "fingerprint", "role", "schema"}
    if isinstance(value, dict):
        return {
            (name if name in _FIELDS else change(name)): (part if name in fixed else map_texts(part, change))
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [map_texts(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {*value, *(name for part in value.values() for name in _names(part))}
    return {name for part in value for name in _names(part)} if isinstance(value, list) else set()


# Names of fields are the contract's, names of slice columns are free text.
_FIELDS = _names(mixed()) - {"group", "age"}
