"""Distributions of scores as small drawings: the base dashed, the other model solid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from fmaudit.report.distribution import DistributionPanel, DistributionView, StepLine
from fmaudit.report.drawing import (
    ADAPTED,
    BASE,
    INK,
    MUTED,
    NARROW,
    REFERENCE,
    RULE,
    bare,
    blank_figure,
    chart_style,
    inline_svg,
)
from fmaudit.report.numbers import share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 170
_LEFT, _PLOT = 0.13, 0.82
_COLORS = {"base": BASE, "adapted": ADAPTED, "reference": REFERENCE}
_TICKS = (0.01, 0.1, 0.3, 0.6, 1.0)
_CLOSE = 0.1


def distribution_charts(view: DistributionView) -> tuple[Markup, ...]:
    """One small drawing a panel, all on the same axes, each with its shares as text."""
    return tuple(
        inline_svg(
            distribution_panel(view, panel),
            f"{view.anchor}-{place}",
            f"{view.title}: {panel.title}",
            _text(view, panel),
        )
        for place, panel in enumerate(view.panels, 1)
    )


def _text(view: DistributionView, panel: DistributionPanel) -> str:
    said = []
    for line in panel.lines:
        most = max(range(len(line.shares)), key=lambda place: line.shares[place])
        text = f"{line.label}: most answers, {share(line.shares[most])}, from {view.edges[most]:g} to "
        text += f"{view.edges[most + 1]:g}"
        if view.threshold is not None:
            above = sum(
                part for part, low in zip(line.shares, view.edges, strict=False) if low >= view.threshold
            )
            text += f"; in bins from {view.threshold:.4g} on, {share(min(above, 1.0))}"
        said.append(text)
    return "; ".join(said)


def distribution_panel(view: DistributionView, panel: DistributionPanel) -> Figure:
    """One panel: an outline a subject over the bins of the score."""
    with chart_style():
        drawing = blank_figure(NARROW, _HEIGHT)
        axes = drawing.add_axes((_LEFT, 42 / _HEIGHT, _PLOT, (_HEIGHT - 72) / _HEIGHT))
        bare(axes)
        axes.set_axisbelow(True)
        top = math.sqrt(view.top) * 1.08
        axes.set_xlim(view.edges[0], view.edges[-1])
        axes.set_ylim(0, top)
        _ticks(axes, top)
        if view.threshold is not None and view.edges[0] < view.threshold < view.edges[-1]:
            axes.plot([view.threshold] * 2, [0, top], color=INK, linewidth=1, linestyle=(0, (1, 2)))
            axes.text(view.threshold, top, " defect →", color=INK, fontsize=10, va="bottom", ha="left")
        for line in panel.lines:
            _outline(axes, view.edges, line)
        across = axes.transAxes
        axes.text(
            -_LEFT / _PLOT, 1.13, panel.title[:24], transform=across, va="bottom", color=INK, fontsize=11.5
        )
        axes.set_xlabel(
            f"score{f' ({view.unit})' if view.unit else ''}"[:44], color=MUTED, fontsize=11, labelpad=2
        )
    return drawing


def _ticks(axes: Axes, top: float) -> None:
    # Roots keep a rare harmful tail visible beside the bulk of harmless answers.
    kept: list[float] = []
    for part in _TICKS:
        place = math.sqrt(part)
        if place <= top and (not kept or place - math.sqrt(kept[-1]) > _CLOSE * top):
            kept.append(part)
    axes.set_yticks([math.sqrt(part) for part in kept], [f"{100 * part:g}%" for part in kept])
    axes.grid(axis="y", color=RULE, linewidth=0.7)


def _outline(axes: Axes, edges: Sequence[float], line: StepLine) -> None:
    color = _COLORS.get(line.role, MUTED)
    heights = [math.sqrt(part) for part in line.shares]
    base = line.role == "base"
    axes.stairs(
        heights,
        list(edges),
        color=color,
        linewidth=1.4 if base else 1.7,
        linestyle=(0, (4, 2)) if base else "solid",
        zorder=3 if base else 2,
    )
    if not base:
        axes.stairs(heights, list(edges), fill=True, color=color, alpha=0.16, linewidth=0)
