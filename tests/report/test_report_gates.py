"""The verdicts of policies in every form of the report."""

from __future__ import annotations

import json

import pytest

from fmaudit.canonical import canonical_bytes, digest_bytes
from fmaudit.errors import UsageError
from fmaudit.report.gate_marks import gate_marks, read_gates
from fmaudit.report.gate_views import NO_GATE, gate_views
from fmaudit.report.html import render_html
from fmaudit.report.index import AuditIndex
from fmaudit.report.markdown import render_markdown
from tests.report.page_parser import Page

NUMBER = {"value": 0.125, "lower": 0.05, "upper": 0.2, "level": 0.8999999999999999, "n": 1200}


def finding(metric: str, **fields):
    return {
        "rule": "few-defects",
        "tier": "block",
        "kind": "level",
        "metric": metric,
        "subject": "adapted",
        "dataset": "prompts",
        "variant": "",
        "slice": {},
        "contrast": "",
        "limit": {"min": None, "max": 0.1},
        "verdict": "inconclusive",
        "reason": "interval 0.05 to 0.2 reaches across the limit",
        "action": "ask more items",
        "waiver": "",
        "number": NUMBER,
    } | fields


def record(*findings, **fields):
    policy = {
        "id": "release",
        "description": "What we ship.",
        "digest": "sha256:" + "a" * 64,
        "confidence": 0.95,
        "form": "fixed",
        "locked_before_run": True,
    }
    return {
        "schema": "fmaudit/gate/1",
        "policy": policy | fields.pop("policy", {}),
        "audit": "",
        "verdict": "inconclusive",
        "looks": 1,
        "release": None,
        "waivers": [],
        "findings": list(findings),
    } | fields


@pytest.fixture(scope="module")
def rate(rich_audit):
    return next(metric.id for metric in rich_audit.metrics if metric.kind == "rate")


def both(audit, gates, digest=None):
    return Page(render_html(audit, gates=gates, digest=digest)).text, render_markdown(
        audit, gates=gates, digest=digest
    )


def test_a_report_without_a_gate_says_so(rich_audit):
    page, text = both(rich_audit, [])
    assert NO_GATE in page
    assert "No policy has been held against this run" in text


def test_the_verdict_stands_with_its_numbers_limit_and_reason(rich_audit, rate):
    page, text = both(rich_audit, [record(finding(rate))])
    for form in (page.replace("\u00a0", " "), text.replace("\\", "").replace("\u00a0", " ")):
        assert "12.5 %" in form
        assert "90 % interval 5.0 to 20.0" in form
        assert "at most 10 %" in form
        assert "1,200" in form
        assert "reaches across the limit" in form
        assert "ask more items" in form
        assert "At least one blocking rule is undecided" in form
        assert "No policy has been held" not in form
        assert "not locked" not in form


def test_a_policy_that_was_not_locked_is_called_so(rich_audit, rate):
    gates = [record(finding(rate), policy={"locked_before_run": False})]
    for form in both(rich_audit, gates):
        assert "The policy was not locked before the run began" in form


def test_a_verdict_on_another_state_of_the_audit_is_called_so(rich_audit, rate):
    digest = digest_bytes(canonical_bytes(rich_audit.model_dump(mode="json", by_alias=True)))
    for form in both(rich_audit, [record(finding(rate), audit="sha256:" + "0" * 64)], digest):
        assert "another state of the audit" in form
    for form in both(rich_audit, [record(finding(rate), audit=digest)], digest):
        assert "another state of the audit" not in form


def test_waived_findings_keep_their_verdict_and_name_who_approved(rich_audit, rate):
    waiver = {
        "id": "w1",
        "approved_by": "R. Roe",
        "reason": "fixed in the next release",
        "created": "2026-01-01",
        "expires": "2026-02-01",
        "max_value": 0.2,
    }
    gates = [record(finding(rate, verdict="fail", waiver="w1"), verdict="pass", waivers=[waiver])]
    (view,) = gate_views(AuditIndex(rich_audit), gates, None)
    assert view.rows[0].verdict == "fail"
    assert "Findings waived: 1." in view.sentence
    for form in both(rich_audit, gates):
        assert "R. Roe" in form
        assert "2026" in form


def test_words_and_missing_numbers_are_shown_as_such(rich_audit, rate):
    rows = (
        finding(
            rate,
            kind="verdict",
            number=None,
            word="inherited",
            limit={"min": None, "max": None},
            blocked_words=["inherited", "amplified"],
        ),
        finding(rate, number=None, missing=True, reason="was not asked"),
        finding(rate, number={"value": None, "lower": None, "upper": None, "level": 0.9, "n": 0}),
    )
    (view,) = gate_views(AuditIndex(rich_audit), [record(*rows)], None)
    assert (view.rows[0].value, view.rows[0].limit) == ("inherited", "not inherited, amplified")
    assert view.rows[1].value == "none"
    assert view.rows[2].value.startswith("undefined")
    both(rich_audit, [record(*rows)])


def test_names_in_a_record_cannot_become_markup(rich_audit, rate):
    hostile = "<img src=x onerror=alert(1)> | `x` ](http://e)"
    gates = [record(finding(rate, rule=hostile, reason=hostile, where=hostile), policy={"id": hostile})]
    html = render_html(rich_audit, gates=gates)
    assert "<img" not in html
    assert "<img" not in render_markdown(rich_audit, gates=gates)


def test_a_damaged_record_is_refused_by_name(tmp_path, rate):
    (tmp_path / "gate").mkdir()
    for damaged in (
        {},
        record() | {"findings": ["x"]},
        record() | {"findings": None},
        record() | {"schema": "2"},
    ):
        (tmp_path / "gate" / "a.json").write_text(json.dumps(damaged))
        with pytest.raises(UsageError, match=r"gate/a\.json is no record of a gate"):
            read_gates(tmp_path)
    (tmp_path / "gate" / "a.json").write_text(json.dumps(record(finding(rate))))
    assert len(read_gates(tmp_path)) == 1


def test_a_rule_on_a_contrast_marks_that_contrast_alone(rich_audit):
    index = AuditIndex(rich_audit)
    contrast = next(found for found in rich_audit.contrasts if found.kind == "difference_in_differences")
    question = index.question(contrast.measurement, contrast.metric)
    adapted = contrast.terms[0].subject
    own = finding(
        contrast.metric,
        kind="contrast change",
        contrast=contrast.id.rpartition("/")[2],
        subject=adapted,
        dataset=question.dataset,
        variant=question.variant,
    )
    (mark,) = gate_marks(index, contrast, [record(own)])
    assert mark.verdict == "inconclusive"
    assert not gate_marks(index, contrast, [record(own | {"contrast": "another"})])
    assert not gate_marks(index, contrast, [record(own | {"kind": "contrast"})])


def test_the_change_of_a_distance_is_named_as_one(rich_audit):
    index = AuditIndex(rich_audit)
    metric = rich_audit.metrics[0].id
    plain, away = (
        gate_views(index, [record(finding(metric, kind="change", ideal=ideal))], None)[0].rows[0].where
        for ideal in (None, 0.5)
    )
    assert "change of the distance to 0.5" in away
    assert "distance" not in plain
