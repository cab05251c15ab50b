"""One audit of a site: which models, when, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from fmaudit.errors import UsageError
from fmaudit.evidence.directory import RUN_FILE
from fmaudit.exports.write import moment_of
from fmaudit.report.banner import Banner, banner
from fmaudit.report.index import AuditIndex, without_paths
from fmaudit.report.tones import SYMBOLS, Tone
from fmaudit.report.verdict_words import ORDER, headline
from fmaudit.report.view import audit_digest
from fmaudit.schema import Subject, read_audit
from fmaudit.site.names import audit_address, name_address, shown_name

OUTCOMES: dict[Tone, str] = {
    "alert": "A defect is shown",
    "open": "Nothing can be concluded",
    "calm": "No headline number is shown to be worse",
}
UNDATED = "undated"


@dataclass(frozen=True)
class Named:
    """A model or family as pages name it, and the folder it has in the site."""

    name: str
    address: str


@dataclass(frozen=True)
class Entry:
    """One audit. ``moment``: when it ended, in seconds since 1970 (UTC); None where that is not known.

    ``index`` is of the audit without absolute paths; ``digest`` and ``data`` are of its canonical bytes.
    """

    run: Path
    index: AuditIndex
    digest: str
    data: bytes
    moment: int | None

    @cached_property
    def models(self) -> tuple[Subject, ...]:
        """What was audited: the adapted models, or the base where there is none."""
        subjects = self.index.ordered_subjects
        adapted = tuple(found for found in subjects if found.role == "adapted")
        return adapted or tuple(found for found in subjects if found.role == "base")

    @cached_property
    def base(self) -> Subject | None:
        """The base model; the family bears its name."""
        return next((found for found in self.index.ordered_subjects if found.role == "base"), None)

    @cached_property
    def address(self) -> str:
        """Its folder under ``audits/``: the same in every site that holds it."""
        chosen = self.models[0] if len(self.models) == 1 else self.base
        return audit_address(chosen.name if chosen else "audit", self.digest)

    @cached_property
    def heading(self) -> str:
        """What a card is headed with."""
        if len(self.models) == 1:
            return shown_name(self.models[0].name)
        base = shown_name(self.base.name) if self.base else "no base model"
        return f"{len(self.models)} models adapted from {base}" if self.models else base

    @cached_property
    def named_models(self) -> tuple[Named, ...]:
        """Each audited model once."""
        return tuple(_named(name) for name in dict.fromkeys(found.name for found in self.models))

    @cached_property
    def family(self) -> Named:
        """The family: the base model's name."""
        return _named(self.base.name) if self.base else Named("without a base model", "without-a-base-model")

    @cached_property
    def verdict(self) -> Banner:
        """The verdict the report opens with."""
        return banner(self.index)

    @property
    def outcome(self) -> str:
        """The verdict in one of the three phrases of ``OUTCOMES``."""
        return OUTCOMES[self.verdict.tone]

    @cached_property
    def words(self) -> tuple[tuple[str, int], ...]:
        """Verdict words of its headline comparisons, with how many; the gravest first."""
        counted = Counter(
            found.verdict for found in self.index.audit.comparisons if headline(self.index, found)
        )
        return tuple((str(word), counted[word]) for word in ORDER if counted[word])

    @property
    def time(self) -> str:
        """When it ended, as RFC 3339; empty where that is not known."""
        return "" if self.moment is None else rfc3339(self.moment)

    @property
    def day(self) -> str:
        """The day it ended, or ``undated``."""
        return self.time[:10] or UNDATED

    @property
    def symbol(self) -> str:
        """The shape of its tone."""
        return SYMBOLS[self.verdict.tone]


def rfc3339(moment: int) -> str:
    """Seconds since 1970 as a time of the form ``2026-03-01T12:00:30Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def given_moment(text: str | None) -> int | None:
    """A day, or a time with its zone, as seconds since 1970. Raises UsageError for another form."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or (found.tzinfo is None and len(text) > len("2026-03-01")) or found.year < 1970:
        raise UsageError(f"--date wants a day such as 2026-03-01, or a time with its zone, got {text[:40]!r}")
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def read_entries(
    runs: Sequence[Path], default: int | None, notice: Callable[[str], None]
) -> tuple[Entry, ...]:
    """The audits of these runs, each once, the newest first and the undated last.

    Args:
        runs: Finished run directories.
        default: The time of runs that record none.
        notice: Told what the reader of the site has to know.

    Raises:
        UsageError: A run is not finished, or holds a report with generated text.
    """
    found: dict[str, Entry] = {}
    for run in runs:
        entry = _read(run, default, notice)
        known = found.get(entry.digest)
        if known is not None:
            notice(f"{run.name} is the same audit as {known.run.name}: one entry")
        if known is None or _standing(entry) > _standing(known):
            found[entry.digest] = entry
    addresses = Counter(entry.address for entry in found.values())
    twice = next((address for address, count in addresses.items() if count > 1), None)
    if twice:
        raise UsageError(f"two audits share the address {twice}: publish them in two sites")
    return tuple(sorted(found.values(), key=_newest_first))


def has_rows(run: Path) -> bool:
    """Whether the rows of evidence are at hand."""
    return (run / RUN_FILE).is_file() and (run / "evidence").is_dir()


def _read(run: Path, default: int | None, notice: Callable[[str], None]) -> Entry:
    if not run.is_dir():
        raise UsageError(f"{run.name} is not a run directory: name the folder of a finished run")
    revealed = sorted(path.name for path in (run / "report").glob("report-revealed*"))
    if revealed:
        raise UsageError(
            f"{run.name} holds a report with generated text (report/{revealed[0]}): only redacted reports "
            "are published; delete it, or publish a copy of the run without it"
        )
    audit = read_audit(run)
    clean = without_paths(audit)
    if clean != audit:
        notice(f"audit.json of {run.name} holds an absolute path, and is published as it is")
    recorded = moment_of(run, {})
    if not has_rows(run):
        notice(f"{run.name} has no rows of evidence: its page shows none, and no change is computed from it")
    return Entry(
        run,
        AuditIndex(clean),
        audit_digest(audit),
        audit.to_bytes(),
        default if recorded is None else recorded,
    )


def _standing(entry: Entry) -> tuple[bool, int]:
    return has_rows(entry.run), -1 if entry.moment is None else entry.moment


def _newest_first(entry: Entry) -> tuple[bool, int, str]:
    return entry.moment is None, -(entry.moment or 0), entry.digest


def _named(name: str) -> Named:
    return Named(shown_name(name), name_address(name))
