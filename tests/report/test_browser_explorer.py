"""Findings and explorer driven in headless Chromium, from a file and under the report's policy."""

from __future__ import annotations

import re
import shutil

import pytest

from fmaudit.evidence.directory import RunDirectory
from fmaudit.report.columns import run_rows
from fmaudit.report.evidence import EvidenceSample
from fmaudit.report.explorer_rows import encoded_rows
from fmaudit.report.html import render_html
from tests.report.family_audit import hostile_family
from tests.report.large_run import KINDS, write_large_run
from tests.report.partials_page import partials_page
from tests.report.report_audits import AuditFactory

pytestmark = pytest.mark.browser
ATTACK = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
ITEMS = 200
ROWS = "#explorer-table tbody tr"


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return RunDirectory(write_large_run(tmp_path_factory.mktemp("rows"), ITEMS, 3))


@pytest.fixture(scope="module")
def rows(run, synthetic):
    return encoded_rows(run_rows(run), synthetic)


@pytest.fixture(scope="module")
def synthetic():
    names = {"base": "synthetic-base", "adapted-1": "one", "adapted-2": "two"}
    return AuditFactory(names).build()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page from a file; afterwards nothing may have failed or asked for anything else."""
    contexts, said, asked = [], [], []

    def open_page(html: str, **options):
        path = tmp_path / f"page-{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith(("file://", "blob:")) for url in asked)


def texts(page, column: int) -> list[str]:
    return page.locator(f"{ROWS} > :nth-child({column})").all_inner_texts()


def says(page, place: str, start: str) -> None:
    """Waits until an element's text begins so; an empty text must be empty."""
    from playwright.sync_api import expect

    expect(page.locator(place)).to_have_text(re.compile(f"^{start}" if start else "^$"))


def test_rows_open_on_demand_and_search_narrows(opened, rows, synthetic):
    page = opened(partials_page(synthetic, [rows]))
    assert page.locator(ROWS).count() == 0
    assert page.locator("#explorer-plain").is_hidden()
    page.click("#explorer-open")
    page.wait_for_selector(ROWS)
    assert page.inner_text("#explorer-status") == "400 of 400 lines match."
    assert page.locator(ROWS).count() == 50
    page.fill("#explorer-search", "PAIR-00001")
    says(page, "#explorer-status", "20 of")
    assert {name[:-1] for name in texts(page, 1)} == {"pair-00001"}
    page.fill("#explorer-search", f"bias_type: {KINDS[2]}")
    says(page, "#explorer-status", "58 of")
    assert all(f"bias_type: {KINDS[2]}" in group for group in texts(page, 8))
    page.fill("#explorer-search", "longer than the context")
    says(page, "#explorer-status", "8 of")
    assert all(
        "invalid: the sentence" in old + new for old, new in zip(texts(page, 3), texts(page, 5), strict=True)
    )


def test_outcomes_filter_and_lines_agree_with_them(opened, rows, synthetic):
    page = opened(partials_page(synthetic, [rows]))
    page.select_option("#explorer-outcome", "new")
    page.wait_for_selector(ROWS)
    assert set(texts(page, 7)) == {"new"}
    assert set(zip(texts(page, 3), texts(page, 5), strict=True)) == {("no defect", "defect")}
    page.select_option("#explorer-outcome", "flipped")
    assert set(texts(page, 7)) == {"new", "gone"}
    page.select_option("#explorer-outcome", "defect")
    assert set(texts(page, 5)) == {"defect"}
    page.select_option("#explorer-outcome", "invalid")
    assert page.inner_text("#explorer-status") == "8 of 400 lines match."
    page.select_option("#explorer-model", label="Adapted two")
    assert page.inner_text("#explorer-status") == "4 of 400 lines match."
    assert set(texts(page, 2)) == {"Adapted two"}


def test_headings_sort_and_say_so(opened, rows, synthetic):
    page = opened(partials_page(synthetic, [rows]))
    page.click("#explorer-open")
    page.wait_for_selector(ROWS)
    heading = page.locator("#explorer-table th", has_text="Severity, this model")
    values = []
    for direction in ("ascending", "descending"):
        heading.get_by_role("button").press("Enter")
        assert heading.get_attribute("aria-sort") == direction
        values.append([float(text.replace("\u2212", "-")) for text in texts(page, 6)])
    assert values[0] == sorted(values[0])
    assert values[1] == sorted(values[1], reverse=True)
    assert values[0][0] < values[1][-1] < values[1][0]
    page.locator("#explorer-table th", has_text="Item").get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    assert texts(page, 1)[:3] == ["pair-000000", "pair-000000", "pair-000001"]
    # Lines without a severity come last either way.
    page.select_option("#explorer-outcome", "invalid")
    heading.get_by_role("button").click()
    assert texts(page, 6)[-1] == "—"
    assert texts(page, 6)[0] != "—"


def test_pages_turn_and_stop_at_both_ends(opened, rows, synthetic):
    page = opened(partials_page(synthetic, [rows]))
    page.click("#explorer-open")
    page.wait_for_selector(ROWS)
    first = texts(page, 1)
    back, forth = page.locator("#explorer-back"), page.locator("#explorer-next")
    assert back.get_attribute("aria-disabled") == "true"
    forth.focus()
    for _ in range(12):
        page.keyboard.press("Enter")
    assert page.inner_text("#explorer-page") == "Page 8 of 8"
    assert forth.get_attribute("aria-disabled") == "true"
    assert page.evaluate("document.activeElement.id") == "explorer-next"
    back.focus()
    for _ in range(12):
        page.keyboard.press("Enter")
    assert texts(page, 1) == first


def test_findings_sort_and_filter(opened, family_audit, family_flips):
    page = opened(partials_page(family_audit, family_flips))
    rows_of = page.locator("#findings-table tbody tr:visible")
    everything = rows_of.count()
    assert everything > 10
    word = page.locator("#findings-word option").nth(1).get_attribute("value")
    page.select_option("#findings-word", word)
    assert 0 < rows_of.count() < everything
    assert all(
        word in text
        for text in page.locator("#findings-table tbody tr:visible td:first-child").all_inner_texts()
    )
    assert page.inner_text("#findings-count") == f"{rows_of.count()} of {everything} findings shown."
    page.select_option("#findings-word", "")
    page.fill("#findings-search", "no finding holds these words")
    says(page, "#findings-count", "0 of")
    page.fill("#findings-search", "")
    says(page, "#findings-count", "")
    heading = page.locator("#findings-table thead th", has_text="Model")
    for direction in ("ascending", "descending"):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == direction
        models = [text.lower() for text in page.locator("#findings-table td:nth-child(3)").all_inner_texts()]
        assert models == sorted(models, reverse=direction == "descending")
    assert len(set(models)) > 1
    page.locator("#findings-table thead th", has_text="Finding").get_by_role("button").click()
    ranks = page.locator("#findings-table td:first-child").evaluate_all(
        "(all) => all.map((one) => +one.dataset.key)"
    )
    assert ranks == list(range(1, everything + 1))


def test_hostile_names_are_inert(opened, run):
    names = {"base": ATTACK, "adapted-1": ATTACK, "adapted-2": "two"}
    made = AuditFactory(names).build()
    found = run_rows(run)
    table = found.table("adapted-1", next(key for _, key in found.records))
    ids = table["item_id"].to_pylist()
    ids[0] = ATTACK
    for subject, key in found.records:
        own = found.table(subject, key)
        place = own.schema.get_field_index("item_id")
        found.tables[subject, key] = own.set_column(place, "item_id", [ids])
    page = opened(partials_page(made, [encoded_rows(found, made)]))
    page.fill("#explorer-search", "onerror")
    page.wait_for_selector(ROWS)
    assert texts(page, 1) == [ATTACK, ATTACK]
    assert texts(page, 2)[0] == f"Adapted {ATTACK}"
    assert page.locator("main img").count() == 0
    assert page.title() == "Audit: partials"
    hostile = hostile_family(ATTACK)
    page = opened(partials_page(hostile, controls={metric.id: [ATTACK] for metric in hostile.metrics}))
    page.select_option("#findings-word", index=1)
    assert page.locator("main img").count() == 0
    assert page.title() == "Audit: partials"


def test_texts_are_revealed_one_by_one(opened, family_audit, family_flips):
    example = {
        "subject": "base",
        "item_id": "item-1",
        "sample": 0,
        "outcome": 1,
        "severity": 0.5,
        "text": "SAID",
    }
    evidence = [*family_flips, EvidenceSample("toy.probe", [example], 1)]
    page = opened(partials_page(family_audit, evidence, reveal=True))
    assert page.get_by_text("SAID").is_hidden()
    fold = page.locator("details.reveal", has_text="SAID")
    fold.locator("summary").press("Enter")
    assert page.get_by_text("SAID").is_visible()
    assert page.locator("details.reveal[open]").count() == 1
    assert page.locator("details.reveal").count() > 1


def test_the_page_reads_without_scripts(opened, rows, family_audit, family_flips):
    example = {
        "subject": "base",
        "item_id": "item-1",
        "sample": 0,
        "outcome": 1,
        "severity": 0.5,
        "text": "SAID",
    }
    evidence = [*family_flips, EvidenceSample("toy.probe", [example], 1), rows]
    page = opened(partials_page(family_audit, evidence, reveal=True), java_script_enabled=False)
    assert page.locator("#explorer-plain").is_visible()
    assert "fmaudit rows . bias.crows_pairs" in page.inner_text("#explorer-plain")
    assert page.locator("#explorer-tool").is_hidden()
    assert page.locator("#findings-sieve").is_hidden()
    assert page.locator("#findings-table tbody tr:visible").count() > 10
    assert page.locator("#findings-table thead button").count() == 0
    page.locator("details.reveal", has_text="SAID").locator("summary").click()
    assert page.get_by_text("SAID").is_visible()


def test_a_phone_shows_it_without_sideways_scrolling(opened, rows, family_audit, family_flips):
    page = opened(
        partials_page(family_audit, [*family_flips, rows], reveal=True),
        viewport={"width": 360, "height": 740},
    )
    page.click("#explorer-open")
    page.wait_for_selector(ROWS)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_damaged_block_leaves_the_commands(browser, rows, synthetic, tmp_path):
    html = partials_page(synthetic, [rows]).replace(rows.payload, rows.payload[:40])
    path = tmp_path / "damaged.html"
    path.write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.click("#explorer-open")
    page.wait_for_selector("#explorer-plain:visible")
    assert "cannot open the rows" in page.inner_text("#explorer-status")
    page.close()


def test_filters_without_a_match_say_so_and_can_be_reset(opened, rows, synthetic):
    page = opened(partials_page(synthetic, [rows]))
    page.click("#explorer-open")
    page.wait_for_selector(ROWS)
    assert page.locator("#explorer-nothing").is_hidden()
    page.fill("#explorer-search", "no row says this")
    says(page, "#explorer-status", "0 of 400")
    assert "Nothing matches" in page.inner_text("#explorer-nothing")
    page.click("#explorer-reset")
    says(page, "#explorer-status", "400 of 400")
    assert page.locator("#explorer-nothing").is_hidden()


def test_findings_without_a_match_can_be_reset(opened, family_audit):
    page = opened(render_html(family_audit))
    page.fill("#findings-search", "no finding says this")
    says(page, "#findings-count", "0 of 18 findings shown. Nothing matches.")
    page.click("#findings-reset")
    says(page, "#findings-count", "")
    assert page.locator("#findings-reset").is_hidden()
    assert page.locator("#findings-table tbody tr:visible").count() > 1


def test_only_regions_that_scroll_stop_the_keyboard(opened, family_audit):
    page = opened(render_html(family_audit), viewport={"width": 1280, "height": 900})
    wrong = """() => [...document.querySelectorAll('.scroll, .keys')].filter((one) => one.offsetParent
        && one.hasAttribute('tabindex') !== one.scrollWidth > one.clientWidth).length"""
    page.wait_for_function(f"() => ({wrong})() === 0")
    page.set_viewport_size({"width": 360, "height": 800})
    page.wait_for_function(f"() => ({wrong})() === 0")
    assert page.locator(".scroll[tabindex]").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_link_to_a_finding_puts_the_focus_on_its_summary(opened, family_audit):
    page = opened(render_html(family_audit))
    link = page.locator("#findings-table tbody a").first
    target = link.get_attribute("href")
    link.click()
    page.wait_for_function("() => document.activeElement.tagName === 'SUMMARY'")
    assert "#" + page.evaluate("document.activeElement.parentElement.id") == target


def test_the_theme_button_follows_the_system(opened, family_audit):
    page = opened(render_html(family_audit), color_scheme="light")
    assert page.inner_text("#theme") == "Dark"
    page.emulate_media(color_scheme="dark")
    says(page, "#theme", "Light")
