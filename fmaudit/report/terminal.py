"""The report as plain text for a terminal; no escape sequence of any origin."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence

from fmaudit.report.escape import terminal
from fmaudit.report.numbers import NumberView
from fmaudit.report.sections import ProbeSection
from fmaudit.report.view import ReportView, report_view
from fmaudit.schema import Audit

MIN_WIDTH = 60


def render_terminal(audit: Audit, width: int = 100) -> str:
    """Verdict, key numbers, scope and the headline tables, at most ``width`` columns wide."""
    width = max(MIN_WIDTH, width)
    view = report_view(audit)
    lines = [_wrapped(f"Audit: {view.title}", width), ""]
    lines += [
        _wrapped(f"{view.banner.symbol} {view.banner.title.upper()}", width),
        _wrapped(view.banner.text, width),
    ]
    lines += [_wrapped(f"- {reason}", width, "  ") for reason in view.banner.reasons]
    for card in view.key_numbers:
        lines += ["", _wrapped(f"{card.symbol} {card.title} [{card.word}]", width)]
        for said in card.statements:
            text = (
                " ".join(part for part in (said.lead, said.value) if part)
                + ("" if said.rest == "." else " ")
                + said.rest
            )
            lines.append("  " + _wrapped(text, width - 2, "  ").lstrip())
        lines.append("  " + _wrapped(card.basis, width - 2, "  ").lstrip())
    lines += ["", "SCOPE (what was not measured is not known to be safe)", _scope(view, width)]
    for section in view.sections:
        lines += _section(section, width)
    lines += ["", _wrapped(f"audit {view.digest}", width)]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: ProbeSection, width: int) -> list[str]:
    lines = ["", _wrapped(f"{section.id.upper()}  {section.title}", width)]
    for question in section.questions:
        protocol = ", ".join(question.protocols)
        lines.append(_wrapped(f"{question.label}{f', protocol {protocol}' if protocol else ''}", width))
        lines += [_wrapped(f"! {gap}", width, "  ") for gap in question.gaps]
        rows = [
            (metric.title, row.subject, *_number(row.number), row.number.n, row.number.coverage)
            for metric in question.metrics
            for row in metric.rows
        ]
        rows += [
            (
                f"{row.title} ({row.word.lower()})",
                row.scope,
                *_number(row.number),
                row.number.n,
                row.number.coverage,
            )
            for row in question.contrasts
        ]
        rows += [
            (
                f"{row.metric}, change ({row.word.lower()})",
                f"{row.adapted} - base",
                *_number(row.number),
                row.number.n,
                row.number.coverage,
            )
            for row in question.comparisons
        ]
        if rows:
            lines.append(_table(("Number", "Model", "Value", "Interval", "n", "Coverage"), rows, width))
    return lines


def _number(view: NumberView) -> tuple[str, str]:
    if not view.has_value:
        return view.status, view.reason
    return view.value, (view.plain_interval or "none") + ("" if view.conclusive else " (inconclusive)")


def _scope(view: ReportView, width: int) -> str:
    rows = [
        (
            f"{row.probe} {row.question}",
            *(f"{cell.word} {f'({cell.detail})' if cell.detail else ''}" for cell in row.cells),
        )
        for row in view.scope
    ]
    return _table(("Probe", *view.subject_labels), rows, width)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
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


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(terminal(text), width, subsequent_indent=indent)
