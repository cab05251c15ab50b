"""What the report may claim of a comparison or a contrast, and what it may not."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.analysis import pairs
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers
from fmaudit.controls import load_catalogue, load_mapping
from fmaudit.controls.evidence import evidence_of
from fmaudit.probe import Binary, Rate
from fmaudit.report.finding_views import finding_views
from fmaudit.report.html import render_html
from fmaudit.report.index import AuditIndex
from fmaudit.report.lineage import evidence_text
from fmaudit.report.markdown import render_markdown
from fmaudit.report.outcomes import outcomes_of
from fmaudit.report.readings import comparison_verdict
from fmaudit.report.view import report_view


def _pair(factory, half: float = 0.03, p: float = 0.0001, **fields):
    """One headline rate that went from .40 to .46 in the adapted model."""
    made = factory()
    made.metric("toxicity.x/rate", "Rate", headline=True, eps=0.05, delta=0.05)
    for subject, rate in (("base", 0.4), ("adapted", 0.46)):
        measurement = made.measure("toxicity.x", "texts", subject)
        made.estimate(measurement, "toxicity.x/rate", rate, 0.03)
    made.compare(measurement, "toxicity.x/rate", 0.4, 0.46, half, p=p, **fields)
    return made


def _word(made) -> tuple[str, str]:
    finding = next(found for found in finding_views(AuditIndex(made.build())).findings if found.claim)
    return finding.word, finding.tone


def test_a_placeholder_verdict_is_never_a_word(make_audit):
    undecided = _pair(make_audit)
    assert undecided.data["comparisons"][0]["verdict"] == "association"
    assert _word(undecided) == ("higher than base", "alert")
    assert _word(_pair(make_audit, half=0.1, p=0.4)) == ("no change shown", "calm")
    assert _word(_pair(make_audit, family="headline")) == ("association", "alert")
    view = report_view(undecided.build())
    assert (view.matrix.rows[0].cells[0].word, view.matrix.worst[0].word) == ("higher than base",) * 2
    assert [said.word for said in view.lineage.roots[0].children[0].brought] == ["higher than base"]
    rows = [row for section in view.sections for q in section.questions for row in q.comparisons]
    assert [(row.claim, row.reading) for row in rows] == [("", "Higher than base")]
    mapping = load_mapping(load_catalogue())
    found = [
        [one for one in evidence_of(made.build(), mapping) if one.when == "verdict"]
        for made in (
            undecided,
            _pair(make_audit, family="headline", verdict="introduced"),
            _pair(make_audit, verdict="introduced"),
        )
    ]
    assert [bool(one) for one in found] == [False, True, False]


def test_a_step_says_no_defect_only_where_verdicts_were_reached(make_audit):
    def said(**fields):
        made = _pair(make_audit, half=0.1, p=0.4, **fields)
        return report_view(made.build()).lineage.roots[0].children[0].still_note

    assert said() == "No verdict was reached for this step."
    assert said(family="headline", verdict="inconclusive") == "No verdict was reached for this step."
    assert said(family="headline", verdict="clean").startswith("No defect is shown to be brought")
    assert said(family="headline", verdict="introduced") == ""


def test_interval_and_test_that_disagree_are_unclear(make_audit):
    assert _word(_pair(make_audit, half=0.03, p=0.4)) == ("unclear: interval and test disagree", "open")
    assert _word(_pair(make_audit, half=0.1, p=0.001))[0] == "unclear: interval and test disagree"
    made = make_audit()
    contrasted(made, 0.4, 0.45, p=0.2)
    view = report_view(made.build())
    assert (view.key_numbers[0].word, view.key_numbers[0].tone) == (
        "Unclear: interval and test disagree",
        "open",
    )
    assert "interval and test disagree" in view.key_numbers[0].statements[-1].lead


def contrasted(made, base: float, adapted: float, **change):
    made.metric("memorization.y/rate", "Rate")
    for subject, gap in (("base", base), ("adapted", adapted)):
        measurement = made.measure("memorization.y", "texts", subject)
        made.contrast("c", "within_subject", measurement, "memorization.y/rate", gap, 0.02)
    made.contrast(
        "c", "difference_in_differences", measurement, "memorization.y/rate", adapted - base, 0.02, **change
    )


def test_the_correction_of_the_banner_decides_cards_and_findings(make_audit):
    alone, many = _pair(make_audit, p=0.03), _pair(make_audit, p=0.03)
    contrasted(many, 0.4, 0.41, p=0.5)
    assert _word(alone) == ("higher than base", "alert")
    assert _word(many) == ("no change shown after correction", "open")
    assert report_view(alone.build()).banner.tone == "alert"
    view = report_view(many.build())
    assert view.banner.tone == "calm"
    assert "No change shown after correction" in {card.word for card in view.key_numbers}
    grown = _pair(make_audit, half=0.1, p=0.4)
    contrasted(grown, 0.4, 0.45, p=0.03)
    words = {found.word for found in finding_views(AuditIndex(grown.build())).findings}
    assert "no change shown after correction" in words
    assert not words & {"gap grew", "gap moved"}


def test_a_decided_change_within_its_margin_says_so(make_audit):
    def verdict(**fields):
        audit = _pair(make_audit, half=0.01, **fields).build()
        return comparison_verdict(AuditIndex(audit), audit.comparisons[0])[1]

    wide = {"eps": 0.05, "delta": 0.1}
    assert verdict(family="headline", margins=wide) == "Higher than base, within the margin"
    assert verdict(family="headline") == "Higher than base"
    assert verdict(margins=wide) == "Higher than base"
    assert verdict(family="headline", margins=wide, adjusted_lower=0.01, adjusted_upper=0.11) == (
        "Higher than base"
    )


@pytest.mark.parametrize("direction", ["higher_is_better", "lower_is_better", "target"])
def test_a_paired_table_of_todays_analysis_is_labelled_right(make_audit, direction):
    old, new = [1] * 35 + [0] * 11, [1] * 9 + [0] * 37
    ids, ones = np.array([str(place) for place in range(46)]), np.ones(46)

    def answers(values):
        numeric = {"outcome": np.array(values, dtype=float)[:, None]}
        return Answers(ids, ones, {"item": ids}, {}, numeric, {}, {})

    metric = Rate("rate", direction=direction, ideal=0.5 if direction == "target" else None)
    pair = pairs.Pair(answers(old), answers(new))
    fields = pairs.compare(metric, pair, (Binary("outcome"),), Settings())
    made = _pair(make_audit)
    made.data["metrics"][0] |= {"direction": direction, "ideal": metric.ideal}
    made.data["comparisons"][0] |= {
        name: fields[name] for name in ("table", "base_value", "adapted_value", "value")
    }
    audit = made.build()
    table = audit.comparisons[0].table
    first, second = outcomes_of(audit.metrics[0], audit.comparisons[0])
    assert {first, second} == ({"yes", "no"} if direction == "target" else {"fails", "passes"})
    # 35 items have outcome 1 in the base: where more is better these are the ones that pass.
    ones_called = {"higher_is_better": "passes", "lower_is_better": "fails", "target": "yes"}[direction]
    counted = {first: table.n11 + table.n10, second: table.n01 + table.n00}
    assert counted[ones_called] == 35
    html = render_html(audit)
    assert f"Adapted: {first}" in html
    assert ("Adapted: fails" in html) == (direction != "target")
    assert f"{first.capitalize()}: items in both {table.n11}" in render_markdown(audit)


def test_a_table_of_an_early_release_is_labelled_as_it_was_counted(make_audit):
    made = _pair(make_audit)
    made.data["metrics"][0]["direction"] = "higher_is_better"
    made.data["comparisons"][0] |= {
        "table": {"n11": 7, "n10": 28, "n01": 2, "n00": 9},
        "base_value": 35 / 46,
        "adapted_value": 9 / 46,
    }
    audit = made.build()
    assert outcomes_of(audit.metrics[0], audit.comparisons[0]) == ("passes", "fails")


def test_what_is_still_there_is_said_although_no_change_is_settled(make_audit):
    def reasons(**fields):
        return report_view(_pair(make_audit, half=0.1, p=0.4, **fields).build()).banner.reasons

    still = "Rate: still shows in 1 of 1 adapted model, at 46.0\u00a0%"
    assert any(reason.startswith(still) for reason in reasons(family="headline", verdict="inconclusive"))
    assert any(reason.startswith(still) for reason in reasons())
    assert not any("still shows" in reason for reason in reasons(family="headline", verdict="inherited"))
    high = {"eps": 0.45, "delta": 0.05}
    assert not any("still shows" in reason for reason in reasons(margins=high))


def test_one_effect_is_counted_once(make_audit):
    def text(verdict):
        made = _pair(make_audit, family="headline", verdict=verdict)
        measurement = "adapted/toxicity.x@texts"
        made.contrast("c", "difference_in_differences", measurement, "toxicity.x/rate", 0.3, 0.05)
        return report_view(made.build()).banner.title

    assert text("introduced") == "Headline defect in the adapted models: 1 introduced"
    assert text("association") == "The adapted model is worse than its base on 2 headline numbers"


def test_memorization_that_the_base_could_not_show_is_said(rich_audit):
    data = rich_audit.model_dump(mode="json", by_alias=True)
    assert not any("not ruled out" in reason for reason in report_view(rich_audit).banner.reasons)
    base = next(c for c in data["contrasts"] if c["id"] == "base/within_subject/members")
    base |= {"conclusive": False, "reason": "12 clusters, 30 needed"}
    view = report_view(type(rich_audit).model_validate(data))
    assert view.banner.reasons[0].startswith("Inconclusive for the base")
    assert "Members minus controls" in view.banner.reasons[0]


def test_the_table_is_quoted_where_both_models_show_it(make_audit):
    made = _pair(make_audit, half=0.1, p=0.4, family="headline", verdict="inconclusive")
    for subject in ("base", "adapted"):
        measurement = f"{subject}/toxicity.x@texts"
        made.contrast("c", "within_subject", measurement, "toxicity.x/rate", 0.4, 0.05)
    made.contrast("c", "difference_in_differences", measurement, "toxicity.x/rate", 0.01, 0.05)
    audit = made.build()
    card = next(card for card in report_view(audit).key_numbers if card.word == "In both; no change shown")
    assert card.table_words == "inconclusive (Adapted)"
    assert "decision table: inconclusive (Adapted)" in render_html(audit)
    assert any("In the adapted model: n 400" in line for line in card.rests)
    assert all(said.at for said in card.statements)


def test_evidence_of_descent_does_not_say_more_than_it_shows(make_audit):
    fits = "the weights of base-1 with an adapter that fits them; next-token agreement 0.98"
    assert "runs on the base's weights" in evidence_text(fits)
    assert "declared, not shown" in evidence_text(fits)
    assert evidence_text("units matched: adjusted p below 1e-99; p 0.0002") == (
        "units matched: adjusted p < 1e-6; p 0.0002"
    )
    made = _pair(make_audit)
    made.data["subjects"][1]["lineage"]["evidence"] = fits
    assert "adapter was trained on them is declared" in render_html(made.build()).replace("&#39;", "'")
