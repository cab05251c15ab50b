"""The report as Markdown in which no text of a model or file can become markup."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.report import escape
from fmaudit.report.evidence import EvidenceSample, evidence_views
from fmaudit.report.index import short_digest
from fmaudit.report.numbers import NumberView
from fmaudit.report.view import report_view
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit


def render_markdown(
    audit: Audit, evidence: Sequence[EvidenceSample] | None = None, reveal: bool = False
) -> str:
    """The whole report. ``reveal`` prints generated text in fenced blocks; otherwise only its length."""
    return (
        _environment()
        .get_template("report.md.j2")
        .render(view=report_view(audit), evidence=evidence_views(evidence, reveal=reveal), reveal=reveal)
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped_folder("templates") / "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    environment.filters["code"] = escape.markdown_code
    environment.filters["block"] = escape.markdown_block
    environment.filters["short"] = short_digest
    environment.filters["number"] = _number
    return environment


def _show(value: object) -> Markup:
    return value if isinstance(value, Markup) else escape.markdown(value)


def _number(view: NumberView | None) -> str:
    if view is None:
        return "not asked"
    if not view.has_value:
        return f"{view.status}: {view.reason or 'no reason recorded'}"
    value = f"{view.value} ({view.plain_interval or 'no interval'})"
    return value if view.conclusive else f"{value}, inconclusive"
