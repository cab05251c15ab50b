"""From base to adapted: one small panel a headline metric."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fmaudit.report.drawing import (
    ADAPTED,
    BASE,
    INK,
    MUTED,
    NARROW,
    PAPER,
    RULE,
    WIDE,
    Chart,
    bare,
    blank_figure,
    chart_style,
    inline_svg,
)
from fmaudit.report.slopes import Slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 242
_TITLE_LINES = 4
_COLUMNS = {WIDE: 4, NARROW: 2}
_SPREAD = 0.36


def slope_chart(slopes: Sequence[Slope]) -> Chart | None:
    """One small panel a headline metric, from base to adapted. None where there is nothing to draw."""
    if not slopes:
        return None
    text = "; ".join(
        f"{slope.title}: " + ", ".join(f"{end.label} {end.change}" for end in slope.ends) for slope in slopes
    )
    return Chart(
        *(
            inline_svg(
                slopes_figure(slopes, width), f"slope-{width}", "Headline numbers from base to adapted", text
            )
            for width in (WIDE, NARROW)
        )
    )


def slopes_figure(slopes: Sequence[Slope], width: int) -> Figure:
    """One small panel a metric, from base to adapted."""
    columns = _COLUMNS[width]
    lines = -(-len(slopes) // columns)
    height = lines * _HEIGHT
    cell = 1 / columns
    with chart_style():
        figure = blank_figure(width, height)
        for place, slope in enumerate(slopes):
            line, column = divmod(place, columns)
            bottom = 1 - (line + 1) / lines + 34 / height
            axes = figure.add_axes(
                (column * cell + 0.3 * cell, bottom, 0.62 * cell, (_HEIGHT - 128) / height)
            )
            _draw(axes, slope)
    return figure


def _draw(axes: Axes, slope: Slope) -> None:
    from matplotlib.ticker import MaxNLocator

    bare(axes)
    axes.set_xlim(-0.25, 1.25)
    axes.set_xticks([0, 1], ["base", "adapted"])
    ends = [*slope.base] + [part for end in slope.ends for part in (end.value, end.lower, end.upper)]
    margin = (max(ends) - min(ends)) * 0.08 or 1.0
    axes.set_ylim(min(ends) - margin, max(ends) + margin)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    several = len(slope.ends) > 1
    size = 5 if several else 8
    places = [
        1 + (_SPREAD * (n / (len(slope.ends) - 1) - 0.5) if several else 0.0) for n in range(len(slope.ends))
    ]
    # One path for all of a kind: a gap lifts the pen.
    ways = [part for x in places for part in (0.0, x, math.nan)]
    heights = [part for end in slope.ends for part in (slope.base[0], end.value, math.nan)]
    axes.plot(ways, heights, color=MUTED, linewidth=0.8 if several else 1.5)
    bars = [part for end in slope.ends for part in (end.lower, end.upper, math.nan)]
    across = [part for x in places for part in (x, x, math.nan)]
    axes.plot(across, bars, color=ADAPTED, linewidth=1.2 if several else 2, solid_capstyle="round")
    _dots(axes, places, [end.value for end in slope.ends], ADAPTED, size)
    axes.plot([0, 0], slope.base[1:], color=BASE, linewidth=2, solid_capstyle="round")
    _dots(axes, [0], [slope.base[0]], BASE, 8, filled=False)
    title = "\n".join(textwrap.wrap(slope.title, 22, max_lines=_TITLE_LINES, placeholder="…"))
    said = textwrap.shorten(slope.change, 30, placeholder="…")
    axes.text(
        -0.42, 1.18, title, transform=axes.transAxes, va="bottom", color=INK, fontsize=11.5, fontweight="bold"
    )
    axes.text(
        -0.42, 1.1, said, transform=axes.transAxes, va="center", color=MUTED, fontsize=10 if several else 11
    )
    axes.set_ylabel(slope.unit, color=MUTED, fontsize=11, labelpad=2)


def _dots(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], color: str, size: int, *, filled: bool = True
) -> None:
    axes.plot(
        xs,
        ys,
        linestyle="none",
        marker="o",
        markersize=size,
        color=color,
        markerfacecolor=color if filled else PAPER,
        markeredgewidth=2 if size > 5 else 1,
    )
