"""The rows of a run as the columns of the explorer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fmaudit.analysis.measured import probe_of
from fmaudit.analysis.tables import Answers, item_means
from fmaudit.errors import FmauditError
from fmaudit.evidence.rows import FIXED_COLUMNS, REASON_SUFFIX
from fmaudit.probe import Probe
from fmaudit.question import question_of
from fmaudit.report.columns import RunRows, numbers_of
from fmaudit.report.explorer import (
    EncodedRows,
    MeasurementColumns,
    ModelName,
    SideColumns,
    SliceColumn,
    pack,
    sampled,
)
from fmaudit.report.flip_rows import answers_of
from fmaudit.report.index import AuditIndex, without_paths
from fmaudit.schema import Audit

MAX_PAYLOAD = 3_000_000
LEAST = 50
# What a measurement's items may take together before anything is tried; keeps the first packing short.
_MAX_ENTRIES = 2_000_000
_NOT_DEFINED = "not defined for this item"
_NO_REASON = "no reason recorded"


@dataclass(frozen=True)
class _Side:
    """What the rows of one subject say, item by item; ``reasons`` in words, empty for none."""

    ids: np.ndarray
    columns: SideColumns
    reasons: np.ndarray
    slices: Mapping[str, np.ndarray]
    severity: str
    binary: bool


def encoded_rows(rows: RunRows, audit: Audit, limit: int = MAX_PAYLOAD) -> EncodedRows:
    """All rows of a run for the explorer, without generated text.

    Beyond ``limit`` characters a sample of items. Rows that cannot be read are named in ``gaps``.
    """
    index = _names(audit)
    order = [subject.id for subject in index.ordered_subjects]
    models = [ModelName(index.subject_label(subject.id), subject.role) for subject in index.ordered_subjects]
    base = next((place for place, model in enumerate(models) if model.role == "base"), None)
    keys = dict.fromkeys(key for subject, key in rows.records if subject in order)
    reasons: dict[str, int] = {"": 0}
    measurements, gaps = [], []
    unlisted: dict[str, int] = {}
    for key in keys:
        sides = []
        for place, subject in enumerate(order):
            if (subject, key) not in rows.records:
                continue
            try:
                sides.append(_side(rows, subject, key, place))
                _count_unlisted(rows, subject, key, sides[-1], unlisted)
            except FmauditError as error:
                gaps.append(str(error))
        if sides:
            measurements.append(_measurement(rows.records, key, sides, reasons))
    total = sum(_count(found) for found in measurements)
    kept, payload = _fitted(measurements, models, list(reasons), base, (limit, rows.seed))
    return EncodedRows(
        payload=payload,
        held=sum(_count(found) for found in kept),
        total=total,
        questions=tuple(found.label for found in measurements),
        models=tuple(models),
        probes=tuple(dict.fromkeys(shlex.quote(found.probe) for found in measurements)),
        seed=rows.seed,
        least=LEAST,
        gaps=tuple(gaps),
        unlisted=tuple(sorted(unlisted.items())),
    )


def _count_unlisted(rows: RunRows, subject: str, key: str, side: _Side, unlisted: dict[str, int]) -> None:
    """Adds the rows of the evidence that finishing the probe used up, such as reference sequences."""
    left = rows.table(subject, key).num_rows - int(side.columns.asked.sum())
    if left > 0:
        probe = rows.records[subject, key]["probe"]
        unlisted[probe] = unlisted.get(probe, 0) + left


def _names(audit: Audit) -> AuditIndex:
    # Only names are needed, and cutting paths out of every number takes time.
    numbers = ("measurements", "estimates", "contrasts", "comparisons", "homogenization", "calibrations")
    return AuditIndex(without_paths(audit.model_copy(update={name: [] for name in numbers})))


def _count(found: MeasurementColumns) -> int:
    return int(sum(side.asked.sum() for side in found.sides))


def _fitted(
    measurements: Sequence[MeasurementColumns],
    models: Sequence[ModelName],
    reasons: Sequence[str],
    base: int | None,
    bounds: tuple[int, int],
) -> tuple[list[MeasurementColumns], str]:
    limit, seed = bounds
    entries = sum(len(found.ids) * len(found.sides) for found in measurements)
    rate, kept = min(1.0, _MAX_ENTRIES / max(entries, 1)), list(measurements)
    while True:
        if rate < 1:
            kept = [found.take(sampled(found, base, rate, LEAST, seed)) for found in measurements]
        payload = pack(kept, models, reasons)
        if len(payload) <= limit or rate * entries < 1:
            return kept, payload
        rate *= 0.95 * limit / len(payload)


def _side(rows: RunRows, subject: str, key: str, place: int) -> _Side:
    entry = rows.records[subject, key]
    if _finishes(entry):
        return _finished_side(rows, subject, key, place)
    table = rows.table(subject, key)
    encoded = table["item_id"].combine_chunks().dictionary_encode()
    item = encoded.indices.to_numpy()
    n = len(encoded.dictionary)
    binary = "outcome" in table.column_names
    severity = _severity_name(table)
    outcome = numbers_of(table["outcome"]) if binary else np.full(len(item), np.nan)
    value = numbers_of(table[severity]) if severity else np.full(len(item), np.nan)
    shown = outcome if binary else value
    known, valued = ~np.isnan(shown), ~np.isnan(value)
    valid = np.bincount(item[known], minlength=n)
    sums = np.bincount(item[valued], value[valued], minlength=n)
    counts = np.bincount(item[valued], minlength=n)
    heads = np.unique(item, return_index=True)[1]
    columns = SideColumns(
        place,
        np.bincount(item, minlength=n),
        valid,
        np.bincount(item[outcome == 1], minlength=n),
        np.where(counts > 0, sums / np.maximum(counts, 1), np.nan),
        np.zeros(n, dtype=int),
    )
    reasons = _reasons(table, ("outcome" if binary else severity) + REASON_SUFFIX, item, known, n)
    ids = np.array(encoded.dictionary.to_pylist(), dtype=object)
    return _Side(ids, columns, reasons, _slices(table.take(heads)), severity, binary)


def _finishes(entry: Mapping[str, Any]) -> bool:
    """Whether the probe fills measures once all items are answered; one that is not installed cannot."""
    try:
        probe = probe_of(entry)
    except FmauditError:
        return False
    return type(probe).finish is not Probe.finish


def _finished_side(rows: RunRows, subject: str, key: str, place: int) -> _Side:
    _, answers = answers_of(rows, subject, key)
    nothing = np.full((answers.n_items, 1), np.nan)
    outcome = answers.numeric.get("outcome", nothing)
    severity = "severity" if "severity" in answers.numeric else next(iter(answers.numeric), "")
    binary = "outcome" in answers.numeric
    value = answers.numeric.get(severity, nothing)
    valid = (~np.isnan(outcome if binary else value)).sum(axis=1)
    asked = np.full(answers.n_items, answers.samples)
    columns = SideColumns(
        place, asked, valid, (outcome == 1).sum(axis=1), item_means(value), np.zeros_like(asked)
    )
    reasons = np.where(valid < asked, _NOT_DEFINED, "").astype(object)
    return _Side(answers.item_ids, columns, reasons, _levels(answers), severity, binary)


def _levels(answers: Answers) -> Mapping[str, np.ndarray]:
    return {name: levels.astype(object) for name, levels in answers.slices.items()}


def _severity_name(table: pa.Table) -> str:
    if "severity" in table.column_names:
        return "severity"
    own = (name for name in table.column_names if name not in FIXED_COLUMNS)
    return next((name for name in own if pa.types.is_floating(table.schema.field(name).type)), "")


def _reasons(table: pa.Table, column: str, item: np.ndarray, known: np.ndarray, n: int) -> np.ndarray:
    found = np.full(n, "", dtype=object)
    if column in table.column_names and not known.all():
        given = table[column].filter(pa.array(~known)).to_pylist()
        # In reverse, so that the first sample of an item has the last word.
        for place, reason in zip(item[~known][::-1].tolist(), reversed(given), strict=True):
            found[place] = reason or _NO_REASON
    return found


def _slices(heads: pa.Table) -> dict[str, np.ndarray]:
    maps = heads["slices"].combine_chunks()
    if isinstance(maps, pa.ChunkedArray):
        maps = maps.chunk(0) if maps.num_chunks else pa.array([], maps.type)
    offsets = maps.offsets.to_numpy()
    owner = np.repeat(np.arange(len(maps)), np.diff(offsets))
    keys = maps.keys.slice(offsets[0], offsets[-1] - offsets[0])
    levels = maps.items.slice(offsets[0], offsets[-1] - offsets[0])
    found = {}
    for name in sorted(pc.unique(keys).to_pylist()):
        here = pc.equal(keys, name)
        column = np.full(len(maps), "", dtype=object)
        column[owner[here.to_numpy(zero_copy_only=False)]] = levels.filter(here).to_pylist()
        found[name] = column
    return found


def _measurement(
    records: Mapping[tuple[str, str], Mapping[str, Any]],
    key: str,
    sides: Sequence[_Side],
    reasons: dict[str, int],
) -> MeasurementColumns:
    ids, places = _united([side.ids for side in sides])
    entry = next(record for (_, name), record in records.items() if name == key)
    asked = question_of(entry)
    label = " · ".join(part for part in (asked.probe, asked.label) if part)
    names = sorted({name for side in sides for name in side.slices})
    slices = []
    for name in names:
        column = np.full(len(ids), "", dtype=object)
        for side, place in zip(sides, places, strict=True):
            if name in side.slices:
                column[place] = side.slices[name]
        slices.append(_coded(name, column))
    return MeasurementColumns(
        probe=entry["probe"],
        label=label,
        severity=next((side.severity for side in sides if side.severity), ""),
        binary=any(side.binary for side in sides),
        ids=ids,
        slices=tuple(slices),
        sides=tuple(
            _placed(side, place, len(ids), reasons) for side, place in zip(sides, places, strict=True)
        ),
    )


def _united(lists: Sequence[np.ndarray]) -> tuple[list[str], list[np.ndarray]]:
    first = lists[0].tolist()
    if all(len(one) == len(first) and one.tolist() == first for one in lists[1:]):
        return first, [np.arange(len(first))] * len(lists)
    index: dict[str, int] = {}
    for one in lists:
        for name in one.tolist():
            index.setdefault(name, len(index))
    return list(index), [np.array([index[name] for name in one.tolist()], dtype=int) for one in lists]


def _coded(name: str, column: np.ndarray) -> SliceColumn:
    encoded = pa.array(column.tolist(), pa.string()).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    levels = ["", *sorted(level for level in found if level)]
    place = {level: at for at, level in enumerate(levels)}
    codes = np.array([place[level] for level in found], dtype=int)[encoded.indices.to_numpy()]
    return SliceColumn(name, tuple(levels), codes)


def _placed(side: _Side, place: np.ndarray, n: int, reasons: dict[str, int]) -> SideColumns:
    codes = np.array(
        [reasons.setdefault(reason, len(reasons)) for reason in side.reasons.tolist()], dtype=int
    )
    columns = side.columns

    def put(values: np.ndarray, missing: float) -> np.ndarray:
        whole = np.full(n, missing, dtype=values.dtype)
        whole[place] = values
        return whole

    return SideColumns(
        columns.subject,
        put(columns.asked, 0),
        put(columns.valid, 0),
        put(columns.hits, 0),
        put(columns.severity, np.nan),
        put(codes, 0),
    )
