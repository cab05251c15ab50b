"""The report as a tagged PDF (PDF/A-3a) that carries its audit.json, from the page's own HTML."""

from __future__ import annotations

import gc
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from fmaudit.canonical import digest_bytes
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.report.fonts import uncovered_characters
from fmaudit.report.index import short_digest
from fmaudit.report.paper import prepare, visible_text
from fmaudit.resources import shipped_folder
from fmaudit.schema import Audit

VARIANT = "pdf/a-3a"
ATTACHMENT = "audit.json"
_SHOWN_CHARACTERS = 12
_INSTALL = (
    "install the pdf extra (pip install 'fmaudit[pdf]') and the Pango library "
    "(on Debian: libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0)"
)


@dataclass(frozen=True)
class Pdf:
    """A rendered document and what its reader has to know about it."""

    data: bytes
    notices: tuple[str, ...] = ()


def render_pdf(
    audit: Audit,
    evidence: Sequence[object] | None = None,
    reveal: bool = False,
    attached: bytes | None = None,
    gates: Sequence[Mapping[str, Any]] = (),
) -> Pdf:
    """The report page on A4, tagged, with ``audit.json`` attached.

    ``attached`` are the bytes of that file, where it was written by an earlier release; else
    those of ``audit``. ``gates``: records of ``gate/``.

    The same audit, evidence, fonts and libraries give the same bytes: no date is written unless
    SOURCE_DATE_EPOCH sets it, and the identifier is a digest of page and audit. An attachment must
    have a date; without SOURCE_DATE_EPOCH it is 1970-01-01.

    Raises UsageError when WeasyPrint or Pango is missing, or SOURCE_DATE_EPOCH is not a number;
    ExecutionError when the engine fails on the page.
    """
    from fmaudit.report.html import render_html

    engine = _engine()
    moment = _moment()
    digest = None if attached is None else digest_bytes(attached)
    page = render_html(audit, evidence, reveal, gates, digest)
    with warnings.catch_warnings(), _collector_paused():
        # The engine leaves the colour profile's file to be closed by the interpreter.
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return _render(engine, page, audit.to_bytes() if attached is None else attached, moment)
        except Exception as error:
            # The engine guards its own state by assertions of every kind; the page does not depend on it.
            raise ExecutionError(
                f"WeasyPrint {engine.__version__} could not lay this report out ({type(error).__name__}): "
                "use the HTML report, or another release of WeasyPrint"
            ) from error


@contextmanager
def _collector_paused() -> Iterator[None]:
    # A layout is millions of objects that all live to its end: looking for garbage takes a third of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _render(engine: ModuleType, page: str, attached: bytes, moment: datetime | None) -> Pdf:
    from weasyprint.urls import URLFetcher

    fetcher = URLFetcher(allowed_protocols={"data"})
    digest = hashlib.sha256(attached).hexdigest()
    document = engine.HTML(string=page, base_url=None, url_fetcher=fetcher)
    notices = _notices(uncovered_characters(visible_text(document.etree_element)))
    prepare(document.etree_element, _style(digest), notices)
    if moment is not None:
        _date(document.etree_element, moment)
    date = moment or datetime.fromtimestamp(0, UTC)
    attachment = engine.Attachment(
        string=attached,
        name=ATTACHMENT,
        description="The audit this report was computed from",
        created=date,
        modified=date,
        relationship="Source",
    )
    identifier = hashlib.sha256(page.encode() + attached).digest()[:16]
    data = document.write_pdf(pdf_variant=VARIANT, pdf_identifier=identifier, attachments=[attachment])
    return Pdf(data, notices)


def _engine() -> ModuleType:
    try:
        import weasyprint
    except ImportError:
        raise UsageError(f"the PDF needs WeasyPrint, which is not installed: {_INSTALL}") from None
    except OSError as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise UsageError(f"the PDF needs Pango, which cannot be loaded ({reason}): {_INSTALL}") from None
    module: Any = weasyprint
    return module  # type: ignore[no-any-return]


def _moment() -> datetime | None:
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not stated:
        return None
    try:
        return datetime.fromtimestamp(int(stated), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {stated!r}: give whole seconds since 1970, or unset it"
        ) from None


def _date(root: Any, moment: datetime) -> None:
    head = next(root.iter("head"))
    for name in ("dcterms.created", "dcterms.modified"):
        element = head.makeelement("meta", {"name": name, "content": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})
        head.append(element)


def _style(digest: str) -> str:
    sheet = (shipped_folder("templates") / "report" / "pdf.css").read_text(encoding="utf-8")
    footer = f"fmaudit, audit.json sha256 {short_digest(digest)}"
    return f':root {{ --footer: "{footer}"; }}\n{sheet}'


def _notices(missing: Sequence[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    shown = ", ".join(f"U+{ord(char):04X}" for char in missing[:_SHOWN_CHARACTERS])
    more = f" and {len(missing) - _SHOWN_CHARACTERS:,} more" if len(missing) > _SHOWN_CHARACTERS else ""
    noun = "character" if len(missing) == 1 else "characters"
    return (
        f"No font on the machine that made this PDF draws {len(missing):,} {noun} of it ({shown}{more}); "
        "the HTML report holds them.",
    )
