"""The flipped items of every cell of the matrix, from the rows of evidence."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from fmaudit.analysis.measured import finished, probe_of
from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.pairs import Pair, pair_up
from fmaudit.analysis.pedigree import Scale, scale_of
from fmaudit.analysis.tables import Answers, answers_from, item_means
from fmaudit.errors import ExecutionError, FmauditError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.probe import Probe, Rate
from fmaudit.report.columns import RunRows, run_rows
from fmaudit.report.flips import MAX_FLIPS, FlipKind, FlippedItem, FlipSample
from fmaudit.report.verdict_words import is_defect
from fmaudit.schema import Audit, Comparison
from fmaudit.schema.metrics import metrics_of

_OUTCOMES: dict[FlipKind, tuple[float, float]] = {
    "introduced": (0.0, 1.0),
    "repaired": (1.0, 0.0),
    "persisted": (1.0, 1.0),
}


@dataclass(frozen=True)
class _Side:
    """What one subject answered to one measurement."""

    subject: str
    key: str
    probe: Probe
    answers: Answers


@dataclass(frozen=True)
class _Sides:
    """Base and adapted subject under one comparison."""

    base: _Side
    adapted: _Side
    metric: Rate


def flip_samples(run: RunDirectory, audit: Audit, rows: RunRows | None = None) -> list[FlipSample]:
    """A few items of each cell that flipped or persisted, chosen by the run's seed; texts as generated.

    ``rows``: those of the run, where they are read already.
    """
    rows = rows or run_rows(run)
    metrics = metrics_of(audit)
    read: dict[tuple[str, str], _Side] = {}
    samples = []
    for found in audit.comparisons:
        own = found.step == "from_base" and not found.slice and found.table is not None
        if not own or not is_defect(metrics.of(found)):
            continue
        try:
            samples.append(_sample(rows, found, _sides(rows, found, read)))
        except FmauditError as error:
            samples.append(FlipSample(found.id, {}, {}, rows.seed, f"the items cannot be listed: {error}"))
    return samples


def answers_of(rows: RunRows, subject: str, key: str) -> tuple[Probe, Answers]:
    """The installed probe of a measurement and what the subject answered, finished by that probe.

    Raises FmauditError where probe or rows are not there, or of another version.
    """
    entry = rows.records.get((subject, key))
    if entry is None:
        raise FmauditError(f"the run holds no measurement {subject}/{key}")
    probe = probe_of(entry)
    if probe.version != entry["version"]:
        raise FmauditError(f"version {entry['version']} of {probe.id} is not the installed {probe.version}")
    answers = answers_from(rows.table(subject, key), probe.measures)
    asked = entry["dataset"]["n_asked"]
    if answers.n_items != asked:
        raise ExecutionError(f"evidence of {subject}/{key} has {answers.n_items} of {asked} items")
    return probe, finished(probe, answers)


def _sides(rows: RunRows, found: Comparison, read: dict[tuple[str, str], _Side]) -> _Sides:
    key = found.measurement.removeprefix(f"{found.adapted}/")
    for subject in (found.base, found.adapted):
        if (subject, key) not in read:
            read[subject, key] = _Side(subject, key, *answers_of(rows, subject, key))
    adapted = read[found.adapted, key]
    name = found.metric.partition("/")[2]
    metric = next((metric for metric in adapted.probe.metrics if metric.id == name), None)
    if not isinstance(metric, Rate):
        raise FmauditError(f"the installed probe has no rate {name}")
    return _Sides(read[found.base, key], adapted, metric)


def _sample(rows: RunRows, found: Comparison, sides: _Sides) -> FlipSample:
    pair = _paired(sides.base.answers, sides.adapted.answers)
    measures = sides.adapted.probe.measures
    scale = scale_of(sides.metric) or Scale()
    before, after = (
        scale.defects(item_values(sides.metric, side, measures)).values for side in (pair.base, pair.adapted)
    )
    severities = [_severities(side, sides.metric) for side in (pair.base, pair.adapted)]
    chosen: dict[FlipKind, list[int]] = {}
    totals: dict[FlipKind, int] = {}
    for kind, (old, new) in _OUTCOMES.items():
        places = np.flatnonzero((before == old) & (after == new)).tolist()
        totals[kind] = len(places)
        picked = random.Random(f"{rows.seed}/{found.id}/{kind}").sample(places, min(MAX_FLIPS, len(places)))
        chosen[kind] = sorted(picked)
    ids = [str(name) for name in pair.base.item_ids]
    wanted = sorted({(ids[place], 0) for places in chosen.values() for place in places})
    texts = [rows.texts(side.subject, side.key, wanted) for side in (sides.base, sides.adapted)]
    items: dict[FlipKind, list[FlippedItem]] = {
        kind: [
            FlippedItem(
                ids[place],
                _finite(severities[0][place]),
                _finite(severities[1][place]),
                texts[0].get((ids[place], 0)),
                texts[1].get((ids[place], 0)),
            )
            for place in places
        ]
        for kind, places in chosen.items()
    }
    return FlipSample(found.id, items, totals, rows.seed)


def _paired(base: Answers, adapted: Answers) -> Pair:
    # Both asked in one order is the rule, and searching for the shared items of many takes long.
    same = np.array_equal(base.item_ids, adapted.item_ids)
    return Pair(base, adapted) if same else pair_up(base, adapted)


def _severities(answers: Answers, metric: Rate) -> np.ndarray:
    # Only the default pair of measures belongs together by its names.
    if metric.of != "outcome" or "severity" not in answers.numeric:
        return np.full(answers.n_items, np.nan)
    return item_means(answers.numeric["severity"])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
