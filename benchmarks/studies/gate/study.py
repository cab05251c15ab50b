"""What a study of the gate is: cases, one simulation a case, and a table of what the gate said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Truth = Literal["limit", "beyond", "alternative"]
"""Where the truth lies: exactly at the limit, outside it, or inside it."""
TRUTHS: tuple[Truth, ...] = ("limit", "beyond", "alternative")


@dataclass(frozen=True)
class Cell:
    """What the gate said of the simulated data sets of one case.

    Attributes:
        words: The case in words, one a column of the study; with ``n`` unique within it.
        n: Items asked.
        passed: Share of data sets that passed.
        failed: Share that failed.
        sets: Simulated data sets.
    """

    words: tuple[str, ...]
    n: int
    passed: float
    failed: float
    sets: int

    @property
    def inconclusive(self) -> float:
        """Share without a decision."""
        return 1 - self.passed - self.failed

    @property
    def error(self) -> float:
        """The larger Monte Carlo standard error of the two shares."""
        return (max(p * (1 - p) for p in (self.passed, self.failed)) / self.sets) ** 0.5


@dataclass(frozen=True)
class GateStudy:
    """One section of the page.

    Attributes:
        name: How the command line calls it.
        title: Heading of its section, unique on the page.
        text: What was simulated and what the tests hold, in Markdown.
        columns: Headings of the words of a case.
        cases: All cases; each can be pickled.
        simulate: Draws the data sets of one case and holds each against its limit. A
            module-level function, so that it runs in another process.
    """

    name: str
    title: str
    text: str
    columns: tuple[str, ...]
    cases: Callable[[], Iterable[Any]]
    simulate: Callable[[Any], Cell]


_NUMBERS = ("n", "passes", "fails", "inconclusive", "± MC", "sets")


def table(columns: tuple[str, ...], cells: Iterable[Cell]) -> str:
    """The cells as a Markdown table."""
    heads = (*columns, *_NUMBERS)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for cell in cells:
        shares = f"{cell.passed:.3f} | {cell.failed:.3f} | {cell.inconclusive:.3f} | {cell.error:.3f}"
        lines.append(f"| {' | '.join(cell.words)} | {cell.n:,} | {shares} | {cell.sets:,} |")
    return "\n".join(lines)


def parsed(section: str, columns: int) -> list[Cell]:
    """The cells of a section's table.

    Raises:
        ValueError: Two rows have the same words and the same number of items.
    """
    found: dict[tuple[tuple[str, ...], int], Cell] = {}
    for line in section.splitlines():
        parts = [part.strip() for part in line.strip().strip("|").split(" | ")]
        if len(parts) != columns + len(_NUMBERS) or not parts[columns].replace(",", "").isdigit():
            continue
        words = tuple(parts[:columns])
        n, passed, failed, _, _, sets = (float(part.replace(",", "")) for part in parts[columns:])
        if (words, int(n)) in found:
            raise ValueError(f"the table has {words} twice with {int(n)} items")
        found[words, int(n)] = Cell(words, int(n), passed, failed, int(sets))
    return list(found.values())
