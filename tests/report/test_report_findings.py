"""Findings as plain data, and as HTML and Markdown."""

from __future__ import annotations

import json

import pytest

from fmaudit.errors import UsageError
from fmaudit.report.finding_views import REFUTED, anchor_of, finding_views
from fmaudit.report.flips import flip_views
from fmaudit.report.gate_marks import read_gates
from fmaudit.report.index import AuditIndex
from fmaudit.report.markdown import _environment
from fmaudit.report.verdict_words import headline
from tests.report.page_parser import Page
from tests.report.partials_page import partials_page
from tests.report.report_audits import AuditFactory

TONES = ("alert", "open", "calm")


@pytest.fixture(scope="module")
def family(family_audit):
    return finding_views(AuditIndex(family_audit))


def test_every_headline_comparison_is_a_finding_once(family, family_audit):
    index = AuditIndex(family_audit)
    wanted = [found.id for found in family_audit.comparisons if headline(index, found)]
    assert sorted(found.claim for found in family.findings if found.claim) == sorted(wanted)
    assert sum(count for _, count in family.words) == len(family.findings)


def test_the_numbers_are_those_of_the_audit(family, family_audit):
    index = AuditIndex(family_audit)
    own = {found.id: found for found in family_audit.comparisons}
    for finding in family.findings:
        if not finding.claim:
            continue
        found = own[finding.claim]
        assert finding.number == index.number(found, found.metric, found.measurement, difference=True)
        assert finding.n == found.n
        assert finding.model == index.subject_label(found.adapted)


def test_alerts_come_first_and_ranks_count(family):
    tones = [TONES.index(found.tone) for found in family.findings]
    assert tones == sorted(tones)
    assert len(set(tones)) == 3
    assert [found.rank for found in family.findings] == list(range(1, len(tones) + 1))


def test_a_defect_keeps_the_word_of_the_matrix(family, family_audit):
    index = AuditIndex(family_audit)
    own = {found.id: found for found in family_audit.comparisons}
    words = {
        finding.word
        for finding in family.findings
        if finding.claim and index.metrics.of(own[finding.claim]).kind == "rate"
    }
    verdicts = {found.verdict for found in family_audit.comparisons if headline(index, found)}
    assert words <= verdicts
    assert "inherited" in words


def test_anchors_are_stable_unique_and_fit_for_an_address(family, family_audit):
    anchors = [found.anchor for found in family.findings]
    assert len(set(anchors)) == len(anchors)
    assert anchors == [found.anchor for found in finding_views(AuditIndex(family_audit)).findings]
    assert anchor_of("comparison", "x") == "finding-973d6a490cd1"
    assert anchor_of("comparison", "x") != anchor_of("contrast", "x")
    assert anchor_of("comparison", "\ud800").startswith("finding-")


def test_a_refuted_lineage_is_a_finding(make_family):
    made = make_family()
    adapted = next(subject for subject in made.data["subjects"] if subject["role"] == "adapted")
    adapted["lineage"] = {"declared": "base", "verified": False, "evidence": "weights differ everywhere"}
    found = finding_views(AuditIndex(made.build())).findings
    first = next(
        finding for finding in found if finding.word == REFUTED and adapted["name"] in finding.sentence
    )
    assert first.tone == "alert"
    assert ("evidence", "weights differ everywhere") in first.facts
    assert first.number is None
    assert first.reason


def test_what_was_not_measured_says_why(rich_audit):
    found = finding_views(AuditIndex(rich_audit)).findings
    gap = next(finding for finding in found if finding.word == "unmeasured" and not finding.claim)
    assert gap.reason == "the disk was full after 3 of 12 blocks"
    assert gap.number is None
    assert sum(finding.word == "unmeasurable" for finding in found) == 2


def test_contrasts_within_a_model_tell_only_what_is_shown(rich_audit):
    found = [
        finding
        for finding in finding_views(AuditIndex(rich_audit)).findings
        if finding.title == "Members minus controls"
    ]
    # Two changes from the base, and two gaps in the adapted model; those of the base are not shown.
    assert sorted(finding.word for finding in found) == ["gap grew", "gap grew", "gap shown", "gap shown"]
    assert all(finding.tone == "open" for finding in found if finding.word == "gap shown")


def test_controls_go_by_metric_probe_and_family(rich_audit):
    controls = {
        "bias": ["A-1"],
        "bias.crows_pairs": ["A-1", "B-2"],
        "bias.crows_pairs/pct_stereotype": ["C-3"],
    }
    found = finding_views(AuditIndex(rich_audit), controls=controls).findings
    own = next(finding for finding in found if finding.probe == "bias.crows_pairs" and finding.claim)
    assert own.controls == ("C-3", "A-1", "B-2")
    assert all(not finding.controls for finding in found if finding.probe.startswith("toxicity"))


def _gate(comparison, verdict: str, **fields):
    held = {
        "rule": "no-more-toxicity",
        "tier": "block",
        "kind": "change",
        "metric": comparison.metric,
        "subject": comparison.adapted,
        "variant": "",
        "dataset": "prompts",
        "slice": {},
        "verdict": verdict,
        "reason": "the interval crosses the limit",
        "action": "ask more items",
    }
    return {"schema": "fmaudit/gate/1", "policy": {"id": "release"}, "findings": [held | fields]}


def test_a_gate_stands_beside_its_number_only(rich_audit):
    index = AuditIndex(rich_audit)
    toxic = next(found for found in rich_audit.comparisons if found.metric.startswith("toxicity"))
    gates = [_gate(toxic, "pass"), _gate(toxic, "fail", kind="level"), _gate(toxic, "pass", dataset="others")]
    view = finding_views(index, gates)
    marked = {finding.claim: finding.gates for finding in view.findings if finding.gates}
    assert list(marked) == [toxic.id]
    assert [(mark.verdict, mark.symbol, mark.policy) for mark in marked[toxic.id]] == [
        ("fail", "✕", "release"),
        ("pass", "✓", "release"),
    ]
    page = Page(partials_page(rich_audit, gates=gates)).text
    assert "rule no-more-toxicity of policy release" in page
    assert "no rule" in page
    assert "no rule" not in Page(partials_page(rich_audit)).text


def test_records_of_gates_are_read_and_strangers_refused(tmp_path, rich_audit):
    assert read_gates(tmp_path) == []
    (tmp_path / "gate").mkdir()
    record = _gate(rich_audit.comparisons[0], "pass")
    (tmp_path / "gate" / "a.json").write_text(json.dumps(record))
    assert read_gates(tmp_path) == [record]
    (tmp_path / "gate" / "b.json").write_text("[]")
    with pytest.raises(UsageError, match=r"gate/b\.json is no record of a gate"):
        read_gates(tmp_path)


def test_the_page_holds_every_finding_with_interval_and_size(family, family_audit, family_flips):
    html = partials_page(family_audit, family_flips)
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    links = {attributes["href"] for attributes in page.all("a")}
    for finding in family.findings:
        assert f"#{finding.anchor}" in links
        assert finding.anchor in ids
        if finding.number and finding.number.has_value:
            assert finding.number.value in page.text
            assert finding.number.plain_interval in page.text
    assert html == partials_page(family_audit, family_flips)


def test_texts_stay_out_unless_revealed(family_audit, family_flips):
    item = next(one for sample in family_flips for items in sample.items.values() for one in items)
    assert item.adapted_text
    assert item.adapted_text not in partials_page(family_audit, family_flips)
    revealed = Page(partials_page(family_audit, family_flips, reveal=True))
    assert item.adapted_text in revealed.text
    assert "Reveal: may offend" in revealed.text
    assert not [one for one in revealed.all("details") if one.get("class") == "reveal" and "open" in one]


def test_markdown_says_the_same(family, family_audit, family_flips):
    template = '{% import "findings.md.j2" as f with context %}{{ f.findings(findings, flips) }}'
    text = (
        _environment()
        .from_string(template)
        .render(findings=family, flips=flip_views(family_flips, reveal=False))
    )
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == len(family.findings) + 1
    assert len({line.count(" | ") for line in rows}) == 1
    assert "Items behind the findings" in text


def test_an_audit_without_numbers_says_so():
    empty = AuditFactory({"base": "alone"}).build()
    assert finding_views(AuditIndex(empty)).findings == ()
    assert "which is not a sign of safety" in Page(partials_page(empty)).text


def test_findings_say_where_in_the_audit_their_number_stands(family, family_audit, family_flips):
    page = Page(partials_page(family_audit, family_flips))
    places = [attributes["data-at"] for _, attributes in page.elements if attributes.get("data-at")]
    for finding in family.findings:
        if finding.number:
            assert places.count(finding.number.at) >= 2
