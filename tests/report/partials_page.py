"""A small page of findings and explorer alone, with the scripts and the policy of the report."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import DictLoader, Environment, FileSystemLoader, StrictUndefined
from jinja2.loaders import ChoiceLoader
from markupsafe import Markup

from fmaudit.report.escape import visible
from fmaudit.report.evidence import evidence_views
from fmaudit.report.explorer import explorer_view
from fmaudit.report.finding_views import finding_views
from fmaudit.report.flips import flip_views, rows_commands
from fmaudit.report.index import AuditIndex, without_paths
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src"
PAGE = """{% import "findings.html.j2" as found with context %}
{% import "explorer.html.j2" as rows with context %}
<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }} '{{ script_hash }}'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Audit: partials</title>
<style>{{ style }}</style></head><body><div class="page"><main id="main"><h1>Partials</h1>
{{ found.findings(findings, flips, rows_commands) }}
{% if evidence %}
<section aria-labelledby="e-h"><h2 id="e-h">Evidence</h2>{{ found.examples(evidence, reveal) }}</section>
{% endif %}
{% if explorer %}{{ rows.explorer(explorer) }}{% endif %}
</main></div><script>{{ script }}</script></body></html>
"""


def partials_page(
    audit: Audit, evidence: Any = (), *, reveal: bool = False, gates: Any = (), controls: Any = None
) -> str:
    """Findings, examples and explorer of an audit as one page."""
    folder = shipped_folder("templates") / "report"
    script = (folder / "explorer.js").read_text(encoding="utf-8")
    style = "".join(
        (folder / name).read_text(encoding="utf-8")
        for name in ("report.css", "inheritance.css", "explorer.css")
    )
    environment = Environment(
        loader=ChoiceLoader([DictLoader({"page": PAGE}), FileSystemLoader(folder)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)
        ),
    )
    environment.globals["region"] = lambda label: label
    environment.filters["lines"] = lambda text: Markup.escape(visible(text, keep_lines=True))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page").render(
        findings=finding_views(AuditIndex(without_paths(audit)), gates, controls),
        flips=flip_views(evidence, reveal=reveal),
        evidence=evidence_views(evidence, reveal=reveal),
        explorer=explorer_view(evidence),
        rows_commands=rows_commands,
        reveal=reveal,
        style=Markup(style),
        script=Markup(script),
        policy=POLICY,
        script_hash=f"sha256-{digest}",
    )
