"""What the Markdown report leaves to the page and audit.json, so that its length stays bounded.

Small tables are printed whole. Larger ones keep the rows that state something, and say how many
they leave out and where those are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.report.cells import CellDetail
from fmaudit.report.comparison_rows import ComparisonRow, SliceGroup, SliceGroups
from fmaudit.report.sections import MetricBlock, SliceRow

ROWS_WHOLE = 24
CHANGES_PRINTED = 60
NUMBERS_WHOLE = 60
CELLS_WHOLE = 24
_ELSEWHERE = "all of them are in audit.json and in the HTML report"


@dataclass(frozen=True)
class FoldedSlices:
    """The groups of a metric that are printed, and a sentence on the others; empty if there are none."""

    rows: tuple[SliceRow, ...]
    note: str


@dataclass(frozen=True)
class FoldedComparisons:
    """Changes by group that are printed, under their metric and model, and a sentence on the others."""

    groups: tuple[SliceGroup, ...]
    note: str


@dataclass(frozen=True)
class FoldedCells:
    """The cells of the matrix that are printed in full, and a sentence on the others."""

    cells: tuple[CellDetail, ...]
    note: str


def claims_change(row: ComparisonRow) -> bool:
    """Whether a change by group is shown, not merely asked."""
    return row.tone != "open" and row.word != "No change shown"


def fold_comparisons(found: SliceGroups) -> FoldedComparisons:
    """Changes by group: all of a few, and of many those that are shown."""
    if found.count <= ROWS_WHOLE:
        return FoldedComparisons(found.groups, "")
    shown = [row for group in found.groups for row, _ in group.rows if claims_change(row)]
    printed = {id(row) for row in sorted(shown, key=lambda row: row.tone != "alert")[:CHANGES_PRINTED]}
    kept = []
    for group in found.groups:
        rows = tuple(pair for pair in group.rows if id(pair[0]) in printed)
        if rows:
            kept.append(SliceGroup(group.metric, group.adapted, group.margins, group.outcomes, rows))
    cut = "" if len(printed) == len(shown) else f", {len(printed):,} of them printed here, defects first"
    note = f"Of {found.count:,} changes by group {len(shown):,} are shown{cut}; {_ELSEWHERE}."
    return FoldedComparisons(tuple(kept), note)


def fold_slices(metric: MetricBlock, comparisons: SliceGroups) -> FoldedSlices:
    """Numbers by group: all of a few, and of many the groups in which a change of this metric is shown."""
    numbers = len(metric.slices) * max(1, len(metric.slice_subjects))
    if numbers <= NUMBERS_WHOLE:
        return FoldedSlices(metric.slices, "")
    changed = {
        row.slice
        for group in comparisons.groups
        if group.metric == metric.title
        for row, _ in group.rows
        if claims_change(row)
    }
    room = max(1, NUMBERS_WHOLE // max(1, len(metric.slice_subjects)))
    rows = tuple(row for row in metric.slices if row.level in changed)[:room]
    which = "a change is shown" if len(rows) == len(changed) else "a change is shown, as far as they fit"
    note = f"{len(rows):,} of {len(metric.slices):,} groups, those in which {which}; {_ELSEWHERE}."
    return FoldedSlices(rows, note)


def fold_cells(details: Sequence[CellDetail]) -> FoldedCells:
    """The cells in full: all of a small matrix, and of a large one the defects first."""
    if len(details) <= CELLS_WHOLE:
        return FoldedCells(tuple(details), "")
    defects = tuple(found for found in details if found.tone == "alert")[:CELLS_WHOLE]
    note = (
        f"{len(defects):,} of {len(details):,} cells are given in full here, those with a defect; the table "
        f"above holds the verdict, the rates and the change of each, and {_ELSEWHERE}."
    )
    return FoldedCells(defects, note)
