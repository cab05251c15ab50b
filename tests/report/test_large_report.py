"""The report of a run of 100,000 rows: quick to write, small to send, quick to open and search."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.report.browsing import opened_browser
from tests.report.large_run import write_large_run

ITEMS, SUBJECTS = 50_000, 2
SECONDS, MEMORY, PAGE, INTERACTIVE = 15, 1_000_000_000, 5_000_000, 2.0
WRITE = """
import json, sys, time
from pathlib import Path
begun = time.process_time()
from fmaudit.evidence.directory import RunDirectory
from fmaudit.report.examples import evidence_samples
from fmaudit.report.write import write_report
run = Path(sys.argv[1])
write_report(run, evidence=evidence_samples(RunDirectory(run)))
# ru_maxrss would be that of the test's own process, which a child inherits.
lines = Path("/proc/self/status").read_text("ascii").splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
print(json.dumps({"seconds": time.process_time() - begun, "memory": peak}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_large_run(
        tmp_path_factory.mktemp("large") / "run", items=ITEMS, subjects=SUBJECTS, audited=True
    )


@pytest.fixture(scope="module")
def written(large):
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(large)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_it_is_written_in_seconds_and_within_a_gigabyte(large, written):
    assert written["seconds"] < SECONDS
    assert written["memory"] < MEMORY
    assert (large / "report" / "report.html").stat().st_size < PAGE


@pytest.mark.slow
def test_it_is_interactive_within_two_seconds(large, written):
    with opened_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begun = time.monotonic()
        page.goto((large / "report" / "report.html").as_uri())
        page.locator("#findings-search").fill("stereo")
        page.locator("#explorer-open").click()
        page.locator("#explorer-table tbody tr").first.wait_for()
        opened = time.monotonic() - begun
        begun = time.monotonic()
        page.locator("#explorer-search").fill("4999")
        page.wait_for_function("document.querySelector('#explorer-status').textContent.includes('of')")
        searched = time.monotonic() - begun
        assert opened < INTERACTIVE
        assert searched < INTERACTIVE
        assert page.locator("#explorer-table tbody tr").count() <= 50
