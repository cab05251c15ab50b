"""Base against adapted as rows of a table, and the many rows by group under shared headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.report.index import AuditIndex, levels_text
from fmaudit.report.numbers import NumberView
from fmaudit.report.outcomes import outcomes_of
from fmaudit.report.readings import comparison_verdict, margins_text, side_value
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.report.verdict_words import decided
from fmaudit.schema import Comparison, PairedTable


@dataclass(frozen=True)
class ComparisonRow:
    """Base against adapted on the same items.

    ``outcomes`` names the two outcomes of ``table``: a defect and none, or
    whether it occurs where no direction is better. ``claim`` is the verdict,
    empty where none was reached.
    """

    metric: str
    slice: str
    adapted: str
    base_value: str
    adapted_value: str
    number: NumberView
    table: PairedTable | None
    outcomes: tuple[str, str]
    tone: Tone
    word: str
    claim: str
    margins: str
    flags: tuple[str, ...]

    @property
    def symbol(self) -> str:
        """The shape of the tone."""
        return SYMBOLS[self.tone]

    @property
    def reading(self) -> str:
        """The word, and the verdict where it says something else."""
        same = self.claim.lower() in ("", self.word.lower())
        return self.word if same else f"{self.word}; {self.claim}"


@dataclass(frozen=True)
class SliceGroup:
    """The slices of one metric in one adapted model; each row with the number of its method."""

    metric: str
    adapted: str
    margins: str
    outcomes: tuple[str, str]
    rows: tuple[tuple[ComparisonRow, int], ...]


@dataclass(frozen=True)
class SliceGroups:
    """Comparisons by group and the methods their rows refer to, counted from 1."""

    groups: tuple[SliceGroup, ...]
    methods: tuple[str, ...]
    count: int


def comparison_row(index: AuditIndex, comparison: Comparison) -> ComparisonRow:
    """One comparison, ready to print."""
    tone, word = comparison_verdict(index, comparison)
    adapted = index.subject_label(comparison.adapted)
    parent = f", step from {index.subject_label(comparison.base)}"
    return ComparisonRow(
        metric=index.metric_title(comparison.metric),
        slice=levels_text(comparison.slice),
        adapted=adapted + (parent if comparison.step == "from_parent" else ""),
        base_value=side_value(index, comparison, comparison.base_value),
        adapted_value=side_value(index, comparison, comparison.adapted_value),
        number=index.number(comparison, comparison.metric, comparison.measurement, difference=True),
        table=comparison.table,
        outcomes=outcomes_of(index.metrics.of(comparison), comparison),
        tone=tone,
        word=word,
        claim=comparison.verdict if decided(comparison) else "",
        margins=margins_text(comparison.margins),
        flags=tuple(comparison.flags),
    )


def slice_groups(rows: Sequence[ComparisonRow]) -> SliceGroups:
    """Rows under their metric, model and margins, in the order in which these first occur."""
    methods = tuple(dict.fromkeys(row.number.method for row in rows))
    groups: dict[tuple[str, str, str, tuple[str, str]], list[tuple[ComparisonRow, int]]] = {}
    for row in rows:
        key = (row.metric, row.adapted, row.margins, row.outcomes)
        groups.setdefault(key, []).append((row, methods.index(row.number.method) + 1))
    made = tuple(SliceGroup(*key, tuple(found)) for key, found in groups.items())
    return SliceGroups(made, methods, len(rows))
