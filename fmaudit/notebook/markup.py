"""Static HTML fragments: every text escaped, one scoped style, no script, link, id or request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from fmaudit.report.escape import visible
from fmaudit.report.tones import Tone

# A fragment stands in a page of its reader's choice, light or dark, so it brings its own ground.
_STYLE = Markup(
    "<style>"
    ".fma{max-width:72rem;padding:1rem 1.1rem;border:1px solid #e3dfd7;border-radius:10px;background:#fff;"
    "color:#1d1c1a;font:400 14px/1.5 ui-sans-serif,system-ui,sans-serif;font-variant-numeric:tabular-nums;"
    "overflow-wrap:anywhere;overflow-x:auto}"
    ".fma p{margin:.35rem 0 0}.fma ul{margin:.35rem 0 0;padding-left:1.2rem}"
    ".fma .fma-eyebrow,.fma .fma-quiet{color:#625e57}.fma .fma-eyebrow{margin:0;font-size:12px}"
    ".fma .fma-title{margin:0;font-size:16px;font-weight:650}"
    ".fma .fma-big{font-size:22px;font-weight:650}"
    ".fma .fma-box{margin:.7rem 0;padding:.7rem .9rem;border-radius:8px}"
    ".fma .fma-alert{background:#fcefe9;color:#9c3410}.fma .fma-open{background:#fbf3dd;color:#745000}"
    ".fma .fma-calm{background:#eaf2ee;color:#2f5d50}.fma .fma-box p+p,.fma .fma-box ul{color:#1d1c1a}"
    ".fma .fma-gap{background:repeating-linear-gradient(135deg,#fff 0 5px,#e3dfd7 5px 6px)}"
    ".fma table{border-collapse:collapse;margin:.6rem 0 0;color:inherit;background:#fff;overflow-wrap:normal}"
    ".fma caption{text-align:left;font-weight:640;padding:.2rem 0}"
    ".fma th,.fma td{border:0;border-bottom:1px solid #e3dfd7;padding:.28rem .7rem .28rem 0;text-align:left;"
    "vertical-align:top;background:none;color:inherit;font-weight:400;white-space:normal}"
    ".fma tbody th{min-width:10rem}"
    ".fma thead th{color:#625e57;font-size:12px}.fma td.fma-alert,.fma td.fma-open,.fma td.fma-calm,"
    ".fma td.fma-gap{padding-left:.5rem}"
    ".fma td small{display:block;min-width:8.5rem;color:#625e57}"
    ".fma details{margin:.35rem 0 0}.fma summary{cursor:pointer}"
    "</style>"
)
_MOST = 600


def shown(text: object, most: int = _MOST) -> str:
    """Text on one line in which nothing hides, cut after ``most`` characters."""
    source = str(text)
    left = len(source) - most
    return visible(source[:most]) + (f"… [{left:,} more characters]" if left > 0 else "")


def element(tag: str, *inner: object, css: str = "", scope: str = "") -> Markup:
    """One element; ``inner`` is escaped unless it is markup. Empty strings are left out."""
    attributes = Markup(' class="{}"').format(css) if css else Markup("")
    attributes += Markup(' scope="{}"').format(scope) if scope else Markup("")
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), attributes, joined(*inner))


def joined(*inner: object) -> Markup:
    """Parts in a row, escaped unless they are markup."""
    return Markup("").join(part if isinstance(part, Markup) else shown(part) for part in inner)


def fragment(*inner: object) -> str:
    """A whole fragment with its style."""
    return str(joined(_STYLE, element("div", *inner, css="fma")))


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table whose first cell of a row is its heading; a cell of markup stands as its own ``td``."""
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [_row(cells) for cells in rows]
    return element(
        "table",
        element("caption", caption) if caption else "",
        element("thead", head),
        element("tbody", *body),
    )


def cell(*inner: object, css: str = "") -> Markup:
    """A table cell with a class of its own."""
    return element("td", *inner, css=css)


def tone_css(tone: Tone) -> str:
    """The class of a tone."""
    return f"fma-{tone}"


def folded(summary: object, *inner: object) -> Markup:
    """Content that a reader opens, without a script."""
    return element("details", element("summary", summary), *inner)


def bullets(items: Iterable[object]) -> Markup:
    """A list; nothing where there are no items."""
    found = [element("li", item) for item in items]
    return element("ul", *found) if found else Markup("")


def _row(cells: Sequence[Any]) -> Markup:
    first, *others = cells
    made = [part if _is_cell(part) else element("td", part) for part in others]
    return element("tr", element("th", first, scope="row"), *made)


def _is_cell(part: object) -> bool:
    return isinstance(part, Markup) and part.startswith("<td")
