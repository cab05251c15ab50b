"""Rows of evidence in a pack: counted, and in a public pack free of texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fmaudit.errors import ExecutionError
from fmaudit.pack.faults import Fault
from fmaudit.pack.redacted_rows import text_columns
from fmaudit.pack.redaction import holds_text, is_marker


def rows_fault(folder: Path, place: str, parts: Sequence[str], asked: int) -> Iterator[Fault]:
    """Parts that are missing or unreadable, or that hold another number of items than were asked."""
    items: set[str] = set()
    for number, name in enumerate(parts):
        if name != f"{place}/part-{number:05d}.parquet":
            yield Fault(f"{place}/part-{number:05d}.parquet", "is missing: the evidence is incomplete")
            return
        try:
            items.update(pq.read_table(folder / name, columns=["item_id"])["item_id"].to_pylist())
        except (pa.ArrowException, OSError, KeyError) as error:
            yield Fault(name, f"cannot be read: {str(error).splitlines()[0][:200]}")
            return
    if len(items) != asked:
        yield Fault(
            place, f"holds rows of {len(items)} items and {asked} were asked: the evidence is incomplete"
        )


def part_fault(folder: Path, name: str, levels: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """Texts that a part of a public pack still holds."""
    try:
        table = pq.read_table(folder / name)
        columns = text_columns(table, name)
        responses = table["responses"].to_pylist()
    except (pa.ArrowException, OSError, KeyError, ExecutionError) as error:
        yield Fault(name, f"cannot be read: {str(error).splitlines()[0][:200]}")
        return
    if any(map(holds_text, responses)):
        yield Fault(name, "holds generated text, and this is a public pack")
    for column in columns:
        known = levels.get(column, ())
        if not all(
            value is None or value in known or is_marker(value) for value in table[column].to_pylist()
        ):
            yield Fault(name, f"holds text in the column {column[:60]!r}, and this is a public pack")
