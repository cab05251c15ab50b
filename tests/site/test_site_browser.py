"""The gallery in Chromium: accessible, on a phone, without scripts, and asking nobody for anything."""

import pytest

from fmaudit.site.build import build_site
from tests.report.browsing import opened_browser
from tests.site.conftest import EARLIER, LATER

SIZES = {"desk": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory, releases):
    from tests.exports.export_runs import hostile_run, write_run
    from tests.report.report_audits import rich_factory

    root = tmp_path_factory.mktemp("gallery")
    runs = [hostile_run(root / "hostile"), *releases]
    for name, ended in (("alpha", EARLIER), ("beta", LATER), ("gamma", None)):
        made = rich_factory(names={"base": f"org/{name}", "adapted": f"org/{name}-tuned"})
        runs.append(write_run(root / name, made.build(), ended))
    build_site(runs, root / "site")
    return root / "site"


def opened(browser, path, *, size="desk", scheme="light", scripts=True):
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


def kinds(site):
    return {
        "index": site / "index.html",
        **{name: site / name / "index.html" for name in ("families", "models", "verdicts", "dates")},
        "model": sorted((site / "models").glob("*-tuned-*"))[0] / "index.html",
        "latest": sorted((site / "models").glob("*-tuned-*"))[0] / "latest" / "index.html",
        "compare": sorted((site / "compare").iterdir())[0] / "index.html",
    }


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("desk", "light"),
        ("phone", "dark"),
        pytest.param("desk", "dark", marks=pytest.mark.slow),
        pytest.param("phone", "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_nothing_is_requested_and_phones_do_not_scroll(browser, site, size, scheme):
    from axe_playwright_python.sync_playwright import Axe

    for name, path in kinds(site).items():
        page, requests, errors = opened(browser, path, size=size, scheme=scheme)
        found = [
            (one["id"], [node["target"] for node in one["nodes"]][:3])
            for one in Axe().run(page).response["violations"]
        ]
        assert (name, found) == (name, [])
        assert (name, requests, errors) == (name, [path.as_uri()], [])
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], name
        assert page.title() != "owned"
        page.context.close()


def test_search_filters_and_order(browser, site):
    page, _, _ = opened(browser, site / "index.html")
    seen = "[...document.querySelectorAll('#audits > li')].filter((one) => one.offsetParent)"
    names = f"{seen}.map((one) => one.querySelector('h2').textContent)"
    total = page.evaluate(f"{seen}.length")
    assert total == 6
    page.fill("#search", "BETA")
    assert page.evaluate(names) == ["org/beta-tuned"]
    assert page.locator("#count").text_content() == f"1 of {total} audits"
    page.fill("#search", "")
    page.select_option("#order", "oldest")
    dates = page.evaluate(f"{seen}.map((one) => one.dataset.date)")
    dated = [date for date in dates if date]
    assert dated == sorted(dated)
    assert dates == dated + [""] * (total - len(dated))
    page.select_option("#family", label="org/gamma")
    assert page.evaluate(names) == ["org/gamma-tuned"]
    page.select_option("#family", "")
    page.select_option("#verdict", "open")
    assert set(page.evaluate(f"{seen}.map((one) => one.dataset.verdict)")) <= {"open"}
    page.select_option("#order", "model")
    page.select_option("#verdict", "")
    shown = [name.lower() for name in page.evaluate(names)]
    assert shown == sorted(shown)
    page.context.close()


def test_without_scripts_the_lists_lead_to_every_audit(browser, site):
    page, _, _ = opened(browser, site / "index.html", scripts=False)
    assert not page.locator("#filters").is_visible()
    assert page.locator("#audits > li").count() == 6
    page.click("text=Families")
    assert page.locator("h1").text_content() == "Audits by model family"
    page.locator(".rows a").first.click()
    assert page.title().startswith("Audit: ")
    page.context.close()


def test_the_theme_changes_by_keyboard(browser, site):
    page, _, _ = opened(browser, site / "index.html")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.context.close()
