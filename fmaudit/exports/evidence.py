"""The rows of a run as exports read them: one table a measurement, with the measures of its probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.responses import decode_responses
from fmaudit.evidence.rows import FIXED_COLUMNS, REASON_SUFFIX, VALID_SUFFIX, read_parts
from fmaudit.requests import Generations

# Subject and key of a measurement to its rows, in the order of the evidence.
EvidenceRows = Callable[[str, str], Iterator[Mapping[str, Any]]]


@dataclass(frozen=True)
class Measured:
    """The measures of one row: their values, and the reason of each that has none."""

    values: Mapping[str, Any]
    reasons: Mapping[str, str]


def evidence_rows(run: Path) -> EvidenceRows:
    """Rows of a run directory; a measurement without evidence has none."""
    directory = RunDirectory(run)

    def rows(subject: str, key: str) -> Iterator[Mapping[str, Any]]:
        folder = directory.evidence(subject, key)
        if not _inside(folder, run) or not any(folder.glob("part-*.parquet")):
            return
        for batch in read_parts(folder).to_batches():
            yield from batch.to_pylist()

    return rows


def measured(row: Mapping[str, Any]) -> Measured:
    """What the measures of a row say."""
    names = measure_names(row)
    return Measured(
        {name: row[name] for name in names if row.get(name + VALID_SUFFIX) and row[name] is not None},
        {
            name: str(row.get(name + REASON_SUFFIX) or "no value recorded")
            for name in names
            if not row.get(name + VALID_SUFFIX) or row[name] is None
        },
    )


def measure_names(columns: Mapping[str, Any] | list[str]) -> list[str]:
    """The columns that are measures of the probe, in their order."""
    return [name for name in columns if name not in FIXED_COLUMNS and name + VALID_SUFFIX in columns]


def generated_texts(row: Mapping[str, Any]) -> list[str]:
    """The texts that the model wrote for a row; scored text is the data set's own."""
    return [
        sample.text
        for response in decode_responses(str(row["responses"]))
        if isinstance(response, Generations)
        for sample in response.samples
    ]


def _inside(folder: Path, run: Path) -> bool:
    # Names of subjects and measurements come from a file: they may not lead out of the run.
    return folder.resolve().is_relative_to(run.resolve())
