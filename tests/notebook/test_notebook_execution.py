"""The notebooks run from start to end, offline, and their rendered pages are of today's sources."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.report.page_parser import Page

ROOT = Path(__file__).parents[2]
RENDER = ROOT / "notebooks" / "render.py"
RENDERED = ROOT / "notebooks" / "rendered"
NAMES = ("01_quick_start", "02_reading_a_report", "03_writing_a_probe", "04_comparing_a_family")
LARGEST = 300_000


def inert(html: str) -> None:
    page = Page(html)
    assert not {name for name, _ in page.elements} & {"script", "iframe", "object", "embed", "link", "form"}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert not attributes.get("src")
        href = attributes.get("href") or attributes.get("xlink:href") or "#"
        assert href.startswith("#") or re.fullmatch(r"\d\d_\w+\.html", href), href


def run_one(source, folder, run=""):
    """Run and render a notebook in a process of its own; the page is in ``folder``."""
    for package in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} is missing: install fmaudit[dev]")
    place = folder / source.stem
    place.mkdir()
    return subprocess.run(
        [sys.executable, str(RENDER), str(source), "--output", str(folder / "pages"), "--folder", str(place)],
        env={**os.environ, "FMAUDIT_NOTEBOOK_RUN": str(run)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_run(small_run, render, tmp_path):
    assert tuple(source.stem for source in render.sources()) == NAMES
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda source: run_one(source, tmp_path, small_run.path), render.sources()))
    for source, finished in zip(render.sources(), done, strict=True):
        assert finished.returncode == 0, finished.stderr
        page = (tmp_path / "pages" / f"{source.stem}.html").read_text(encoding="utf-8")
        inert(page)
        assert str(small_run.path.parent) not in page
        assert page.count('<div class="out">') >= 5
        assert not list((tmp_path / source.stem).iterdir())


def test_an_error_in_a_notebook_is_an_error(tmp_path):
    source = tmp_path / "05_broken.py"
    source.write_text("# %%\nprint(1)\n\n# %%\n1 / 0\n")
    finished = run_one(source, tmp_path)
    assert finished.returncode != 0
    assert "ZeroDivisionError" in finished.stderr
    assert not list((tmp_path / "pages").iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_rendered_page_is_of_the_source(render, name):
    page = (RENDERED / f"{name}.html").read_text(encoding="utf-8")
    stale = "run make notebooks: the source has changed since this page was made"
    assert page.splitlines()[0] == render.header(ROOT / "notebooks" / f"{name}.py"), stale
    assert len(page.encode()) < LARGEST
    assert not re.search(r"(?<![\w.])/(?:tmp|home|root|work|Users)/", page)
    inert(page)
    assert "Content-Security-Policy" in page


def test_every_rendered_page_has_a_source():
    assert {path.stem for path in RENDERED.iterdir()} == set(NAMES)
