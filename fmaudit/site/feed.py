"""The feed (Atom 1.0, RFC 4287) and the sitemap of a site."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from fmaudit.report.escape import visible
from fmaudit.site.entries import Entry

ATOM = "http://www.w3.org/2005/Atom"
SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:fmaudit:site")


def atom_feed(entries: Sequence[Entry], title: str, base_url: str) -> bytes | None:
    """The dated audits as Atom, the newest first; None where none is dated, as Atom demands a date.

    ``base_url`` ends with a slash; empty makes every link relative to the feed.
    """
    dated = [entry for entry in entries if entry.moment is not None]
    if not dated:
        return None
    feed = ET.Element("feed", {"xmlns": ATOM, "xml:lang": "en"})
    _text(feed, "id", base_url or f"urn:uuid:{uuid.uuid5(_NAMESPACE, visible(title))}")
    _text(feed, "title", title)
    _text(feed, "updated", max(entry.time for entry in dated))
    author = ET.SubElement(feed, "author")
    _text(author, "name", title)
    ET.SubElement(feed, "generator").text = "fmaudit"
    if base_url:
        ET.SubElement(
            feed, "link", {"rel": "self", "href": f"{base_url}feed.xml", "type": "application/atom+xml"}
        )
    ET.SubElement(feed, "link", {"rel": "alternate", "href": base_url or "./", "type": "text/html"})
    for entry in dated:
        feed.append(_entry(entry, base_url))
    return _document(feed)


def entry_id(digest: str) -> str:
    """The permanent id of an audit in every feed: a function of its content digest."""
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}"


def sitemap(pages: Sequence[tuple[str, str]], base_url: str) -> bytes:
    """Every page with its address relative to ``base_url``, and its day where it is dated."""
    root = ET.Element("urlset", {"xmlns": SITEMAP})
    for address, day in sorted(pages):
        url = ET.SubElement(root, "url")
        _text(url, "loc", base_url + address)
        if day:
            _text(url, "lastmod", day)
    return _document(root)


def _entry(entry: Entry, base_url: str) -> ET.Element:
    found = ET.Element("entry")
    _text(found, "id", entry_id(entry.digest))
    _text(found, "title", f"{entry.heading}: {entry.outcome}")
    _text(found, "updated", entry.time)
    _text(found, "published", entry.time)
    href = f"{base_url}audits/{entry.address}/"
    ET.SubElement(found, "link", {"rel": "alternate", "href": href, "type": "text/html"})
    ET.SubElement(found, "category", {"term": entry.family.address, "label": visible(entry.family.name)})
    _text(found, "summary", f"{entry.verdict.title}.")
    return found


def _text(parent: ET.Element, name: str, text: str) -> None:
    # Visible escapes leave no character that XML forbids.
    ET.SubElement(parent, name).text = visible(text)


def _document(root: ET.Element) -> bytes:
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"
