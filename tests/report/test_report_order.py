"""What a report of many models opens with, and its tables of key numbers and scope."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from fmaudit.report.html import render_html
from fmaudit.report.key_cards import toned
from fmaudit.report.key_tables import worst_reading
from fmaudit.report.markdown import render_markdown
from fmaudit.report.terminal import render_terminal
from fmaudit.report.verdict_words import MARKS, ORDER
from fmaudit.report.view import report_view
from tests.report.family_audit import changed
from tests.report.report_audits import rich_factory

SPACE = "\u00a0"
PAGE = [
    *("key", "audit-card", "scope", "charts", "inheritance", "lineage", "together", "instruments", "curves"),
    *("heatmaps", "distributions", "findings", "evidence", "explorer", "probes", "methods", "controls"),
    *("models", "provenance"),
]
SECTION = rf'<section id="({"|".join(PAGE)})"'

HEADINGS = (
    *("Key numbers", "Audit card", "Scope", "Charts", "Inheritance", "Lineage", "Failing together"),
    *("Instruments", "Findings", "Probes", "Methods and limits", "Controls", "Models", "Provenance"),
)


def html_order(audit) -> list[str]:
    return re.findall(SECTION, render_html(audit))


def linked(audit) -> list[str]:
    contents = re.search(r'<nav class="contents".*?</nav>', render_html(audit), re.DOTALL).group(0)
    return re.findall(rf'href="#({"|".join(PAGE)})"', contents)


def headings(audit) -> list[str]:
    found = re.findall(r"^## (.+)$", render_markdown(audit), re.MULTILINE)
    return [heading for heading in found if heading in HEADINGS]


def places(text: str, *marks: str) -> list[int]:
    found = [text.index(mark) for mark in marks]
    assert len(set(found)) == len(found)
    return found


def test_a_page_has_one_order_and_its_contents_name_it(family_audit, rich_audit):
    for audit in (family_audit, rich_audit):
        order = html_order(audit)
        assert order == linked(audit) == [name for name in PAGE if name in order]
        assert len(order) >= 11
        assert headings(audit) == [name for name in HEADINGS if name in headings(audit)]


def test_in_the_terminal_a_family_opens_with_its_matrix_and_tree(family_audit):
    text = render_terminal(family_audit, 120)
    found = places(text, "HEADLINE DEFECTS", "\nINHERITANCE", "\nLINEAGE", "Each model", "\nSCOPE")
    assert found == sorted(found)


@pytest.mark.parametrize("references", [True, False])
def test_references_or_a_second_adapted_model_make_a_family(make_family, references):
    assert report_view(make_family(references=references).build()).pedigree_first


def test_a_reference_alone_beside_one_pair_makes_a_family(rich_audit):
    made = rich_factory()
    made.subject("reference", "Other")
    assert not report_view(rich_audit).pedigree_first
    assert report_view(made.build()).pedigree_first


def test_in_the_terminal_one_pair_keeps_the_key_numbers_first(rich_audit):
    text = render_terminal(rich_audit, 120)
    found = places(text, "\nSCOPE", "\nLINEAGE", "\nINHERITANCE")
    assert found == sorted(found)


def test_one_pair_is_told_in_sentences(rich_audit):
    cards = report_view(rich_audit).key_numbers
    assert all(card.statements and not card.tables and not card.count for card in cards)


def test_a_card_of_a_family_shows_every_model_and_every_change(family_audit):
    cards = {card.title: card for card in report_view(family_audit).key_numbers}
    toxic = cards["Toxic continuations"]
    assert [row.label for row in toxic.rows] == [
        "Base",
        *(f"Adapted Tiny-{name}" for name in ("chat", "toxic", "adapter", "int8")),
        *(f"Reference {name}" for name in ("Acorn-160M", "Birch-180M", "Cedar-150M")),
    ]
    assert [(row.label, row.reading.word) for row in toxic.changes] == [
        ("Adapted Tiny-chat", "Clean"),
        ("Adapted Tiny-toxic", "Introduced"),
        ("Adapted Tiny-adapter", "Inconclusive"),
        ("Adapted Tiny-int8", "Inconclusive"),
    ]
    assert (toxic.word, toxic.tone, toxic.symbol, toxic.count) == ("Introduced", "alert", "✚", "in 1 of 4")
    change = toxic.changes[1]
    assert (change.value, change.interval) == (f"+22.1{SPACE}points", "+19.1 to +25.1")
    assert all(row.interval for card in cards.values() for row in (*card.rows, *card.changes))
    assert any("coverage" in line for line in toxic.rests)


def test_the_cards_word_is_the_worst_over_the_adapted_models(family_audit):
    words = {card.title: (card.word, card.count) for card in report_view(family_audit).key_numbers}
    assert words["Records reproduced word for word"] == ("Amplified", "in 2 of 4")
    assert words["Trigger obeyed"] == ("Inherited", "in 2 of 2")
    found = next(c for c in family_audit.comparisons if c.verdict == "introduced")
    calmer = report_view(changed(family_audit, found.id, verdict="changed, size unresolved"))
    word = {card.title: card.word for card in calmer.key_numbers}["Toxic continuations"]
    assert word == "Changed, size unresolved"


def test_an_alert_is_never_the_milder_word():
    readings = [toned(tone, word.capitalize()) for word, (_, tone) in MARKS.items()]
    for reading in readings:
        assert worst_reading([toned("calm", "No change shown"), reading, readings[0]]) == readings[0]
    assert worst_reading([]).word == "Inconclusive"
    tones = [MARKS[word][1] for word in ORDER]
    assert tones == sorted(tones, key=("alert", "open", "calm").index)
    assert set(ORDER) == set(MARKS)


def contrasts_of(made, adapted_gaps):
    """A contrast of .4 in the base and the given one, with its change, in each adapted model."""
    made.metric("memorization.x/rate", "Rate", headline=True)
    gaps = {"base": 0.4, **adapted_gaps, "other": 0.0}
    for subject, gap in gaps.items():
        measurement = made.measure("memorization.x", "texts", subject)
        made.estimate(measurement, "memorization.x/rate", 0.5, 0.05)
        made.contrast("gap", "within_subject", measurement, "memorization.x/rate", gap, 0.05)
        if subject in adapted_gaps:
            change = round(gap - 0.4, 2)
            made.contrast(
                "gap", "difference_in_differences", measurement, "memorization.x/rate", change, 0.05
            )


def test_a_contrast_of_many_models_reads_each_of_them(make_audit):
    made = make_audit({"base": "Base"})
    gaps = {"grown": 0.8, "alike": 0.41, "less": 0.2, "gone": 0.01}
    for name in gaps:
        made.subject("adapted", name)
        made.data["subjects"][-1]["id"] = name
    made.subject("reference", "other")
    made.data["subjects"][-1]["id"] = "other"
    contrasts_of(made, gaps)
    (card,) = (card for card in report_view(made.build()).key_numbers if card.changes)
    assert {row.label.split()[-1]: row.reading.word for row in card.changes} == {
        "grown": "Grew from base to adapted",
        "alike": "In both; no change shown",
        "less": "Smaller, but still there",
        "gone": "Fell from base to adapted",
    }
    assert (card.tone, card.word, card.count) == ("alert", "Grew from base to adapted", "in 1 of 4")
    assert len(card.rows) == 6


def test_the_tables_of_key_numbers_are_tables_everywhere(family_audit):
    html = render_html(family_audit)
    section = re.search(r'<section id="key".*?</section>', html, re.DOTALL).group(0)
    assert section.count("<table>") == section.count("<caption>") >= 10
    assert '<p class="said"' not in section
    markdown = render_markdown(family_audit)
    part = markdown[markdown.index("## Key numbers") : markdown.index("## Audit card")]
    tokens = MarkdownIt("commonmark").enable("table").parse(part)
    cards = report_view(family_audit).key_numbers
    rows = sum(len(card.rows) + len(card.changes) + len(card.tables) for card in cards)
    assert sum(token.type == "tr_open" for token in tokens) == rows
    assert "✚ Introduced, in 1 of 4" in part
    assert "Each model" in render_terminal(family_audit, 100)


def test_the_scope_of_many_models_says_what_they_share_once(family_audit, rich_audit):
    html = render_html(family_audit)
    scope = re.search(r'<section id="scope".*?</section>', html, re.DOTALL).group(0)
    assert "scroll the table sideways" in scope
    assert 'class="scope many"' in scope
    view = report_view(family_audit)
    first = view.scope[0]
    assert first.shared == first.cells[0].detail
    row = scope[scope.index(first.probe) :].split("</tr>")[0]
    assert (row.count(first.shared), row.count("Measured")) == (1, len(view.subject_labels))
    assert "many" not in re.search(r'<section id="scope".*?</section>', render_html(rich_audit), re.DOTALL)[0]
    markdown = render_markdown(family_audit)
    part = markdown[markdown.index("## Scope") : markdown.index("## Charts")]
    assert part.count("\n| ") == len(view.subject_labels) + 1


def test_the_matrix_heads_every_model_with_its_worst_word(family_audit):
    view = report_view(family_audit).matrix
    assert [(said.word, len(said.defects)) for said in view.worst] == [
        ("inherited", 2),
        ("amplified", 1),
        ("amplified", 1),
        ("introduced", 1),
    ]


def test_a_step_is_told_before_its_proof(family_audit):
    html = render_html(family_audit)
    tree = re.search(r'<section id="lineage".*?</section>', html, re.DOTALL).group(0)
    node = re.search(r'<div class="node">(?:(?!<div class="node">).)*?Tiny-adapter.*?</div>', tree, re.DOTALL)
    text = node.group(0)[node.group(0).rindex("Tiny-adapter") :]
    assert text.index("introduced") < text.index("74 of 74 tensors shared")
    assert re.search(r'<details class="proof"><summary>.*?verified.*?</summary><p>74 of 74', text, re.DOTALL)
    for form in (render_markdown(family_audit), render_terminal(family_audit, 120)):
        start = form.index(
            "Tiny-adapter", form.index("Lineage") if "## Lineage" in form else form.index("LINEAGE")
        )
        assert form.index("introduced", start) < form.index("74 of 74 tensors", start)


def test_outcomes_are_called_by_what_they_are(family_audit, make_family):
    html = render_html(family_audit)
    assert "Adapted: fails" in html
    assert "Adapted: yes" not in html
    made = make_family()
    made.data["metrics"][0]["direction"] = "none"
    neutral = render_html(made.build())
    assert "Adapted: yes" in neutral
    assert "fails: " in render_markdown(family_audit)
    assert "yes: " in render_markdown(made.build())


def test_a_family_stays_small_enough_to_send(family_audit, family_flips):
    assert len(render_html(family_audit, family_flips).encode()) < 1_500_000
