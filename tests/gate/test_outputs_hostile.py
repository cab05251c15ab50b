"""Hostile text in every free field of the record: every output parses, and none holds anything active."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fmaudit.gate.outputs.github import annotation_lines
from fmaudit.gate.outputs.gitlab import code_quality
from fmaudit.gate.outputs.junit import junit
from fmaudit.gate.outputs.openmetrics import metrics, openmetrics
from fmaudit.gate.outputs.sarif import sarif
from fmaudit.gate.outputs.step_summary import SUMMARY_LIMIT, step_summary
from tests.gate.gate_records import map_texts, mixed
from tests.gate.test_outputs_gitlab import as_gitlab_reads, report_schema
from tests.gate.test_outputs_junit import ATTACHMENT
from tests.gate.workflow_commands import command_in
from tests.report.report_audits import HOSTILE

SCHEMAS = Path(__file__).parent / "schemas"
SARIF = Draft202012Validator(json.loads((SCHEMAS / "sarif-2.1.0.json").read_text(encoding="utf-8")))
JUNIT = xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))
# Where a policy lies is the user's own affair, which of the report's fields there are is not.
CODE_QUALITY = Draft202012Validator(report_schema({"type": "string"}))
TEXTS = [
    *HOSTILE,
    "::error::x",
    "##[set-env name=PATH]x",
    "]]>",
    "<![CDATA[x]]>",
    "&amp;&#0;&#x1b;",
    "[[ATTACHMENT|/etc/passwd]]",
    "\ufffe\uffff\x0b\x85\u2028\u2029",
    "%0A::error::x",
    '{x="y"} 1 # EOF',
    "",
    " ",
    "../../etc/passwd",
]
TEXT = st.one_of(st.sampled_from(TEXTS), st.text(max_size=80), st.text(st.characters(), max_size=20))


def check_all(made, path):
    for data in (sarif(made, path), code_quality(made, path)):
        text = data.decode("ascii")
        assert not set("<>&") & set(text)
        assert all(char == "\n" or unicodedata.category(char)[0] != "C" for char in text)
    SARIF.validate(json.loads(sarif(made, path)))
    CODE_QUALITY.validate(json.loads(code_quality(made, path)))
    check_xml(junit(made))
    summary = step_summary(made)
    assert len(summary.encode("utf-8")) <= SUMMARY_LIMIT
    assert not hidden(summary)
    assert set(re.findall(r"<[^\s>]*", summary)) <= {"<details", "<summary", "</summary", "</details"}
    assert "@" not in summary
    for line in annotation_lines(made, path):
        assert not hidden(line)
        command = command_in(line)
        assert command.name in {"error", "warning", "notice"}
        assert set(command.properties) == {"file", "line", "title"}
    for text in (openmetrics(made), metrics(made)):
        families = {family.name for family in text_string_to_metric_families(text)}
        assert all(name.startswith(("fmaudit_gate_", "fmaudit_finding_")) for name in families)
        assert not hidden(text)
    assert all(name.startswith("fmaudit_") for name in as_gitlab_reads(metrics(made)))


def check_xml(data):
    root = ET.fromstring(data)
    JUNIT.validate(ET.ElementTree(root))
    text = data.decode("utf-8")
    assert not ATTACHMENT.search(text)
    assert not hidden(text)
    assert {element.tag for element in root.iter()} <= {
        *("testsuites", "testsuite", "properties", "property", "testcase"),
        *("failure", "error", "skipped", "system-out"),
    }


def hidden(text):
    return [char for char in text if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co"}]


@pytest.mark.parametrize("text", TEXTS)
def test_one_hostile_text_everywhere(text):
    check_all(map_texts(mixed(), lambda old: old + text), f"policies/{text}.yaml")
    check_all(map_texts(mixed(), lambda _: text), text)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(TEXT, min_size=1, max_size=5))
def test_any_texts_everywhere(texts):
    taken = iter(range(10**6))
    check_all(map_texts(mixed(), lambda _: texts[next(taken) % len(texts)]), texts[0])


def test_a_megabyte_in_every_field():
    long = "x|\n<" * 250_000
    made = map_texts(mixed(), lambda old: old + long)
    check_all(made, "policy.yaml")
    for data in (sarif(made, "p"), code_quality(made, "p"), junit(made), openmetrics(made).encode()):
        assert len(data) < 1_000_000
    assert all(len(line) < 10_000 for line in annotation_lines(made, "p"))
