"""A Hugging Face model card (README.md) of one audited model.

Sections are those of the hub's template, filled as far as an auditor can; the rest
says so. What fmaudit wrote stands between HTML comments, so that it can be replaced
(`card_patch`) without touching what others wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.exports.card_facts import (
    NOT_STATED,
    CardOptions,
    Gap,
    Origin,
    checked_options,
    choose_subject,
    gaps_of,
    origin_of,
)
from fmaudit.exports.card_metadata import metadata, results_of
from fmaudit.exports.card_view import CardView, card_view
from fmaudit.exports.card_yaml import dump, line
from fmaudit.report import escape
from fmaudit.report.index import AuditIndex, short_digest, without_paths
from fmaudit.report.numbers import NumberView
from fmaudit.report.view import audit_digest
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit, Subject

REGIONS = ("details", "risks", "evaluation", "examination", "specifications")
WHOLE = "audit"
"""The region that holds all of them, for a card that has none of its own."""
_TEXT_LIMIT = 2000
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class ModelCard:
    """One model's card before it is written.

    ``regions``: rendered parts by name, `REGIONS` and `WHOLE`, each with its markers.
    ``results``: the ``model-index`` results; ``text``: the whole new card.
    """

    subject: Subject
    origin: Origin
    gaps: tuple[Gap, ...]
    metadata: dict[str, Any]
    results: list[dict[str, Any]]
    regions: dict[str, str]
    text: str
    digest: str


def model_card(audit: Audit, subject: str | None = None, options: CardOptions | None = None) -> ModelCard:
    """The card of ``subject`` (id or name; by default the only adapted model, else the base).

    Raises UsageError for an unknown or ambiguous subject and for options a card cannot carry.
    """
    options = checked_options(options or CardOptions())
    index = AuditIndex(without_paths(audit, longest=None))
    chosen = choose_subject(index.audit, subject)
    digest = audit_digest(audit)
    origin = origin_of(index, chosen, options)
    view = card_view(index, chosen, options, digest)
    environment = _environment()
    regions = {
        name: marked(name, _render(environment, f"{name}.md.j2", view, Markup(""))) for name in REGIONS
    }
    front = metadata(index, chosen, origin, options, digest)
    body = (
        environment.get_template("card.md.j2")
        .render(
            view=view,
            not_stated=NOT_STATED,
            region={name: Markup(text) for name, text in regions.items()},
        )
        .strip()
    )
    parts = {name: Markup(_render(environment, f"{name}.md.j2", view, Markup("#"))) for name in REGIONS}
    whole = environment.get_template("audit.md.j2").render(view=view, region=parts)
    regions[WHOLE] = marked(WHOLE, _tidy(whole))
    return ModelCard(
        subject=chosen,
        origin=origin,
        gaps=gaps_of(index, chosen),
        metadata=front,
        results=results_of(index, chosen, options, digest),
        regions=regions,
        text=f"---\n{dump(front)}---\n\n{_tidy(body)}\n",
        digest=digest,
    )


def begin_marker(name: str) -> str:
    """The line before a region."""
    return f"<!-- fmaudit:begin {name} -->"


def end_marker(name: str) -> str:
    """The line after a region."""
    return f"<!-- fmaudit:end {name} -->"


def marked(name: str, text: str) -> str:
    """A region between its markers."""
    return f"{begin_marker(name)}\n\n{text}\n\n{end_marker(name)}"


def _render(environment: Environment, template: str, view: CardView, deeper: Markup) -> str:
    rendered = environment.get_template(template).render(view=view, deeper=deeper)
    return _tidy(rendered)


def _tidy(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", text).strip()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped_folder("templates") / "model_card"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    environment.filters["code"] = _code
    environment.filters["short"] = short_digest
    environment.filters["number"] = _number
    return environment


def _show(value: object) -> Markup:
    return value if isinstance(value, Markup) else escape.markdown(line(value, _TEXT_LIMIT))


def _code(value: object) -> Markup:
    return escape.markdown_code(line(value))


def _number(view: NumberView) -> str:
    if not view.has_value:
        return f"{view.status}: {view.reason or 'no reason recorded'}"
    value = f"{view.value} ({view.interval})"
    return value if view.conclusive else f"{value}, inconclusive"
