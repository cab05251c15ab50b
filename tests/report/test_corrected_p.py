"""Where a number is a claim of a family, the p-value beside it is the corrected one."""

from __future__ import annotations

import pytest

from fmaudit.report.html import render_html
from fmaudit.report.markdown import render_markdown
from fmaudit.report.numbers import number_view, scale_of
from fmaudit.report.terminal import render_terminal

ALONE, CORRECTED = 0.0123, 0.0984


@pytest.fixture
def corrected(rich_audit):
    """The rich audit with one p-value alone and one corrected everywhere."""
    changed = {"p": ALONE, "p_adjusted": CORRECTED, "worst_p": None}
    return rich_audit.model_copy(
        update={"comparisons": [one.model_copy(update=changed) for one in rich_audit.comparisons]}
    )


def test_a_claim_shows_its_corrected_p(corrected):
    claim = corrected.comparisons[0]
    view = number_view(claim, scale_of(None, difference=True), partial=False)
    assert view.p == "p\u00a0=\u00a00.098, corrected"
    lone = claim.model_copy(update={"p_adjusted": None})
    assert number_view(lone, scale_of(None, difference=True), partial=False).p == "p\u00a0=\u00a00.012"


@pytest.mark.parametrize("render", [render_html, render_markdown, render_terminal])
def test_documents_print_it_and_call_it_so(corrected, render):
    text = " ".join(render(corrected).replace("\u00a0", " ").replace("&nbsp;", " ").split())
    assert "0.098, corrected" in text
    assert "p = 0.012" not in text
