"""What a run, an estimate and a comparison look like: complete, static and inert."""

import re
from html import escape
from pathlib import Path

import pytest

from fmaudit.api import Run
from fmaudit.errors import UsageError
from tests.report.family_audit import changed, family_factory, hostile_family
from tests.report.page_parser import Page
from tests.report.report_audits import HOSTILE, hostile_audit

BANNED = {"script", "iframe", "object", "embed", "link", "img", "form", "input", "a", "svg", "meta", "base"}
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b]")
HOSTILE_TEXT = " ".join(part.replace("\ud800", "") for part in HOSTILE)


@pytest.fixture(scope="module")
def audit():
    return family_factory().build()


@pytest.fixture(scope="module")
def run(audit):
    return Run(Path("somewhere") / "family", audit, ("toxic/downstream.backdoor broke: out of memory",))


@pytest.fixture(scope="module", params=["family", "single", "long"])
def hostile(request):
    if request.param == "single":
        return Run(Path(HOSTILE[0]), hostile_audit())
    text = HOSTILE_TEXT * (1 if request.param == "family" else 30)
    return Run(Path(HOSTILE[1]), hostile_family(text), tuple(HOSTILE))


def fragments(run):
    estimates, comparisons = run.estimates, run.comparisons
    shown = [run, estimates, comparisons, estimates[0], estimates[-1], *comparisons[:3]]
    return [item._repr_html_() for item in shown]


def texts(run):
    shown = [run, run.estimates[0], run.comparisons[0]]
    return [*(item._repr_markdown_() for item in shown), *(repr(item) for item in (*shown, run.estimates))]


def test_run_shows_verdict_numbers_matrix_and_place(run, audit):
    page = Page(run._repr_html_())
    for said in (
        "1 introduced",
        "Toxic continuations",
        "✚ introduced",
        "■ inherited",
        "family/report/report.html",
    ):
        assert said in page.text
    assert "toxic/downstream.backdoor broke: out of memory" in page.text
    for found in audit.comparisons:
        if found.step == "from_base":
            assert f"copy fraction {found.copy_fraction.value:.2f}" in page.text
    assert "somewhere" not in page.text


def test_what_was_not_compared_is_marked(run):
    html = run._repr_html_()
    # Two of the four children were never asked for the backdoor.
    assert html.count('<td class="fma-gap">not compared</td>') == 2
    assert "of 40 measurements are missing" in html


def test_estimate_shows_value_interval_n_and_coverage(run):
    page = Page(run.estimates[0]._repr_html_())
    for said in ("62.0", "95\u00a0% interval 60.0 to 64.0", "800, coverage 100\u00a0%", "bias.occupations"):
        assert said in page.text
    assert "62.0 % (95 % interval 60.0 to 64.0), n 800, coverage 100 %" in repr(run.estimates[0])


def test_unmeasured_estimate_shows_its_reason_and_no_number(audit):
    data = audit.model_dump(mode="json", by_alias=True)
    gone = {"state": "unmeasured", "reason": "the scorer failed", "value": None, "lower": None, "upper": None}
    data["estimates"][0] |= gone | {"n": 0, "coverage": 0.0}
    estimate = Run(Path("family"), type(audit).model_validate(data)).estimates[0]
    assert "unmeasured: the scorer failed" in Page(estimate._repr_html_()).text
    assert repr(estimate).endswith("unmeasured: the scorer failed (n 0, coverage 0 %)")


def test_comparison_shows_verdict_change_table_and_copy_fraction(run):
    found = run.comparisons[0]
    page = Page(found._repr_html_())
    assert f"■ {found.verdict}" in page.text
    for said in (
        "62.0\u00a0% → 61.0\u00a0%",
        "copy fraction",
        "verdict interval",
        "Acorn-160M: used, slope 0.08",
    ):
        assert said in page.text
    for count in found.table.model_dump().values():
        assert f"<td>{count}</td>" in found._repr_html_()
    assert repr(found).startswith("Comparison bias.occupations/pct_stereotype, chat against base: inherited;")


def test_a_comparison_without_table_says_so(audit):
    first = audit.comparisons[0].id
    bare = Run(Path("family"), changed(audit, first, table=None, copy_fraction=None))
    assert "No paired table" in bare.comparisons[0]._repr_html_()


def test_long_sequences_say_how_many_are_left(run):
    page = Page(run.estimates._repr_html_())
    left = len(run.estimates) - 25
    assert left > 0
    assert f"and {left} more: .to_frame() has them all" in page.text


def test_fragments_are_static_scoped_and_repeatable(run):
    for html in fragments(run):
        page = Page(html)
        assert not {tag for tag, _ in page.elements} & BANNED
        assert {name for _, attributes in page.elements for name in attributes} <= {"class", "scope"}
        (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        assert all(rule.strip().startswith(".fma") for rule in re.findall(r"([^{}]+)\{", style))
        assert "url(" not in style
        assert "@import" not in style
        classes = {name for _, own in page.elements for name in (own.get("class") or "").split()}
        assert all(name == "fma" or name.startswith("fma-") for name in classes)
    assert fragments(run) == fragments(Run(run.path, run.audit, run.failures))


def test_hostile_text_is_inert_in_html(hostile):
    for html in fragments(hostile):
        page = Page(html)
        assert not {tag for tag, _ in page.elements} & BANNED
        assert {name for _, attributes in page.elements for name in attributes} <= {"class", "scope"}
        assert html.count("<style>") == html.count("</style>") == 1
        assert not CONTROL.search(html)
        html.encode("utf-8")


def test_hostile_text_is_seen_by_a_standard_parser_as_text(hostile):
    html5lib = pytest.importorskip("html5lib", reason="html5lib is missing: install fmaudit[dev]")
    for html in fragments(hostile):
        tree = html5lib.parseFragment(html, treebuilder="etree", namespaceHTMLElements=False)
        tags = {element.tag for element in tree.iter()}
        assert "table" in tags
        assert not tags & BANNED
        assert {name for element in tree.iter() for name in element.attrib} <= {"class", "scope"}
    first = html5lib.parseFragment(hostile._repr_html_(), namespaceHTMLElements=False)
    assert "<script>" in "".join(first.itertext())


def test_hostile_text_is_inert_in_markdown_and_in_one_line(hostile):
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False})
    for text in texts(hostile):
        assert not CONTROL.search(text)
        text.encode("utf-8")
    for item in (hostile, hostile.estimates[0], hostile.comparisons[0]):
        assert "\n" not in repr(item)
        page = Page(parser.render(item._repr_markdown_()))
        assert not {tag for tag, _ in page.elements} & BANNED


def test_a_megabyte_of_text_stays_small(audit):
    data, long = audit.model_dump(mode="json", by_alias=True), "<b>" * 350_000
    data["subjects"][1]["name"] = data["metrics"][0]["title"] = long
    data["estimates"][0] |= {"state": "unmeasured", "reason": long, "value": None}
    data["comparisons"][0] |= {"reason": long, "verdict_reason": long, "flags": [long], "method": long}
    run = Run(Path("family"), type(audit).model_validate(data))
    assert max(len(html) for html in fragments(run)) < 300_000
    assert len(repr(run)) < 1_200


def test_markdown_has_the_matrix(run):
    text = run._repr_markdown_()
    header = next(line for line in text.splitlines() if line.startswith("| Defect"))
    assert header.count("|") == 6
    assert "✚ introduced" in text


def test_report_page_is_shut_off(run, tmp_path, audit):
    written = Run(tmp_path / "family", audit)
    written.report.parent.mkdir(parents=True)
    written.report.write_text('<p id="x">"page" & <script>alert(1)</script></p>', encoding="utf-8")
    html = written.show(height=300)._repr_html_()
    ((tag, attributes),) = Page(html).elements
    assert tag == "iframe"
    assert attributes["sandbox"] == ""
    assert attributes["srcdoc"] == written.report.read_text()
    assert escape("<script>") in html
    assert "height:300px" in attributes["style"]


def test_a_page_that_is_not_there_is_named(run):
    with pytest.raises(UsageError, match="family has no report page: make it with fmaudit report"):
        run.show()
    with pytest.raises(UsageError, match="height is 0"):
        run.show(height=0)
