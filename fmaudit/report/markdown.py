"""The report as Markdown in which no text of a model or file can become markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.report import escape
from fmaudit.report.audit_card import audit_card_view
from fmaudit.report.charts import forest_figures
from fmaudit.report.controls import controls_by_probe, controls_view
from fmaudit.report.curves import curve_set
from fmaudit.report.detectable import detectable_rows
from fmaudit.report.distribution import distribution_views
from fmaudit.report.evidence import evidence_views
from fmaudit.report.figures import forest_panels
from fmaudit.report.finding_views import finding_views
from fmaudit.report.flips import flip_views, rows_commands
from fmaudit.report.gate_marks import gate_limits
from fmaudit.report.gate_views import NO_GATE, gate_views
from fmaudit.report.heatmap import heatmap_set
from fmaudit.report.index import AuditIndex, short_digest, without_paths
from fmaudit.report.markdown_folds import fold_cells, fold_comparisons, fold_slices
from fmaudit.report.numbers import NumberView
from fmaudit.report.view import report_view
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit


def render_markdown(
    audit: Audit,
    evidence: Sequence[object] | None = None,
    reveal: bool = False,
    gates: Sequence[Mapping[str, Any]] = (),
    digest: str | None = None,
) -> str:
    """The whole report. ``reveal`` prints generated text in fenced blocks; otherwise only its length.

    ``evidence`` and ``gates`` as for the page; rows of the explorer are left out.
    """
    index = AuditIndex(without_paths(audit))
    return (
        _environment()
        .get_template("report.md.j2")
        .render(
            view=report_view(audit, digest),
            card=audit_card_view(index),
            controls=controls_view(index),
            gates=gate_views(index, gates, digest),
            no_gate=NO_GATE,
            forests=forest_figures(forest_panels(index, gate_limits(gates)), drawn=False),
            curves=curve_set(index),
            heat=heatmap_set(index),
            scores=distribution_views(index, evidence),
            findings=finding_views(index, gates, controls_by_probe(audit)),
            detectable=detectable_rows(index),
            evidence=evidence_views(evidence, reveal=reveal),
            flips=flip_views(evidence, reveal=reveal),
            rows_commands=rows_commands,
            reveal=reveal,
        )
    )


@cache
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
    environment.filters["fold_cells"] = fold_cells
    environment.filters["fold_comparisons"] = fold_comparisons
    environment.filters["fold_slices"] = fold_slices
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
