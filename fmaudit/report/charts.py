"""Charts as inline SVG: same data, same bytes; colours come from the page, so light and dark both work."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from markupsafe import Markup

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
from fmaudit.report.figures import CHANGE_PREFIX, CHANGE_SUFFIX, ForestGroup, ForestPanel, ForestRow, rows_of
from fmaudit.report.slope_charts import slope_chart as slope_chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY_SUBJECTS = 6
"""More models than this, and a chart becomes small multiples."""
MAX_ROWS = 24
_ROW, _TITLE, _AXIS, _GAP = 20, 24, 40, 10
_TITLE_LINES = 4
_MARKS = {
    "base": (BASE, "o", False),
    "adapted": (ADAPTED, "o", True),
    "reference": (REFERENCE, "s", False),
}
_CHANGE_MARK = (CHANGE, "D", True)
_KINDS = {
    "contrast": "One group of items minus another",
    "change": "Change from base to adapted",
    "level": "Headline numbers of every model",
}


@dataclass(frozen=True)
class Layout:
    """Sizes of one form: ``left`` and ``plot`` are shares of the width, the others count characters."""

    width: int
    left: float
    plot: float
    title: int
    label: int
    ticks: int


WIDE_LAYOUT = Layout(WIDE, 0.16, 0.68, 96, 20, 6)
NARROW_LAYOUT = Layout(NARROW, 0.27, 0.38, 46, 14, 3)
SMALL_LAYOUT = Layout(NARROW, 0.29, 0.5, 44, 15, 3)


@dataclass(frozen=True)
class ForestFigure:
    """Everything of one kind: charts (wide and narrow), or small multiples, and the groups of its table."""

    kind: str
    title: str
    charts: tuple[Chart, ...]
    multiples: tuple[Markup, ...]
    groups: tuple[ForestGroup, ...]

    @property
    def has_zone(self) -> bool:
        """Whether a margin is shaded."""
        return any(group.zone for group in self.groups)

    @property
    def has_ticks(self) -> bool:
        """Whether the end of a tolerated defect is marked."""
        return any(group.ticks for group in self.groups)

    @property
    def has_limit(self) -> bool:
        """Whether a limit of a policy is drawn."""
        return any(group.limit for group in self.groups)

    @property
    def has_outer(self) -> bool:
        """Whether simultaneous intervals are drawn."""
        return any(row.outer for group in self.groups for row in group.rows)

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks in use: base, adapted, reference, change."""
        used = {row.mark for group in self.groups for row in group.rows}
        return tuple(mark for mark in ("base", "adapted", "reference", "change") if mark in used)


def forest_figures(panels: Sequence[ForestPanel], *, drawn: bool = True) -> tuple[ForestFigure, ...]:
    """All panels, at most 24 rows a drawing, and one drawing a metric where a metric has many rows.

    Nothing is left out: a longer list continues in the next drawing. ``drawn`` False leaves the drawings
    out, for a document that has tables alone.
    """
    made = []
    for kind, title in _KINDS.items():
        own = [_untitled(panel) for panel in panels if panel.kind == kind]
        groups = tuple(group for panel in own for group in panel.groups)
        if not groups:
            continue
        many = any(len(group.rows) > MANY_SUBJECTS for group in groups)
        made.append(
            ForestFigure(
                kind,
                title,
                () if many or not drawn else _charts(own, kind, title),
                _multiples(own, kind, title) if many and drawn else (),
                groups,
            )
        )
    return tuple(made)


def _untitled(panel: ForestPanel) -> ForestPanel:
    """The panel without what the figure's own title says."""
    groups = tuple(replace(group, title=group.title.removeprefix(CHANGE_PREFIX)) for group in panel.groups)
    return replace(panel, groups=groups)


def forest_chart(panels: Sequence[ForestPanel]) -> Chart | None:
    """All panels in one drawing, one axis a unit. None where there is nothing to draw."""
    return _chart(panels, "forest", "Headline numbers with their intervals") if panels else None


def _chart(panels: Sequence[ForestPanel], name: str, title: str) -> Chart:
    text = _text(panels)
    return Chart(
        *(
            inline_svg(forest_figure(panels, layout), f"{name}-{layout.width}", title, text)
            for layout in (WIDE_LAYOUT, NARROW_LAYOUT)
        )
    )


def _text(panels: Sequence[ForestPanel]) -> str:
    return "; ".join(
        f"{group.title}: "
        + ", ".join(f"{row.label} {row.text}" for row in group.rows)
        + (f" ({group.margins})" if group.margins else "")
        for panel in panels
        for group in panel.groups
    )


def _charts(panels: Sequence[ForestPanel], kind: str, title: str) -> tuple[Chart, ...]:
    pages: list[list[ForestPanel]] = [[]]
    for panel in panels:
        for group in panel.groups:
            single = replace(panel, groups=(group,))
            if pages[-1] and rows_of([*pages[-1], single]) > MAX_ROWS:
                pages.append([])
            last = pages[-1][-1] if pages[-1] else None
            if last is not None and (last.unit, last.groups[0] in panel.groups) == (panel.unit, True):
                pages[-1][-1] = replace(last, groups=(*last.groups, group))
            else:
                pages[-1].append(single)
    return tuple(_chart(page, f"forest-{kind}-{place}", title) for place, page in enumerate(pages, 1))


def _multiples(panels: Sequence[ForestPanel], kind: str, title: str) -> tuple[Markup, ...]:
    singles = [
        replace(panel, groups=(part,)) for panel in panels for group in panel.groups for part in _parts(group)
    ]
    return tuple(
        inline_svg(
            forest_figure([_small(single, single.groups[0])], SMALL_LAYOUT),
            f"forest-{kind}-{place}",
            title,
            _text([single]),
        )
        for place, single in enumerate(singles, 1)
    )


def _small(panel: ForestPanel, group: ForestGroup) -> ForestPanel:
    """One group without the words that its axis and marks say already."""
    unit = f" {panel.unit}"
    rows = tuple(
        replace(
            row,
            text=row.text.replace(unit, "") if panel.unit else row.text,
        )
        for row in group.rows
    )
    return replace(panel, groups=(replace(group, rows=rows),))


def _parts(group: ForestGroup) -> list[ForestGroup]:
    if len(group.rows) <= MAX_ROWS:
        return [group]
    starts = range(0, len(group.rows), MAX_ROWS)
    return [
        replace(
            group, title=f"{place} of {len(starts)}: {group.title}", rows=group.rows[start : start + MAX_ROWS]
        )
        for place, start in enumerate(starts, 1)
    ]


def _panel_height(panel: ForestPanel, layout: Layout) -> float:
    return sum(_title_height(group, layout) + _ROW * len(group.rows) + _GAP for group in panel.groups)


def _title_lines(group: ForestGroup, layout: Layout) -> list[str]:
    return textwrap.wrap(group.title, layout.title, max_lines=_TITLE_LINES, placeholder="…") or [""]


def _title_height(group: ForestGroup, layout: Layout) -> float:
    return _TITLE + 15 * (max(1, len(_title_lines(group, layout))) - 1)


def forest_figure(panels: Sequence[ForestPanel], layout: Layout) -> Figure:
    """Numbers with their intervals, one axis a panel."""
    total = sum(_panel_height(panel, layout) + _AXIS + _GAP for panel in panels)
    with chart_style():
        figure = blank_figure(layout.width, total)
        top = total
        for panel in panels:
            height = _panel_height(panel, layout)
            axes = figure.add_axes((layout.left, (top - height) / total, layout.plot, height / total))
            _draw_panel(axes, panel, height, layout)
            top -= height + _AXIS + _GAP
    return figure


def _draw_panel(axes: Axes, panel: ForestPanel, height: float, layout: Layout) -> None:
    from matplotlib.ticker import MaxNLocator

    bare(axes)
    axes.set_xlim(*_limits(panel))
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(layout.ticks))
    axes.set_xlabel(panel.unit or "value", color=MUTED, fontsize=11, labelpad=3)
    y = 0.0
    for group in panel.groups:
        top = y + _title_height(group, layout)
        _draw_rules(axes, group, top, top + _ROW * len(group.rows), panel.zero)
        y = _draw_group(axes, group, y, layout)


def _draw_rules(axes: Axes, group: ForestGroup, top: float, bottom: float, zero: bool) -> None:
    low, high = axes.get_xlim()
    if group.zone:
        zone = [-group.zone, group.zone, group.zone, -group.zone]
        axes.fill(zone, [top, top, bottom, bottom], color=MUTED, alpha=0.16, linewidth=0)
        for edge in (-group.zone, group.zone):
            axes.plot([edge] * 2, [top, bottom], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    for tick in axes.get_xticks():
        if low <= tick <= high:
            axes.plot([tick] * 2, [top, bottom], color=RULE, linewidth=0.7)
    if zero:
        axes.plot([0, 0], [top, bottom], color=INK, linewidth=1)
    if group.ideal is not None:
        axes.plot([group.ideal] * 2, [top, bottom], color=INK, linewidth=1, linestyle=(0, (3, 3)))
    for place in group.ticks:
        axes.plot([place] * 2, [top, bottom], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.plot([place], [top + 1], color=MUTED, marker="v", markersize=5, linestyle="none")
    if group.limit is not None:
        place, direction = group.limit
        serif = (high - low) * 0.012 * (-1 if direction == "max" else 1)
        axes.plot(
            [place + serif, place, place, place + serif],
            [top, top, bottom, bottom],
            color=INK,
            linewidth=1.8,
        )


def _draw_group(axes: Axes, group: ForestGroup, y: float, layout: Layout) -> float:
    lines = _title_lines(group, layout)
    axes.text(
        -layout.left / layout.plot,
        y + _title_height(group, layout) / 2,
        "\n".join(lines),
        transform=axes.get_yaxis_transform(),
        va="center",
        color=INK,
        fontsize=12 if len(lines) == 1 else 11.5,
        fontweight="bold",
    )
    y += _title_height(group, layout)
    for row in group.rows:
        _draw_row(axes, row, y + _ROW / 2, layout)
        y += _ROW
    return y + _GAP


def _draw_row(axes: Axes, row: ForestRow, y: float, layout: Layout) -> None:
    across = axes.get_yaxis_transform()
    color, marker, filled = _MARKS.get(row.mark, _CHANGE_MARK)
    if row.outer is not None:
        axes.plot(row.outer, [y, y], color=color, linewidth=0.9)
    axes.plot([row.lower, row.upper], [y, y], color=color, linewidth=2.4, solid_capstyle="round")
    axes.plot(
        [row.value],
        [y],
        marker=marker,
        markersize=8 if marker != "D" else 6.5,
        color=color,
        markerfacecolor=color if filled else PAPER,
        markeredgewidth=2,
        linestyle="none",
    )
    label = _fitted(row.label, layout.label)
    start = -layout.left / layout.plot
    axes.text(start, y, label, transform=across, va="center", color=MUTED, fontsize=11.5)
    axes.text(1.03, y, row.text, transform=across, va="center", color=INK, fontsize=11.5)


def _fitted(label: str, most: int) -> str:
    """A label cut to so many characters; the mark of a change stays, and the end that tells kin apart."""
    if len(label) <= most:
        return label
    if not label.endswith(CHANGE_SUFFIX):
        return label[: most - 1] + "…"
    name = label.removesuffix(CHANGE_SUFFIX)
    return name[: max(1, most - len(CHANGE_SUFFIX) - 3)] + "…" + name[-2:] + CHANGE_SUFFIX


def _limits(panel: ForestPanel) -> tuple[float, float]:
    ends = [0.0] if panel.zero else []
    for group in panel.groups:
        ends += [end for row in group.rows for end in (row.lower, row.upper, row.value, *(row.outer or ()))]
        ends += [group.ideal] if group.ideal is not None else []
        ends += [-group.zone, group.zone] if group.zone else []
        ends += [*group.ticks, *([group.limit[0]] if group.limit is not None else [])]
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin
