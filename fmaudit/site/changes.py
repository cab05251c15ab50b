"""What can be said between two audits of a model: estimates side by side, and paired changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fmaudit.analysis.release_records import ReleaseCell
from fmaudit.analysis.releases import Refusal, ReleasePair, ReleaseRows, release_pair
from fmaudit.evidence.directory import RunDirectory
from fmaudit.question import Question
from fmaudit.schema import Estimate, Measurement, Subject
from fmaudit.site.entries import Entry


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


class Rows:
    """Rows of the audits of a site, read when they are needed and kept for one pair at a time.

    ``notice`` is told, once each, why rows cannot be used.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._releases: dict[str, ReleaseRows] = {}
        self._said: set[str] = set()

    def forget(self) -> None:
        """Let go of what was read."""
        self._releases.clear()
        self._said.clear()

    def of(self, entry: Entry) -> ReleaseRows:
        """The rows of an audit."""
        if entry.digest not in self._releases:
            self._releases[entry.digest] = ReleaseRows(RunDirectory(entry.run), entry.index.audit)
        return self._releases[entry.digest]

    def say(self, line: str) -> None:
        """Tell the reader of the site."""
        if line not in self._said:
            self._said.add(line)
            self._notice(line)


def refusal(older: Side, newer: Side, question: Question, cell: ReleaseCell | None, rows: Rows) -> str:
    """Why there is no change of a number; the reader of the site is told why rows cannot be used."""
    first, second = older.measurement(question), newer.measurement(question)
    if first is None or second is None:
        return f"the {'earlier' if first is None else 'later'} audit did not ask it"
    found: Refusal | ReleasePair | None = None if cell is None else cell.refusal
    if cell is None:
        key = second.id.removeprefix(f"{newer.subject.id}/")
        sides = rows.of(older.entry), rows.of(newer.entry)
        found = release_pair(*sides, older.subject.id, newer.subject.id, key)
    if not isinstance(found, Refusal):
        return "neither audit holds this number"
    if found.detail:
        side = older if found.audit == "earlier" else newer
        rows.say(f"{side.entry.run.name}: {found.detail}")
    return found.reason
