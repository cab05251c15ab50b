"""Estimates and comparisons as one line, as Markdown and as static HTML."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from fmaudit.notebook.markup import bullets, cell, element, folded, fragment, joined, shown, table, tone_css
from fmaudit.report.cells import CellDetail, cell_detail
from fmaudit.report.escape import markdown
from fmaudit.report.index import AuditIndex, levels_text
from fmaudit.report.numbers import NumberView
from fmaudit.report.verdict_words import MARKS
from fmaudit.schema import Comparison, Estimate, PairedTable

MOST_ROWS = 25
_SPACES = str.maketrans({"\u00a0": " "})


def line(text: str) -> str:
    """One line of plain text."""
    return shown(text.translate(_SPACES), 1000)


def markdown_line(text: str) -> str:
    """One line of text that Markdown shows as it is."""
    return str(markdown(text))


def said(view: NumberView) -> str:
    """A number with interval, n and coverage, or its state and the reason."""
    basis = f"n {view.n}, coverage {view.coverage}"
    if not view.has_value:
        return f"{view.status}: {view.reason or 'no reason recorded'} ({basis})"
    reason = f"; {view.reason}" if view.reason else ""
    state = "" if view.conclusive else f"; inconclusive{reason}"
    return f"{view.value} ({view.interval}), {basis}{state}"


def estimate_line(index: AuditIndex, record: Estimate) -> str:
    """An estimate in one line."""
    number = _estimate_number(index, record)
    return line(f"Estimate {record.metric}{_where(record)} of {record.subject}: {said(number)}")


def comparison_line(index: AuditIndex, record: Comparison) -> str:
    """A comparison in one line."""
    number = _change(index, record)
    pair = f"{record.adapted} against {record.base}"
    return line(
        f"Comparison {record.metric}{_where(record)}, {pair}: {record.verdict}; change {said(number)}"
    )


def estimate_html(index: AuditIndex, record: Estimate) -> str:
    """One estimate: value, interval, n, coverage, and what else it rests on."""
    number = _estimate_number(index, record)
    return fragment(
        _heading(index, record, index.subject_label(record.subject)),
        _value(number),
        _facts(
            [
                ("items", f"{number.n}, coverage {number.coverage}"),
                ("missing counted both ways", "" if number.complete else number.worst),
                ("clusters", number.clusters),
                ("effective items", number.n_eff),
                ("simultaneous interval", number.simultaneous),
                ("smallest detectable", number.smallest_detectable),
                ("method", number.method),
                ("estimand", number.estimand),
                ("protocol", index.protocol(record.measurement)),
            ]
        ),
    )


def comparison_html(index: AuditIndex, record: Comparison) -> str:
    """One comparison: verdict, both values, change, 2x2 table, copy fraction, references."""
    detail = cell_detail(index, record, "")
    tone = tone_css(detail.tone)
    verdict = [element("p", f"{detail.symbol} {detail.word}", css="fma-title")]
    if detail.reason:
        verdict.append(element("p", detail.reason))
    return fragment(
        _heading(index, record, f"{detail.adapted} against {detail.base}"),
        element("div", *verdict, css=f"fma-box {tone}"),
        element("p", f"{detail.base_value} → {detail.adapted_value}", css="fma-big"),
        _paired(detail.table),
        *_groups(detail),
        _references(detail),
    )


def estimates_html(found: Sequence[tuple[AuditIndex, Estimate]]) -> str:
    """Many estimates as a table; the first of them where there are more than a page holds."""
    rows = [
        (
            index.metric_title(record.metric),
            index.subject_label(record.subject),
            levels_text(record.slice),
            *_number_cells(_estimate_number(index, record)),
        )
        for index, record in found[:MOST_ROWS]
    ]
    header = ("Number", "Model", "Items", "Value", "Interval", "n", "Coverage", "Note")
    return fragment(table(f"{len(found):,} estimates", header, rows), _rest(len(found)))


def comparisons_html(found: Sequence[tuple[AuditIndex, Comparison]]) -> str:
    """Many comparisons as a table; the first of them where there are more than a page holds."""
    rows = []
    for index, record in found[:MOST_ROWS]:
        symbol, tone = MARKS[record.verdict]
        pair = f"{index.subject_label(record.adapted)} against {index.subject_label(record.base)}"
        verdict = cell(f"{symbol} {record.verdict}", css=tone_css(tone))
        numbers = _number_cells(_change(index, record))
        rows.append((index.metric_title(record.metric), pair, levels_text(record.slice), verdict, *numbers))
    header = ("Number", "Models", "Items", "Verdict", "Change", "Interval", "n", "Coverage", "Note")
    return fragment(table(f"{len(found):,} comparisons", header, rows), _rest(len(found)))


def _estimate_number(index: AuditIndex, record: Estimate) -> NumberView:
    return index.number(record, record.metric, record.measurement, difference=False)


def _change(index: AuditIndex, record: Comparison) -> NumberView:
    return index.number(record, record.metric, record.measurement, difference=True)


def _where(record: Estimate | Comparison) -> str:
    return f" [{levels_text(record.slice)}]" if record.slice else ""


def _heading(index: AuditIndex, record: Estimate | Comparison, who: str) -> Markup:
    question = index.question(record.measurement, record.metric)
    asked = " · ".join(part for part in (question.probe, question.label, levels_text(record.slice)) if part)
    title = f"{index.metric_title(record.metric)}: {who}"
    return element("p", asked, css="fma-eyebrow") + element("p", title, css="fma-title")


def _value(number: NumberView) -> Markup:
    if not number.has_value:
        text = f"{number.status}: {number.reason or 'no reason recorded'}"
        return element("p", text, css="fma-box fma-gap")
    value = element("p", number.value, css="fma-big") + element("p", number.interval)
    if number.conclusive:
        return value
    why = f": {number.reason}" if number.reason else ""
    return value + element("p", f"inconclusive{why}", css="fma-box fma-open")


def _number_cells(number: NumberView) -> tuple[object, ...]:
    note = "" if number.conclusive else f"{number.status}: {number.reason or 'no reason recorded'}"
    if not number.has_value:
        return cell("not measured", css="fma-gap"), "—", number.n, number.coverage, note
    if not number.complete and number.worst:
        note = "; ".join(part for part in (note, f"{number.worst} if the missing count either way") if part)
    return number.value, number.plain_interval or "none", number.n, number.coverage, note


def _facts(facts: Sequence[tuple[str, str]]) -> Markup:
    return table("", ("Figure", "Value"), [(name, value) for name, value in facts if value])


def _groups(detail: CellDetail) -> list[Markup]:
    """What the verdict rests on in sight, the rest folded."""
    in_sight = {"Change and verdict", "Copy fraction"}
    return [
        joined(element("p", group.title, css="fma-title"), _facts(group.facts))
        if group.title in in_sight
        else folded(group.title, _facts(group.facts))
        for group in detail.groups
    ]


def _paired(found: PairedTable | None) -> Markup:
    if found is None:
        return element("p", "No paired table: the outcome is no yes or no of items.", css="fma-quiet")
    header = ("", "adapted: defect", "adapted: none")
    rows = [("base: defect", found.n11, found.n10), ("base: none", found.n01, found.n00)]
    return table("The same items in both models", header, rows)


def _references(detail: CellDetail) -> Markup:
    if not detail.references:
        return Markup("")
    said_of = (
        f"{row.label}: {row.use}, slope {row.slope}{f', {row.reason}' if row.reason else ''}"
        for row in detail.references
    )
    return folded("Unrelated references", bullets(said_of))


def _rest(count: int) -> Markup:
    left = count - MOST_ROWS
    if left <= 0:
        return Markup("")
    return element("p", f"and {left:,} more: .to_frame() has them all", css="fma-quiet")
