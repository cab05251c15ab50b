"""The report as plain text for a terminal; no escape sequence of any origin."""

from __future__ import annotations

from fmaudit.report.key_cards import KeyNumber, KeyRow
from fmaudit.report.numbers import NumberView
from fmaudit.report.pedigree_text import MIN_WIDTH, pedigree_lines
from fmaudit.report.plain_table import plain_table, wrapped
from fmaudit.report.sections import ProbeSection
from fmaudit.report.view import ReportView, ScopeCell, report_view
from fmaudit.schema import Audit

MOST_COLUMNS = 5


def render_terminal(audit: Audit, width: int = 100) -> str:
    """Verdict, key numbers, scope and the headline tables, at most ``width`` columns wide."""
    width = max(MIN_WIDTH, width)
    view = report_view(audit)
    lines = [wrapped(f"Audit: {view.title}", width), ""]
    lines += [
        wrapped(f"{view.banner.symbol} {view.banner.title.upper()}", width),
        wrapped(view.banner.text, width),
    ]
    lines += [wrapped(f"- {reason}", width, "  ") for reason in view.banner.reasons]
    pedigree = pedigree_lines(view, width)
    if view.pedigree_first:
        lines += pedigree
    for card in view.key_numbers:
        lines += _card(card, width)
    lines += ["", "SCOPE (what was not measured is not known to be safe)", _scope(view, width)]
    if not view.pedigree_first:
        lines += pedigree
    for section in view.sections:
        lines += _section(section, width)
    lines += ["", wrapped(f"audit {view.digest}", width)]
    return "\n".join(lines).rstrip() + "\n"


def _card(card: KeyNumber, width: int) -> list[str]:
    count = f" {card.count}" if card.count else ""
    lines = ["", wrapped(f"{card.symbol} {card.title} [{card.word}{count}]", width)]
    for said in card.statements:
        text = (
            " ".join(part for part in (said.lead, said.value) if part)
            + ("" if said.rest == "." else " ")
            + said.rest
        )
        lines.append("  " + wrapped(text, width - 2, "  ").lstrip())
    for title, rows in card.tables:
        columns = 5 if any(row.reading for row in rows) else 4
        cells = [(row.label, row.value, row.interval, row.p, _reading(row))[:columns] for row in rows]
        header = (title, "Value", "Interval", "p", "Reading")[:columns]
        lines.append(plain_table(header, cells, width))
    lines.append("  " + wrapped(card.basis, width - 2, "  ").lstrip())
    return lines


def _reading(row: KeyRow) -> str:
    return f"{row.reading.symbol} {row.reading.word}" if row.reading else ""


def _section(section: ProbeSection, width: int) -> list[str]:
    lines = ["", wrapped(f"{section.id.upper()}  {section.title}", width)]
    for found in section.calibrations:
        text = f"calibrated on {found.defect}: {found.summary} False alarms at dose 0: {found.false_alarms}"
        lines.append(wrapped(text, width))
    if not section.calibrations:
        lines.append("not calibrated: what it can and cannot find is not known")
    for question in section.questions:
        protocol = ", ".join(question.protocols)
        lines.append(wrapped(f"{question.label}{f', protocol {protocol}' if protocol else ''}", width))
        lines += [wrapped(f"! {gap}", width, "  ") for gap in question.gaps]
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
            lines.append(plain_table(("Number", "Model", "Value", "Interval", "n", "Coverage"), rows, width))
    return lines


def _number(view: NumberView) -> tuple[str, str]:
    if not view.has_value:
        return view.status, view.reason
    return view.value, (view.plain_interval or "none") + ("" if view.conclusive else " (inconclusive)")


def _scope(view: ReportView, width: int) -> str:
    def said(cell: ScopeCell) -> str:
        return f"{cell.word} ({cell.detail})" if cell.detail else cell.word

    probes = [f"{row.probe} {row.question}" for row in view.scope]
    if len(view.subject_labels) > MOST_COLUMNS:
        # As many columns as models would leave a few letters for each.
        rows = [
            (probe, label, said(cell))
            for probe, row in zip(probes, view.scope, strict=True)
            for label, cell in zip(view.subject_labels, row.cells, strict=True)
        ]
        return plain_table(("Probe", "Model", "State"), rows, width)
    cells = [
        (probe, *(said(cell) for cell in row.cells)) for probe, row in zip(probes, view.scope, strict=True)
    ]
    return plain_table(("Probe", *view.subject_labels), cells, width)
