"""Figures of a run, drawn by the functions that draw the report page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fmaudit.errors import UsageError
from fmaudit.notebook.figures import palette, resolved
from fmaudit.report.escape import terminal
from fmaudit.report.figures import (
    Curve,
    ForestGroup,
    ForestPanel,
    ForestRow,
    Histogram,
    forest_panels,
    slopes,
)
from fmaudit.report.homogeneity import homogenization_views
from fmaudit.report.index import AuditIndex
from fmaudit.report.matrix import Cell, MatrixView, matrix_view
from fmaudit.report.numbers import Scale, quantity_text
from fmaudit.report.sections import probe_sections
from fmaudit.report.verdict_words import defect_title
from fmaudit.schema import Comparison, ContrastResult, Estimate, Homogenization, Quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Claim = TypeVar("Claim", Estimate, ContrastResult, Comparison, Homogenization)
_CELL, _LABEL, _LINE = 118, 270, 58
_CHANGE_OF_SEVERITY = Scale(1.0, "", True)


@dataclass(frozen=True)
class Plots:
    """Figures (``matplotlib.figure.Figure``) of a run; ``savefig`` keeps one.

    Every method takes names of probes, families or metrics, to draw these alone.
    It raises UsageError where there is nothing to draw, and says why.
    """

    index: AuditIndex
    path: Path | None = None

    def forest(self, *names: str) -> Figure:
        """Headline numbers, their changes and contrasts with intervals; one axis a unit."""
        from fmaudit.report import charts

        panels = forest_panels(self._only(names))
        if not panels:
            raise UsageError(_nothing("no headline number has an interval", names))
        return resolved(
            charts.forest_figure(panels, charts.WIDE_LAYOUT), "Headline numbers with their intervals"
        )

    def slopes(self, *names: str) -> Figure:
        """Headline metrics from the base to each adapted model."""
        from fmaudit.report.drawing import WIDE
        from fmaudit.report.slope_charts import slopes_figure

        found = slopes(self._only(names))
        if not found:
            raise UsageError(_nothing("no headline metric has an interval in base and adapted model", names))
        return resolved(slopes_figure(found, WIDE), "Headline numbers from base to adapted")

    def matrix(self, *names: str) -> Figure:
        """The verdict of every headline defect in every adapted model."""
        found = matrix_view(self._only(names))
        if found is None:
            raise UsageError(_nothing("no headline rate was compared", names))
        return resolved(_matrix(found), "Inheritance: defect by adapted model")

    def severity(self, *names: str) -> Figure:
        """Mean change in severity on the items that base and adapted model both fail."""
        from fmaudit.report import charts

        panels = _severity_panels(self._only(names))
        if not panels:
            raise UsageError(_nothing("no comparison has a change in severity with an interval", names))
        return resolved(
            charts.forest_figure(panels, charts.WIDE_LAYOUT), "Change in severity where both models fail"
        )

    def failures(self, *names: str) -> Figure:
        """Items by how many models of the family fail on them, and if they failed independently."""
        from fmaudit.report.drawing import WIDE
        from fmaudit.report.pedigree_charts import histogram_figure

        views = homogenization_views(self._only(names))
        found = [view.histogram for view in views if view.histogram is not None]
        chosen: Histogram = _single(found, [view.title for view in found], "failures of a family", names)
        return resolved(
            histogram_figure(chosen, WIDE), f"Items by number of models that fail on them: {chosen.title}"
        )

    def doses(self, *names: str) -> Figure:
        """The response of a probe to planted doses."""
        from fmaudit.report.drawing import WIDE
        from fmaudit.report.pedigree_charts import curve_figure

        sections = [section for section in probe_sections(self.index) if _named(section.id, names)]
        found = [
            view.curve for section in sections for view in section.calibrations if view.curve is not None
        ]
        chosen: Curve = _single(found, [curve.title for curve in found], "dose-response", names)
        return resolved(curve_figure(chosen, WIDE), f"Response by dose: {chosen.title}")

    def heatmaps(self, *names: str) -> tuple[Figure, ...]:
        """How far every group of items is from the best value: one figure a metric and slice column."""
        from fmaudit.report.heatmap import heatmap_figure, heatmap_set

        views = heatmap_set(self._only(names)).views
        if not views:
            raise UsageError(_nothing("no metric has a slice column with names for levels", names))
        return tuple(heatmap_figure(view) for view in views)

    def curves(self, *names: str) -> tuple[Figure, ...]:
        """Numbers along an ordered slice column, such as repetitions: one figure a panel of the page."""
        from fmaudit.report.curve_charts import curve_panel
        from fmaudit.report.curves import curve_set

        figures = curve_set(self._only(names)).figures
        if not figures:
            raise UsageError(_nothing("no metric has a slice column with numbers for levels", names))
        return tuple(
            resolved(curve_panel(figure, panel), f"{figure.title} by {figure.column}")
            for figure in figures
            for panel in figure.panels
        )

    def scores(self, *names: str) -> tuple[Figure, ...]:
        """How the scores of the answers are spread, from the rows: one figure a panel of the page."""
        from fmaudit.evidence.directory import RunDirectory
        from fmaudit.report.distribution import distribution_views
        from fmaudit.report.distribution_charts import distribution_panel
        from fmaudit.report.distribution_rows import score_samples

        if self.path is None:
            raise UsageError("the rows of this audit are not at hand: open the run with fmaudit.open_run")
        audit = self.index.audit
        samples = score_samples(RunDirectory(self.path), audit)
        probes = {measurement.probe for measurement in audit.measurements if _named(measurement.probe, names)}
        views = [
            view
            for view in distribution_views(self.index, samples)
            if not names or any(probe in view.question for probe in probes)
        ]
        drawn = tuple(
            resolved(distribution_panel(view, panel), view.title) for view in views for panel in view.panels
        )
        if not drawn:
            raise UsageError(_nothing("no answer has a score", names))
        return drawn

    def _only(self, names: Sequence[str]) -> AuditIndex:
        audit = self.index.audit
        if not names:
            return self.index
        kept = {
            "estimates": _kept(self.index, audit.estimates, names),
            "contrasts": _kept(self.index, audit.contrasts, names),
            "comparisons": _kept(self.index, audit.comparisons, names),
            "homogenization": _kept(self.index, audit.homogenization, names),
        }
        return AuditIndex(audit.model_copy(update=kept))


Drawn = TypeVar("Drawn", Histogram, Curve)


def _single(found: Sequence[Drawn], titles: Iterable[str], what: str, names: Sequence[str]) -> Drawn:
    if not found:
        raise UsageError(_nothing(f"no {what} was computed", names))
    if len(found) > 1:
        raise UsageError(f"several would be drawn: name a probe or metric; here: {'; '.join(titles)}")
    return found[0]


def _nothing(why: str, names: Sequence[str]) -> str:
    of = f" of {', '.join(names)}" if names else ""
    return f"nothing to draw{of}: {why}"


def _kept(index: AuditIndex, records: Sequence[Claim], names: Sequence[str]) -> list[Claim]:
    return [
        record
        for record in records
        if _named(index.question(record.measurement, record.metric).probe, names)
        or _named(record.metric, names)
        or _named(record.metric.partition("/")[2], names)
    ]


def _named(name: str, names: Sequence[str]) -> bool:
    return not names or name in names or name.partition(".")[0] in names


def _severity_panels(index: AuditIndex) -> tuple[ForestPanel, ...]:
    groups: dict[tuple[str, str], list[tuple[str, ForestRow | None]]] = {}
    for found in index.audit.comparisons:
        if not found.slice and found.step == "from_base" and found.severity is not None:
            question = index.question(found.measurement, found.metric)
            label = index.subject_label(found.adapted)
            row = _severity_row(label, found.severity.change, found.severity.n)
            groups.setdefault((defect_title(index, found.metric), question.label), []).append((label, row))
    # Severities of two probes are different quantities, so each has its own axis.
    return tuple(
        ForestPanel(_missing(rows), True, (ForestGroup(terminal(title), drawn, None),))
        for (title, _), rows in groups.items()
        if (drawn := tuple(row for _, row in rows if row is not None))
    )


def _missing(rows: Sequence[tuple[str, ForestRow | None]]) -> str:
    none = [terminal(label) for label, row in rows if row is None]
    return "mean change in severity" + (f"; not computed for {', '.join(none)}" if none else "")


def _severity_row(label: str, change: Quantity, n: int) -> ForestRow | None:
    if change.value is None or change.lower is None or change.upper is None:
        return None
    text = quantity_text(change, _CHANGE_OF_SEVERITY).partition(" (")[0]
    return ForestRow(
        terminal(label), "change", change.value, change.lower, change.upper, f"{terminal(text)}, n {n:,}"
    )


def _matrix(found: MatrixView) -> Figure:
    from fmaudit.report.drawing import bare, blank_figure, chart_style

    width, height = _LABEL + _CELL * len(found.columns), _LINE * (len(found.rows) + 1)
    with chart_style():
        figure = blank_figure(width, height)
        axes = figure.add_axes((0, 0, 1, 1))
        bare(axes)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_xticks([])
        axes.set_yticks([])
        for place, name in enumerate(found.columns):
            _put(axes, _LABEL + _CELL * place + 8, _LINE / 2, name, 20, muted=True)
        for line, row in enumerate(found.rows, 1):
            _put(axes, 8, _LINE * (line + 0.5), row.title, 42)
            for place, cell in enumerate(row.cells):
                _cell(axes, _LABEL + _CELL * place, _LINE * line, cell)
    return figure


def _cell(axes: Axes, x: float, y: float, cell: Cell | None) -> None:
    from matplotlib.patches import Rectangle

    colors = palette()
    ground = colors["--surface"] if cell is None else colors[f"--{cell.tone}-soft"]
    hatched = cell is None or cell.word == "unmeasured"
    axes.add_patch(
        Rectangle(
            (x + 2, y + 2),
            _CELL - 4,
            _LINE - 4,
            facecolor=ground,
            edgecolor=colors["--hatch"] if "--hatch" in colors else colors["--rule"],
            hatch="///" if hatched else None,
            linewidth=0.7,
        )
    )
    if cell is None:
        _put(axes, x + 8, y + _LINE / 2, "not compared", 20, muted=True)
        return
    change = cell.number.value if cell.number.has_value else cell.number.status
    _put(axes, x + 8, y + _LINE * 0.36, f"{cell.symbol} {cell.word}", 20, color=colors[f"--{cell.tone}"])
    _put(axes, x + 8, y + _LINE * 0.76, change, 20, muted=True)


def _put(
    axes: Axes, x: float, y: float, text: str, most: int, *, muted: bool = False, color: str | None = None
) -> None:
    import textwrap

    from fmaudit.report.drawing import INK, MUTED

    lines = textwrap.wrap(textwrap.shorten(terminal(text), 2 * most, placeholder="…"), most)[:2]
    shown = color or (MUTED if muted else INK)
    axes.text(x, y, "\n".join(lines), va="center", color=shown, fontsize=10.5)
