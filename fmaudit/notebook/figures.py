"""The report's drawings as figures for a notebook: the page's light colours, white ground, shown as SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from fmaudit.report import drawing
from fmaudit.resources import shipped_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
_TICKS = ("color", "labelcolor", "grid_color")
_HEX = re.compile(r"(--[\w-]+):\s*(#[0-9a-fA-F]{6})\b")
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@cache
def palette() -> Mapping[str, str]:
    """The page's light colours (``#rrggbb``) by the name of their CSS variable."""
    style = (shipped_folder("templates") / "report" / "report.css").read_text(encoding="utf-8")
    return dict(_HEX.findall(style.partition("}")[0]))


def resolved(figure: Figure, title: str) -> Figure:
    """The figure with real colours in place of the page's variables; it is changed and returned.

    A notebook that knows no figures of its own shows it as SVG under ``title``.
    """
    real = {placeholder: palette()[variable] for placeholder, variable in drawing.VARIABLES.items()}
    figure.patch.set_visible(True)
    figure.patch.set_facecolor(palette()["--surface"])
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            # Ticks that are made when the figure is drawn take their colours from here.
            said = axis.get_tick_params()
            axis.set_tick_params(**{name: _real(said[name], real) for name in _TICKS if name in said})
    for artist in figure.findobj():
        for name in _COLORED:
            _recolor(artist, name, real)
    shown: Any = figure
    shown._repr_svg_ = partial(svg, figure, title)
    return figure


def svg(figure: Figure, title: str) -> str:
    """The figure as one SVG element; the same figure gives the same bytes."""
    buffer = io.StringIO()
    with drawing.chart_style(), warnings.catch_warnings():
        # A glyph that the measuring font lacks is drawn by the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        figure.savefig(buffer, format="svg", metadata=_METADATA)
    body = buffer.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"\n\s*\n+", "\n", body)
    # What matplotlib says in a style element would reach the whole notebook.
    head = '<svg role="img" style="max-width: 100%; height: auto; stroke-linejoin: round" '
    start = body.index(">") + 1
    return f"{head}{body[5:start]}<title>{escape(title)}</title>{body[start:]}"


def _recolor(artist: Any, name: str, real: Mapping[str, str]) -> None:
    getter = getattr(artist, f"get_{name}", None)
    setter = getattr(artist, f"set_{name}", None)
    if getter is None or setter is None:
        return
    before = getter()
    after = _real(before, real)
    if after is not before:
        setter(after)


def _real(color: Any, real: Mapping[str, str]) -> Any:
    """The colour, or each of an array of colours, with its opacity; the same object if none is ours."""
    from matplotlib.colors import is_color_like, to_hex, to_rgba

    if color is None or isinstance(color, str) or is_color_like(color):
        if not is_color_like(color):
            return color
        found = real.get(to_hex(color))
        return color if found is None else to_rgba(found, to_rgba(color)[3])
    parts = [_real(part, real) for part in color]
    changed = any(after is not before for after, before in zip(parts, color, strict=True))
    return parts if changed else color
