"""The pages of a built site, and where their links lead."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.report.page_parser import Page


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def own_pages(folder: Path) -> dict[str, Page]:
    """Every page that the site itself makes."""
    return {
        path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if path.relative_to(folder).parts[0] != "audits"
    }


def lost_links(folder: Path) -> list[tuple[str, str]]:
    """Links that lead nowhere, out of the site, or to a place a page does not have."""
    pages, lost = own_pages(folder), []
    for name, page in pages.items():
        for attributes in (*page.all("a"), *page.all("link")):
            parts = urlsplit(attributes["href"] or "")
            target = ((folder / name).parent / unquote(parts.path)).resolve() if parts.path else folder / name
            inside = target.is_relative_to(folder.resolve()) and target.is_file()
            if parts.scheme or parts.netloc or not inside:
                lost.append((name, attributes["href"]))
            elif parts.fragment:
                there = pages[target.relative_to(folder.resolve()).as_posix()]
                if not any(found.get("id") == parts.fragment for _, found in there.elements):
                    lost.append((name, attributes["href"]))
    return lost
