"""What every chart shares: sizes, the page's colours, and SVG that can stand inside the page."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 860, 340
_PX_PER_INCH = 72
# Colours that no one would choose, so that each can be replaced by the page's own variable.
INK, MUTED, RULE, BASE, ADAPTED, REFERENCE, CHANGE, PAPER = (f"#0101{code:02x}" for code in range(1, 9))
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    BASE: "--base",
    ADAPTED: "--adapted",
    REFERENCE: "--reference",
    CHANGE: "--ink",
    PAPER: "--surface",
}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fmaudit",
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.size": 12,
    "axes.unicode_minus": True,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Chart:
    """One drawing for wide and one for narrow screens."""

    wide: Markup
    narrow: Markup


def blank_figure(width: int, height: float) -> Figure:
    """An empty drawing of this many pixels."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _PX_PER_INCH, height / _PX_PER_INCH), dpi=_PX_PER_INCH)
    figure.patch.set_visible(False)
    FigureCanvasSVG(figure)
    return figure


def bare(axes: Axes) -> None:
    """Keep the bottom line and quiet labels only."""
    axes.patch.set_visible(False)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(colors=MUTED, labelsize=11, length=0, pad=5)


def chart_style() -> Any:
    """The settings every chart is drawn under, as a context."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def inline_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """The drawing as an SVG element with a title and a description; ``name`` keeps its ids apart."""
    buffer = io.StringIO()
    with chart_style(), warnings.catch_warnings():
        # A glyph that the measuring font lacks is drawn by the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return Markup(_inline(buffer.getvalue(), name, title, description))


def _lean(inner: str) -> str:
    """Without what the page's own style says, ids that nothing refers to, and needless digits."""
    inner = re.sub(r"<style[^>]*>.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"; font-family: [^;\"]+|font-family: [^;\"]+; ", "", inner)
    inner = re.sub(r"font: ([^;\"]*?)(\d[\d.]*px) [^;\"]+", r"font: \1\2 var(--sans)", inner)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', inner))
    inner = re.sub(r' id="([^"]+)"', lambda found: found.group(0) if found.group(1) in used else "", inner)
    inner = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", inner)
    inner = re.sub(
        r"(?<![\w#.])-?\d+\.\d{3,}(?!\w)",
        lambda found: f"{float(found.group(0)):.2f}".rstrip("0").rstrip("."),
        inner,
    )
    inner = re.sub(r"\s*\n\s*", " ", inner)
    inner = re.sub(r"> +<", "><", inner)
    for _ in range(4):
        inner = re.sub(r"<(g|defs)(?: [^>]*)?/>|<(g|defs)(?: [^>]*)?></\2>", "", inner)
        inner = re.sub(r"<g>(<(?:path|text|use)[^>]*(?:/>|>[^<]*</text>))</g>", r"\1", inner)
    return inner


def _inline(svg: str, name: str, title: str, description: str) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', body)
    inner = body[body.index(">") + 1 :]
    inner = _lean(inner)
    inner = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', inner)
    inner = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", inner)
    inner = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', inner)
    for color, variable in VARIABLES.items():
        inner = inner.replace(color, f"var({variable})")
    head = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-desc" {box.group(0) if box else ""}>'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return head + inner.strip()
