"""Curves as small drawings, as wide as a phone; a page sets several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from fmaudit.report.curves import CurveFigure, CurveLine, CurvePanel
from fmaudit.report.drawing import (
    ADAPTED,
    BASE,
    INK,
    MUTED,
    NARROW,
    PAPER,
    REFERENCE,
    RULE,
    bare,
    blank_figure,
    chart_style,
    inline_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 230
_LEFT, _PLOT = 0.15, 0.59
_COLORS = {"base": BASE, "adapted": ADAPTED, "reference": REFERENCE}
_MARKERS = {"base": "o", "adapted": "osv^PX", "reference": "sv^pho"}
_DASHES = ("solid", (0, (8, 2)), (0, (6, 2, 1, 2)), (0, (2, 1)), (0, (8, 2, 2, 2)), (0, (1, 1)))
_BASE_DASH, _DOTS = (0, (4, 2)), (0, (1, 1.5))
_TICKS = 8
_APART = 0.085


def curve_charts(figure: CurveFigure) -> tuple[Markup, ...]:
    """One small drawing a panel, all on the same scale, each with its numbers as text."""
    return tuple(
        inline_svg(
            curve_panel(figure, panel),
            f"{figure.anchor}-{place}",
            f"{figure.title} by {figure.column}" + (f": {panel.only}" if panel.only else ""),
            _text(panel, figure.column),
        )
        for place, panel in enumerate(figure.panels, 1)
    )


def _text(panel: CurvePanel, column: str) -> str:
    return "; ".join(
        f"{line.label}: " + ", ".join(f"{column} {dot.level} {dot.text}" for dot in line.dots)
        for line in panel.lines
        if line.dots and (not panel.only or line.role == "base" or line.label == panel.only)
    )


def curve_panel(figure: CurveFigure, panel: CurvePanel) -> Figure:
    """One panel: a line a subject along the ordered levels."""
    from matplotlib.ticker import MaxNLocator

    with chart_style():
        drawing = blank_figure(NARROW, _HEIGHT)
        axes = drawing.add_axes((_LEFT, 46 / _HEIGHT, _PLOT, (_HEIGHT - 78) / _HEIGHT))
        bare(axes)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=RULE, linewidth=0.7)
        axes.set_xlim(-0.06, 1.06)
        axes.set_ylim(*figure.reach)
        ticks = _ticks(figure)
        axes.set_xticks([place for _, place in ticks], [level for level, _ in ticks])
        axes.yaxis.set_major_locator(MaxNLocator(4))
        if figure.zero_apart:
            edge = (figure.places[0][1] + figure.places[1][1]) / 2
            axes.plot([edge, edge], figure.reach, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        for line in panel.lines:
            _draw_line(
                axes, line, quiet=bool(panel.only) and line.role == "reference", apart=figure.zero_apart
            )
        _labels(axes, figure, panel)
        unit = figure.column + (" (logarithmic)" if figure.logarithmic else "")
        axes.set_xlabel(unit[:44], color=MUTED, fontsize=11, labelpad=2)
        axes.text(
            -_LEFT / _PLOT,
            1.06,
            (panel.only[:26] + "  " if panel.only else "") + (figure.unit or "value")[:18],
            transform=axes.transAxes,
            va="bottom",
            color=INK if panel.only else MUTED,
            fontsize=11.5,
        )
    return drawing


def _ticks(figure: CurveFigure) -> list[tuple[str, float]]:
    kept: list[tuple[str, float]] = []
    for level, place in figure.places:
        wide = 0.018 * (len(level) + len(kept[-1][0])) + 0.03 if kept else 0.0
        if not kept or place - kept[-1][1] >= wide:
            kept.append((level[:9], place))
    return kept


def _draw_line(axes: Axes, line: CurveLine, *, quiet: bool, apart: bool) -> None:
    color = _COLORS.get(line.role, MUTED)
    styles = {"base": _BASE_DASH, "reference": _DOTS}
    dashes = styles.get(line.role, _DASHES[line.style % len(_DASHES)])
    # Level 0 of a logarithmic axis stands apart: no line leads there.
    joined = [dot for dot in line.dots if not (apart and dot.place == 0)]
    if joined:
        axes.plot(
            [dot.place for dot in joined],
            [dot.value for dot in joined],
            color=color,
            linewidth=1 if quiet else 1.6,
            linestyle=dashes,
        )
    if quiet:
        lone = [dot for dot in line.dots if dot not in joined]
        axes.plot(
            [dot.place for dot in lone],
            [dot.value for dot in lone],
            color=color,
            marker=".",
            linestyle="none",
        )
        return
    marker = _MARKERS.get(line.role, "o")[line.style % 6] if line.role != "base" else "o"
    for dot in line.dots:
        if dot.lower is not None and dot.upper is not None:
            axes.plot([dot.place] * 2, [dot.lower, dot.upper], color=color, linewidth=1.4)
    for fit in (True, False):
        own = [dot for dot in line.dots if dot.conclusive is fit]
        if own:
            axes.plot(
                [dot.place for dot in own],
                [dot.value for dot in own],
                linestyle="none",
                marker=marker if fit else "D",
                markersize=6.5 if fit else 6,
                color=color,
                markerfacecolor=color if fit and line.role == "adapted" else PAPER,
                markeredgewidth=1.6,
                zorder=3,
            )


def _labels(axes: Axes, figure: CurveFigure, panel: CurvePanel) -> None:
    named: list[tuple[float, str, str]] = []
    quiet = [line for line in panel.lines if panel.only and line.role == "reference" and line.dots]
    for line in panel.lines:
        if line.dots and line not in quiet:
            named.append((line.dots[-1].value, line.label, _COLORS.get(line.role, MUTED)))
    if quiet:
        middle = sorted(line.dots[-1].value for line in quiet)[len(quiet) // 2]
        named.append((middle, "references", REFERENCE))
    low, high = figure.reach
    named.sort()
    shares = _spread([(value - low) / (high - low) for value, _, _ in named])
    for share, (_, label, color) in zip(shares, named, strict=True):
        text = label if len(label) <= 13 else label[:12] + "…"
        axes.text(1.03, share, text, transform=axes.transAxes, va="center", color=color, fontsize=11)


def _spread(places: Sequence[float]) -> list[float]:
    """The ascending places moved apart just enough to be read."""
    moved = list(places)
    for _ in range(40):
        for first, second in pairwise(range(len(moved))):
            short = _APART - (moved[second] - moved[first])
            if short > 1e-9:
                moved[first] -= short / 2
                moved[second] += short / 2
    return moved
