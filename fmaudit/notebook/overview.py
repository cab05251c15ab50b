"""A whole run as static HTML and as Markdown: verdict, key numbers, matrix, and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from fmaudit.notebook.markup import bullets, cell, element, folded, fragment, joined, shown, table, tone_css
from fmaudit.report.escape import markdown, markdown_code
from fmaudit.report.index import short_digest
from fmaudit.report.key_cards import KeyNumber, KeyRow
from fmaudit.report.matrix import Cell, MatrixView
from fmaudit.report.view import ReportView

_MOST_OPEN, _MOST_SAID = 6, 4000
_NONE = "not compared"


def overview_line(view: ReportView, place: str) -> str:
    """The run in one line."""
    gaps, asked = len(_unmeasured(view)), sum(len(row.cells) for row in view.scope)
    measured = f"{asked - gaps:,} of {asked:,} measurements made"
    return shown(f"fmaudit run: {view.banner.title} ({view.title}; {measured}; report {place})", 1000)


def overview_html(view: ReportView, place: str, failures: Sequence[str]) -> str:
    """The run as a fragment; ``place`` is where its report is."""
    banner = view.banner
    return fragment(
        element("p", "Audit", css="fma-eyebrow"),
        element("p", view.title, css="fma-title"),
        element(
            "div",
            element("p", f"{banner.symbol} {banner.title}", css="fma-title"),
            element("p", Markup.escape(shown(banner.text, _MOST_SAID))),
            bullets(banner.reasons),
            css=f"fma-box {tone_css(banner.tone)}",
        ),
        *(_card(card) for card in view.key_numbers),
        _matrix(view.matrix),
        _gaps(view),
        _failures(failures),
        element("p", f"report: {place} · audit {short_digest(view.digest)}", css="fma-quiet"),
    )


def overview_markdown(view: ReportView, place: str) -> str:
    """The run as Markdown."""
    banner = view.banner
    lines = [f"**{markdown(f'{banner.symbol} {banner.title}')}**", "", str(markdown(banner.text)), ""]
    lines += [f"- {markdown(reason)}" for reason in banner.reasons]
    for card in view.key_numbers:
        lines += ["", f"**{markdown(_headline(card))}**", ""]
        lines += [f"- {markdown(_sentence(said.lead, said.value, said.rest))}" for said in card.statements]
        for title, rows in card.tables:
            numbers = "; ".join(f"{row.label} {row.value} ({row.interval or 'no interval'})" for row in rows)
            lines.append(f"- {markdown(f'{title}: {numbers}')}")
    lines += ["", *_matrix_markdown(view.matrix)]
    lines += [f"- not measured: {markdown(gap)}" for gap in _unmeasured(view)]
    return "\n".join([*lines, "", f"Report: {markdown_code(place)}", ""])


def _card(card: KeyNumber) -> Markup:
    said = [element("p", _sentence(part.lead, part.value, part.rest)) for part in card.statements]
    tables = [
        folded(_first(title, rows), made) if len(rows) > _MOST_OPEN else made
        for title, rows in card.tables
        for made in [_key_table(title, rows)]
    ]
    head = element("p", _headline(card), css="fma-title")
    return element(
        "div",
        head,
        *said,
        *tables,
        element("p", f"{card.size} · {card.basis}", css="fma-quiet"),
        css="fma-box",
    )


def _key_table(title: str, rows: Sequence[KeyRow]) -> Markup:
    made = [
        (
            row.label,
            row.value,
            row.interval,
            row.basis,
            cell(f"{row.reading.symbol} {row.reading.word}", css=tone_css(row.reading.tone))
            if row.reading
            else "",
        )
        for row in rows
    ]
    return table(title, ("Model", "Value", "Interval", "Rests on", "Reading"), made)


def _first(title: str, rows: Sequence[KeyRow]) -> str:
    row = rows[0]
    size = ", ".join(("", *row.basis.split(", ")[:2])) if row.basis else ""
    number = f"{row.value} ({row.interval or 'no interval'}){size}"
    return f"{title}: {row.label} {number}; and {len(rows) - 1} more"


def _headline(card: KeyNumber) -> str:
    return f"{card.symbol} {card.title}: {card.word}{f' {card.count}' if card.count else ''}"


def _sentence(lead: str, value: str, rest: str) -> str:
    start = " ".join(part for part in (lead, value) if part)
    return start + ("" if rest == "." else " ") + rest


def _matrix(matrix: MatrixView | None) -> Markup:
    if matrix is None:
        return element("p", "Nothing is compared: no headline rate in an adapted model.", css="fma-quiet")
    rows = [(joined(row.title), *(_matrix_cell(found) for found in row.cells)) for row in matrix.rows]
    return table("Inheritance: defect by adapted model", ("Defect", *matrix.columns), rows)


def _matrix_cell(found: Cell | None) -> Markup:
    if found is None:
        return cell(_NONE, css="fma-gap")
    change = f"{found.base_value} → {found.adapted_value}" if found.number.has_value else found.number.reason
    copied = f"copy fraction {found.copy} ({found.copy_verdict or 'no interval'})" if found.copy else ""
    notes = [element("small", part) for part in (change, *_interval(found), copied) if part]
    return cell(f"{found.symbol} {found.word}", *notes, css=tone_css(found.tone))


def _interval(found: Cell) -> tuple[str, ...]:
    number = found.number
    if not number.has_value:
        return ()
    interval = number.simultaneous or number.plain_interval
    return f"{number.value} ({interval or 'no interval'})", f"n {number.n}, coverage {number.coverage}"


def _matrix_markdown(matrix: MatrixView | None) -> list[str]:
    if matrix is None:
        return ["Nothing is compared: no headline rate in an adapted model.", ""]
    header = ["Defect", *(str(markdown(name)) for name in matrix.columns)]
    rows = [
        [str(markdown(row.title)), *(str(markdown(_cell_text(found))) for found in row.cells)]
        for row in matrix.rows
    ]
    lines = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def _cell_text(found: Cell | None) -> str:
    return _NONE if found is None else " ".join((f"{found.symbol} {found.word}", *_interval(found)))


def _unmeasured(view: ReportView) -> list[str]:
    return [
        f"{row.probe} {row.question}, {label}: {state.word.lower()}"
        f"{f' ({state.detail})' if state.detail else ''}"
        for row in view.scope
        for label, state in zip(view.subject_labels, row.cells, strict=True)
        if state.state in {"unmeasured", "unmeasurable", "unasked"}
    ]


def _gaps(view: ReportView) -> Markup:
    gaps = _unmeasured(view)
    asked = sum(len(row.cells) for row in view.scope)
    said = f"{len(gaps):,} of {asked:,} measurements are missing; what was not measured is not known safe"
    if not gaps:
        return element("p", f"All {asked:,} measurements were made.", css="fma-quiet")
    return folded(said, bullets(gaps)) if len(gaps) > _MOST_OPEN else element("p", said) + bullets(gaps)


def _failures(failures: Sequence[str]) -> Markup:
    if not failures:
        return Markup("")
    return element("p", "What broke while the run went on:") + bullets(failures)
