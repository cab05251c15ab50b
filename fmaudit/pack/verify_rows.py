"""Rows of evidence in a pack: counted, and in a public pack free of texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fmaudit.errors import ExecutionError
from fmaudit.pack.faults import Fault
from fmaudit.pack.redacted_rows import holds_notes, text_columns
from fmaudit.pack.redaction import holds_text, is_marker

MAX_ROWS = 1_000_000
MAX_UNPACKED = 2 << 30
"""Rows of one part, and bytes that it says it unpacks to, of what is read into memory."""


def rows_fault(folder: Path, place: str, parts: Sequence[str], asked: int) -> Iterator[Fault]:
    """Parts that are missing or unreadable, or that hold another number of items than were asked."""
    items: set[str] = set()
    for number, name in enumerate(parts):
        if name != f"{place}/part-{number:05d}.parquet":
            yield Fault(f"{place}/part-{number:05d}.parquet", "is missing: the evidence is incomplete")
            return
        try:
            items.update(_read(folder / name, ["item_id"])["item_id"].unique().to_pylist())
        except (pa.ArrowException, OSError, KeyError, ExecutionError) as error:
            yield Fault(name, f"cannot be read: {str(error).splitlines()[0][:200]}")
            return
    if len(items) != asked:
        yield Fault(
            place, f"holds rows of {len(items)} items and {asked} were asked: the evidence is incomplete"
        )


def part_fault(folder: Path, name: str, levels: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """Texts that a part of a public pack still holds."""
    try:
        table = _read(folder / name)
        columns = text_columns(table, name)
        responses = table["responses"].to_pylist()
    except (pa.ArrowException, OSError, KeyError, ExecutionError) as error:
        yield Fault(name, f"cannot be read: {str(error).splitlines()[0][:200]}")
        return
    if holds_notes(table.schema):
        yield Fault(name, "holds notes in its metadata, and this is a public pack")
    if any(map(holds_text, responses)):
        yield Fault(name, "holds generated text, and this is a public pack")
    for column in columns:
        known = levels.get(column, ())
        if not all(
            value is None or value in known or is_marker(value) for value in table[column].to_pylist()
        ):
            yield Fault(name, f"holds text in the column {column[:60]!r}, and this is a public pack")


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Rows of a part. Raises ExecutionError for one that says it is too large to be read."""
    with pq.ParquetFile(path) as part:
        known = part.metadata
        unpacked = sum(known.row_group(number).total_byte_size for number in range(known.num_row_groups))
        if known.num_rows > MAX_ROWS or unpacked > MAX_UNPACKED:
            raise ExecutionError(f"it holds more than {MAX_ROWS:,} rows or {MAX_UNPACKED >> 30} GiB")
        return part.read(columns)
