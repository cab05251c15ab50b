from __future__ import annotations

import json
import re
import shlex

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from fmaudit.gate.outputs.gitlab import code_quality
from fmaudit.gate.outputs.openmetrics import metrics
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


# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
def report_schema(path):
    return {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["description", "check_name", "fingerprint", "severity", "location"],
            "properties": {
                "description": {"type": "string", "minLength": 1},
                "check_name": {"type": "string", "minLength": 1},
                "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                "location": {
                    "type": "object",
                    "required": ["path", "lines"],
                    "properties": {
                        "path": path,
                        "lines": {
                            "type": "object",
                            "required": ["begin"],
                            "properties": {"begin": {"type": "integer", "minimum": 1}},
                            "additionalProperties": False,
                        },
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
    }


SCHEMA = report_schema({"type": "string", "pattern": "^[^/.]"})


def issues_of(made):
    issues = json.loads(code_quality(made, POLICY_PATH))
    Draft202012Validator(SCHEMA).validate(issues)
    return issues


@pytest.mark.parametrize("make", [mixed, nothing_evaluated, record, lambda: record(passing())])
def test_reports_are_valid(make):
    issues_of(make())
    assert not code_quality(make(), POLICY_PATH).startswith(b"\xef\xbb\xbf")


def test_the_schema_would_refuse_a_wrong_report():
    issues = json.loads(code_quality(mixed(), POLICY_PATH))
    issues[0]["severity"] = "high"
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(issues)


@pytest.mark.parametrize(
    ("entry", "severity"),
    [
        (finding(severity="critical"), "blocker"),
        (finding(severity="high"), "critical"),
        (finding(severity="medium"), "major"),
        (finding(severity="low"), "minor"),
        (missing(severity="critical"), "blocker"),
        (finding(severity="critical", tier="warn"), "minor"),
        (finding(severity="critical", tier="monitor"), "info"),
        (finding(severity="critical", waiver="W-1"), "info"),
    ],
)
def test_severity_is_the_rules_where_it_blocks(entry, severity):
    assert [issue["severity"] for issue in issues_of(record(entry))] == [severity]


def test_issues_stand_at_their_rule_with_the_whole_number():
    (issue,) = issues_of(record(passing("p"), finding("x", line=12)))
    assert issue["location"] == {"path": POLICY_PATH, "lines": {"begin": 12}}
    assert issue["check_name"] == "fmaudit/x"
    assert (
        "0.1 (two-sided 95 % interval 0.08 to 0.12, wilson, n 1,200, coverage 100 %)" in issue["description"]
    )


def test_an_issue_is_the_same_in_the_next_run_and_no_two_share_a_fingerprint():
    first = issues_of(record(finding("x"), finding("y")))
    second = issues_of(record(finding("y", number=number(0.5), line=30), finding("x", model_digest="other")))
    marks = [{issue["check_name"]: issue["fingerprint"] for issue in issues} for issues in (first, second)]
    assert marks[0] == marks[1]
    # GitLab shows only the first issue of a fingerprint.
    assert len({issue["fingerprint"] for issue in issues_of(record(finding(), finding(), finding()))}) == 3


def test_a_gate_that_evaluated_nothing_is_a_blocker():
    (issue,) = (issue for issue in issues_of(nothing_evaluated()) if issue["severity"] == "blocker")
    assert issue["description"].startswith("Nothing was evaluated")


def as_gitlab_reads(text):
    """Names and values as GitLab's reader takes them: what follows a # is gone, then the words of a shell."""
    found = {}
    for line in text.splitlines():
        words = shlex.split(re.sub(r"#.*$", "", line))
        if len(words) > 1:
            assert words[0] not in found
            found[words[0]] = words[1]
    return found


def test_gitlab_reads_every_series_of_the_metrics_report():
    made = record(
        finding("x", subject="openai:http://host/v1#model"), passing('it\'s "quoted" \\ $HOME `x`'), missing()
    )
    read = as_gitlab_reads(metrics(made))
    families = [name.partition("{")[0] for name in read]
    numbers = ("value", "lower", "upper", "level", "n", "coverage")
    assert [families.count(f"fmaudit_finding_{name}") for name in numbers] == [2] * 6
    assert families.count("fmaudit_finding_verdict") == 3 * 3
    assert all(float(value) == pytest.approx(float(value)) for value in read.values())
    assert any("subject=openai:http://host/v1%23model" in name for name in read)


def test_gitlab_compares_the_same_series_from_run_to_run():
    first = record(finding("x", slice={"a": "b"}), passing("y"))
    second = record(
        finding("x", slice={"a": "b"}, number=number(0.2), verdict="inconclusive", tier="warn", waiver="W-1"),
        passing("y", model_digest="other", protocol="other", line=99),
        audit="sha256:other",
        looks=2,
    )
    assert list(as_gitlab_reads(metrics(first))) == list(as_gitlab_reads(metrics(second)))
    assert as_gitlab_reads(metrics(first)) != as_gitlab_reads(metrics(second))
