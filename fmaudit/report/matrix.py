"""The inheritance matrix: defects by adapted models, a verdict in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmaudit.question import Question
from fmaudit.report.cells import CellDetail, cell_detail
from fmaudit.report.index import AuditIndex
from fmaudit.report.lineage import StepWord, tree_order
from fmaudit.report.numbers import NumberView, figure_text, span_text
from fmaudit.report.readings import comparison_word, side_value
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import LEGEND, LEGEND_NOTES, MARKS, ORDER, defect_title, is_defect
from fmaudit.schema import Comparison, CopyFraction

_TONES: tuple[Tone, ...] = ("alert", "open", "calm")


@dataclass(frozen=True)
class Cell:
    """One defect in one adapted model; ``anchor`` leads to its detail."""

    anchor: str
    word: str
    symbol: str
    tone: Tone
    flags: tuple[str, ...]
    base_value: str
    adapted_value: str
    number: NumberView
    copy: str
    copy_conditional: str
    copy_verdict: str
    items_needed: str


@dataclass(frozen=True)
class MatrixRow:
    """One defect: a headline rate of one probe, scoring variant and data set."""

    title: str
    probe: str
    question: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class LegendEntry:
    """A verdict word, its mark, and when it is given."""

    word: str
    symbol: str
    tone: Tone
    meaning: str


@dataclass(frozen=True)
class MatrixView:
    """Rows of defects, columns of adapted models in the order of the tree, and every cell's detail.

    ``worst`` is the word of each column that has to be known first, with its defects.
    """

    columns: tuple[str, ...]
    worst: tuple[StepWord, ...]
    rows: tuple[MatrixRow, ...]
    details: tuple[CellDetail, ...]
    legend: tuple[LegendEntry, ...]
    notes: tuple[str, ...]


def matrix_view(index: AuditIndex) -> MatrixView | None:
    """The matrix of an audit; None where no headline rate was compared."""
    columns = [subject.id for subject in tree_order(index)]
    rows: dict[tuple[Question, str], dict[str, Comparison]] = {}
    steps: dict[tuple[Question, str, str], Comparison] = {}
    for found in index.audit.comparisons:
        if found.slice or not is_defect(index.metrics.of(found)):
            continue
        question = index.question(found.measurement, found.metric)
        if found.step == "from_base":
            rows.setdefault((question, found.metric), {})[found.adapted] = found
        else:
            steps[question, found.metric, found.adapted] = found
    if not rows or not columns:
        return None
    anchors = {
        found.id: f"cell-{row}-{columns.index(found.adapted) + 1}"
        for row, by_subject in enumerate(rows.values(), 1)
        for found in by_subject.values()
        if found.adapted in columns
    }
    return MatrixView(
        columns=tuple(index.subject_label(subject) for subject in columns),
        worst=tuple(_worst(index, list(rows.values()), subject) for subject in columns),
        rows=tuple(
            MatrixRow(
                defect_title(index, metric),
                question.probe,
                question.label,
                tuple(
                    _cell(index, by_subject[subject], anchors[by_subject[subject].id])
                    if subject in by_subject
                    else None
                    for subject in columns
                ),
            )
            for (question, metric), by_subject in rows.items()
        ),
        details=tuple(
            cell_detail(
                index,
                by_subject[subject],
                anchors[by_subject[subject].id],
                steps.get((question, metric, subject)),
            )
            for (question, metric), by_subject in rows.items()
            for subject in columns
            if subject in by_subject
        ),
        legend=tuple(LegendEntry(word, *MARKS[word], meaning) for word, meaning in LEGEND),
        notes=LEGEND_NOTES,
    )


def _worst(index: AuditIndex, rows: Sequence[Mapping[str, Comparison]], subject: str) -> StepWord:
    found = [by_subject[subject] for by_subject in rows if subject in by_subject]
    said = [comparison_word(index, c) for c in found]
    symbol, tone = MARKS["unmeasured"]
    worst = min(said, key=_severity, default=("unmeasured", symbol, tone))
    titles = (defect_title(index, c.metric) for c, own in zip(found, said, strict=True) if own == worst)
    return StepWord(*worst, tuple(titles))


def _severity(said: tuple[str, str, Tone]) -> tuple[int, int]:
    word, _, tone = said
    places = {str(verdict): place for place, verdict in enumerate(ORDER)}
    return _TONES.index(tone), places.get(word, len(places))


def _cell(index: AuditIndex, found: Comparison, anchor: str) -> Cell:
    word, symbol, tone = comparison_word(index, found)
    copied = found.copy_fraction or CopyFraction()
    return Cell(
        anchor=anchor,
        word=word,
        symbol=symbol,
        tone=tone,
        flags=tuple(found.flags),
        base_value=side_value(index, found, found.base_value),
        adapted_value=side_value(index, found, found.adapted_value),
        number=index.number(found, found.metric, found.measurement, difference=True),
        copy="" if copied.value is None else figure_text(copied.value),
        copy_conditional=span_text(copied.conditional),
        copy_verdict=span_text(copied.verdict_interval),
        items_needed="" if found.items_needed is None else f"{found.items_needed:,}",
    )
