"""The report as one HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.report.charts import forest_chart, slope_chart
from fmaudit.report.drawing import Chart
from fmaudit.report.escape import visible
from fmaudit.report.evidence import EvidenceSample, evidence_views
from fmaudit.report.figures import forest_panels, slopes
from fmaudit.report.flips import FlipSample, flip_views, rows_commands
from fmaudit.report.index import AuditIndex, short_digest, without_paths
from fmaudit.report.pedigree_charts import curve_chart, histogram_chart
from fmaudit.report.view import ReportView, report_view
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit


def render_html(
    audit: Audit, evidence: Sequence[EvidenceSample | FlipSample] | None = None, reveal: bool = False
) -> str:
    """The whole page. The same audit and evidence give the same bytes.

    ``reveal`` prints generated text, inert; otherwise only its length is shown.
    """
    index = AuditIndex(without_paths(audit))
    view = report_view(audit)
    script = _shipped("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            flips=flip_views(evidence, reveal=reveal),
            rows_commands=rows_commands,
            failures=_failure_charts(view),
            doses=_dose_charts(view),
            evidence=evidence_views(evidence, reveal=reveal),
            reveal=reveal,
            forest=forest_chart(forest_panels(index)),
            slopes=slope_chart(slopes(index)),
            style=Markup(_shipped("report.css") + _shipped("inheritance.css")),
            script=Markup(script),
            script_hash=_csp_hash(script),
        )
    )


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
