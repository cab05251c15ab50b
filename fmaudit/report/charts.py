"""Charts as inline SVG: same data, same bytes; colours come from the page, so light and dark both work."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fmaudit.report.drawing import (
    ADAPTED,
    BASE,
    CHANGE,
    INK,
    MUTED,
    NARROW,
    PAPER,
    REFERENCE,
    RULE,
    WIDE,
    Chart,
    bare,
    blank_figure,
    chart_style,
    inline_svg,
)
from fmaudit.report.figures import ForestGroup, ForestPanel, ForestRow, Slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _TITLE, _AXIS, _GAP = 20, 24, 40, 10
_LEFT, _PLOT = 0.16, {WIDE: 0.68, NARROW: 0.48}
_SLOPE_HEIGHT = 210
_SLOPE_COLUMNS = {WIDE: 4, NARROW: 2}
_MARKS = {
    "base": (BASE, "o", False),
    "adapted": (ADAPTED, "o", True),
    "reference": (REFERENCE, "s", False),
}
_CHANGE_MARK = (CHANGE, "D", True)


def forest_chart(panels: Sequence[ForestPanel]) -> Chart | None:
    """Headline numbers with their intervals, one axis a unit. None where there is nothing to draw."""
    if not panels:
        return None
    text = "; ".join(
        f"{group.title}: " + ", ".join(f"{row.label} {row.text}" for row in group.rows)
        for panel in panels
        for group in panel.groups
    )
    draw = [
        inline_svg(_forest(panels, width), f"forest-{width}", "Headline numbers with their intervals", text)
        for width in (WIDE, NARROW)
    ]
    return Chart(*draw)


def slope_chart(slopes: Sequence[Slope]) -> Chart | None:
    """One small panel a headline metric, from base to adapted. None where there is nothing to draw."""
    if not slopes:
        return None
    text = "; ".join(f"{slope.title}: {slope.change}" for slope in slopes)
    draw = [
        inline_svg(_slopes(slopes, width), f"slope-{width}", "Headline numbers from base to adapted", text)
        for width in (WIDE, NARROW)
    ]
    return Chart(*draw)


def _panel_height(panel: ForestPanel) -> float:
    return sum(_TITLE + _ROW * len(group.rows) + _GAP for group in panel.groups)


def _forest(panels: Sequence[ForestPanel], width: int) -> Figure:
    total = sum(_panel_height(panel) + _AXIS + _GAP for panel in panels)
    with chart_style():
        figure = blank_figure(width, total)
        top = total
        for panel in panels:
            height = _panel_height(panel)
            axes = figure.add_axes((_LEFT, (top - height) / total, _PLOT[width], height / total))
            _draw_panel(axes, panel, height, width)
            top -= height + _AXIS + _GAP
    return figure


def _draw_panel(axes: Axes, panel: ForestPanel, height: float, width: int) -> None:
    from matplotlib.ticker import MaxNLocator

    bare(axes)
    low, high = _limits(panel)
    axes.set_xlim(low, high)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(6 if width == WIDE else 3))
    axes.set_xlabel(panel.unit or "value", color=MUTED, fontsize=11, labelpad=3)
    y = 0.0
    for group in panel.groups:
        _draw_rules(axes, y + _TITLE, y + _TITLE + _ROW * len(group.rows), panel.zero, group.ideal)
        y = _draw_group(axes, group, y, width)


def _draw_rules(axes: Axes, top: float, bottom: float, zero: bool, ideal: float | None) -> None:
    low, high = axes.get_xlim()
    for tick in axes.get_xticks():
        if low <= tick <= high:
            axes.plot([tick] * 2, [top, bottom], color=RULE, linewidth=0.7)
    if zero:
        axes.plot([0, 0], [top, bottom], color=INK, linewidth=1)
    if ideal is not None:
        axes.plot([ideal] * 2, [top, bottom], color=INK, linewidth=1, linestyle=(0, (3, 3)))


def _draw_group(axes: Axes, group: ForestGroup, y: float, width: int) -> float:
    across = axes.get_yaxis_transform()
    limit = 96 if width == WIDE else 46
    axes.text(
        -_LEFT / _PLOT[width],
        y + _TITLE / 2,
        textwrap.shorten(group.title, limit, placeholder="…"),
        transform=across,
        va="center",
        color=INK,
        fontsize=12,
        fontweight="bold",
    )
    y += _TITLE
    for row in group.rows:
        _draw_row(axes, row, y + _ROW / 2, width)
        y += _ROW
    return y + _GAP


def _draw_row(axes: Axes, row: ForestRow, y: float, width: int) -> None:
    across = axes.get_yaxis_transform()
    color, marker, filled = _MARKS.get(row.mark, _CHANGE_MARK)
    axes.plot([row.lower, row.upper], [y, y], color=color, linewidth=2, solid_capstyle="round")
    axes.plot(
        [row.value],
        [y],
        marker=marker,
        markersize=8,
        color=color,
        markerfacecolor=color if filled else PAPER,
        markeredgewidth=2,
        linestyle="none",
    )
    label = textwrap.shorten(row.label, 20 if width == WIDE else 9, placeholder="…")
    axes.text(-_LEFT / _PLOT[width], y, label, transform=across, va="center", color=MUTED, fontsize=11.5)
    axes.text(1.03, y, row.text, transform=across, va="center", color=INK, fontsize=11.5)


def _limits(panel: ForestPanel) -> tuple[float, float]:
    ends = [end for group in panel.groups for row in group.rows for end in (row.lower, row.upper, row.value)]
    ends += [group.ideal for group in panel.groups if group.ideal is not None]
    ends += [0.0] if panel.zero else []
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _slopes(slopes: Sequence[Slope], width: int) -> Figure:
    columns = min(_SLOPE_COLUMNS[width], len(slopes)) if width == WIDE else _SLOPE_COLUMNS[width]
    lines = -(-len(slopes) // columns)
    height = lines * _SLOPE_HEIGHT
    cell = 1 / _SLOPE_COLUMNS[width]
    with chart_style():
        figure = blank_figure(width, height)
        for place, slope in enumerate(slopes):
            line, column = divmod(place, columns)
            bottom = 1 - (line + 1) / lines + 34 / height
            axes = figure.add_axes(
                (column * cell + 0.3 * cell, bottom, 0.62 * cell, (_SLOPE_HEIGHT - 96) / height)
            )
            _draw_slope(axes, slope)
    return figure


def _draw_slope(axes: Axes, slope: Slope) -> None:
    from matplotlib.ticker import MaxNLocator

    bare(axes)
    axes.set_xlim(-0.25, 1.25)
    axes.set_xticks([0, 1], ["base", "adapted"])
    ends = (*slope.base, *slope.adapted)
    margin = (max(ends) - min(ends)) * 0.08 or 1.0
    axes.set_ylim(min(ends) - margin, max(ends) + margin)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.plot([0, 1], [slope.base[0], slope.adapted[0]], color=MUTED, linewidth=1.5)
    for x, (value, lower, upper), role in ((0, slope.base, "base"), (1, slope.adapted, "adapted")):
        color, marker, filled = _MARKS[role]
        axes.plot([x, x], [lower, upper], color=color, linewidth=2, solid_capstyle="round")
        axes.plot(
            [x],
            [value],
            marker=marker,
            markersize=8,
            color=color,
            markerfacecolor=color if filled else PAPER,
            markeredgewidth=2,
        )
    title = textwrap.shorten(slope.title, 44, placeholder="…")
    wrapped = "\n".join(textwrap.wrap(title, 22)[:2])
    axes.text(
        -0.42,
        1.32,
        wrapped,
        transform=axes.transAxes,
        va="center",
        color=INK,
        fontsize=11.5,
        fontweight="bold",
    )
    axes.text(-0.42, 1.1, slope.change, transform=axes.transAxes, va="center", color=MUTED, fontsize=11)
    axes.set_ylabel(slope.unit, color=MUTED, fontsize=11, labelpad=2)
