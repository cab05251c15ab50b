"""The hostile page in a real browser: nothing in it may run."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape

import pytest

from fmaudit.report.evidence import EvidenceSample
from fmaudit.report.html import render_html

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


def dump(page: str, folder) -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri()]
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
