"""Tables made ready for paper: shortened where endless, given column widths, and told what room they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

MAX_ROWS = 400
WIDE_COLUMNS = 7
# Widths in points, for the type sizes and margins of pdf.css.
_PORTRAIT, _LANDSCAPE = 515.0, 780.0
_CHARACTER, _CELL_PADDING = 3.9, 7.0
# Tables from this many rows on get widths from here: laying them out by content takes minutes.
_LONG = 10
_LINE = 34


@dataclass(frozen=True)
class Column:
    """How many characters the longest word and the longest text of a column have."""

    word: int = 0
    text: int = 0


def shorten(table: Element) -> None:
    """Cut an endless table and say, in its last row, how many rows are elsewhere."""
    rows = [(body, row) for body in table.iter("tbody") for row in body.findall("tr")]
    if len(rows) <= MAX_ROWS:
        return
    for body, row in rows[MAX_ROWS:]:
        body.remove(row)
    for body in table.findall("tbody"):
        if not len(body):
            table.remove(body)
    cell = SubElement(
        SubElement(SubElement(table, "tbody"), "tr"), "td", {"colspan": str(len(_columns(table)) or 1)}
    )
    cell.text = (
        f"{len(rows) - MAX_ROWS:,} more rows are left out of the PDF: "
        "the HTML report and the attached audit.json hold them."
    )


def fit(table: Element) -> bool:
    """Set what keeps a table inside its page; return whether it needs a landscape one."""
    columns = _columns(table)
    needed = sum(_CELL_PADDING + _CHARACTER * column.word for column in columns)
    if needed > _LANDSCAPE:
        _add_class(table, "squeezed")
    if needed > _LANDSCAPE or sum(1 for _ in table.iter("tr")) >= _LONG:
        _set_widths(table, columns)
    return len(columns) >= WIDE_COLUMNS or needed > _PORTRAIT


def _set_widths(table: Element, columns: list[Column]) -> None:
    first = next(table.iter("tr"))
    cells = [cell for cell in first if cell.tag in ("td", "th")]
    if len(cells) != len(columns):
        return
    weights = [max(min(column.text, _LINE), min(column.word, _LINE), 3) + 2 for column in columns]
    for cell, weight in zip(cells, weights, strict=True):
        cell.set("style", f"width: {100 * weight / sum(weights):.1f}%")
    _add_class(table, "fixed")


def _columns(table: Element) -> list[Column]:
    found: dict[int, Column] = {}
    for row in table.iter("tr"):
        place = 0
        for cell in row:
            span = int(cell.get("colspan", "1"))
            if span == 1:
                found[place] = _longer(found.get(place, Column()), cell)
            place += span
    return [found.get(place, Column()) for place in range(max(found, default=-1) + 1)]


def _longer(column: Column, cell: Element) -> Column:
    texts = list(_lines(cell))
    word = max((len(word) for text in texts for word in text.split()), default=0)
    return Column(max(column.word, word), max(column.text, max(map(len, texts), default=0)))


def _lines(cell: Element) -> Iterator[str]:
    """The text of a cell, line by line as its block-like parts break it."""
    line = cell.text or ""
    for child in cell:
        if child.tag == "br" or "under" in (child.get("class") or "").split():
            yield line
            line = ""
        line += "".join(child.itertext()) + (child.tail or "")
    yield line


def _add_class(node: Element, name: str) -> None:
    node.set("class", f"{node.get('class', '')} {name}".strip())
