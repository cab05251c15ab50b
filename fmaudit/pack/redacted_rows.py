"""Parquet parts of the evidence without texts."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fmaudit.analysis.measured import probe_of
from fmaudit.errors import ExecutionError, ProbeError
from fmaudit.evidence.rows import COUNT_PREFIX, FIXED_COLUMNS, REASON_SUFFIX, VALID_SUFFIX
from fmaudit.pack.redaction import HashKey, marker, redacted_responses
from fmaudit.probe import Categorical

Levels = Mapping[str, Collection[str]]
_RESPONSES = "responses"


class RedactedPart(NamedTuple):
    """The bytes of a part without texts, and how many were taken out."""

    data: bytes
    texts: int


def redacted_part(source: Path, name: str, levels: Levels, key: HashKey) -> RedactedPart:
    """A part of the evidence without the texts of its responses and of categorical measures.

    Args:
        source: The Parquet file.
        name: Its name in the run, which the keyed hashes cover.
        levels: By measure, the values that a probe declared; other values are free text.
        key: Of the keyed hashes.

    Raises:
        ExecutionError: it is no Parquet file, or has a column of which it is not known what it holds.
    """
    try:
        table = pq.read_table(source)
    except (pa.ArrowException, OSError) as error:
        raise ExecutionError(f"{name} cannot be read: {str(error).splitlines()[0]}; repeat the run") from None
    places = [
        {"file": name, "item": row["item_id"], "seed": row["seed"], "sample": row["sample"]}
        for row in table.select(["item_id", "seed", "sample"]).to_pylist()
    ]
    texts = 0
    for column in table.column_names:
        if column != _RESPONSES and not _is_text_measure(table, column, name):
            continue
        values = table[column].to_pylist()
        made = [
            _redacted(column, value, {**place, "column": column}, levels, key)
            for value, place in zip(values, places, strict=True)
        ]
        texts += sum(taken for _, taken in made)
        position = table.column_names.index(column)
        new = pa.array([value for value, _ in made], pa.string())
        table = table.set_column(position, table.schema.field(position), new)
    sink = io.BytesIO()
    pq.write_table(table.cast(_bare(table.schema)), sink, compression="zstd")
    return RedactedPart(sink.getvalue(), texts)


def text_columns(table: pa.Table, name: str) -> list[str]:
    """The measures of a part that are text. Raises ExecutionError for a column that is no evidence's."""
    return [column for column in table.column_names if _is_text_measure(table, column, name)]


def holds_notes(schema: pa.Schema) -> bool:
    """Whether the metadata of a part holds anything beside the counts that fmaudit writes there."""
    return not schema.equals(_bare(schema), check_metadata=True)


def declared_levels(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Levels]:
    """By subject and key, the levels of categorical measures as their probes declare them.

    A probe that is not installed declares nothing, so that its categories are taken for free text.
    """
    found: dict[tuple[str, str], Levels] = {}
    for entry in records:
        try:
            measures = probe_of(entry).measures
        except (ProbeError, KeyError, ValueError):
            measures = ()
        found[entry["subject"], entry["key"]] = {
            measure.id: measure.levels for measure in measures if isinstance(measure, Categorical)
        }
    return found


def _bare(schema: pa.Schema) -> pa.Schema:
    counts = {
        name: value
        for name, value in (schema.metadata or {}).items()
        if name.startswith(COUNT_PREFIX.encode()) and value.isdigit()
    }
    return pa.schema([field.remove_metadata() for field in schema], metadata=counts or None)


def _is_text_measure(table: pa.Table, column: str, name: str) -> bool:
    if column in FIXED_COLUMNS or _belongs_to_measure(table, column):
        return False
    kind = table.schema.field(column).type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if column + VALID_SUFFIX not in table.column_names or not (number or pa.types.is_string(kind)):
        raise ExecutionError(
            f"{name} has the column {column[:60]!r}, of which it is not known whether it is text"
        )
    return bool(pa.types.is_string(kind))


def _belongs_to_measure(table: pa.Table, column: str) -> bool:
    return any(
        column.endswith(suffix) and column.removesuffix(suffix) in table.column_names
        for suffix in (VALID_SUFFIX, REASON_SUFFIX)
    )


def _redacted(
    column: str, value: str | None, place: Mapping[str, str | int], levels: Levels, key: HashKey
) -> tuple[str | None, int]:
    if column == _RESPONSES:
        return redacted_responses(str(value), place, key)
    if value is None or value in levels.get(column, ()):
        return value, 0
    return marker(key.of_text(place, value)), 1
