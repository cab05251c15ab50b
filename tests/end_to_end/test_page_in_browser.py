"""The page of a run in Chromium: accessible, self-contained, readable without scripts and on a phone."""

from __future__ import annotations

import itertools
import shutil

import pytest

from tests.report.browsing import opened_browser

PROBES = "bias.crows_pairs,toxicity.prompted,memorization.extraction,downstream.negation"
SIZES = {"desk": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as started:
        yield started


@pytest.fixture(scope="module")
def run(models, run_once, tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "run"
    base = models / "base"
    outcome = run_once(
        *("run", base, "--adapted", f"mine={base}::adapter={models / 'records-lora'}"),
        *("--adapted", f"theirs={models / 'other'}", "--reference", f"far={models / 'wide'}"),
        *("-p", PROBES, "-L", "60", "-o", place),
    )
    assert outcome.code == 0, outcome.err
    assert run_once("report", place, "--reveal", "--format", "html").code == 0
    return place


def shown(browser, path, *, size="desk", scheme="light", scripts=True):
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri())
    return page, requests, errors


def violations(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found]


# Two of the eight ways differ from each other in all that can differ; the others take minutes.
FAST = {("desk", "light", "report.html"), ("phone", "dark", "report-revealed.html")}
WAYS = [
    pytest.param(*way, marks=() if way in FAST else pytest.mark.slow, id="-".join(way))
    for way in itertools.product(SIZES, ("light", "dark"), ("report.html", "report-revealed.html"))
]


@pytest.mark.parametrize(("size", "scheme", "name"), WAYS)
def test_axe_finds_nothing_and_nothing_is_requested(browser, run, name, scheme, size):
    page, requests, errors = shown(browser, run / "report" / name, size=size, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert violations(page) == []
    assert len(requests) == 1
    assert requests[0].startswith("file://")
    assert errors == []
    page.context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_never_scrolls_the_page_sideways(browser, run, scripts):
    page, _, _ = shown(browser, run / "report" / "report.html", size="phone", scripts=scripts)
    wide = page.locator("html").evaluate("(root) => root.scrollWidth") if scripts else None
    assert wide is None or wide <= 360
    box = page.locator("main").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    page.context.close()


def test_without_scripts_everything_is_there_to_read(browser, run):
    page, requests, _ = shown(browser, run / "report" / "report.html", scripts=False)
    for section in ("key", "scope", "charts", "inheritance", "probes", "methods", "models", "provenance"):
        assert page.locator(f"#{section} h2").first.is_visible(), section
    details = page.locator("#probes details").first
    details.locator("summary").first.click()
    assert details.locator("table, dl").first.is_visible()
    assert not page.locator("#theme").is_visible()
    assert len(requests) == 1
    page.context.close()


def test_the_theme_is_switched_by_keyboard(browser, run):
    page, _, _ = shown(browser, run / "report" / "report.html")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert page.locator("#theme").get_attribute("aria-label") == "Switch to light colours"
    page.context.close()


def test_print_opens_what_is_folded_and_closes_it_again(browser, run):
    page, _, _ = shown(browser, run / "report" / "report.html", scheme="dark")
    closed = "document.querySelectorAll('details:not([open])').length"
    before = page.evaluate(closed)
    assert before > 5
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(closed) == 0
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav.contents").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(closed) == before
    page.context.close()


def test_every_link_of_the_page_leads_somewhere_in_it(browser, run):
    page, _, _ = shown(browser, run / "report" / "report.html")
    lost = page.evaluate(
        "[...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))"
        ".filter((to) => !to.startsWith('#') || !document.getElementById(to.slice(1)))"
    )
    assert lost == []
    page.context.close()


@pytest.mark.slow
def test_pages_of_a_real_model_and_of_a_specimen_family(browser, tmp_path):
    from fmaudit.demo.smollm import find_smollm
    from fmaudit.errors import UsageError
    from tests.end_to_end.conftest import run_command

    try:
        find_smollm()
    except UsageError as error:
        pytest.skip(str(error))
    assert run_command("demo", "-o", tmp_path / "demo").code == 0
    pages = sorted(tmp_path.rglob("report.html"))
    assert len(pages) == 2
    for path in pages:
        for size in SIZES:
            for scheme in ("light", "dark"):
                page, requests, errors = shown(browser, path, size=size, scheme=scheme)
                page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
                assert violations(page) == []
                assert (len(requests), errors) == (1, [])
                page.context.close()
    shutil.rmtree(tmp_path / "demo")
