"""The scores of answers read from the rows of a run, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fmaudit.analysis.measured import probe_of, read_measured
from fmaudit.errors import ExecutionError, FmauditError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import VALID_SUFFIX
from fmaudit.probe import Mean, Probe, Rate, Real
from fmaudit.question import measurement_id
from fmaudit.report.distribution import ScoreSample, SubjectScores, bin_edges
from fmaudit.schema import Audit

MAX_SCORES = 2
MAX_FINISHED_ROWS = 20_000
_OUTCOME, _SEVERITY = "outcome", "severity"
_TAIL = 0.5
_SAME = 1e-6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Columns:
    """The numbers of one model's rows, NaN where invalid."""

    values: Mapping[str, Floats]
    rows: int


def score_samples(run: RunDirectory, audit: Audit) -> list[ScoreSample]:
    """Histograms of the declared scores of every measurement; a reason where they cannot be read.

    A score is the severity, or a real measure that a metric averages and that has
    a better direction. At most two a measurement are read; the others are named.
    """
    state = run.read_state() or {}
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for entry in state.get("measurements", []):
        if entry["state"] == "measured":
            entries.setdefault(entry["key"], []).append(entry)
    known = {measurement.id for measurement in audit.measurements}
    samples: list[ScoreSample] = []
    for key, own in entries.items():
        mine = [entry for entry in own if measurement_id(entry["subject"], key) in known]
        if mine:
            samples += _samples(run, key, mine)
    return samples


def _samples(run: RunDirectory, key: str, entries: Sequence[Mapping[str, Any]]) -> list[ScoreSample]:
    first = measurement_id(entries[0]["subject"], key)
    try:
        probe = probe_of(entries[0])
    except FmauditError as error:
        said = str(error).splitlines()[0]
        return [_nothing(first, entries[0]["probe"], f"The scores cannot be read: {said}.")]
    scores = _scores(probe)
    if not scores:
        return []
    found: dict[str, _Columns] = {}
    failed: dict[str, str] = {}
    for entry in entries:
        try:
            found[entry["subject"]] = _read(run, entry, probe, scores)
        except (FmauditError, KeyError, OSError, ValueError) as error:
            failed[entry["subject"]] = str(error).splitlines()[0] if str(error) else "its rows cannot be read"
    if not found:
        return [_nothing(first, probe.title, f"The scores cannot be read: {next(iter(failed.values()))}.")]
    scores, shifts = _distinct(scores, found)
    where = next(
        (m.where for m in probe.metrics if isinstance(m, Rate) and m.of == _OUTCOME and m.where), None
    )
    left = tuple(score.description or score.id for score in scores[MAX_SCORES:])
    return [
        _sample(first, score, shifts.get(score.id), found, failed, where, left if place == 0 else ())
        for place, score in enumerate(scores[:MAX_SCORES])
    ]


def _nothing(measurement: str, title: str, reason: str) -> ScoreSample:
    return ScoreSample(measurement, "", title, "", (0.0, 1.0), 0, None, "", (), reason=reason)


def _scores(probe: Probe) -> list[Real]:
    averaged = {metric.of for metric in probe.metrics if isinstance(metric, Mean)}
    return [
        measure
        for measure in probe.measures
        if isinstance(measure, Real)
        and (measure.id == _SEVERITY or (measure.id in averaged and measure.direction != "none"))
    ]


def _distinct(scores: list[Real], found: Mapping[str, _Columns]) -> tuple[list[Real], dict[str, float]]:
    """The scores without a severity that is only a shifted score, and each one's threshold.

    Severity is positive where the outcome is 1; a score that differs from it by a
    constant is the same score in its own units, with that constant as threshold.
    """
    shifts = {_SEVERITY: 0.0}
    if all(score.id != _SEVERITY for score in scores):
        return scores, shifts
    severity = np.concatenate([columns.values[_SEVERITY] for columns in found.values()])
    # Of answers that all pass, two scores can differ by a constant that is no threshold.
    if not ((severity > 0).any() and (severity < 0).any()):
        return scores, shifts
    for score in scores:
        if score.id == _SEVERITY:
            continue
        gaps = np.concatenate(
            [columns.values[score.id] - columns.values[_SEVERITY] for columns in found.values()]
        )
        gaps = gaps[~np.isnan(gaps)]
        if gaps.size and float(np.ptp(gaps)) < _SAME:
            shifts[score.id] = round(float(gaps[0]), 9)
            return [other for other in scores if other.id != _SEVERITY], shifts
    return scores, shifts


def _read(run: RunDirectory, entry: Mapping[str, Any], probe: Probe, scores: Sequence[Real]) -> _Columns:
    wanted = [score.id for score in scores]
    wanted += [_OUTCOME] if any(measure.id == _OUTCOME for measure in probe.measures) else []
    if type(probe).finish is not Probe.finish:
        return _finished(run, entry, probe, wanted)
    if probe.version != entry["version"]:
        raise ExecutionError(
            f"they were made by version {entry['version']} of {probe.id}, which is not installed"
        )
    where = next(
        (m.where for m in probe.metrics if isinstance(m, Rate) and m.of == _OUTCOME and m.where), None
    )
    return _read_columns(run.evidence(entry["subject"], entry["key"]), wanted, where)


def _finished(run: RunDirectory, entry: Mapping[str, Any], probe: Probe, wanted: Sequence[str]) -> _Columns:
    """Measures that need all items at once exist only after the probe has finished them."""
    if entry["dataset"]["n_asked"] > MAX_FINISHED_ROWS:
        raise ExecutionError(
            f"they are computed from all items at once, of which there are over {MAX_FINISHED_ROWS:,}"
        )
    answers = read_measured(run, entry, probe).answers
    values = {name: np.asarray(answers.numeric[name], dtype=float).ravel() for name in wanted}
    return _Columns(values, answers.n_items * answers.samples)


def _read_columns(folder: Path, wanted: Sequence[str], where: tuple[str, str] | None) -> _Columns:
    """These measures of all rows, or of the rows at one slice level."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise ExecutionError(f"no evidence in {folder.parent.name}/{folder.name}")
    columns = [name for measure in wanted for name in (measure, measure + VALID_SUFFIX)]
    try:
        columns += ["slices"] if where else []
        # Blocks are small: threads and buffers would cost more than they save.
        table = pa.concat_tables(
            [pq.ParquetFile(part, pre_buffer=False).read(columns, use_threads=False) for part in parts]
        )
        if where is not None:
            column, level = where
            table = table.filter(pc.equal(pc.map_lookup(table["slices"], column, "first"), level))
    except pa.ArrowException as error:
        raise ExecutionError(f"evidence of {folder.name} is damaged: {str(error).splitlines()[0]}") from None
    values = {}
    for name in wanted:
        numbers = table[name].cast(pa.float64()).to_numpy().astype(float)
        values[name] = np.where(table[name + VALID_SUFFIX].to_numpy(), numbers, np.nan)
    return _Columns(values, table.num_rows)


def _sample(
    measurement: str,
    score: Real,
    threshold: float | None,
    found: Mapping[str, _Columns],
    failed: Mapping[str, str],
    where: tuple[str, str] | None,
    left: tuple[str, ...],
) -> ScoreSample:
    pooled = np.concatenate([columns.values[score.id] for columns in found.values()])
    pooled = pooled[np.isfinite(pooled)]
    edges = bin_edges(*_span(score, pooled))
    outside = int(((pooled < edges[0]) | (pooled > edges[-1])).sum())
    subjects = [_subject(name, columns, score.id, edges) for name, columns in found.items()]
    subjects += [SubjectScores(name, reason=reason) for name, reason in failed.items()]
    title = score.description or score.id
    return ScoreSample(
        measurement=measurement,
        measure=score.id,
        title=title[:1].upper() + title[1:],
        unit=score.unit,
        edges=edges,
        outside=outside,
        threshold=threshold,
        where=f"{where[0]}: {where[1]}" if where else "",
        subjects=tuple(subjects),
        left=left,
        reason="" if pooled.size else "No answer has a score.",
    )


def _span(score: Real, pooled: Floats) -> tuple[float, float]:
    """The declared ends, else those of the scores, without a tail that would flatten all the rest."""
    if score.low is not None and score.high is not None:
        return score.low, score.high
    if not pooled.size:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(pooled, [_TAIL, 100 - _TAIL]))
    room = (high - low) / 4
    return max(float(pooled.min()), low - room), min(float(pooled.max()), high + room)


def _subject(name: str, columns: _Columns, measure: str, edges: Sequence[float]) -> SubjectScores:
    values = columns.values[measure]
    valid = np.isfinite(values)
    own = values[valid]
    outcome = columns.values.get(_OUTCOME, np.full(values.shape, np.nan))[valid]
    # A score a rounding error below an edge belongs above it.
    width = (edges[-1] - edges[0]) * 1e-9
    counts, _ = np.histogram(np.clip(own + width, edges[0], edges[-1]), bins=np.asarray(edges))
    middle = [float(part) for part in np.percentile(own, [10, 50, 90])] if own.size else []
    return SubjectScores(
        subject=name,
        counts=tuple(int(count) for count in counts),
        asked=columns.rows,
        valid=int(own.size),
        judged=int(np.isfinite(outcome).sum()),
        defects=int((outcome == 1).sum()),
        middle=(middle[0], middle[1], middle[2]) if middle else None,
    )
