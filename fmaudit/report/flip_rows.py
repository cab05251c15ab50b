"""The flipped items of every cell of the matrix, from the rows of evidence."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fmaudit.analysis.measured import MeasuredRows, probes_of, read_measured
from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.pairs import pair_up
from fmaudit.analysis.pedigree import Scale, scale_of
from fmaudit.analysis.tables import Answers, item_means
from fmaudit.errors import FmauditError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.responses import decode_responses
from fmaudit.evidence.rows import read_parts
from fmaudit.probe import Rate
from fmaudit.report.flips import MAX_FLIPS, FlipKind, FlippedItem, FlipSample
from fmaudit.report.verdict_words import is_defect
from fmaudit.requests import Generations
from fmaudit.schema import Audit, Comparison

_OUTCOMES: dict[FlipKind, tuple[float, float]] = {
    "introduced": (0.0, 1.0),
    "repaired": (1.0, 0.0),
    "persisted": (1.0, 1.0),
}


@dataclass(frozen=True)
class _Sides:
    """The rows of base and adapted subject under one comparison."""

    base: MeasuredRows
    adapted: MeasuredRows
    metric: Rate


def flip_samples(run: RunDirectory, audit: Audit) -> list[FlipSample]:
    """A few items of each cell that flipped or persisted, chosen by the run's seed; texts as generated."""
    state = run.read_state() or {}
    seed = int(state.get("plan", {}).get("seed", 0))
    records = {
        (entry["subject"], entry["key"]): entry
        for entry in state.get("measurements", [])
        if entry["state"] == "measured"
    }
    metrics = {metric.id: metric for metric in audit.metrics}
    read: dict[tuple[str, str], MeasuredRows] = {}
    samples = []
    for found in audit.comparisons:
        own = found.step == "from_base" and not found.slice and found.table is not None
        if not own or not is_defect(metrics.get(found.metric)):
            continue
        try:
            samples.append(_sample(run, found, _sides(run, found, records, read), seed))
        except FmauditError as error:
            samples.append(FlipSample(found.id, {}, {}, seed, f"the items cannot be listed: {error}"))
    return samples


def _sides(
    run: RunDirectory,
    found: Comparison,
    records: Mapping[tuple[str, str], Mapping[str, Any]],
    read: dict[tuple[str, str], MeasuredRows],
) -> _Sides:
    key = found.measurement.removeprefix(f"{found.adapted}/")
    sides = []
    for subject in (found.base, found.adapted):
        entry = records.get((subject, key))
        if entry is None:
            raise FmauditError(f"the run holds no measurement {subject}/{key}")
        if (subject, key) not in read:
            probe = probes_of([entry])[entry["probe"], entry["variant"]]
            read[subject, key] = read_measured(run, entry, probe)
        sides.append(read[subject, key])
    name = found.metric.partition("/")[2]
    metric = next((metric for metric in sides[1].probe.metrics if metric.id == name), None)
    if not isinstance(metric, Rate):
        raise FmauditError(f"the installed probe has no rate {name}")
    return _Sides(sides[0], sides[1], metric)


def _sample(run: RunDirectory, found: Comparison, sides: _Sides, seed: int) -> FlipSample:
    pair = pair_up(sides.base.answers, sides.adapted.answers)
    measures = sides.adapted.probe.measures
    scale = scale_of(sides.metric) or Scale()
    before, after = (
        scale.defects(item_values(sides.metric, side, measures)).values for side in (pair.base, pair.adapted)
    )
    severities = [_severities(side, sides.metric) for side in (pair.base, pair.adapted)]
    chosen: dict[FlipKind, list[int]] = {}
    totals: dict[FlipKind, int] = {}
    for kind, (old, new) in _OUTCOMES.items():
        rows = np.flatnonzero((before == old) & (after == new)).tolist()
        totals[kind] = len(rows)
        picked = random.Random(f"{seed}/{found.id}/{kind}").sample(rows, min(MAX_FLIPS, len(rows)))
        chosen[kind] = sorted(picked)
    ids = [str(name) for name in pair.base.item_ids]
    wanted = sorted({ids[row] for rows in chosen.values() for row in rows})
    texts = [_texts(run, side, wanted) for side in (sides.base, sides.adapted)]
    items: dict[FlipKind, list[FlippedItem]] = {
        kind: [
            FlippedItem(
                ids[row],
                _finite(severities[0][row]),
                _finite(severities[1][row]),
                texts[0].get(ids[row]),
                texts[1].get(ids[row]),
            )
            for row in rows
        ]
        for kind, rows in chosen.items()
    }
    return FlipSample(found.id, items, totals, seed)


def _severities(answers: Answers, metric: Rate) -> np.ndarray:
    # Only the default pair of measures belongs together by its names.
    if metric.of != "outcome" or "severity" not in answers.numeric:
        return np.full(answers.n_items, np.nan)
    return item_means(answers.numeric["severity"])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _texts(run: RunDirectory, side: MeasuredRows, item_ids: Sequence[str]) -> dict[str, str]:
    table = read_parts(run.evidence(side.subject, side.key))
    wanted = pc.is_in(table["item_id"], value_set=pa.array(item_ids, pa.string()))
    kept = table.filter(pc.and_(wanted, pc.equal(table["sample"], 0)))
    found: dict[str, str] = {}
    for row in kept.select(["item_id", "responses"]).to_pylist():
        for response in decode_responses(row["responses"]):
            if isinstance(response, Generations) and response.samples:
                found.setdefault(row["item_id"], response.samples[0].text)
    return found
