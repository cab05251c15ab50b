"""The report as Markdown in which no text of a model or file can become markup."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.report import escape
from fmaudit.report.evidence import EvidenceSample, evidence_views
from fmaudit.report.flips import FlipSample, flip_views, rows_commands
from fmaudit.report.index import short_digest
from fmaudit.report.numbers import NumberView
from fmaudit.report.view import report_view
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit


def render_markdown(
    audit: Audit, evidence: Sequence[EvidenceSample | FlipSample] | None = None, reveal: bool = False
) -> str:
    """The whole report. ``reveal`` prints generated text in fenced blocks; otherwise only its length."""
    return (
        _environment()
        .get_template("report.md.j2")
        .render(
            view=report_view(audit),
            evidence=evidence_views(evidence, reveal=reveal),
            flips=flip_views(evidence, reveal=reveal),
            rows_commands=rows_commands,
            reveal=reveal,
        )
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
    environment.filters["change"] = _change
    environment.filters["indent"] = _indent
    environment.filters["line"] = _line
    return environment


def _indent(depth: int) -> Markup:
    return Markup("  " * depth)


def _line(rendered: Markup) -> Markup:
    # A macro's output is safe by construction, and a table cell holds one line.
    return Markup(" ".join(rendered.split()))


def _change(view: NumberView) -> str:
    if not view.has_value or not view.simultaneous:
        return _number(view)
    plain = view.plain_interval or "none"
    return f"{view.value} (simultaneous {view.simultaneous}; plain {plain})"


def _show(value: object) -> Markup:
    return value if isinstance(value, Markup) else escape.markdown(value)


def _number(view: NumberView | None) -> str:
    if view is None:
        return "not asked"
    if not view.has_value:
        return f"{view.status}: {view.reason or 'no reason recorded'}"
    value = f"{view.value} ({view.plain_interval or 'no interval'})"
    return value if view.conclusive else f"{value}, inconclusive"
