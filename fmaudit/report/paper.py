"""The page's own element tree made ready for paper: details open, no script, one drawing of each chart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from fmaudit.report.paper_charts import slice_drawings
from fmaudit.report.paper_tables import fit, shorten

MAX_TEXT = 4000
_DROPPED_TAGS = frozenset({"script", "button", "nav", "form", "noscript", "template"})
_DROPPED_CLASSES = frozenset({"narrow", "skip", "hint"})
_LEADS = frozenset({"h2", "h3", "h4", "h5", "p", "summary", "figcaption"})
_SVG = "{http://www.w3.org/2000/svg}"
_INLINE_BOX = re.compile(r"display:\s*inline-(?:grid|flex)\b")
_VARIABLE = re.compile(r"var\((--[\w-]+)\)")


def prepare(root: Element, style: str, notices: tuple[str, ...]) -> None:
    """Change the parsed page in place.

    Args:
        root: The ``html`` element of the report page.
        style: Style rules added after the page's own; the colours of drawings come from the page's.
        notices: Sentences shown under the verdict.
    """
    root.set("data-theme", "light")
    _drop(root)
    head = _first(root, "head")
    colors = light_colors("".join(node.text or "" for node in head.iter("style")))
    for node in head.iter("style"):
        node.text = _plain(node.text or "")
    SubElement(head, "style").text = style
    for svg in list(root.iter(f"{_SVG}svg")):
        _settle(svg, colors)
    slice_drawings(root)
    _cut_texts(root)
    for table in list(root.iter("table")):
        shorten(table)
    _widen(root)
    for node in root.iter():
        if node.tag == "details":
            node.tag = "div"
            node.set("class", f"details {node.get('class', '')}".strip())
        elif node.tag == "summary":
            node.tag = "p"
            node.set("class", "summary")
    _tell(root, notices)


def light_colors(style: str) -> dict[str, str]:
    """The custom properties of the first ``:root`` block of a style sheet."""
    found = re.search(r":root\s*\{(.*?)\}", style, flags=re.DOTALL)
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", found.group(1))) if found else {}


def _plain(style: str) -> str:
    # The engine measures grid and flex boxes many times over, and fails on some that span pages.
    return re.sub(r"display:\s*(?:grid|flex)\b", "display: block", _INLINE_BOX.sub("display: inline", style))


def visible_text(root: Element) -> str:
    """Every text of the document that is drawn."""
    return "".join(
        (node.text or "") + (node.tail or "") for node in root.iter() if node.tag not in ("style", "script")
    )


def _classes(node: Element) -> set[str]:
    return set((node.get("class") or "").split())


def _first(root: Element, tag: str) -> Element:
    return next(root.iter(tag))


def _drop(root: Element) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or _unneeded(child):
                _remove(parent, child)


def _unneeded(node: Element) -> bool:
    return (
        node.tag in _DROPPED_TAGS
        or bool(_classes(node) & _DROPPED_CLASSES)
        or "hidden" in node.attrib
        or (node.tag == "meta" and "http-equiv" in node.attrib)
    )


def _remove(parent: Element, child: Element) -> None:
    place = list(parent).index(child)
    if child.tail:
        if place:
            parent[place - 1].tail = (parent[place - 1].tail or "") + child.tail
        else:
            parent.text = (parent.text or "") + child.tail
    parent.remove(child)


def _cut_texts(root: Element) -> None:
    for node in root.iter():
        if node.tag == "style":
            continue
        node.text, node.tail = _cut(node.text), _cut(node.tail)


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]} […{len(text) - MAX_TEXT:,} more characters in the HTML report]"


def _settle(svg: Element, colors: dict[str, str]) -> None:
    # The alternative text of a tagged figure is its title alone: the description joins it.
    title, description = svg.find(f"{_SVG}title"), svg.find(f"{_SVG}desc")
    if title is not None and description is not None and description.text:
        title.text = f"{(title.text or '').rstrip('. ')}. {description.text}"
    for node in svg.iter():
        for name, value in node.attrib.items():
            if "var(" in value:
                node.set(name, _VARIABLE.sub(lambda found: colors.get(found.group(1), found.group(0)), value))


def _widen(root: Element) -> None:
    parents = {child: parent for parent in root.iter() for child in parent}
    for table in root.iter("table"):
        if not fit(table):
            continue
        block = _outermost(table, parents)
        if not any("wide-block" in _classes(node) for node in _ancestors(block, parents)):
            _wrap(block, parents)


def _outermost(table: Element, parents: dict[Element, Element]) -> Element:
    block = table
    while "scroll" in _classes(parents[block]) or parents[block].tag == "details":
        block = parents[block]
        if block.tag == "details":
            break
    return block


def _ancestors(node: Element, parents: dict[Element, Element]) -> Iterator[Element]:
    while node in parents:
        node = parents[node]
        yield node


def _wrap(block: Element, parents: dict[Element, Element]) -> None:
    # A landscape page begins before its heading, so that no heading stays behind alone.
    parent = parents[block]
    siblings = list(parent)
    end = siblings.index(block)
    start = end
    while start and siblings[start - 1].tag in _LEADS:
        start -= 1
    wrapper = Element("div", {"class": "wide-block"})
    wrapper.extend(siblings[start : end + 1])
    for node in siblings[start : end + 1]:
        parent.remove(node)
        parents[node] = wrapper
    parent.insert(start, wrapper)
    parents[wrapper] = parent


def _tell(root: Element, notices: tuple[str, ...]) -> None:
    header = next((node for node in root.iter("header") if node.find(".//h1") is not None), None)
    if header is None:
        return
    for notice in notices:
        SubElement(header, "p", {"class": "pdf-notice", "role": "note"}).text = notice
