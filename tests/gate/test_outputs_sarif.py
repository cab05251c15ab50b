from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from fmaudit.gate.outputs import sarif as module
from fmaudit.gate.outputs.sarif import sarif
from tests.gate.gate_records import (
    POLICY_PATH,
    finding,
    missing,
    mixed,
    nothing_evaluated,
    number,
    passing,
    record,
)

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def run_of(made, path=POLICY_PATH):
    log = json.loads(sarif(made, path))
    VALIDATOR.validate(log)
    return log["runs"][0]


def by_rule(made):
    return {result["ruleId"]: result for result in run_of(made)["results"]}


@pytest.mark.parametrize("make", [mixed, nothing_evaluated, record, lambda: record(passing())])
def test_logs_are_valid_and_have_what_code_scanning_requires(make):
    log = json.loads(sarif(make(), POLICY_PATH))
    VALIDATOR.validate(log)
    assert log["$schema"]
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    for rule in run["tool"]["driver"]["rules"]:
        for text in ("shortDescription", "fullDescription", "help"):
            assert 0 < len(rule[text]["text"]) <= 1024
        assert rule["defaultConfiguration"]["level"] in {"note", "warning", "error"}
    for result in run["results"]:
        assert result["message"]["text"]
        assert result["level"] in {"note", "warning", "error"}
        (location,) = result["locations"]
        assert set(location["physicalLocation"]["region"]) == {
            "startLine",
            "startColumn",
            "endLine",
            "endColumn",
        }
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_the_schema_would_refuse_a_wrong_log():
    log = json.loads(sarif(mixed(), POLICY_PATH))
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(ValidationError):
        VALIDATOR.validate(log)


def test_a_defect_keeps_its_fingerprint_over_two_runs():
    first = finding("a"), finding("b", slice={"group": "x"}), passing("c")
    # Another model, other numbers, another verdict, a longer policy; "c" now fails.
    second = (
        passing("new"),
        finding("b", slice={"group": "x"}, number=number(0.3, 0.01), line=40, model_digest="sha256:other"),
        finding("a", verdict="inconclusive", reason="other words", protocol="sha256:other"),
        finding("c"),
    )
    marks = [
        {
            (result["ruleId"], result["properties"].get("slice")): result["partialFingerprints"]
            for result in run_of(record(*entries))["results"]
        }
        for entries in (first, second)
    ]
    assert len(marks[0]) == 2
    assert marks[0].items() <= marks[1].items()
    for mark in marks[1].values():
        assert mark["primaryLocationLineHash"] == mark["fmauditFinding/v1"]
    assert len({mark["primaryLocationLineHash"] for mark in marks[1].values()}) == 3


def test_only_what_does_not_pass_is_a_result_and_every_rule_is_listed():
    run = run_of(record(passing("a"), finding("b"), passing("c")))
    assert [result["ruleId"] for result in run["results"]] == ["b"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["a", "b", "c", "fmaudit-gate-verdict"]


def test_rules_of_one_policy_read_the_same_whatever_was_found():
    good = record(
        passing("a", limit={"min": None, "max": 0.05}),
        finding("v", kind="verdict", blocked_words=["inherited"]),
    )
    bad = record(
        finding("a", verdict="inconclusive"),
        finding("v", kind="verdict", blocked_words=["inherited"], word="inherited", verdict="pass"),
    )
    assert run_of(good)["tool"]["driver"]["rules"] == run_of(bad)["tool"]["driver"]["rules"]


@pytest.mark.parametrize(
    ("entry", "level"),
    [
        (finding("x"), "error"),
        (finding("x", verdict="inconclusive"), "error"),
        (missing("x"), "error"),
        (finding("x", tier="warn"), "warning"),
        (finding("x", tier="warn", verdict="inconclusive"), "note"),
        (finding("x", tier="monitor"), "note"),
        (finding("x", waiver="W-1"), "note"),
    ],
)
def test_level_by_tier_and_verdict(entry, level):
    result = by_rule(record(entry))["x"]
    # The standard allows a level other than none only with this kind.
    assert (result["level"], result["kind"]) == (level, "fail")
    assert result["properties"]["verdict"] == entry["verdict"]


def test_a_waiver_is_an_accepted_suppression():
    results = by_rule(record(finding("x", waiver="W-1"), finding("y")))
    (suppression,) = results["x"]["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert "approved by A. Reviewer: mitigated downstream" in suppression["justification"]
    assert suppression["properties"]["expires"] == "2026-12-31"
    assert "suppressions" not in results["y"]


def test_only_memorization_is_a_security_alert():
    made = record(
        finding("leak", metric="memorization.extraction/greedy_match_rate", severity="critical"),
        finding("bias", metric="bias.crows_pairs/pct_stereotype", severity="critical"),
        finding("warned", metric="toxicity.prompted/rate", tier="warn"),
    )
    rules = {rule["id"]: rule["properties"] for rule in run_of(made)["tool"]["driver"]["rules"]}
    assert float(rules["leak"]["security-severity"]) > 9
    assert "security" in rules["leak"]["tags"]
    assert "problem.severity" not in rules["leak"]
    for rule, severity in (("bias", "error"), ("warned", "warning")):
        assert rules[rule]["problem.severity"] == severity
        assert "security-severity" not in rules[rule]
        assert "security" not in rules[rule]["tags"]


def test_controls_are_taxa_of_their_frameworks():
    run = run_of(mixed())
    names = [taxonomy["name"] for taxonomy in run["taxonomies"]]
    assert names == ["nist-ai-600-1", "owasp-llm"]
    assert [taxonomy["taxa"] for taxonomy in run["taxonomies"]] == [
        [{"id": "MS-2.11-001"}],
        [{"id": "LLM02:2025"}],
    ]
    references = [taxon for result in run["results"] for taxon in result["taxa"]]
    references += [
        relation["target"]
        for rule in run["tool"]["driver"]["rules"]
        for relation in rule.get("relationships", [])
    ]
    assert references
    for taxon in references:
        taxonomy = run["taxonomies"][taxon["toolComponent"]["index"]]
        assert taxonomy["name"] == taxon["toolComponent"]["name"]
        assert taxonomy["taxa"][taxon["index"]]["id"] == taxon["id"]


def test_many_controls_stay_within_githubs_count_of_tags():
    entry = finding("x", controls=[f"frame/{place}" for place in range(60)], metric="memorization.a/b")
    (rule, _) = run_of(record(entry))["tool"]["driver"]["rules"]
    assert len(rule["properties"]["tags"]) == 20
    assert len(rule["relationships"]) == 60


def test_more_results_than_github_takes_are_cut_and_counted(monkeypatch):
    monkeypatch.setattr(module, "MAX_RESULTS", 3)
    entries = [finding(f"m{place}", tier="monitor") for place in range(4)] + [finding("worst")]
    run = run_of(record(*entries))
    assert [result["ruleId"] for result in run["results"]] == ["worst", "m0", "m1"]
    assert run["properties"]["omittedResults"] == 2


def test_findings_are_shown_at_their_rule_in_the_policy_file():
    place = by_rule(record(finding("x", line=12)))["x"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == POLICY_PATH
    assert (place["region"]["startLine"], place["region"]["endLine"]) == (12, 12)
    strange = "my policies/ü%41 #1?.yaml"
    uri = run_of(record(finding()), strange)["results"][0]["locations"][0]["physicalLocation"][
        "artifactLocation"
    ]["uri"]
    assert uri.isascii()
    assert not set(uri) & set(" #?")
    assert unquote(uri) == strange


def test_category_is_the_policy_and_the_model_not_the_run():
    first, second = (
        run_of(record(finding(), audit=f"sha256:{sign * 64}"))["automationDetails"]["id"] for sign in "ab"
    )
    assert first != second
    assert first.rpartition("/")[0] == second.rpartition("/")[0] == "fmaudit/release/adapted"


def test_hostile_rule_ids_do_not_merge():
    ids = ["x\x00", "x\x01", "y" * 5000 + "a", "y" * 5000 + "b"]
    rules = run_of(record(*(finding(id) for id in ids)))["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == 5


def test_messages_hold_no_link_and_no_placeholder():
    text = "[click](https://evil.example) {0} {{1}} [x](1)"
    made = record(finding("x", subject=text, reason=text, waiver="W-1"), finding("y", metric=text, word=text))
    run = run_of(made)
    messages = [result["message"]["text"] for result in run["results"]]
    messages += [
        result["suppressions"][0]["justification"] for result in run["results"] if "suppressions" in result
    ]
    messages += [
        rule[name]["text"] for rule in run["tool"]["driver"]["rules"] for name in ("shortDescription", "help")
    ]
    assert any("click" in message for message in messages)
    assert not any(set("[]{}") & set(message) for message in messages)


def test_a_repeated_fingerprint_is_told_apart():
    run = run_of(record(finding("x"), finding("x"), finding("x")))
    marks = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(set(marks)) == 3
    assert marks[0] == finding("x")["fingerprint"]


def test_a_gate_that_evaluated_nothing_is_an_error():
    results = by_rule(nothing_evaluated())
    assert results["fmaudit-gate-verdict"]["level"] == "error"
    assert "Nothing was evaluated" in results["fmaudit-gate-verdict"]["message"]["text"]
    assert run_of(nothing_evaluated())["invocations"] == [{"executionSuccessful": True, "exitCode": 5}]
