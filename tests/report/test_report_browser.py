"""The hostile page in a real browser: nothing in it may run."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape

import pytest

from fmaudit.report.evidence import EvidenceSample
from fmaudit.report.flips import FlippedItem, FlipSample
from fmaudit.report.html import render_html
from tests.report.family_audit import hostile_family

pytestmark = pytest.mark.browser
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ATTACK = (
    "<script>document.title='owned'</script>\"><img src=x onerror=\"document.title='owned'\">"
    "</pre></td></table></main><svg onload=\"document.body.append('owned-marker')\"></svg>"
    "<a href=\"javascript:document.title='owned'\" onfocus=\"document.title='owned'\" autofocus>x</a>"
)


def dump(page: str, folder, fragment: str = "") -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [
        browser,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        path.as_uri() + fragment,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def title_of(dom: str) -> str:
    found = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert found
    return found.group(1)


def test_the_browser_would_show_an_attack_that_works(tmp_path):
    dom = dump(f"<!doctype html><title>clean</title><body>{ATTACK}</body>", tmp_path)
    assert title_of(dom) == "owned"


def test_nothing_hostile_runs_and_our_own_script_does(hostile_audit, tmp_path):
    rows = [
        {"subject": ATTACK, "item_id": ATTACK, "sample": 0, "outcome": 1, "severity": 0.1, "text": ATTACK}
    ]
    page = render_html(hostile_audit, [EvidenceSample(ATTACK, rows, 1)], reveal=True)
    dom = dump(page, tmp_path)
    assert title_of(dom).startswith("Audit: ")
    assert "owned-marker" not in re.sub(r"append\('owned-marker'\)", "", dom)
    assert "<img" not in dom
    assert 'aria-label="Switch to' in dom
    assert escape("<script>document.title", quote=False) in dom


def test_the_policy_stops_what_escaping_would_miss(rich_audit, tmp_path):
    page = render_html(rich_audit).replace("</main>", ATTACK + "</main>", 1)
    dom = dump(page, tmp_path)
    assert title_of(dom).startswith("Audit: ")


def test_a_cell_of_the_matrix_opens_its_detail(family_audit, family_flips, tmp_path):
    page = render_html(family_audit, family_flips)
    dom = dump(page, tmp_path, "#cell-2-4")
    opened = re.findall(r'<details class="detail" id="([^"]+)"[^>]* open', dom)
    assert opened == ["cell-2-4"]
    assert not re.search(r'id="cell-2-4"[^>]* open', page)


def test_nothing_in_a_hostile_pedigree_runs(tmp_path):
    audit = hostile_family(ATTACK)
    item = FlippedItem(ATTACK, 0.1, 0.2, ATTACK, ATTACK)
    flips = FlipSample(audit.comparisons[0].id, {"introduced": [item]}, {"introduced": 1})
    dom = dump(render_html(audit, [flips], reveal=True), tmp_path)
    assert title_of(dom).startswith("Audit: ")
    assert "<img" not in dom
    assert "owned-marker" not in re.sub(r"append\('owned-marker'\)", "", dom)
