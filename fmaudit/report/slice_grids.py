"""Numbers by slice as grids of level by model, the ground of curves and heatmaps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmaudit.question import Question
from fmaudit.report.escape import terminal
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, Scale, scale_of
from fmaudit.schema import Estimate, MetricInfo, Subject

_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,9})?")
_DIGITS = re.compile(r"(\d+)")
NUMERIC_LEVELS = 3
"""A column needs this many levels, all of them numbers, to be drawn as a curve."""


@dataclass(frozen=True)
class SliceGrid:
    """One metric of one question by the levels of one slice column; cells by (level, subject id)."""

    metric: MetricInfo
    question: Question
    column: str
    levels: tuple[str, ...]
    subjects: tuple[Subject, ...]
    cells: Mapping[tuple[str, str], Estimate]
    several: bool

    @property
    def numeric(self) -> bool:
        """Whether the levels are three or more different numbers."""
        values = numeric_levels(self.levels)
        return values is not None and len(values) >= NUMERIC_LEVELS

    @property
    def scale(self) -> Scale:
        """How its values are written."""
        return scale_of(self.metric, difference=False)

    @property
    def title(self) -> str:
        """The metric, and the question where the metric was asked in several ways."""
        own = self.metric.title or self.metric.id.partition("/")[2] or self.metric.id
        return terminal(own + (f" ({self.question.label})" if self.several else ""))


@dataclass(frozen=True)
class GridRow:
    """One level with a number a model; None where the model was not asked."""

    level: str
    numbers: tuple[NumberView | None, ...]


def slice_grids(index: AuditIndex) -> tuple[SliceGrid, ...]:
    """Every metric by every slice column of one name, in the order of the audit's metrics."""
    found: dict[tuple[str, Question, str], dict[tuple[str, str], Estimate]] = {}
    for estimate in index.audit.estimates:
        if len(estimate.slice) == 1 and index.metrics.of(estimate) is not None:
            (column, level), *_ = estimate.slice.items()
            key = (estimate.metric, index.question(estimate.measurement, estimate.metric), column)
            found.setdefault(key, {})[level, estimate.subject] = estimate
    asked: dict[tuple[str, str], int] = {}
    for metric, _, column in found:
        asked[metric, column] = asked.get((metric, column), 0) + 1
    order = {name: place for place, name in enumerate(dict.fromkeys(m.id for m in index.audit.metrics))}
    made = []
    for (metric, question, column), cells in sorted(
        found.items(), key=lambda entry: (order[entry[0][0]], entry[0][1].label, entry[0][2])
    ):
        present = {subject for _, subject in cells}
        info = index.metrics.get(metric, question.variant)
        assert info is not None
        made.append(
            SliceGrid(
                info,
                question,
                column,
                _ordered({level for level, _ in cells}),
                tuple(subject for subject in index.ordered_subjects if subject.id in present),
                cells,
                asked[metric, column] > 1,
            )
        )
    return tuple(made)


def numeric_levels(levels: Sequence[str]) -> list[float] | None:
    """The levels as numbers; None where one is not a plain number, or two are the same."""
    if not all(_NUMBER.fullmatch(level) for level in levels):
        return None
    values = [float(level) for level in levels]
    return values if len(set(values)) == len(values) else None


def grid_rows(index: AuditIndex, grid: SliceGrid, levels: Sequence[str]) -> tuple[GridRow, ...]:
    """The numbers of these levels, a column for every subject of the grid."""
    return tuple(
        GridRow(
            terminal(level),
            tuple(grid_number(index, grid, level, subject.id) for subject in grid.subjects),
        )
        for level in levels
    )


def grid_number(index: AuditIndex, grid: SliceGrid, level: str, subject: str) -> NumberView | None:
    """One cell, ready to print."""
    found = grid.cells.get((level, subject))
    return None if found is None else index.number(found, grid.metric.id, found.measurement, difference=False)


def short_label(index: AuditIndex, subject: Subject) -> str:
    """The name alone where a role is shared, else the role: a drawing's mark tells the role."""
    shared = sum(other.role == subject.role for other in index.audit.subjects) > 1
    return terminal(subject.name if shared else index.subject_label(subject.id))


def _ordered(levels: set[str]) -> tuple[str, ...]:
    values = numeric_levels(sorted(levels))
    if values is not None:
        return tuple(sorted(levels, key=float))
    return tuple(sorted(levels, key=lambda level: ([_natural(part) for part in _DIGITS.split(level)], level)))


def _natural(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isascii() and part.isdigit() and len(part) < 12 else (1, 0, part)
