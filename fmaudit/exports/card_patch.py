"""An existing model card with our numbers brought up to date, and every other byte as it was."""

from __future__ import annotations

import re

from fmaudit.errors import UsageError
from fmaudit.exports.card_front import read_front_matter, with_results
from fmaudit.exports.card_yaml import dump, line
from fmaudit.exports.model_card import REGIONS, WHOLE, ModelCard

_MARKER = re.compile(r"^<!-- fmaudit:(begin|end) ([a-z]+) -->[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_BOM = "\ufeff"


def patch_card(existing: bytes, card: ModelCard) -> bytes:
    """``existing`` with the results and the regions of ``card``; patching twice changes nothing.

    Regions that the card has are replaced where they stand; a card with none gets one
    section at its end.

    Raises:
        UsageError: no UTF-8, broken front matter, or markers that do not match; with the line.
    """
    text, newline, bom = _decoded(existing)
    front = read_front_matter(text)
    if front is None:
        new = {"model-index": [{"name": line(card.subject.name), "results": card.results}]}
        head = f"---\n{dump(new)}---\n" if card.results else ""
        gap = "" if not head or text.startswith("\n") else "\n"
        body = gap + text
        first_line = 1 - len(gap)
    else:
        block = with_results(front, card.subject.name, card.results, card.subject.digest)
        gap = "\n" if block and front.start == front.end else ""
        head = text[: front.start] + block + gap + text[front.end : front.stop]
        body = text[front.stop :]
        first_line = text[: front.stop].count("\n") + 1
    patched = head + _with_regions(body, card, first_line)
    return (bom + patched.replace("\n", newline)).encode("utf-8")


def _decoded(existing: bytes) -> tuple[str, str, str]:
    try:
        text = existing.decode("utf-8")
    except UnicodeDecodeError as error:
        place = existing[: error.start].count(b"\n") + 1
        raise UsageError(f"line {place}: the card is not UTF-8 text") from None
    bom = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM)
    newline = "\r\n" if "\r\n" in text else "\n"
    bare = re.search(r"(?<!\r)\n" if newline == "\r\n" else r"\r", text)
    if bare:
        place = text[: bare.start()].count("\n") + 1
        raise UsageError(f"line {place}: the card mixes kinds of line ends; save it with one kind")
    return text.replace("\r\n", "\n"), newline, bom


def _with_regions(body: str, card: ModelCard, first_line: int) -> str:
    spans = _regions(body, first_line)
    if not spans:
        section = f"{card.regions[WHOLE]}\n"
        gap = "" if body.endswith("\n\n") else "\n" if not body or body.endswith("\n") else "\n\n"
        return f"{body}{gap}{section}"
    parts, done = [], 0
    for start, end, name in spans:
        parts += [body[done:start], card.regions[name]]
        done = end
    return "".join(parts) + body[done:]


def _regions(body: str, first_line: int) -> list[tuple[int, int, str]]:
    """The marked regions in order. Raises UsageError with a line where markers do not match."""
    spans: list[tuple[int, int, str]] = []
    opened: tuple[int, str, int] | None = None
    fenced = _fenced(body)
    for found in _MARKER.finditer(body):
        if any(start < found.start() < end for start, end in fenced):
            continue
        side, name = found.group(1), found.group(2)
        at = first_line + body[: found.start()].count("\n")
        if name not in (*REGIONS, WHOLE):
            raise UsageError(f"line {at}: fmaudit writes no region named {name!r}; remove its comments")
        if side == "begin" and opened is not None:
            raise UsageError(f"line {at}: region {name!r} begins inside {opened[1]!r}")
        if side == "end" and (opened is None or opened[1] != name):
            raise UsageError(f"line {at}: region {name!r} ends here and never began")
        if side == "begin":
            if any(name == known for _start, _end, known in spans):
                raise UsageError(f"line {at}: region {name!r} is there twice")
            opened = (found.start(), name, at)
        elif opened is not None:
            spans.append((opened[0], found.end(), name))
            opened = None
    if opened is not None:
        raise UsageError(f"line {opened[2]}: region {opened[1]!r} begins here and has no end")
    return spans


def _fenced(body: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    opened: tuple[int, str] | None = None
    for found in _FENCE.finditer(body):
        fence, rest = found.group(1), found.group(2)
        if opened is None:
            if not (fence[0] == "`" and "`" in rest):
                opened = (found.start(), fence)
        elif fence[0] == opened[1][0] and len(fence) >= len(opened[1]) and not rest.strip():
            spans.append((opened[0], found.end()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(body)))
    return spans
