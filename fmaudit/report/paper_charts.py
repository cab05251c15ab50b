"""Drawings taller than a sheet of paper, cut between their rows into parts that fit one."""

from __future__ import annotations

import copy
import itertools
from xml.etree.ElementTree import Element

_SVG = "{http://www.w3.org/2000/svg}"
# Height of a part, as a multiple of its width, that leaves room for a heading and a caption.
_TALLEST = 1.1
# No mark or line of text is taller, in units of the drawing.
_TEXT_ROOM = 40.0


def slice_drawings(root: Element) -> None:
    """Replace every drawing that is too tall for a page by parts, each with its own alternative text."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}svg":
                _replace(parent, child)


def cuts(rows: list[float], top: float, height: float, tallest: float) -> list[float]:
    """Where to cut a drawing: in the widest gap between rows of the lower half of each part.

    Args:
        rows: Vertical places of its texts.
        top: Where the drawing begins.
        height: How tall it is.
        tallest: How tall a part may be.
    """
    found: list[float] = []
    begin, end = top, top + height
    places = sorted(set(rows))
    gaps = [(below - above, (above + below) / 2) for above, below in itertools.pairwise(places)]
    while end - begin > tallest:
        fitting = [gap for gap in gaps if begin + tallest / 2 < gap[1] <= begin + tallest]
        begin = max(fitting)[1] if fitting else begin + tallest
        found.append(begin)
    return found


def _replace(parent: Element, svg: Element) -> None:
    box = [float(part) for part in (svg.get("viewBox") or "").split()]
    if len(box) != 4 or box[3] <= box[2] * _TALLEST:
        return
    left, top, width, height = box
    inner = cuts(_rows(svg), top, height, width * _TALLEST)
    edges = [top, *inner, top + height]
    place = list(parent).index(svg)
    parent.remove(svg)
    for number, (begin, end) in enumerate(itertools.pairwise(edges), 1):
        part = copy.deepcopy(svg)
        _prune(part, begin, end)
        part.set("viewBox", f"{left:g} {begin:g} {width:g} {end - begin:g}")
        title = part.find(f"{_SVG}title")
        if title is not None:
            title.text = f"Part {number} of {len(edges) - 1}. {title.text or ''}"
        parent.insert(place + number - 1, part)


def _prune(node: Element, begin: float, end: float) -> None:
    for child in list(node):
        span = _span(child)
        if span is not None and (span[1] < begin or span[0] > end):
            node.remove(child)
        else:
            _prune(child, begin, end)


def _span(node: Element) -> tuple[float, float] | None:
    """The vertical room of a text or a mark; None where that is not known."""
    if node.tag in (f"{_SVG}text", f"{_SVG}use") and "y" in node.attrib and "transform" not in node.attrib:
        place = float(node.attrib["y"])
        return place - _TEXT_ROOM, place + _TEXT_ROOM
    return None


def _rows(svg: Element) -> list[float]:
    found = []
    for text in svg.iter(f"{_SVG}text"):
        for piece in [text, *text.iter(f"{_SVG}tspan")]:
            try:
                found.append(float(piece.get("y", "")))
            except ValueError:
                continue
    return found
