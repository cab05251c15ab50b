"""The pages around the reports: index, lists, model pages, comparisons."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fmaudit.report.escape import visible
from fmaudit.report.index import short_digest
from fmaudit.report.tones import SYMBOLS
from fmaudit.report.verdict_words import MARKS
from fmaudit.resources import shipped_folder
from fmaudit.site.entries import OUTCOMES, UNDATED, Entry, Named
from fmaudit.site.releases import ReleasePair, ReleaseView

_STYLES = (("report", "report.css"), ("site", "site.css"))


@dataclass(frozen=True)
class Group:
    """A heading of a list page and the audits under it. ``link``: its own page, relative to the list's."""

    title: str
    anchor: str
    entries: tuple[Entry, ...]
    link: str = ""


@dataclass(frozen=True)
class Site:
    """What every page shares. ``entries``: the newest first; ``files``: names in each audit's folder."""

    title: str
    base_url: str
    entries: tuple[Entry, ...]
    pairs: tuple[ReleasePair, ...]
    files: Mapping[str, tuple[str, ...]]
    has_feed: bool

    def previous(self, entry: Entry) -> tuple[ReleasePair, ...]:
        """Comparisons of this audit with earlier ones."""
        return tuple(pair for pair in self.pairs if pair.newer is entry)

    @cached_property
    def models(self) -> tuple[tuple[Named, tuple[Entry, ...]], ...]:
        """Every audited model with its audits, the newest first."""
        return _grouped(self.entries, lambda entry: entry.named_models)

    @cached_property
    def families(self) -> tuple[tuple[Named, tuple[Entry, ...]], ...]:
        """Every family with its audits, the newest first."""
        return _grouped(self.entries, lambda entry: (entry.family,))


class Pages:
    """Renders the pages of one site; the same site gives the same bytes."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._script = _shipped("site", "site.js")
        self._style = "".join(_shipped(folder, name) for folder, name in _STYLES)
        self._environment = _environment()

    def all(self) -> dict[str, str]:
        """Every page but reports and comparisons, by its path."""
        found = {"index.html": self._index()}
        for name, title, groups in (
            ("families", "Audits by model family", self._family_groups()),
            ("models", "Audits by model", self._model_groups()),
            ("verdicts", "Audits by verdict", self._verdict_groups()),
            ("dates", "Audits by date", self._date_groups()),
        ):
            found[f"{name}/index.html"] = self._page("list.html.j2", 1, title=title, here=name, groups=groups)
        for model, entries in self._site.models:
            place = f"models/{model.address}"
            found[f"{place}/index.html"] = self._page(
                "model.html.j2", 2, title=model.name, here="models", model=model, entries=entries
            )
            found[f"{place}/latest/index.html"] = self._page(
                "latest.html.j2",
                3,
                title=f"Latest audit of {model.name}",
                here="models",
                model=model,
                latest=latest_of(entries),
            )
        return found

    def comparison(self, view: ReleaseView) -> str:
        """The page of two audits side by side."""
        return self._page(
            "compare.html.j2",
            2,
            title=_compared(view.pair),
            here="",
            view=view,
        )

    def _index(self) -> str:
        return self._page("index.html.j2", 0, title=self._site.title, here="index", outcomes=OUTCOMES)

    def _family_groups(self) -> list[Group]:
        return [Group(family.name, family.address, entries) for family, entries in self._site.families]

    def _model_groups(self) -> list[Group]:
        return [
            Group(model.name, model.address, entries, f"{model.address}/index.html")
            for model, entries in self._site.models
        ]

    def _verdict_groups(self) -> list[Group]:
        entries = self._site.entries
        groups = [
            Group(f"{SYMBOLS[tone]} {words}", tone, tuple(one for one in entries if one.verdict.tone == tone))
            for tone, words in OUTCOMES.items()
        ]
        for place, (word, (symbol, _)) in enumerate(MARKS.items()):
            chosen = tuple(entry for entry in entries if word in dict(entry.words))
            groups.append(Group(f"{symbol} Headline numbers: {word}", f"word-{place}", chosen))
        return [group for group in groups if group.entries]

    def _date_groups(self) -> list[Group]:
        months = dict.fromkeys(entry.time[:7] or UNDATED for entry in self._site.entries)
        return [
            Group(
                month.capitalize(),
                f"month-{month}",
                tuple(entry for entry in self._site.entries if (entry.time[:7] or UNDATED) == month),
            )
            for month in months
        ]

    def _page(self, template: str, depth: int, **content: Any) -> str:
        return self._environment.get_template(template).render(
            site=self._site,
            root="../" * depth,
            style=Markup(self._style),
            script=Markup(self._script),
            script_hash=_csp_hash(self._script),
            undated=UNDATED,
            **content,
        )


def latest_of(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The audit with the latest time; several where it is shared, none where nothing is dated."""
    known = [entry.moment for entry in entries if entry.moment is not None]
    return tuple(entry for entry in entries if known and entry.moment == max(known))


def _compared(pair: ReleasePair) -> str:
    older, newer = pair.older, pair.newer
    if older.heading == newer.heading:
        return f"{newer.heading}: {older.day} and {newer.day}"
    return f"{older.heading} → {newer.heading}"


def _grouped(
    entries: Sequence[Entry], names: Callable[[Entry], Sequence[Named]]
) -> tuple[tuple[Named, tuple[Entry, ...]], ...]:
    found: dict[Named, list[Entry]] = {}
    for entry in entries:
        for name in names(entry):
            found.setdefault(name, []).append(entry)
    ordered = sorted(found, key=lambda name: (name.name.casefold(), name.address))
    return tuple((name, tuple(found[name])) for name in ordered)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(shipped_folder("templates") / "site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    environment.filters["short"] = short_digest
    environment.globals["symbols"] = SYMBOLS
    environment.globals["marks"] = MARKS
    environment.globals["entry_cards"] = _cards_of
    return environment


def _cards_of(files: Sequence[str]) -> list[str]:
    return [name for name in files if name.startswith("model-cards/")]


def _show(value: object) -> object:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def _shipped(folder: str, name: str) -> str:
    return (shipped_folder("templates") / folder / name).read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
