"""From run directories to a folder that any host can serve."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmaudit.canonical import digest_bytes
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.exports.card_facts import CardOptions
from fmaudit.report.examples import Evidence, evidence_samples
from fmaudit.report.write import FORMATS
from fmaudit.schema import read_audit
from fmaudit.site.changes import Rows
from fmaudit.site.entries import Entry, given_moment, has_rows, read_entries
from fmaudit.site.feed import atom_feed, sitemap
from fmaudit.site.folder import publish, stage, written_before
from fmaudit.site.names import name_address, shown_name
from fmaudit.site.pages import Pages, Site
from fmaudit.site.releases import release_pairs, release_view

DEFAULT_TITLE = "Model audits"
DEFAULT_FORMATS = ("html", "md")
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%+-]+)*/?")
_COMPARED = re.compile(r"compare/([a-z0-9-]+\.\.[a-z0-9-]+)/index\.html")


@dataclass(frozen=True)
class SiteOptions:
    """How a site is made.

    ``base_url``: where it will be served, for the absolute links of feed and sitemap.
    ``formats``: of each report; the page is always made. ``date``: of runs that record none.
    """

    title: str = DEFAULT_TITLE
    base_url: str = ""
    formats: Sequence[str] = DEFAULT_FORMATS
    date: str | None = None


@dataclass(frozen=True)
class Built:
    """What was made: addresses of the audits and of the comparisons."""

    audits: tuple[str, ...]
    comparisons: tuple[str, ...]


def build_site(
    runs: Sequence[Path],
    output: Path,
    options: SiteOptions | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Built:
    """Publish the redacted reports of ``runs`` in the folder ``output``.

    Everything is rendered beside ``output`` before anything in it changes. The same
    runs and options give the same bytes. Comparisons that an earlier build made stay,
    as long as both audits do.

    Raises:
        UsageError: A run is unfinished or holds a revealed report, an option has a wrong
            form, or ``output`` is a folder that is not a site.
        ExecutionError: The site cannot be written.
    """
    options = options or SiteOptions()
    base_url = _checked_url(options.base_url)
    formats = _checked_formats(options.formats)
    before = written_before(output)
    entries = read_entries(runs, given_moment(options.date), notice)
    if not entries:
        raise UsageError("no run to publish: name at least one run directory")
    kept = [found.group(1) for name in before if (found := _COMPARED.fullmatch(name))]
    pairs = release_pairs(entries, kept)
    title = shown_name(options.title) if options.title.strip() else DEFAULT_TITLE
    staging = _staging(output)
    try:
        files = {entry.address: _stage_audit(staging, entry, formats, base_url, notice) for entry in entries}
        feed = atom_feed(entries, title, base_url)
        pages = Pages(Site(title, base_url, entries, pairs, files, feed is not None))
        rows = Rows(notice)
        for pair in pairs:
            page = pages.comparison(release_view(pair, rows))
            stage(staging, f"compare/{pair.address}/index.html", page.encode())
        for name, page in pages.all().items():
            stage(staging, name, page.encode())
        _stage_feeds(staging, entries, feed, base_url, notice)
        _say_gone(before, entries, notice)
        publish(staging, output, before)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Built(tuple(entry.address for entry in entries), tuple(pair.address for pair in pairs))


def _stage_audit(
    staging: Path, entry: Entry, formats: Sequence[str], base_url: str, notice: Callable[[str], None]
) -> tuple[str, ...]:
    """The folder of one audit; it does not depend on the other audits of the site."""
    place = f"audits/{entry.address}"
    audit = read_audit(entry.run)
    evidence: Sequence[Evidence] = evidence_samples(RunDirectory(entry.run)) if has_rows(entry.run) else ()
    from fmaudit.report.html import render_html

    made = {
        "index.html": render_html(audit, evidence, digest=digest_bytes(entry.data)).encode(),
        "audit.json": entry.data,
    }
    if "md" in formats:
        from fmaudit.report.markdown import render_markdown

        made["report.md"] = render_markdown(audit, evidence, digest=digest_bytes(entry.data)).encode()
    if "pdf" in formats:
        from fmaudit.report.pdf import render_pdf

        rendered = render_pdf(audit, evidence, False, entry.data)
        for line in rendered.notices:
            notice(line)
        made["report.pdf"] = rendered.data
    made |= _cards(entry, f"{base_url}{place}/" if base_url else None, notice)
    for name, data in made.items():
        stage(staging, f"{place}/{name}", data)
    return tuple(made)


def _cards(entry: Entry, report_url: str | None, notice: Callable[[str], None]) -> dict[str, bytes]:
    from fmaudit.exports.model_card import model_card

    audit, found = read_audit(entry.run), dict[str, bytes]()
    for subject in entry.models:
        name = "model-card.md"
        if len(entry.models) > 1:
            name = f"model-cards/{name_address(f'{subject.name} {subject.id}')}.md"
        try:
            card = model_card(audit, subject.id, CardOptions(report_url=report_url))
        except UsageError as error:
            notice(f"{entry.run.name}: no model card of {shown_name(subject.name)}: {error}")
            continue
        found[name] = card.text.encode()
    return found


def _stage_feeds(
    staging: Path, entries: Sequence[Entry], feed: bytes | None, base_url: str, notice: Callable[[str], None]
) -> None:
    undated = sum(entry.moment is None for entry in entries)
    if undated:
        notice(
            f"{undated} of {len(entries)} audits record no date: listed last, and left out of the feed "
            "(--date gives them one)"
        )
    if feed is not None:
        stage(staging, "feed.xml", feed)
        if not base_url:
            notice("the feed's links are relative and there is no sitemap: --base-url makes both whole")
    if base_url:
        pages = [
            path.relative_to(staging).as_posix().removesuffix("index.html")
            for path in staging.rglob("index.html")
        ]
        days = {f"audits/{entry.address}/": entry.time[:10] for entry in entries}
        stage(staging, "sitemap.xml", sitemap([(page, days.get(page, "")) for page in pages], base_url))


def _say_gone(before: Iterable[str], entries: Sequence[Entry], notice: Callable[[str], None]) -> None:
    kept = {entry.address for entry in entries}
    gone = {name.split("/")[1] for name in before if name.startswith("audits/")} - kept
    for address in sorted(gone):
        notice(f"audits/{address}/ is not among these runs any more and was taken out of the site")


def _staging(output: Path) -> Path:
    parent = output.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".fmaudit-site-", dir=parent))
    except OSError as error:
        raise ExecutionError(
            f"cannot write beside {output.name}: {error.strerror or error}; choose another folder with -o"
        ) from error


def _checked_url(text: str) -> str:
    if not text:
        return ""
    if not _BASE_URL.fullmatch(text):
        raise UsageError(f"--base-url wants an http or https address without query, got {shown_name(text)!r}")
    return text.rstrip("/") + "/"


def _checked_formats(formats: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"unknown report format {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    return tuple(formats)
