"""Charts of families and specimens: failures per item, and dose-response curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fmaudit.report.drawing import (
    ADAPTED,
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
from fmaudit.report.figures import Curve, Histogram
from fmaudit.report.numbers import share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 210
_BAR = 0.62


def histogram_chart(histogram: Histogram, name: str) -> Chart:
    """Bars of the observed shares, squares where independent failures would be; ``name`` keeps ids apart."""
    pairs = zip(histogram.observed, histogram.independent, strict=True)
    text = f"{histogram.title}: " + "; ".join(
        f"{count} models fail on {share(seen)} of items, {share(chance)} if independent"
        for count, (seen, chance) in enumerate(pairs)
    )
    title = "Items by number of models that fail on them"
    return Chart(
        *(
            inline_svg(histogram_figure(histogram, width), f"{name}-{width}", title, text)
            for width in (WIDE, NARROW)
        )
    )


def curve_chart(curve: Curve, name: str) -> Chart:
    """The response to each dose with its interval, doses evenly spaced; ``name`` keeps ids apart."""
    text = f"{curve.title}: " + "; ".join(
        f"dose {point.dose:g}, response {point.value:.3g} ({point.lower:.3g} to {point.upper:.3g})"
        for point in curve.points
    )
    return Chart(
        *(
            inline_svg(curve_figure(curve, width), f"{name}-{width}", "Response by dose", text)
            for width in (WIDE, NARROW)
        )
    )


def _plot(width: int) -> tuple[Figure, Axes]:
    figure = blank_figure(width, _HEIGHT)
    # As large on a wide screen as its content needs, in the same place as the other charts.
    left, right = (0.09, 0.6) if width == WIDE else (0.17, 0.8)
    axes = figure.add_axes((left, 52 / _HEIGHT, right, (_HEIGHT - 68) / _HEIGHT))
    bare(axes)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    return figure, axes


def histogram_figure(histogram: Histogram, width: int) -> Figure:
    """Items by the number of models that fail on them, observed and if independent."""
    from matplotlib.ticker import MaxNLocator

    with chart_style():
        figure, axes = _plot(width)
        places = list(range(len(histogram.observed)))
        axes.bar(places, [100 * part for part in histogram.observed], width=_BAR, color=ADAPTED)
        axes.plot(
            places,
            [100 * part for part in histogram.independent],
            linestyle="none",
            marker="s",
            markersize=9,
            markerfacecolor=PAPER,
            markeredgecolor=REFERENCE,
            markeredgewidth=2,
        )
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_ylim(bottom=0)
        axes.set_xticks(places)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("models that fail on the item", color=MUTED, fontsize=11, labelpad=3)
        axes.set_ylabel("% of items", color=MUTED, fontsize=11, labelpad=4)
    return figure


def curve_figure(curve: Curve, width: int) -> Figure:
    """Response of a probe to each planted dose."""
    from matplotlib.ticker import MaxNLocator

    with chart_style():
        figure, axes = _plot(width)
        places = list(range(len(curve.points)))
        axes.plot(places, [point.value for point in curve.points], color=MUTED, linewidth=1.5)
        for place, point in zip(places, curve.points, strict=True):
            axes.plot(
                [place, place],
                [point.lower, point.upper],
                color=ADAPTED,
                linewidth=2,
                solid_capstyle="round",
            )
        axes.plot(
            places,
            [point.value for point in curve.points],
            linestyle="none",
            marker="o",
            markersize=8,
            color=ADAPTED,
            markerfacecolor=ADAPTED,
        )
        axes.set_xlim(-0.4, len(places) - 0.6)
        axes.set_xticks(places, [f"{point.dose:g}" for point in curve.points])
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("dose planted", color=INK, fontsize=11, labelpad=3)
        axes.set_ylabel("response", color=MUTED, fontsize=11, labelpad=4)
    return figure
