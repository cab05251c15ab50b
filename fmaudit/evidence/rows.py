"""Rows of evidence as Arrow tables: one row an item, subject, seed and sample."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmaudit.errors import ExecutionError, ProbeError
from fmaudit.probe import Binary, Categorical, Item, Measure, Observation

VALID_SUFFIX = ".valid"
REASON_SUFFIX = ".reason"
COUNT_PREFIX = "fmaudit.count."
_TEXT_MAP = pa.map_(pa.string(), pa.string())
_FIXED = (
    ("item_id", pa.string()),
    ("position", pa.int32()),
    ("block", pa.int32()),
    ("clusters", _TEXT_MAP),
    ("slices", _TEXT_MAP),
    ("weight", pa.float64()),
    ("seed", pa.int32()),
    ("sample", pa.int32()),
    ("responses", pa.string()),
)
FIXED_COLUMNS = tuple(name for name, _ in _FIXED)


@dataclass(frozen=True)
class Row:
    """One answer, ready to be written."""

    item: Item
    position: int
    block: int
    seed: int
    observation: Observation
    responses: str


def schema_of(measures: Sequence[Measure]) -> pa.Schema:
    """The Parquet schema of a probe. Raises ProbeError when a measure takes a reserved name."""
    fields = [pa.field(name, kind, nullable=False) for name, kind in _FIXED]
    for measure in measures:
        if measure.id in FIXED_COLUMNS or measure.id.endswith((VALID_SUFFIX, REASON_SUFFIX)):
            raise ProbeError(f"measure {measure.id!r} takes a reserved column name: rename it")
        fields += [
            pa.field(measure.id, _arrow_type(measure)),
            pa.field(measure.id + VALID_SUFFIX, pa.bool_(), nullable=False),
            pa.field(measure.id + REASON_SUFFIX, pa.string(), nullable=False),
        ]
    return pa.schema(fields)


def parquet_bytes(
    rows: Iterable[Row], measures: Sequence[Measure], counts: Mapping[str, int] | None = None
) -> bytes:
    """The bytes of one part, ``counts`` in its metadata; equal rows and counts give equal bytes."""
    schema = schema_of(measures)
    if counts:
        schema = schema.with_metadata({COUNT_PREFIX + name: str(counts[name]) for name in sorted(counts)})
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        _append(columns, row, measures)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def read_counts(folder: Path) -> dict[str, int]:
    """The counts of a measurement's parts, summed."""
    total: dict[str, int] = {}
    for part in sorted(folder.glob("part-*.parquet")):
        for key, count in part_counts(part).items():
            total[key] = total.get(key, 0) + count
    return total


def part_counts(part: Path) -> dict[str, int]:
    """The counts of one part."""
    return {
        name.decode().removeprefix(COUNT_PREFIX): int(count)
        for name, count in (pq.read_schema(part).metadata or {}).items()
        if name.decode().startswith(COUNT_PREFIX)
    }


def read_parts(folder: Path) -> pa.Table:
    """All rows of a measurement in position and sample order."""
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise ExecutionError(
            f"no evidence in {folder.parent.name}/{folder.name}: repeat the fmaudit run command"
        )
    try:
        table = pa.concat_tables([_read_part(part) for part in parts])
    except (pa.ArrowInvalid, OSError) as error:
        raise ExecutionError(
            f"evidence of {folder.name} cannot be read: {str(error).splitlines()[0]}"
        ) from None
    return table.sort_by([("position", "ascending"), ("sample", "ascending")])


def _read_part(part: Path) -> pa.Table:
    # `pq.read_table` takes twice the time of this for a small file: it plans a data set of files.
    with pq.ParquetFile(part) as file:
        return file.read()


def cleaned(observation: Observation, measures: Sequence[Measure]) -> Observation:
    """The observation with every non-finite value made invalid.

    Raises ProbeError when it does not account for each measure exactly once.
    """
    values, invalid = dict(observation.values), dict(observation.invalid)
    declared = {measure.id for measure in measures}
    if set(values) | set(invalid) != declared or set(values) & set(invalid):
        raise ProbeError(
            f"an observation must give each measure ({', '.join(sorted(declared))}) a value or a reason; "
            f"got values {sorted(values)} and reasons {sorted(invalid)}"
        )
    for name, value in list(values.items()):
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            values.pop(name)
            invalid[name] = "not a finite number"
    return Observation(values, invalid, observation.sample)


def _append(columns: dict[str, list[Any]], row: Row, measures: Sequence[Measure]) -> None:
    fixed: Mapping[str, Any] = {
        "item_id": row.item.id,
        "position": row.position,
        "block": row.block,
        "clusters": sorted((row.item.clusters or {"item": row.item.id}).items()),
        "slices": sorted(row.item.slices.items()),
        "weight": row.item.weight,
        "seed": row.seed,
        "sample": row.observation.sample,
        "responses": row.responses,
    }
    for name, value in fixed.items():
        columns[name].append(value)
    for measure in measures:
        value = row.observation.values.get(measure.id)
        columns[measure.id].append(int(value) if isinstance(measure, Binary) and value is not None else value)
        columns[measure.id + VALID_SUFFIX].append(measure.id not in row.observation.invalid)
        columns[measure.id + REASON_SUFFIX].append(row.observation.invalid.get(measure.id, ""))


def _arrow_type(measure: Measure) -> pa.DataType:
    if isinstance(measure, Binary):
        return pa.int8()
    return pa.string() if isinstance(measure, Categorical) else pa.float64()
