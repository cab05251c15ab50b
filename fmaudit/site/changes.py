"""What can be said between two audits of a model: estimates side by side, and paired changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isclose, nan
from typing import Any

import numpy as np

from fmaudit.analysis.comparisons import field
from fmaudit.analysis.measured import MeasuredRows, probes_of, read_measured
from fmaudit.analysis.numbers import Settings, bind, item_values, usable_items
from fmaudit.analysis.pairs import Pair, compare, pair_up
from fmaudit.analysis.records import slices
from fmaudit.analysis.tables import Answers
from fmaudit.errors import FmauditError
from fmaudit.evidence.directory import RunDirectory, first_difference
from fmaudit.probe import Metric, Statistic
from fmaudit.report.index import Question, question_of
from fmaudit.schema import Estimate, Measurement, Numbers, Subject
from fmaudit.site.entries import Entry, has_rows

_SAME = 1e-9
"""Relative and absolute: sums of one set of rows in another order."""


@dataclass(frozen=True)
class Side:
    """One model of one audit."""

    entry: Entry
    subject: Subject

    def measurement(self, question: Question) -> Measurement | None:
        """Its measurement of a question."""
        index = self.entry.index
        return next(
            (
                found
                for found in index.audit.measurements
                if found.subject == self.subject.id and index.question(found.id, "") == question
            ),
            None,
        )

    def estimate(self, question: Question, metric: str) -> Estimate | None:
        """Its number over all items."""
        return self.entry.index.estimates.get((self.subject.id, question, metric))


@dataclass(frozen=True)
class Change:
    """The later number minus the earlier one on the same items, or ``refused``: why there is none."""

    numbers: Numbers | None
    refused: str = ""


class Rows:
    """Rows of the audits of a site, read when they are needed and kept for one pair at a time."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._read: dict[tuple[str, str], MeasuredRows | None] = {}

    def forget(self) -> None:
        """Let go of what was read."""
        self._read.clear()

    def of(self, side: Side, measurement: Measurement) -> MeasuredRows | None:
        """The rows behind a measurement; None where they are not at hand or cannot be read."""
        place = (side.entry.digest, measurement.id)
        if place not in self._read:
            self._read[place] = self._load(side, measurement)
        return self._read[place]

    def _load(self, side: Side, measurement: Measurement) -> MeasuredRows | None:
        run = RunDirectory(side.entry.run)
        try:
            record = _record(run, measurement) if has_rows(run.path) else None
            if record is None:
                return None
            return read_measured(run, record, probes_of([record])[record["probe"], record["variant"]])
        except FmauditError as error:
            self._notice(f"{run.path.name}: {error}")
            return None


def change(older: Side, newer: Side, question: Question, metric: str, rows: Rows) -> Change:
    """The paired change of ``metric`` from ``older`` to ``newer``, where they were asked the same question.

    Only rows of both audits, of the same items under the same protocol, give a difference.
    """
    first, second = older.measurement(question), newer.measurement(question)
    for word, found in (("earlier", first), ("later", second)):
        if found is None:
            return Change(None, f"the {word} audit did not ask it")
        if found.state != "measured":
            return Change(None, f"{found.state} in the {word} audit: {found.reason or 'no reason recorded'}")
    assert first is not None
    assert second is not None
    differs = differing_fields(first.protocol, second.protocol)
    if differs:
        return Change(None, f"the protocols differ in {differs}")
    old, new = rows.of(older, first), rows.of(newer, second)
    if old is None or new is None:
        gone = "the earlier audit" if old is None else "the later audit"
        return Change(None, f"the rows of evidence of {gone} are not at hand")
    return _paired(older, newer, old, new, metric)


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The fields in which two protocols differ, by commas; empty where they are the same protocol."""
    names = sorted((set(first) | set(second)) - {"digest"})
    found = [first_difference(first.get(name), second.get(name), name) for name in names]
    differing = [place for place in found if place]
    if not differing and first.get("digest") != second.get("digest"):
        return "their digest"
    return ", ".join(differing)


def _paired(older: Side, newer: Side, old: MeasuredRows, new: MeasuredRows, metric: str) -> Change:
    # Both subjects may have one id: they are told apart by which audit they are of.
    old, new = replace(old, subject="earlier"), replace(new, subject="later")
    subjects = [
        older.subject.model_copy(update={"id": "earlier"}),
        newer.subject.model_copy(update={"id": "later"}),
    ]
    settings = Settings(seed=int(new.protocol.get("seed") or 0))
    chosen = next((one for one in new.probe.metrics if f"{new.probe.id}/{one.id}" == metric), None)
    if chosen is None:
        return Change(None, "the installed probe does not have this number")
    refusal = field([old, new], subjects, settings).refusal(old, new, chosen)
    if refusal:
        return Change(None, refusal)
    if sorted(old.answers.item_ids.tolist()) != sorted(new.answers.item_ids.tolist()):
        return Change(None, "the rows of evidence are not of the same items")
    for word, side, found in (("earlier", older, old), ("later", newer, new)):
        if not _reproduces(side, found, chosen):
            return Change(None, f"the rows of evidence do not give the {word} audit's own number")
    whole = pair_up(old.answers, new.answers)
    carrying = _carrying(chosen, whole.base)
    pair = Pair(whole.base.take(carrying), whole.adapted.take(carrying))
    fields = compare(chosen, pair, new.probe.measures, settings)
    if old.partial or new.partial:
        fields |= {"conclusive": False, "reason": fields["reason"] or "a run was cut short (-L)"}
    return Change(Numbers(**{name: value for name, value in fields.items() if name in Numbers.model_fields}))


def _carrying(metric: Metric, answers: Answers) -> np.ndarray:
    """The items that a number over all items is taken of."""
    _, rows = next(slices(metric, answers))
    return rows


def _reproduces(side: Side, found: MeasuredRows, metric: Metric) -> bool:
    """Whether the rows give the value that the audit holds: else they are not the rows it was made from."""
    record = next(one for one in side.entry.index.audit.measurements if one.id == found.id)
    stated = side.estimate(question_of(record), f"{found.probe.id}/{metric.id}")
    if stated is None or stated.value is None:
        return stated is not None
    answers = found.answers.take(_carrying(metric, found.answers))
    if isinstance(metric, Statistic):
        answers = answers.take(usable_items(metric, answers))
        value = bind(metric, answers)(answers.weights)
    else:
        values = item_values(metric, answers, found.probe.measures)
        weights = answers.weights[values.valid]
        value = float(values.values[values.valid] @ weights / weights.sum()) if weights.sum() > 0 else nan
    return isclose(value, stated.value, rel_tol=_SAME, abs_tol=_SAME)


def _record(run: RunDirectory, measurement: Measurement) -> dict[str, Any] | None:
    for record in (run.read_state() or {}).get("measurements", ()):
        if f"{record['subject']}/{record['key']}" == measurement.id and record["state"] == "measured":
            found: dict[str, Any] = record
            return found
    return None
