"""A card of the key numbers: a few sentences, or a table where there are many models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import NumberView
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.schema import Comparison, ContrastResult, Estimate


@dataclass(frozen=True)
class Statement:
    """One sentence with its number.

    ``lead`` is before the value, ``at`` its place in the audit; ``label`` names what its basis is of.
    """

    lead: str
    value: str
    rest: str
    basis: str
    at: str = ""
    label: str = ""

    @property
    def rests(self) -> str:
        """What it rests on, under its label."""
        return f"{self.label or self.lead.rstrip(':')}: {self.basis}."


@dataclass(frozen=True)
class Reading:
    """A word with its tone and the mark that carries both without colour."""

    tone: Tone
    word: str
    symbol: str


@dataclass(frozen=True)
class KeyRow:
    """One model's number, or its change from the base with the word for it."""

    label: str
    role: str
    value: str
    interval: str
    p: str
    basis: str
    reading: Reading | None = None
    at: str = ""


@dataclass(frozen=True)
class KeyNumber:
    """A card: what was asked, the verdict word, sentences or rows, and what they rest on.

    ``count`` says how many of several adapted models the word is given to; empty where there is one.
    ``table_words``: what the decision table says of the same number, where the word is not from there.
    """

    topic: str
    title: str
    reading: Reading
    statements: tuple[Statement, ...]
    basis: str
    rows: tuple[KeyRow, ...] = ()
    changes: tuple[KeyRow, ...] = ()
    count: str = ""
    table_words: str = ""

    @property
    def tone(self) -> Tone:
        """The tone of its word."""
        return self.reading.tone

    @property
    def word(self) -> str:
        """The verdict word, or what was seen."""
        return self.reading.word

    @property
    def symbol(self) -> str:
        """The shape that carries the tone without colour."""
        return self.reading.symbol

    @property
    def tables(self) -> tuple[tuple[str, tuple[KeyRow, ...]], ...]:
        """Rows under their headings: each model, then the changes."""
        found = (("Each model", self.rows), ("Change from the base", self.changes))
        return tuple((title, rows) for title, rows in found if rows)

    @property
    def size(self) -> str:
        """How much the first number rests on."""
        said = [statement.basis for statement in self.statements]
        bases = (basis for basis in (*said, *(row.basis for row in (*self.rows, *self.changes))) if basis)
        return next((", ".join(basis.split(", ")[:2]) for basis in bases), "no answers")

    @property
    def rests(self) -> tuple[str, ...]:
        """What every number rests on; rows that rest on the same share a line."""
        shared: dict[str, list[str]] = {}
        for row in (*self.rows, *self.changes):
            if row.basis:
                shared.setdefault(row.basis, []).append(row.label)
        lines = [said.rests for said in self.statements if said.basis]
        return (*lines, *(f"{', '.join(dict.fromkeys(who))}: {basis}." for basis, who in shared.items()))


def toned(tone: Tone, word: str) -> Reading:
    """A reading with the shape of its tone."""
    return Reading(tone, word, SYMBOLS[tone])


def topic_of(index: AuditIndex, metric: str, measurement: str) -> str:
    """The family of probes a number belongs to."""
    found = index.measurements.get(measurement)
    return (found.family if found else "") or index.question(measurement, metric).probe.partition(".")[0]


def basis_of(index: AuditIndex, numbers: Estimate | ContrastResult | Comparison) -> str:
    """Probe, question and protocol of a number."""
    question = index.question(numbers.measurement, numbers.metric)
    protocol = index.protocol(numbers.measurement)
    parts: Sequence[str] = (question.probe, question.label, f"protocol {protocol}" if protocol else "")
    return " · ".join(part for part in parts if part)


def size_of(view: NumberView) -> str:
    """Items, coverage, what the missing could change, and the method."""
    worst = (
        f", {view.worst} if the missing are counted either way" if view.worst and not view.complete else ""
    )
    return f"n {view.n}, coverage {view.coverage}{worst}, {view.method}" if view.has_value else ""
