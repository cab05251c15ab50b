from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from junitparser import JUnitXml

from fmaudit.gate.outputs.junit import junit
from tests.gate.gate_records import (
    finding,
    missing,
    mixed,
    nothing_evaluated,
    number,
    passing,
    record,
    waiver,
)

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parent / "schemas" / "junit-10.xsd"))
# As GitLab's reader has it: such text in a result links to a file of the job.
ATTACHMENT = re.compile(r"\[\[ATTACHMENT\|.+?\]\]")


def read(data):
    root = ET.fromstring(data)
    return {
        suite.find("testcase").get("classname").rpartition(".")[2]: suite for suite in root.iter("testsuite")
    }


def outcome(suite):
    return [child.tag for child in suite.find("testcase")]


def properties(suite):
    return {entry.get("name"): entry.get("value") for entry in suite.iter("property")}


@pytest.mark.parametrize("make", [mixed, nothing_evaluated, record, lambda: record(passing())])
def test_files_are_valid_by_the_schema_that_jenkins_uses(make):
    SCHEMA.validate(ET.ElementTree(ET.fromstring(junit(make()))))


def test_the_schema_would_refuse_a_wrong_file():
    data = junit(mixed()).replace(b"<failure ", b"<failed ").replace(b"</failure>", b"</failed>")
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        SCHEMA.validate(ET.ElementTree(ET.fromstring(data)))


def test_a_reader_counts_what_the_gate_decided(tmp_path):
    path = tmp_path / "gate.xml"
    path.write_bytes(junit(mixed()))
    report = JUnitXml.fromfile(str(path))
    report.update_statistics()
    assert (report.tests, report.failures, report.errors, report.skipped) == (10, 3, 2, 1)
    root = ET.parse(path).getroot()
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["10", "3", "2"]


@pytest.mark.parametrize(
    ("entry", "tag"),
    [
        (finding("x"), "failure"),
        (finding("x", verdict="inconclusive"), "error"),
        (missing("x"), "error"),
        # on_missing: fail
        (missing("x", verdict="fail"), "error"),
        (finding("x", waiver="W-1"), "skipped"),
        (missing("x", waiver="W-1"), "skipped"),
        (finding("x", tier="warn"), "system-out"),
        (missing("x", tier="warn"), "system-out"),
        (finding("x", tier="monitor", verdict="inconclusive"), "system-out"),
        (finding("x", tier="warn", waiver="W-1"), "skipped"),
        (passing("x"), "system-out"),
    ],
)
def test_outcome_by_tier_verdict_and_waiver(entry, tag):
    suite = read(junit(record(entry)))["x"]
    assert outcome(suite) == [tag]
    counted = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    for counter in counted.values():
        assert suite.get(counter) == str(int(counted.get(tag) == counter))


def test_rules_that_do_not_block_say_so():
    suites = read(junit(record(finding("x", tier="warn"), passing("y"))))
    note = suites["x"].find("testcase/system-out").text
    assert note.startswith("Tier warn: this does not block. toy.probe/rate (level) of adapted")
    assert "does not block" not in suites["y"].find("testcase/system-out").text


def test_a_number_never_goes_without_what_belongs_to_it():
    suite = read(
        junit(record(finding("x", number=number(0.1, 0.02, coverage=0.9, worst_interval=[0.06, 0.4]))))
    )["x"]
    facts = properties(suite)
    wanted = {"value": "0.1", "level": "0.95", "n": "1200", "coverage": "0.9", "method": "wilson"}
    assert wanted.items() <= facts.items()
    assert [float(side) for side in facts["interval"].split(" to ")] == pytest.approx([0.08, 0.12])
    assert facts["interval_with_missing_as_defects"] == "0.06 to 0.4"
    assert facts["controls"] == "nist-ai-600-1/MS-2.11-001, owasp-llm/LLM02:2025"
    text = suite.find("testcase/failure").text
    assert "0.1 (two-sided 95 % interval 0.08 to 0.12, wilson, n 1,200, coverage 90.0 %, 0.06 to 0.4" in text


def test_a_level_shows_no_rounding_error():
    made = record(finding("x", number=number(level=1 - 2 * 0.05000000000000001)))
    assert properties(read(junit(made))["x"])["level"] == "0.9"
    assert "two-sided 90 % interval" in junit(made).decode()


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("toy.probe/rate was not asked", "toy.probe/rate was not asked."),
        ("q8 is unknown", "q8 is unknown."),
        ("interval 1 to 2", "Interval 1 to 2."),
        ("", "allowed: at most 0.05."),
    ],
)
def test_what_a_reason_begins_with_keeps_its_spelling(reason, shown):
    text = read(junit(record(finding("x", reason=reason, action=""))))["x"].find("testcase/failure").text
    assert text.endswith(shown)


def test_a_waiver_is_named_with_approver_and_reason():
    skipped = read(junit(record(finding("x", waiver="W-9"), waivers=[waiver("W-8"), waiver("W-9")])))["x"]
    text = skipped.find("testcase/skipped").get("message")
    assert (
        text == "Waived by W-9 until 2026-12-31, approved by A. Reviewer: mitigated downstream by a filter."
    )


def test_a_gate_that_evaluated_nothing_is_not_an_empty_success():
    root = ET.fromstring(junit(nothing_evaluated()))
    assert (root.get("tests"), root.get("errors")) == ("2", "1")
    assert "Nothing was evaluated" in root.find(".//error").get("message")


def test_names_are_unique_where_texts_are_cut_or_equal():
    # GitLab shows only the first of several cases of one name.
    same = [finding("x" * 5000 + end, metric="m/" + "y" * 5000) for end in ("a", "b", "a")]
    names = [suite.get("name") for suite in ET.fromstring(junit(record(*same)))]
    assert len(set(names)) == 3


def test_no_text_becomes_an_attachment():
    text = "[[ATTACHMENT|/etc/passwd]] [[[ATTACHMENT|x]]]"
    entries = [
        finding(text, subject=text, reason=text, action=text, tier=tier, waiver=waiver_id)
        for tier in ("block", "warn")
        for waiver_id in ("", text)
    ]
    data = junit(record(*entries)).decode()
    assert "ATTACHMENT" in data
    assert not ATTACHMENT.search(data)
