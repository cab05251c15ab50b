"""JUnit XML as Jenkins and GitLab read it: a suite for each finding, whose properties hold the number.

Failure: a blocking rule fails. Error: a blocking rule is not decided or was not
measured. Skipped: waived. Rules that only warn or monitor are never more than a note.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from fmaudit.gate.outputs.words import (
    NAME_LENGTH,
    Entry,
    Record,
    blocks,
    claim,
    facts,
    findings_of,
    message,
    short,
    status,
    status_words,
    unexplained,
    waiver_text,
)


def junit(record: Record) -> bytes:
    """The record as JUnit XML (junit-10.xsd of Jenkins' xUnit plugin), UTF-8.

    Properties stand in the suite: the schema has no place for them in a test case.
    """
    root = ET.Element("testsuites", name=_name(f"fmaudit gate {record['policy']['id']}"))
    taken: dict[str, int] = {}
    for entry in findings_of(record):
        root.append(_suite(record, entry, _unique(f"{entry['rule']}: {claim(entry)}", taken)))
    if unexplained(record):
        root.append(_verdict_suite(record))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root, " ")
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _suite(record: Record, entry: Entry, name: str) -> ET.Element:
    outcome = _outcome(entry)
    suite = ET.Element("testsuite", name=name, tests="1")
    for attribute, wanted in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(int(outcome == wanted)))
    properties = ET.SubElement(suite, "properties")
    for fact, value in facts(record, entry).items():
        ET.SubElement(properties, "property", name=fact, value=_inert(value))
    case = ET.SubElement(suite, "testcase", name=name, classname=_name(f"fmaudit.gate.{entry['rule']}"))
    if outcome == "skipped":
        case.append(_result(outcome, "waived", waiver_text(record, entry), message(entry)))
    elif outcome:
        kind = status(entry)
        case.append(_result(outcome, kind, f"{claim(entry)} {status_words(entry)}", message(entry)))
    else:
        ET.SubElement(case, "system-out").text = _inert(_note(entry) + message(entry))
    return suite


def _outcome(entry: Entry) -> str:
    if status(entry) == "waived":
        return "skipped"
    if not blocks(entry):
        return ""
    return "failure" if status(entry) == "fail" else "error"


def _verdict_suite(record: Record) -> ET.Element:
    name = "gate: verdict"
    suite = ET.Element("testsuite", name=name, tests="1", failures="0", errors="1", skipped="0")
    case = ET.SubElement(suite, "testcase", name=name, classname="fmaudit.gate")
    case.append(_result("error", "verdict", unexplained(record), unexplained(record)))
    return suite


def _result(tag: str, kind: str, title: str, body: str) -> ET.Element:
    element = ET.Element(tag, type=kind, message=_inert(title))
    element.text = _inert(body)
    return element


def _note(entry: Entry) -> str:
    if entry["verdict"] == "pass":
        return ""
    return f"Tier {short(entry['tier'], 20)}: this does not block. "


def _unique(name: str, taken: dict[str, int]) -> str:
    # GitLab keeps only the first of several cases with one name.
    shown = _name(name)
    taken[shown] = count = taken.get(shown, 0) + 1
    return shown if count == 1 else f"{shown} ({count})"


def _name(text: str) -> str:
    return _inert(short(text, 2 * NAME_LENGTH))


def _inert(text: str) -> str:
    # GitLab and Jenkins turn [[ATTACHMENT|path]] into a link to that file.
    return re.sub(r"\[(?=\[)", "[ ", text)
