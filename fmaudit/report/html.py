"""The report as one HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.report.audit_card import audit_card_view
from fmaudit.report.charts import forest_figures
from fmaudit.report.controls import controls_by_probe, controls_view
from fmaudit.report.curve_charts import curve_charts
from fmaudit.report.curves import curve_set
from fmaudit.report.detectable import detectable_rows
from fmaudit.report.distribution import distribution_views
from fmaudit.report.distribution_charts import distribution_charts
from fmaudit.report.drawing import Chart
from fmaudit.report.escape import visible
from fmaudit.report.evidence import evidence_views
from fmaudit.report.explorer import explorer_view
from fmaudit.report.figures import forest_panels
from fmaudit.report.finding_views import finding_views
from fmaudit.report.flips import flip_views, rows_commands
from fmaudit.report.gate_marks import gate_limits
from fmaudit.report.gate_views import NO_GATE, gate_views
from fmaudit.report.heatmap import heatmap_set
from fmaudit.report.index import AuditIndex, short_digest, without_paths
from fmaudit.report.pedigree_charts import curve_chart, histogram_chart
from fmaudit.report.slope_charts import slope_chart
from fmaudit.report.slopes import slopes
from fmaudit.report.view import ReportView, report_view
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit

STYLES = ("report.css", "inheritance.css", "charts.css", "context.css", "explorer.css")
SCRIPTS = ("report.js", "explorer.js")


def render_html(
    audit: Audit,
    evidence: Sequence[object] | None = None,
    reveal: bool = False,
    gates: Sequence[Mapping[str, Any]] = (),
    digest: str | None = None,
) -> str:
    """The whole page. The same audit, evidence and gate records give the same bytes.

    ``evidence``: samples of every kind, as :mod:`fmaudit.report.examples` makes them. ``reveal`` prints
    generated text, inert and folded; otherwise only its length is shown. ``gates``: records of ``gate/``.
    ``digest``: of the bytes that ``audit`` was read from.
    """
    index = AuditIndex(without_paths(audit))
    view = report_view(audit, digest)
    findings = finding_views(index, gates, controls_by_probe(audit))
    script = "".join(_shipped(name) for name in SCRIPTS)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            region=RegionLabels(),
            **_charts(index, view, evidence, gates),
            card=audit_card_view(index),
            controls=controls_view(index),
            gates=gate_views(index, gates, digest),
            no_gate=NO_GATE,
            findings=findings,
            leads={found.claim: found.anchor for found in findings.findings if found.claim},
            flips=flip_views(evidence, reveal=reveal),
            evidence=evidence_views(evidence, reveal=reveal),
            explorer=explorer_view(evidence),
            rows_commands=rows_commands,
            detectable=detectable_rows(index),
            reveal=reveal,
            style=Markup("".join(_shipped(name) for name in STYLES)),
            script=Markup(script),
            script_hash=_csp_hash(script),
        )
    )


def _charts(
    index: AuditIndex,
    view: ReportView,
    evidence: Sequence[object] | None,
    gates: Sequence[Mapping[str, Any]],
) -> dict[str, object]:
    found_slopes, curves, scores = slopes(index), curve_set(index), distribution_views(index, evidence)
    return {
        "forests": forest_figures(forest_panels(index, gate_limits(gates))),
        "slope_views": found_slopes,
        "slope_drawing": slope_chart(found_slopes),
        "curves": curves,
        "curve_drawings": [curve_charts(figure) for figure in curves.figures],
        "heat": heatmap_set(index),
        "scores": scores,
        "score_drawings": [distribution_charts(one) for one in scores],
        "failures": _failure_charts(view),
        "doses": _dose_charts(view),
    }


class RegionLabels:
    """Labels of a page's regions: assistive technology lists them, so none may occur twice."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def __call__(self, label: str) -> str:
        """The label of one region more, numbered where it was given before."""
        self._given[label] += 1
        count = self._given[label]
        return f"{label}, table" if count == 1 else f"{label}, table {count}"


def _failure_charts(view: ReportView) -> list[Chart | None]:
    return [
        histogram_chart(found.histogram, f"failures-{place}") if found.histogram else None
        for place, found in enumerate(view.homogenization, 1)
    ]


def _dose_charts(view: ReportView) -> dict[str, Chart]:
    return {
        found.anchor: curve_chart(found.curve, found.anchor)
        for section in view.sections
        for found in section.calibrations
        if found.curve is not None
    }


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
    environment.filters["short"] = short_digest
    environment.filters["lines"] = _with_lines
    return environment


def _show(value: object) -> object:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def _with_lines(text: str) -> Markup:
    return Markup.escape(visible(text, keep_lines=True))


def _shipped(name: str) -> str:
    return (shipped_folder("templates") / "report" / name).read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
