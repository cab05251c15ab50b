"""Heatmaps by slice: how far each group of items is from the best, model by model."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from fmaudit.report.escape import terminal
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView, Scale, share, status_of
from fmaudit.report.slice_grids import SliceGrid, grid_number, short_label, slice_grids
from fmaudit.schema import Estimate, MetricInfo

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LEVELS = 40
MIN_LEVELS = 2
STEPS = (0.05, 0.15, 0.35, 0.65)
"""Where the steps of colour begin, as shares of the largest distance from the best."""
PALETTE = {
    -4: "#6a9fce", -3: "#95bcdf", -2: "#bcd5ea", -1: "#dfeaf4", 0: "#ffffff",
    1: "#fbe8d9", 2: "#f5cba9", 3: "#eba877", 4: "#df8a4c",
}  # fmt: skip
"""The colours of light paper by step; ``charts.css`` holds them and those of dark paper."""


@dataclass(frozen=True)
class HeatCell:
    """One group of one model: its step of colour, and what is printed in it.

    ``step``: 0 near the best, 1 to 4 farther above it, -1 to -4 farther below;
    None where there is no number. ``state``: measured, inconclusive, unmeasured,
    unmeasurable or unasked. ``value``: in the metric's unit as shown.
    """

    step: int | None
    state: str
    number: NumberView | None
    value: float | None

    @property
    def css(self) -> str:
        """Class names of the cell."""
        tone = "" if self.step is None else f"heat-{'b' if self.step < 0 else 'a'}{abs(self.step)}"
        state = {"measured": "", "inconclusive": "heat-open"}.get(self.state, f"state-{self.state}")
        return " ".join(part for part in (tone, state) if part)


@dataclass(frozen=True)
class HeatRow:
    """One level: how many items and what coverage its models had, and a cell a model."""

    level: str
    asked: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True)
class HeatKey:
    """One entry of the legend."""

    step: int
    css: str
    text: str


@dataclass(frozen=True)
class HeatmapView:
    """One metric by one column; ``note`` says which levels are left to the table."""

    anchor: str
    title: str
    column: str
    kind: Literal["diverging", "sequential"]
    best: str
    headline: bool
    subjects: tuple[tuple[str, str], ...]
    rows: tuple[HeatRow, ...]
    legend: tuple[HeatKey, ...]
    note: str

    @property
    def steps(self) -> str:
        """What the colours mean, from the best outwards."""
        return "; ".join(key.text for key in self.legend if key.step >= 0)

    @property
    def open(self) -> bool:
        """Whether a cell has too few items."""
        return any(cell.state == "inconclusive" for row in self.rows for cell in row.cells)


@dataclass(frozen=True)
class HeatmapSet:
    """Every heatmap of an audit, headline metrics first, and what is left to tables."""

    views: tuple[HeatmapView, ...]
    note: str


def heatmap_set(index: AuditIndex) -> HeatmapSet:
    """A heatmap a metric that knows a best value and column of named levels."""
    grids = [grid for grid in slice_grids(index) if not grid.numeric and len(grid.levels) >= MIN_LEVELS]
    drawn = [grid for grid in grids if best_of(grid.metric) is not None]
    drawn.sort(key=lambda grid: not grid.metric.headline)
    left = [f"{grid.title} by {terminal(grid.column)}" for grid in grids if grid not in drawn]
    note = (
        "Without colours, because no value of them is the best; their numbers are in the tables by group of "
        f"their probe: {'; '.join(dict.fromkeys(left))}."
        if left
        else ""
    )
    return HeatmapSet(tuple(_view(index, grid, f"heat-{n}") for n, grid in enumerate(drawn, 1)), note)


def best_of(metric: MetricInfo) -> float | None:
    """The best value a metric can have: its target, else the good end of its range (0 if unbounded)."""
    if metric.ideal is not None:
        return metric.ideal
    if metric.direction == "lower_is_better":
        return metric.range[0] if metric.range[0] is not None else 0.0
    return metric.range[1] if metric.direction == "higher_is_better" else None


def steps_of(metric: MetricInfo, values: Sequence[float]) -> tuple[float, ...]:
    """Distances from the best at which the colour changes, in the metric's own unit.

    Shares of the largest distance the metric's range allows, or, where it has no
    range, of the largest distance seen. What a probe tolerates has no colour.
    """
    best = best_of(metric)
    if best is None:
        return ()
    ends = [end for end in metric.range if end is not None]
    reach = max(
        (abs(end - best) for end in (ends if len(ends) == len(metric.range) else values)), default=0.0
    )
    edges = [part * (reach or 1.0) for part in STEPS]
    if metric.eps is not None and 0 < metric.eps < edges[1]:
        edges[0] = metric.eps
    return tuple(edges)


def step_of(metric: MetricInfo, value: float, edges: Sequence[float]) -> int:
    """The signed step of colour of ``value``; better than the best of one direction is step 0."""
    away = value - (best_of(metric) or 0.0)
    if (metric.direction == "lower_is_better" and away < 0) or (
        metric.direction == "higher_is_better" and away > 0
    ):
        return 0
    # A value that is written like an edge must count as that edge in spite of binary fractions.
    step = bisect.bisect_right(edges, abs(away) + 1e-12)
    # A shortfall of what should be high is as bad as an excess of what should be low.
    return step if away >= 0 or metric.direction == "higher_is_better" else -step


def heatmap_figure(view: HeatmapView) -> Figure:
    """The same heatmap as a figure on light paper, for notebooks; the steps are the page's."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    wide, tall = len(view.subjects), len(view.rows)
    figure = Figure(figsize=(2.2 + 0.95 * wide, 1.1 + 0.34 * tall), layout="constrained")
    axes = figure.add_subplot()
    for y, row in enumerate(view.rows):
        for x, cell in enumerate(row.cells):
            face = PALETTE[cell.step] if cell.step is not None else "#ffffff"
            hatch = {"measured": None, "inconclusive": "//"}.get(cell.state, "xx")
            axes.add_patch(
                Rectangle(
                    (x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="#cfc9be", hatch=hatch, linewidth=1
                )
            )
            said = (cell.number.value if cell.number and cell.number.has_value else cell.state) + (
                " ◇" if cell.state == "inconclusive" else ""
            )
            box = {"facecolor": face, "edgecolor": "none", "pad": 1.5}
            axes.text(
                x, y, said, ha="center", va="center", fontsize=8, color="#1d1c1a", bbox=box, parse_math=False
            )
    axes.set_xlim(-0.5, wide - 0.5)
    axes.set_ylim(tall - 0.5, -0.5)
    axes.set_xticks(range(wide), [label[:16] for label, _ in view.subjects], fontsize=8, parse_math=False)
    axes.set_yticks(range(tall), [row.level[:28] for row in view.rows], fontsize=8, parse_math=False)
    axes.set_title(view.title[:80], fontsize=9, loc="left", parse_math=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _view(index: AuditIndex, grid: SliceGrid, anchor: str) -> HeatmapView:
    metric, scale = grid.metric, grid.scale
    edges = steps_of(metric, [found.value for found in grid.cells.values() if found.value is not None])
    levels = _largest(grid)
    left = len(grid.levels) - len(levels)
    kind: Literal["diverging", "sequential"] = "diverging" if metric.direction == "target" else "sequential"
    best = best_of(metric) or 0.0
    return HeatmapView(
        anchor=anchor,
        title=grid.title,
        column=terminal(grid.column),
        kind=kind,
        best=scale.with_unit(f"{best * scale.factor:g}"),
        headline=metric.headline,
        subjects=tuple((short_label(index, subject), subject.role) for subject in grid.subjects),
        rows=tuple(_row(index, grid, level, edges) for level in levels),
        legend=_legend(metric, edges, scale, kind),
        note=(
            f"The {len(levels)} levels with the most items are shown; {left} more are in the table by group."
            if left
            else ""
        ),
    )


def _row(index: AuditIndex, grid: SliceGrid, level: str, edges: Sequence[float]) -> HeatRow:
    own = [grid.cells.get((level, subject.id)) for subject in grid.subjects]
    found = [estimate for estimate in own if estimate is not None and estimate.value is not None]
    return HeatRow(
        terminal(level),
        f"n {_reach([f'{n:,}' for n in sorted({e.n for e in found})])}, coverage "
        f"{_reach([share(part) for part in sorted({e.coverage for e in found})])}"
        if found
        else "",
        tuple(
            _cell(index, grid, level, subject.id, estimate, edges)
            for subject, estimate in zip(grid.subjects, own, strict=True)
        ),
    )


def _cell(
    index: AuditIndex,
    grid: SliceGrid,
    level: str,
    subject: str,
    estimate: Estimate | None,
    edges: Sequence[float],
) -> HeatCell:
    if estimate is None:
        return HeatCell(None, "unasked", None, None)
    number = grid_number(index, grid, level, subject)
    state = status_of(estimate, partial=index.partial(estimate.measurement))
    if estimate.value is None:
        return HeatCell(None, state, number, None)
    step = step_of(grid.metric, estimate.value, edges)
    return HeatCell(step, state, number, estimate.value * grid.scale.factor)


def _reach(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"


def _largest(grid: SliceGrid) -> tuple[str, ...]:
    if len(grid.levels) <= MAX_LEVELS:
        return grid.levels
    size: dict[str, int] = {}
    for (level, _), number in grid.cells.items():
        size[level] = max(size.get(level, 0), number.n)
    largest = set(sorted(grid.levels, key=lambda level: -size[level])[:MAX_LEVELS])
    return tuple(level for level in grid.levels if level in largest)


def _legend(metric: MetricInfo, edges: Sequence[float], scale: Scale, kind: str) -> tuple[HeatKey, ...]:
    unit = "points" if scale.unit == "%" else scale.unit
    texts = [scale.text(edge, 4).rstrip("0").rstrip(".") for edge in edges]
    words = [
        f"less than {texts[0]}",
        *(f"{low} to {high}" for low, high in pairwise(texts)),
    ]
    words.append(f"{texts[-1]} or more")
    steps = range(-len(edges), len(edges) + 1) if kind == "diverging" else range(len(edges) + 1)
    keys = []
    for step in steps:
        css = f"heat-{'b' if step < 0 else 'a'}{abs(step)}"
        keys.append(HeatKey(step, css, f"{words[abs(step)]} {unit}".replace("  ", " ").strip()))
    return tuple(keys)
