"""What of a run a public pack shows, what it shows without texts, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import canonical_bytes
from fmaudit.pack.redacted_rows import Levels, RedactedPart, declared_levels, redacted_part
from fmaudit.pack.redaction import ALGORITHM, HashKey

REDACTIONS_FILE = "redactions.json"
SCHEMA = "fmaudit/redactions/1"
_SHOWN = re.compile(
    r"(audit|run)\.json|report/report\.(html|md|pdf)|"
    r"gate/(superseded/look-[0-9]+-)?[0-9a-f]{64}\.(json|policy\.yaml|waivers\.yaml)"
)
_PART = re.compile(r"evidence/([^/]+)/([^/]+)/part-[0-9]+\.parquet")


@dataclass(frozen=True)
class Split:
    """Names of a run's files by what becomes of them in a public pack."""

    shown: tuple[str, ...]
    redacted: tuple[str, ...]
    left_out: tuple[str, ...]


def split(names: Iterable[str]) -> Split:
    """Sort the files of a run. What is not known to be free of texts is left out."""
    ordered = sorted(names)
    shown = tuple(name for name in ordered if _SHOWN.fullmatch(name))
    redacted = tuple(name for name in ordered if _PART.fullmatch(name))
    return Split(shown, redacted, tuple(name for name in ordered if name not in {*shown, *redacted}))


class Redactor:
    """Takes the texts out of one run's evidence with one key."""

    def __init__(self, run: Path, records: Sequence[Mapping[str, Any]], key: HashKey) -> None:
        self._run = run
        self._levels = declared_levels(records)
        self._key = key

    def part(self, name: str) -> RedactedPart:
        """A part of the evidence without texts. Raises ExecutionError where it cannot be read."""
        return redacted_part(self._run / name, name, self._levels_of(name), self._key)

    def record(self, parts: Mapping[str, int], left_out: Iterable[str]) -> bytes:
        """``redactions.json``: how many texts were taken out of which part, keyed hashes of the originals.

        Args:
            parts: Number of texts taken out, by name of the part.
            left_out: Names of the files that are not in the pack.
        """
        levels: dict[str, dict[str, list[str]]] = {}
        for (subject, key), declared in sorted(self._levels.items()):
            if declared:
                levels[f"{subject}/{key}"] = {name: sorted(values) for name, values in declared.items()}
        return canonical_bytes(
            {
                "schema": SCHEMA,
                "algorithm": ALGORITHM,
                "key": self._key.id,
                "evidence": [
                    {"file": name, "texts": texts, "hash": self._key.of_file(name, self._run / name)}
                    for name, texts in sorted(parts.items())
                ],
                "left_out": [
                    {"file": name, "hash": self._key.of_file(name, self._run / name)}
                    for name in sorted(left_out)
                ],
                "levels": levels,
            }
        )

    def _levels_of(self, name: str) -> Levels:
        match = _PART.fullmatch(name)
        assert match is not None, name
        subject, folder = match.groups()
        return self._levels.get((subject, folder.partition("#")[0]), {})


def redaction_summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the pack's statement says of ``redactions.json``."""
    return {
        "algorithm": record["algorithm"],
        "key": record["key"],
        "texts": sum(entry["texts"] for entry in record["evidence"]),
        "files": len(record["left_out"]),
    }
