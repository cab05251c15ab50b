"""Base against adapted on the items both answered, and signed sums of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.numbers import (
    COMPLETE,
    DRAWS,
    STATISTIC_DRAWS,
    ItemValues,
    Settings,
    bind,
    bounds_of_complete,
    bounds_of_missing,
    estimate,
    item_values,
    number_fields,
    statistic_coverage,
    usable_items,
)
from fmaudit.analysis.tables import Answers
from fmaudit.errors import ProbeError
from fmaudit.probe import Contrast, Mean, Measure, Metric, Rate, Statistic


@dataclass(frozen=True)
class Pair:
    """Answers of base and adapted to the same items, in one order."""

    base: Answers
    adapted: Answers


def pair_up(base: Answers, adapted: Answers) -> Pair:
    """Keep the items both were asked, in the base's order."""
    # Sets, because np.isin compares objects pair by pair.
    known = set(adapted.item_ids.tolist())
    shared = np.fromiter((name in known for name in base.item_ids.tolist()), dtype=bool, count=base.n_items)
    ids = base.item_ids[shared]
    return Pair(base.take(shared), adapted.aligned(ids))


def compare(metric: Metric, pair: Pair, measures: Sequence[Measure], settings: Settings) -> dict[str, Any]:
    """The fields of a comparison: the change with its interval and p-value, both values, the 2x2 table."""
    if isinstance(metric, Statistic):
        return _compare_statistic(metric, pair, settings)
    base, adapted = item_values(metric, pair.base, measures), item_values(metric, pair.adapted, measures)
    both = base.valid & adapted.valid
    kept = pair.base.take(both)
    old, new = base.values[both], adapted.values[both]
    estimator = statistics.rate_change if isinstance(metric, Rate) else statistics.mean_change
    change = partial(estimator, level=settings.level, draws=DRAWS, seed=settings.seed)
    numbers = change(old, new, kept.weights, kept.clusters)
    coverage = min(_share(both, pair.base.weights), base.coverage, adapted.coverage)
    fields = number_fields(numbers, pair.base.samples, coverage)
    if coverage >= COMPLETE:
        fields |= bounds_of_complete(fields)
    elif ends := _ends(base, adapted):
        base_low, base_high, adapted_low, adapted_high = ends
        every = (pair.base.weights, pair.base.clusters)
        fields |= bounds_of_missing(
            change(base_high, adapted_low, *every), change(base_low, adapted_high, *every)
        )
    fields["base_value"] = _weighted(old, kept.weights)
    fields["adapted_value"] = _weighted(new, kept.weights)
    if isinstance(metric, Rate) and len(old) and np.isin(old, (0, 1)).all() and np.isin(new, (0, 1)).all():
        turned = metric.direction == "higher_is_better"
        n11, n10, n01, n00 = (
            statistics.paired_table(1 - old, 1 - new) if turned else statistics.paired_table(old, new)
        )
        fields["table"] = {"n11": n11, "n10": n10, "n01": n01, "n00": n00}
    return fields


def contrast(
    entry: Contrast, metric: Metric, answers: Answers, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of ``metric`` at level ``plus`` minus at level ``minus``, within one subject."""
    within = _in_contrast(entry, answers)
    return _contrast(entry, item_values(_pointwise(entry, metric), within, measures), within, settings)


def contrast_of_change(
    entry: Contrast, metric: Metric, pair: Pair, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of the difference in differences: how far adaptation moved the contrast."""
    pointwise = _pointwise(entry, metric)
    within = _in_contrast(entry, pair.base)
    base = item_values(pointwise, within, measures)
    adapted = item_values(pointwise, _in_contrast(entry, pair.adapted), measures)
    change = adapted.values - base.values
    low = high = None
    if ends := _ends(base, adapted):
        base_low, base_high, adapted_low, adapted_high = ends
        low, high = adapted_low - base_high, adapted_high - base_low
    both = _share(~np.isnan(change), within.weights)
    found = ItemValues(change, low, high, min(both, base.coverage, adapted.coverage))
    return _contrast(entry, found, within, settings)


def levels(answers: Answers, column: str) -> list[str]:
    """The levels of a slice column that occur, sorted; the empty level is no level."""
    found = answers.slices.get(column)
    return [] if found is None else sorted({str(level) for level in found} - {""})


def _in_contrast(entry: Contrast, answers: Answers) -> Answers:
    return answers.take(np.isin(answers.slices[entry.column], [entry.plus, entry.minus]))


def _contrast(entry: Contrast, found: ItemValues, answers: Answers, settings: Settings) -> dict[str, Any]:
    def estimated(values: np.ndarray, rows: Answers) -> statistics.Interval:
        column = rows.slices[entry.column]
        return statistics.contrast(
            values,
            column == entry.plus,
            column == entry.minus,
            rows.weights,
            rows.clusters,
            level=settings.level,
            draws=DRAWS,
            seed=settings.seed,
        )

    numbers = estimated(found.values[found.valid], answers.take(found.valid))
    fields = number_fields(numbers, answers.samples, found.coverage)
    if found.coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    if found.low is None or found.high is None:
        return fields
    plus = answers.slices[entry.column] == entry.plus
    least = estimated(np.where(plus, found.low, found.high), answers)
    most = estimated(np.where(plus, found.high, found.low), answers)
    return fields | bounds_of_missing(least, most)


def _pointwise(entry: Contrast, metric: Metric) -> Rate | Mean:
    if isinstance(metric, Statistic):
        raise ProbeError(
            f"contrast {entry.id} is of {metric.id}, a statistic: contrasts take rates and means"
        )
    return metric


def _compare_statistic(metric: Statistic, pair: Pair, settings: Settings) -> dict[str, Any]:
    both = usable_items(metric, pair.base) & usable_items(metric, pair.adapted)
    base, adapted = pair.base.take(both), pair.adapted.take(both)
    numbers = statistics.statistic_change(
        bind(metric, base),
        bind(metric, adapted),
        base.weights,
        base.clusters,
        level=settings.level,
        draws=STATISTIC_DRAWS,
        seed=settings.seed,
    )
    sides = (statistic_coverage(metric, side) for side in (pair.base, pair.adapted))
    coverage = min(_share(both, pair.base.weights), *sides)
    fields = number_fields(numbers, pair.base.samples, coverage)
    if coverage >= COMPLETE:
        fields |= bounds_of_complete(fields)
    elif metric.worst is not None:
        width = metric.worst[1] - metric.worst[0]
        fields |= {"worst": (-width, width), "worst_interval": (-width, width)}
    for name, side in (("base_value", base), ("adapted_value", adapted)):
        value = bind(metric, side)(side.weights) if side.n_items else float("nan")
        fields[name] = value if np.isfinite(value) else None
    return fields


def _ends(
    base: ItemValues, adapted: ItemValues
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Low and high values of base and adapted; None where the measure has no bounds."""
    if base.low is None or base.high is None or adapted.low is None or adapted.high is None:
        return None
    return base.low, base.high, adapted.low, adapted.high


def _share(rows: np.ndarray, weights: np.ndarray) -> float:
    return float(weights[rows].sum() / weights.sum()) if weights.sum() > 0 else 0.0


def _weighted(values: np.ndarray, weights: np.ndarray) -> float | None:
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else None


__all__ = ["Pair", "compare", "contrast", "contrast_of_change", "estimate", "levels", "pair_up"]
