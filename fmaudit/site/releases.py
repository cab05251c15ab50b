"""Pages that put two audits of one model side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmaudit.analysis.release_records import ReleaseCell, ReleaseComparison
from fmaudit.analysis.release_table import compare_releases
from fmaudit.question import Question
from fmaudit.report.index import AuditIndex
from fmaudit.report.key_cards import Reading, toned
from fmaudit.report.numbers import NumberView, number_view, scale_of
from fmaudit.report.readings import margins_text
from fmaudit.report.tones import Tone
from fmaudit.report.verdict_words import headline
from fmaudit.schema import Comparison, Estimate, Subject
from fmaudit.site.changes import Rows, Side, refusal
from fmaudit.site.entries import Entry
from fmaudit.site.names import shown_name


@dataclass(frozen=True)
class ReleasePair:
    """Two audits, the earlier first; ``ordered`` says whether both are dated."""

    older: Entry
    newer: Entry

    @property
    def address(self) -> str:
        """Its folder under ``compare/``."""
        return f"{self.older.address}..{self.newer.address}"

    @property
    def ordered(self) -> bool:
        """Whether their dates say which came first."""
        return (
            self.older.moment is not None
            and self.newer.moment is not None
            and self.older.moment < self.newer.moment
        )


@dataclass(frozen=True)
class ReleaseRow:
    """One headline number in both audits, with its paired change or why there is none."""

    title: str
    note: str
    older: NumberView | None
    newer: NumberView | None
    change: NumberView | None
    refused: str
    reading: Reading
    verdicts: tuple[str, str]
    verdict_note: str


@dataclass(frozen=True)
class ModelChange:
    """One model in both audits; ``same`` says that its digest did not change."""

    role: str
    older: str
    newer: str
    same: bool
    rows: tuple[ReleaseRow, ...]


@dataclass(frozen=True)
class ReleaseView:
    """A comparison page. ``unmatched``: models that only one of the audits has; ``tests``: changes tested."""

    pair: ReleasePair
    models: tuple[ModelChange, ...]
    unmatched: tuple[str, ...]
    tests: int


def release_pairs(entries: Sequence[Entry], kept: Iterable[str] = ()) -> tuple[ReleasePair, ...]:
    """Consecutive audits of one model or family, and the pairs ``kept`` by address from an earlier build."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in sorted(entries, key=_oldest_first):
        if entry.base is not None:
            groups.setdefault(("family", entry.base.name), []).append(entry)
        for name in dict.fromkeys(found.name for found in entry.models):
            groups.setdefault(("model", name), []).append(entry)
    found = {
        pair.address: pair for group in groups.values() for pair in map(ReleasePair, group[:-1], group[1:])
    }
    by_address = {entry.address: entry for entry in entries}
    for address in kept:
        older, _, newer = address.partition("..")
        if older in by_address and newer in by_address:
            found.setdefault(address, ReleasePair(by_address[older], by_address[newer]))
    return tuple(found[address] for address in sorted(found))


def release_view(pair: ReleasePair, rows: Rows) -> ReleaseView:
    """Everything a comparison page says; its changes and their p-values are those of ``fmaudit compare``."""
    matched, unmatched = match_models(pair.older, pair.newer)
    compared = _compared(pair, matched, rows)
    cells = {
        (model.newer.id, cell.key, cell.metric): cell
        for model in (compared.models if compared is not None else ())
        for cell in model.cells
        if not cell.contrast
    }
    models = []
    for old, new in matched:
        older, newer = Side(pair.older, old), Side(pair.newer, new)
        made = tuple(
            _row(older, newer, question, metric, cells.get((new.id, _key(newer, question), metric)), rows)
            for question, metric in _headline_numbers(older, newer)
        )
        same = bool(old.digest) and old.digest == new.digest
        models.append(ModelChange(old.role, shown_name(old.name), shown_name(new.name), same, made))
    rows.forget()
    return ReleaseView(pair, tuple(models), unmatched, compared.tests if compared is not None else 0)


def _compared(
    pair: ReleasePair, matched: Sequence[tuple[Subject, Subject]], rows: Rows
) -> ReleaseComparison | None:
    """The headline numbers of the matched models; None without any."""
    if not matched:
        return None
    named = {old.id: new.id for old, new in matched}
    return compare_releases(rows.of(pair.older), rows.of(pair.newer), named, headline=True)


def _key(side: Side, question: Question) -> str:
    found = side.measurement(question)
    return "" if found is None else found.id.removeprefix(f"{side.subject.id}/")


def match_models(older: Entry, newer: Entry) -> tuple[tuple[tuple[Subject, Subject], ...], tuple[str, ...]]:
    """Base with base; adapted models by name, then by id, then the only one left on each side.

    Returns:
        Matched models, and those without a counterpart in words. References are not compared.
    """
    pairs: list[tuple[Subject, Subject]] = []
    if older.base is not None and newer.base is not None:
        pairs.append((older.base, newer.base))
    left, right = _adapted(older), _adapted(newer)
    for key in ("name", "id"):
        for old in list(left):
            new = next((one for one in right if getattr(one, key) == getattr(old, key)), None)
            if new is not None:
                pairs.append((old, new))
                left.remove(old)
                right.remove(new)
    if len(left) == len(right) == 1:
        pairs.append((left.pop(), right.pop()))
    unmatched = [f"{shown_name(found.name)}: only in the earlier audit" for found in left]
    unmatched += [f"{shown_name(found.name)}: only in the later audit" for found in right]
    return tuple(pairs), tuple(unmatched)


def _adapted(entry: Entry) -> list[Subject]:
    return [found for found in entry.index.ordered_subjects if found.role == "adapted"]


def _headline_numbers(older: Side, newer: Side) -> list[tuple[Question, str]]:
    """Every headline number that one of the sides has; a question without any stands for itself."""
    found: dict[tuple[Question, str], None] = {}
    for side in (newer, older):
        index = side.entry.index
        for measurement in index.audit.measurements:
            if measurement.subject != side.subject.id:
                continue
            question = measurement.question
            titles = [metric.id for metric in index.metrics.declared(question) if metric.headline]
            given = [name for name in titles if _has(older, question, name) or _has(newer, question, name)]
            if not given and measurement.state != "measured":
                given = [""]
            found |= dict.fromkeys((question, name) for name in given)
    return list(found)


def _has(side: Side, question: Question, metric: str) -> bool:
    return side.estimate(question, metric) is not None


def _title(older: Side, newer: Side, question: Question, metric: str) -> str:
    side = newer if _has(newer, question, metric) else older
    if metric:
        return side.entry.index.metric_title(metric)
    measured = newer.measurement(question) or older.measurement(question)
    return (measured.title if measured else "") or question.probe


def _note(older: Side, newer: Side, question: Question) -> str:
    """Probe and question, and whether a number was imported."""
    records = (older.measurement(question), newer.measurement(question))
    imported = any(found is not None and found.assurance == "imported" for found in records)
    return " · ".join(part for part in (question.probe, question.label, "imported" * imported) if part)


def _row(
    older: Side, newer: Side, question: Question, metric: str, cell: ReleaseCell | None, rows: Rows
) -> ReleaseRow:
    known = (side.entry.index.metrics.get(metric, question.variant) for side in (newer, older))
    info = next((one for one in known if one is not None), None)
    numbers = None if cell is None else cell.change
    shown = None if numbers is None else number_view(numbers, scale_of(info, difference=True), partial=False)
    old, new = _verdict(older, question, metric), _verdict(newer, question, metric)
    return ReleaseRow(
        title=_title(older, newer, question, metric),
        note=_note(older, newer, question),
        older=_number(older, question, metric),
        newer=_number(newer, question, metric),
        change=shown,
        refused="" if numbers is not None else refusal(older, newer, question, cell, rows),
        reading=_reading(cell),
        verdicts=(_word(old), _word(new)),
        verdict_note=_verdict_note(old, new),
    )


def _number(side: Side, question: Question, metric: str) -> NumberView | None:
    estimate: Estimate | None = side.estimate(question, metric)
    if estimate is None:
        return None
    return side.entry.index.number(estimate, metric, estimate.measurement, difference=False)


def _reading(cell: ReleaseCell | None) -> Reading:
    word = "not compared" if cell is None else cell.reading
    return toned(_TONES.get(word, "open"), word)


_TONES: dict[str, Tone] = {"worse": "alert", "better": "calm"}


def _verdict(side: Side, question: Question, metric: str) -> Comparison | None:
    index: AuditIndex = side.entry.index
    for found in index.audit.comparisons:
        if found.adapted != side.subject.id or found.metric != metric or not headline(index, found):
            continue
        if found.step == "from_base" and index.question(found.measurement, metric) == question:
            return found
    return None


def _word(found: Comparison | None) -> str:
    return "not judged" if found is None else str(found.verdict)


def _verdict_note(old: Comparison | None, new: Comparison | None) -> str:
    """Where two verdicts were not reached by one rule, what differed."""
    if old is None or new is None:
        return ""
    said = []
    if old.margins != new.margins:
        said.append(f"margins differ: {margins_text(old.margins)}, then {margins_text(new.margins)}")
    lineages = [found.copy_fraction.lineages if found.copy_fraction else 0 for found in (old, new)]
    if lineages[0] != lineages[1]:
        said.append(f"lineages of references differ: {lineages[0]}, then {lineages[1]}")
    return "; ".join(said)


def _oldest_first(entry: Entry) -> tuple[bool, int, str]:
    return entry.moment is None, entry.moment or 0, entry.digest
