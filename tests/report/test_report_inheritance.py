"""Lineage, matrix, homogenization, calibration and flipped items on a synthetic family."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from fmaudit.report.flips import MAX_FLIPS, FlippedItem, FlipSample, flip_views, rows_commands
from fmaudit.report.html import render_html
from fmaudit.report.markdown import render_markdown
from fmaudit.report.pedigree_text import render_pedigree
from fmaudit.report.terminal import render_terminal
from fmaudit.report.verdict_words import LEGEND, MARKS
from fmaudit.report.view import report_view
from tests.report.family_audit import CELLS, changed, family_factory, flips_of, hostile_family
from tests.report.page_parser import Page

SPACE = "\u00a0"


HEADLINES = next(family.size for family in family_factory().build().families if family.name == "headline")


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace(SPACE, " "))


def forms(audit, samples=None, reveal=False) -> dict[str, str]:
    return {
        "html": plain(Page(render_html(audit, samples, reveal)).text),
        "md": plain(render_markdown(audit, samples, reveal)),
        "terminal": plain(render_terminal(audit, 200)),
    }


@pytest.fixture(scope="module")
def printed(family_audit) -> dict[str, str]:
    return forms(family_audit)


def test_the_tree_hangs_every_model_under_its_declared_parent(family_audit):
    lineage = report_view(family_audit).lineage
    assert lineage is not None
    (base,) = lineage.roots
    assert [child.name for child in base.children] == ["Tiny-chat", "Tiny-toxic"]
    (adapter,) = base.children[0].children
    (int8,) = adapter.children
    assert (adapter.name, int8.name, int8.children) == ("Tiny-adapter", "Tiny-int8", ())
    assert [edge.state for edge in int8.edges] == ["unknown", "verified"]
    assert not lineage.strays


def test_each_step_says_what_it_brought_not_what_its_parent_already_had(family_audit):
    (base,) = report_view(family_audit).lineage.roots
    adapter = base.children[0].children[0]
    brought = {said.word: said.defects for said in adapter.brought}
    assert brought["introduced"] == (f"Errors on negated statements, 2.0{SPACE}% → 29.0{SPACE}%",)
    assert set(brought) == {"introduced", "amplified", "mitigated"}
    int8 = adapter.children[0]
    assert not int8.brought
    assert len(int8.kept[0].defects) == 3


def test_a_reversed_defect_is_a_step_of_its_own(family_audit):
    found = next(c for c in family_audit.comparisons if c.adapted == "toxic" and "bias" in c.metric)
    audit = changed(family_audit, found.id, flags=["reversed"], verdict="changed, size unresolved")
    toxic = report_view(audit).lineage.roots[0].children[1]
    assert "reversed" in {said.word for said in toxic.brought}


def test_controls_are_good_where_refuted(family_audit):
    controls = report_view(family_audit).lineage.controls
    assert [(control.state, control.group) for control in controls] == [
        ("refuted", "acorn"),
        ("refuted", "birch"),
        ("unknown", "cedar"),
    ]
    assert "usable" in controls[0].usable
    assert "refused" in controls[2].usable


@pytest.mark.parametrize("parent", ["gone", "int8"])
def test_a_parent_that_is_missing_or_circular_leaves_a_stray_and_ends(parent):
    made = family_factory()
    for subject in made.data["subjects"]:
        if subject["id"] == "adapter":
            subject["base"] = parent
    view = report_view(made.build())
    strays = view.lineage.strays
    assert [stray.name for stray in strays] == ["Tiny-adapter"]
    assert [child.name for child in strays[0].children] == ["Tiny-int8"]
    assert len(view.matrix.columns) == 4


def test_a_refuted_lineage_is_said_first():
    made = family_factory()
    toxic = next(subject for subject in made.data["subjects"] if subject["id"] == "toxic")
    toxic["lineage"] |= {"verified": False, "evidence": "no tensor is shared"}
    for text in forms(made.build()).values():
        assert "the declared lineage is refuted (no tensor is shared)" in text
        assert "✕" in text


def test_the_matrix_has_a_cell_for_every_defect_and_child(family_audit):
    view = report_view(family_audit).matrix
    assert len(view.rows) == 5
    assert view.columns == (
        "Adapted Tiny-chat",
        "Adapted Tiny-adapter",
        "Adapted Tiny-int8",
        "Adapted Tiny-toxic",
    )
    order = ("chat", "adapter", "int8", "toxic")
    for row in view.rows:
        expected = [CELLS[row.probe][1].get(child, (0, None))[1] for child in order]
        assert [cell and cell.word for cell in row.cells] == expected


def test_words_never_stand_on_colour_alone():
    symbols = [symbol for symbol, _ in MARKS.values()]
    assert len(set(symbols)) == len(symbols)
    assert {word for word, _ in LEGEND} == set(MARKS)


def test_a_cell_prints_what_it_rests_on_in_every_form(printed):
    for name, text in printed.items():
        for part in (
            "62.0 % → 61.0 %",
            "−1.0 points",
            "−5.5 to +3.5",
            "−4.0 to +2.0",
            "0.60 to 1.08",
            "1,559",
        ):
            assert part in text, (name, part)
    for name in ("html", "md"):
        text = printed[name]
        for part in (
            "0.76 to 0.92",
            "prior sd 0.12, fewer than 8 lineages",
            "not shown to be unrelated to the base",
            "matched by severity",
            "0.79 to 0.88",
            "floor 0.25; too few references for it to decide anything",
            "eps 0.02, delta 0.05 (metric)",
            f"headline ({HEADLINES} claims)",
            "rank correlation 0.71",
            "retest noise 0.11",
            "capability not kept",
            "change within ±5 points shown",
        ):
            assert part in text, (name, part)


def test_the_legend_says_when_each_word_is_given(family_audit, printed):
    texts = printed | {"compare": plain(render_pedigree(family_audit, 300))}
    texts.pop("terminal")
    for text in texts.values():
        assert "Inherited never follows from two similar averages" in text
        assert "without three good unrelated references" in text
        for _, meaning in LEGEND:
            assert plain(meaning)[:60] in text


def test_every_cell_leads_to_its_detail(family_audit, family_flips):
    page = Page(render_html(family_audit, family_flips))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link["href"][1:] for link in page.all("a")} | {use["href"][1:] for use in page.all("use")}
    assert targets <= set(ids)
    cells = {target for target in targets if target.startswith("cell-")}
    assert len(cells) == sum(len(children) for _, children in CELLS.values())
    assert all(cell.get("scope") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("script")) == 1


def test_homogenization_never_stands_without_its_control(printed, make_family):
    for text in printed.values():
        assert "1.72 (95 % interval 1.58 to 1.86)" in text
        assert "1.21 (95 % interval 1.10 to 1.32)" in text
        assert "1.42 (95 % interval 1.25 to 1.59)" in text
    for text in forms(make_family(references=False).build()).values():
        assert "no unrelated control: no unrelated models of the same number" in text


def test_a_family_is_named_by_its_question_with_or_without_a_subject(make_family):
    made = make_family()
    made.data["homogenization"][0]["measurement"] = "bias.occupations@questions"
    first, second = report_view(made.build()).homogenization
    assert first.question == second.question == "sum · questions"


def test_a_defect_says_when_a_high_value_is_not_the_defect(make_family):
    made = make_family()
    made.data["metrics"][0]["direction"] = "higher_is_better"
    for text in forms(made.build()).values():
        assert "Share of gendered answers (higher is better)" in text


def test_the_histogram_is_a_chart_with_its_table(family_audit):
    html = render_html(family_audit)
    drawings = re.findall(r"<svg[^>]*failures-1-860.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 1
    assert "3 models fail on 41\u00a0% of items, 24\u00a0% if independent" in drawings[0]
    assert not re.search(r"#[0-9a-fA-F]{6}\b", drawings[0])
    assert "The same as a table" in html


def test_calibration_stands_beside_its_probe_or_is_missed(family_audit, printed):
    for name, text in printed.items():
        assert "Smallest dose found with 80 % power at n 400: 0.4" in text
        assert "3.0 % (95 % interval 1.0 to 5.0)" in text
        assert len(re.findall("ot calibrated", text)) >= 4, name
    sections = {section.id: section for section in report_view(family_audit).sections}
    (found,) = sections["toxicity.prompted"].calibrations
    assert [row.dose for row in found.rows] == ["0", "0.1", "0.2", "0.4", "0.8"]
    assert found.curve is not None


def test_a_calibration_of_another_version_says_so(make_family):
    made = make_family()
    made.data["calibrations"][0] |= {"probe_version": 2, "smallest_dose_found": None}
    for text in forms(made.build()).values():
        assert "No dose on the ladder was found with 80 % power at n 400" in text
        assert "version 2 of the probe, not of the one that ran" in text


def test_without_references_the_word_is_association(make_family):
    made = make_family(references=False)
    for found in made.data["comparisons"]:
        found |= {"copy_fraction": None}
        if found["verdict"] in ("inherited", "coincident"):
            found["verdict"] = "association"
    audit = made.build()
    assert "No unrelated reference model was measured" in report_view(audit).banner.text
    for text in (*list(forms(audit).values())[:2], plain(render_pedigree(audit, 300))):
        assert "does not test, because no unrelated reference was measured" in text
    assert not [cell for row in report_view(audit).matrix.rows for cell in row.cells if cell and cell.copy]


def test_references_that_are_not_good_are_counted(make_family):
    made = make_family()
    for found in made.data["comparisons"]:
        found["copy_fraction"] |= {"lineages": 2}
    note = report_view(made.build()).pairs_note
    assert "no comparison found three good references among the 3 measured" in note


def test_families_and_simultaneous_intervals_are_explained(printed, rich_audit):
    (headline,) = [family for family in rich_audit.families if family.name == "headline"]
    for name in ("html", "md"):
        text = printed[name]
        assert "Bonferroni-simultaneous" in text
        assert "false-coverage-adjusted" in text
        assert f"Families here: headline ({HEADLINES} claims)" in text
    assert f"headline ({headline.size} claims" in forms(rich_audit)["html"]


def test_flipped_items_are_redacted_unless_revealed(family_audit, family_flips):
    for render in (render_html, render_markdown):
        closed, opened = (plain(render(family_audit, family_flips, reveal)) for reveal in (False, True))
        assert "what the model wrote" not in closed
        assert "redacted, 20 characters" in closed
        assert "what the model wrote" in opened
        for text in (closed, opened):
            assert "+0.412" in text
            assert "−0.200" in text
            assert "drawn with seed 7" in text
            assert "2 of 49 items" in text


def test_at_most_five_flipped_items_of_a_kind():
    items = [FlippedItem(f"item {place}") for place in range(40)]
    sample = FlipSample("one", {"introduced": items}, {"introduced": 40}, 1)
    (view,) = flip_views([sample], reveal=False).values()
    assert [len(group.rows) for group in view.groups] == [MAX_FLIPS, 0, 0]
    assert view.groups[0].total == "40"
    assert view.groups[0].rows[0].base_severity == "—"


def test_flips_that_cannot_be_listed_say_why(family_audit):
    found = family_audit.comparisons[0].id
    sample = FlipSample(found, {}, {}, 0, "the items cannot be listed: no evidence")
    for render in (render_html, render_markdown):
        assert "the items cannot be listed: no evidence" in render(family_audit, [sample])


def test_the_commands_for_all_rows_are_safe_to_paste(printed):
    assert rows_commands("bias.x", ("base", "a b; rm")) == (
        "fmaudit rows . bias.x --subject base",
        "fmaudit rows . bias.x --subject 'a b; rm'",
    )
    for name in ("html", "md"):
        text = printed[name]
        assert "fmaudit rows . downstream.backdoor --subject toxic" in text


def test_same_family_same_bytes(family_audit, family_flips):
    for render in (render_html, render_markdown):
        assert render(family_audit, family_flips) == render(family_audit, family_flips)
    assert render_pedigree(family_audit, 100) == render_pedigree(family_audit, 100)


@pytest.mark.parametrize("reveal", [False, True])
def test_hostile_pedigree_is_inert(hostile_strings, reveal):
    text = " ".join(part.replace("\ud800", "") for part in hostile_strings)
    audit = hostile_family(text)
    found = flips_of(audit)[0]
    item = FlippedItem(text, 0.5, None, text, text)
    samples = [FlipSample(found.comparison, {"introduced": [item]}, {"introduced": 1})]
    page = Page(html := render_html(audit, samples, reveal))
    assert len(page.all("script")) == 1
    assert not {"img", "iframe", "textarea", "link"} & {tag for tag, _ in page.elements}
    assert {form["id"] for form in page.all("form")} <= {"findings-sieve", "explorer-sieve"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [link for link in page.all("a") if not link["href"].startswith("#")]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]", html)
    markdown = render_markdown(audit, samples, reveal)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    kinds = {token.type for token in tokens} | {
        child.type for token in tokens for child in token.children or []
    }
    assert not kinds & {"html_block", "html_inline", "image", "link_open"}
    for width in (60, 100):
        for shown in (render_pedigree(audit, width), render_terminal(audit, width)):
            lines = shown.replace(SPACE, " ").splitlines()
            assert all(line.isprintable() for line in lines)
            assert max(map(len, lines)) <= width


def test_markdown_tables_are_tables(family_audit, family_flips):
    tokens = MarkdownIt("commonmark").enable("table").parse(render_markdown(family_audit, family_flips))
    rows = [token for token in tokens if token.type == "tr_open"]
    lists = max(token.level for token in tokens if token.type == "list_item_open")
    assert len(rows) > 100
    assert lists >= 7


def test_no_path_in_the_pedigree(make_family):
    made = make_family()
    made.data["subjects"][1]["lineage"]["evidence"] = "read /home/someone/models/secret/weights.bin"
    for text in forms(made.build()).values():
        assert "someone" not in text
