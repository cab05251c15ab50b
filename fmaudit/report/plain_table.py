"""Tables and paragraphs for a terminal; no escape sequence of any origin."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence

from fmaudit.report.escape import terminal


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
    """A table at most ``width`` columns wide; long cells fold."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in header:
        table.add_column(Text(terminal(name)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(terminal(cell)) for cell in row))
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, color_system=None, force_terminal=False, legacy_windows=False, _environ={}
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def wrapped(text: str, width: int, indent: str = "", first: str = "") -> str:
    """A paragraph of ``width`` columns; ``first`` begins its first line, ``indent`` the others."""
    return textwrap.fill(terminal(text), width, initial_indent=first, subsequent_indent=indent)
