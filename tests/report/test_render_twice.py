"""A document is the same however many were rendered before it in one process."""

from __future__ import annotations

import pytest

from fmaudit.report.html import render_html
from fmaudit.report.markdown import render_markdown


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_nothing_of_one_document_shows_in_the_next(rich_audit, tiny_audit, render):
    first = render(tiny_audit)
    render(rich_audit)
    assert render(tiny_audit) == first
