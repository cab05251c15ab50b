"""Rows of one measurement as arrays: items by samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fmaudit.errors import ExecutionError, ProbeError
from fmaudit.evidence.rows import REASON_SUFFIX, VALID_SUFFIX, read_parts
from fmaudit.probe import Categorical, Measure, Table, Yardstick


@dataclass(frozen=True)
class Answers:
    """What one subject answered to one measurement.

    ``numeric``: by measure, floats of shape (items, samples), NaN where invalid.
    ``text``: categorical measures, strings of shape (items, samples).
    The other arrays have one entry an item. ``shared``: the sampled items that some
    measures were taken against.
    """

    item_ids: np.ndarray
    weights: np.ndarray
    clusters: Mapping[str, np.ndarray]
    slices: Mapping[str, np.ndarray]
    numeric: Mapping[str, np.ndarray]
    text: Mapping[str, np.ndarray]
    reasons: Mapping[str, Mapping[str, int]]
    shared: Yardstick | None = None

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def samples(self) -> int:
        """Samples an item."""
        return max((matrix.shape[1] for matrix in self.numeric.values()), default=1)

    def take(self, rows: np.ndarray) -> Answers:
        """The answers at these item indices, or where this mask is true."""
        return replace(
            self,
            item_ids=self.item_ids[rows],
            weights=self.weights[rows],
            clusters={name: labels[rows] for name, labels in self.clusters.items()},
            slices={name: levels[rows] for name, levels in self.slices.items()},
            numeric={name: matrix[rows] for name, matrix in self.numeric.items()},
            text={name: matrix[rows] for name, matrix in self.text.items()},
            shared=None if self.shared is None else self.shared.take(rows),
        )

    def aligned(self, item_ids: np.ndarray) -> Answers:
        """The answers to these items, in this order."""
        index = {name: row for row, name in enumerate(self.item_ids.tolist())}
        return self.take(np.array([index[name] for name in item_ids.tolist()], dtype=int))

    def table(self, weight: np.ndarray | None = None) -> Table:
        """The item-level table a ``Statistic`` reads: samples reduced by the mean of the valid ones."""
        columns: dict[str, np.ndarray] = {name: item_means(matrix) for name, matrix in self.numeric.items()}
        columns |= {name: matrix[:, 0] for name, matrix in self.text.items()}
        return Table(columns, self.slices, self.clusters, self.weights if weight is None else weight)


def item_means(matrix: np.ndarray) -> np.ndarray:
    """Mean of the valid samples of each item; NaN where none is valid."""
    valid = ~np.isnan(matrix)
    counts = valid.sum(axis=1)
    sums = np.where(valid, matrix, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def among_items(among: tuple[str, int] | None, answers: Answers, *, certain: bool = False) -> np.ndarray:
    """Mask of the items in a denominator: those with the value of the measure, and unless ``certain``
    those whose value is not known.
    """
    if among is None:
        return np.ones(answers.n_items, dtype=bool)
    name, wanted = among
    if name not in answers.numeric:
        raise ProbeError(f"a metric is among measure {name!r}, which its probe does not declare")
    value = answers.numeric[name][:, 0]
    inside: np.ndarray = value == wanted
    return inside if certain else inside | np.isnan(value)


def read_answers(folder: Path, measures: Sequence[Measure]) -> Answers:
    """Read a measurement's evidence. Raises ExecutionError when it is missing or damaged."""
    return answers_from(read_parts(folder), measures)


def answers_from(table: pa.Table, measures: Sequence[Measure]) -> Answers:
    """Arrange rows, sorted by position and sample, into arrays.

    Raises ExecutionError when a measure has no column, and when an item lacks its first sample or has one
    sample twice.
    """
    absent = next((measure.id for measure in measures if measure.id not in table.column_names), None)
    if absent is not None:
        raise ExecutionError(
            f"the evidence has no column {absent!r}, which its probe declares: choose another folder with -o"
        )
    ids = table["item_id"].to_pylist()
    samples = np.asarray(table["sample"].to_pylist(), dtype=int)
    first = samples == 0
    order = {
        name: row for row, name in enumerate(name for name, head in zip(ids, first, strict=True) if head)
    }
    counted = Counter(zip(ids, samples.tolist(), strict=True))
    faulty = next((name for (name, _), times in counted.items() if times > 1 or name not in order), None)
    if faulty is not None:
        raise ExecutionError(
            f"evidence of item {faulty!r} is damaged: it needs every sample once, from 0; "
            "choose another folder with -o"
        )
    place = np.array([order[name] for name in ids], dtype=int)
    shape = (len(order), int(samples.max(initial=0)) + 1)
    heads = table.filter(pa.array(first))
    numeric: dict[str, np.ndarray] = {}
    text: dict[str, np.ndarray] = {}
    reasons: dict[str, Mapping[str, int]] = {}
    for measure in measures:
        values = table[measure.id].to_pylist()
        valid = np.asarray(table[measure.id + VALID_SUFFIX].to_pylist(), dtype=bool)
        if isinstance(measure, Categorical):
            matrix = np.full(shape, "", dtype=object)
            matrix[place, samples] = ["" if value is None else value for value in values]
            text[measure.id] = matrix
        else:
            numbers = np.full(shape, np.nan)
            numbers[place, samples] = [np.nan if value is None else float(value) for value in values]
            numeric[measure.id] = numbers
        given = (
            reason
            for reason, ok in zip(table[measure.id + REASON_SUFFIX].to_pylist(), valid, strict=True)
            if not ok
        )
        reasons[measure.id] = dict(sorted(Counter(given).items()))
    return Answers(
        item_ids=np.array(list(order), dtype=object),
        weights=np.asarray(heads["weight"].to_pylist(), dtype=float),
        clusters=_by_name(heads["clusters"].to_pylist(), list(order)),
        slices=_by_name(heads["slices"].to_pylist(), [""] * len(order)),
        numeric=numeric,
        text=text,
        reasons=reasons,
    )


def _by_name(pairs: Sequence[Sequence[tuple[str, str]]], default: Sequence[str]) -> dict[str, np.ndarray]:
    entries: list[dict[str, Any]] = [dict(entry) for entry in pairs]
    names = sorted({name for entry in entries for name in entry})
    return {
        name: np.array(
            [entry.get(name, fallback) for entry, fallback in zip(entries, default, strict=True)],
            dtype=object,
        )
        for name in names
    }
