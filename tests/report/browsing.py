"""Headless Chromium for tests; where there is none, they skip and say so."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def opened_browser():
    """A browser driven through playwright; no browser of its own is downloaded."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
