"""Curves over slices whose levels are numbers, such as how often a text was repeated in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fmaudit.report.escape import terminal
from fmaudit.report.index import ROLES, AuditIndex
from fmaudit.report.numbers import status_of
from fmaudit.report.slice_grids import (
    GridRow,
    SliceGrid,
    grid_number,
    grid_rows,
    numeric_levels,
    short_label,
    slice_grids,
)
from fmaudit.schema import Subject

MANY_SUBJECTS = 6
MAX_LEVELS = 40
MAX_MULTIPLES = 24
_WIDE_SPAN = 20
_APART = 0.14


@dataclass(frozen=True)
class CurveDot:
    """One level of one line, in the panel's unit; ``place`` counts from 0 to 1 across the panel."""

    place: float
    level: str
    value: float
    lower: float | None
    upper: float | None
    conclusive: bool
    text: str


@dataclass(frozen=True)
class CurveLine:
    """One model; ``style`` counts the models of its role from 0."""

    label: str
    role: str
    style: int
    dots: tuple[CurveDot, ...]


@dataclass(frozen=True)
class CurvePanel:
    """The lines of one drawing; ``only`` names the adapted model where each has its own."""

    only: str
    lines: tuple[CurveLine, ...]


@dataclass(frozen=True)
class CurveFigure:
    """One metric over one column: small panels on one scale, and their table.

    ``places``: every level's text and place; ``zero_apart``: the first place is
    level 0, which a logarithmic axis has not.
    """

    anchor: str
    title: str
    column: str
    unit: str
    logarithmic: bool
    zero_apart: bool
    places: tuple[tuple[str, float], ...]
    reach: tuple[float, float]
    panels: tuple[CurvePanel, ...]
    subjects: tuple[str, ...]
    rows: tuple[GridRow, ...]
    note: str

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are drawn."""
        drawn = {line.role for panel in self.panels for line in panel.lines if line.dots}
        return tuple(role for role in ROLES if role in drawn)

    @property
    def inconclusive(self) -> bool:
        """Whether a drawn level has too few items."""
        return any(not dot.conclusive for panel in self.panels for line in panel.lines for dot in line.dots)


@dataclass(frozen=True)
class CurveSet:
    """Every curve of an audit, and which metrics are left to their tables."""

    figures: tuple[CurveFigure, ...]
    note: str


def curve_set(index: AuditIndex) -> CurveSet:
    """A figure a metric and numeric column; of a large family, of its headline metrics."""
    grids = [grid for grid in slice_grids(index) if grid.numeric and _drawable(grid)]
    drawn = [grid for grid in grids if _chosen(grid, grids)]
    drawn.sort(key=lambda grid: not grid.metric.headline)
    left = [grid for grid in grids if grid not in drawn]
    names = "; ".join(dict.fromkeys(f"{grid.title} by {terminal(grid.column)}" for grid in left))
    note = f"Not drawn, their numbers are in the tables by group of their probe: {names}." if left else ""
    return CurveSet(
        tuple(_figure(index, grid, f"curve-{place}") for place, grid in enumerate(drawn, 1)), note
    )


def places_of(values: Sequence[float]) -> tuple[list[float], bool, bool]:
    """Where ascending levels stand from 0 to 1, whether that is logarithmic, and whether 0 stands apart.

    Logarithmic where all levels are 0 or more and the positive ones span more than 20 times.
    """
    positive = [value for value in values if value > 0]
    steep = min(values) >= 0 and len(positive) > 1 and max(positive) > _WIDE_SPAN * min(positive)
    if not steep:
        low, high = min(values), max(values)
        return [(value - low) / (high - low) for value in values], False, False
    apart = len(positive) < len(values)
    start = _APART if apart else 0.0
    low, high = math.log(min(positive)), math.log(max(positive))
    places = [
        0.0 if value == 0 else start + (1 - start) * (math.log(value) - low) / (high - low)
        for value in values
    ]
    return places, True, apart


def _drawable(grid: SliceGrid) -> bool:
    return sum(_has_value(grid, level) for level in grid.levels) > 1


def _has_value(grid: SliceGrid, level: str) -> bool:
    found = (grid.cells.get((level, subject.id)) for subject in grid.subjects)
    return any(estimate is not None and estimate.value is not None for estimate in found)


def _chosen(grid: SliceGrid, grids: Sequence[SliceGrid]) -> bool:
    if grid.metric.headline:
        return True
    own = [
        other
        for other in grids
        if (other.question, other.column) == (grid.question, grid.column) and other.metric.direction != "none"
    ]
    if len(grid.subjects) <= MANY_SUBJECTS:
        return grid in own
    return not any(other.metric.headline for other in own) and own[:1] == [grid]


def _figure(index: AuditIndex, grid: SliceGrid, anchor: str) -> CurveFigure:
    filled = [level for level in grid.levels if _has_value(grid, level)]
    empty = [level for level in grid.levels if level not in filled]
    levels = _thinned(filled)
    places, steep, apart = places_of(numeric_levels(levels) or [0.0])
    lines = [_line(index, grid, subject, levels, places) for subject in grid.subjects]
    panels, left = _panels(lines, [subject.role for subject in grid.subjects])
    ends = [
        end
        for line in lines
        for dot in line.dots
        for end in (dot.value, dot.lower, dot.upper)
        if end is not None
    ]
    margin = (max(ends) - min(ends)) * 0.06 or abs(max(ends)) * 0.1 or 1.0
    notes = [f"{len(levels)} of {len(filled)} levels are drawn"] if len(levels) < len(filled) else []
    notes += [f"No model has a number at {terminal(', '.join(empty[:MAX_LEVELS]))}"] if empty else []
    notes += [f"{left} models are left to the table"] if left else []
    return CurveFigure(
        anchor=anchor,
        title=grid.title,
        column=terminal(grid.column),
        unit=terminal(grid.scale.unit),
        logarithmic=steep,
        zero_apart=apart,
        places=tuple(zip(map(terminal, levels), places, strict=True)),
        reach=(min(ends) - margin, max(ends) + margin),
        panels=panels,
        subjects=tuple(index.subject_label(subject.id) for subject in grid.subjects),
        rows=grid_rows(index, grid, grid.levels),
        note=". ".join(notes),
    )


def _panels(lines: Sequence[CurveLine], roles: Sequence[str]) -> tuple[tuple[CurvePanel, ...], int]:
    adapted = [line for line, role in zip(lines, roles, strict=True) if role == "adapted"]
    if len(lines) <= MANY_SUBJECTS or not adapted:
        return (CurvePanel("", tuple(lines[:MAX_MULTIPLES])),), max(0, len(lines) - MAX_MULTIPLES)
    others = [line for line, role in zip(lines, roles, strict=True) if role != "adapted"]
    panels = tuple(
        CurvePanel(line.label, (*others, replace(line, style=0))) for line in adapted[:MAX_MULTIPLES]
    )
    return panels, len(adapted) - len(panels)


def _thinned(levels: Sequence[str]) -> list[str]:
    if len(levels) <= MAX_LEVELS:
        return list(levels)
    steps = (len(levels) - 1) / (MAX_LEVELS - 1)
    return [levels[round(place * steps)] for place in range(MAX_LEVELS)]


def _line(
    index: AuditIndex, grid: SliceGrid, subject: Subject, levels: Sequence[str], places: Sequence[float]
) -> CurveLine:
    factor = grid.scale.factor
    dots = []
    for level, place in zip(levels, places, strict=True):
        found = grid.cells.get((level, subject.id))
        number = grid_number(index, grid, level, subject.id)
        if found is None or found.value is None or number is None:
            continue
        lower, upper = (None if end is None else end * factor for end in (found.lower, found.upper))
        fit = status_of(found, partial=index.partial(found.measurement)) == "measured"
        text = terminal(number.value + ("" if fit else " ◇"))
        dots.append(CurveDot(place, terminal(level), found.value * factor, lower, upper, fit, text))
    same = [other for other in grid.subjects if other.role == subject.role]
    return CurveLine(short_label(index, subject), subject.role, same.index(subject), tuple(dots))
