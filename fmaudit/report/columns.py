"""Rows of evidence column by column: generated text stays on disk until single items are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.responses import decode_responses
from fmaudit.requests import Generations

_RESPONSES = "responses"
Answer: TypeAlias = tuple[str, int]
"""An item and which of its samples."""


@dataclass(frozen=True)
class RunRows:
    """The rows of a run, each measurement read once.

    ``records``: the measured entries of ``run.json`` by subject and key; ``seed``: the run's.
    """

    run: RunDirectory
    records: Mapping[tuple[str, str], Mapping[str, Any]]
    seed: int = 0
    tables: dict[tuple[str, str], pa.Table] = field(default_factory=dict)

    def table(self, subject: str, key: str) -> pa.Table:
        """All columns but the responses. Raises ExecutionError when there are no rows or they are damaged."""
        if (subject, key) not in self.tables:
            self.tables[subject, key] = read_columns(self.run.evidence(subject, key))
        return self.tables[subject, key]

    def texts(self, subject: str, key: str, answers: Sequence[Answer]) -> dict[Answer, str]:
        """The first generated text of each of these answers; reads only the blocks they are in."""
        table = self.table(subject, key)
        ids = pa.array(sorted({item for item, _ in answers}), pa.string())
        blocks = pc.unique(table.filter(pc.is_in(table["item_id"], value_set=ids))["block"]).to_pylist()
        folder = self.run.evidence(subject, key)
        wanted, found = set(answers), dict[Answer, str]()
        for block in sorted(blocks):
            part = _read([folder / f"part-{block:05d}.parquet"], ["item_id", "sample", _RESPONSES], folder)
            for row in part.filter(pc.is_in(part["item_id"], value_set=ids)).to_pylist():
                answer = (row["item_id"], row["sample"])
                if answer not in wanted:
                    continue
                for response in decode_responses(row[_RESPONSES]):
                    if isinstance(response, Generations) and response.samples:
                        found.setdefault(answer, response.samples[0].text)
        return found


def run_rows(run: RunDirectory) -> RunRows:
    """The rows of a run, none read yet."""
    state = run.read_state() or {}
    records = {
        (entry["subject"], entry["key"]): entry
        for entry in state.get("measurements", [])
        if entry["state"] == "measured"
    }
    return RunRows(run, records, int(state.get("plan", {}).get("seed", 0)))


def read_columns(folder: Path) -> pa.Table:
    """All rows of a measurement without their responses, in position and sample order.

    Raises ExecutionError when there are none or they cannot be read.
    """
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise ExecutionError(
            f"no evidence in {folder.parent.name}/{folder.name}: repeat the fmaudit run command"
        )
    table = _read(parts, None, folder)
    return table.sort_by([("position", "ascending"), ("sample", "ascending")]).combine_chunks()


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """A numeric column as floats, NaN where there is none."""
    values: np.ndarray = pc.cast(column, pa.float64()).to_numpy()
    return values


def _read(parts: Sequence[Path], columns: Sequence[str] | None, folder: Path) -> pa.Table:
    try:
        # A data set reads many small files several times faster than a loop over them.
        found = ds.dataset([str(part) for part in parts], format="parquet")
        wanted = columns or [name for name in found.schema.names if name != _RESPONSES]
        return found.to_table(columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise ExecutionError(
            f"evidence of {folder.name} cannot be read: {str(error).splitlines()[0]}"
        ) from None
