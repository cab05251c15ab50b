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
    fields = change_of_items(metric, base, adapted, pair.base, settings)
    both = base.valid & adapted.valid
    kept = pair.base.take(both)
    old, new = base.values[both], adapted.values[both]
    fields["base_value"] = _weighted(old, kept.weights)
    fields["adapted_value"] = _weighted(new, kept.weights)
    if isinstance(metric, Rate) and len(old) and np.isin(old, (0, 1)).all() and np.isin(new, (0, 1)).all():
        turned = metric.direction == "higher_is_better"
        n11, n10, n01, n00 = (
            statistics.paired_table(1 - old, 1 - new) if turned else statistics.paired_table(old, new)
        )
        fields["table"] = {"n11": n11, "n10": n10, "n01": n01, "n00": n00}
    return fields


def change_of_items(
    metric: Rate | Mean, base: ItemValues, adapted: ItemValues, rows: Answers, settings: Settings
) -> dict[str, Any]:
    """The fields of a paired change of ``metric`` between two values an item; ``rows`` as the base's."""
    both = base.valid & adapted.valid
    kept = rows.take(both)
    estimator = statistics.rate_change if isinstance(metric, Rate) else statistics.mean_change
    change = partial(estimator, level=settings.level, draws=DRAWS, seed=settings.seed)
    numbers = change(base.values[both], adapted.values[both], kept.weights, kept.clusters)
    coverage = min(_share(both, rows.weights), base.coverage, adapted.coverage)
    fields = number_fields(numbers, rows.samples, coverage)
    if coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    if not (ends := _ends(base, adapted)):
        return fields
    base_low, base_high, adapted_low, adapted_high = ends
    every = (rows.weights, rows.clusters)
    return fields | bounds_of_missing(
        change(base_high, adapted_low, *every), change(base_low, adapted_high, *every)
    )


def contrast(
    entry: Contrast, metric: Metric, answers: Answers, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of ``metric`` at level ``plus`` minus at level ``minus``, within one subject."""
    within = in_contrast(entry, answers)
    return _contrast(entry, item_values(pointwise_metric(entry, metric), within, measures), within, settings)


def contrast_of_change(
    entry: Contrast, metric: Metric, pair: Pair, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of the difference in differences: how far adaptation moved the contrast."""
    pointwise = pointwise_metric(entry, metric)
    within = in_contrast(entry, pair.base)
    base = item_values(pointwise, within, measures)
    adapted = item_values(pointwise, in_contrast(entry, pair.adapted), measures)
    return contrast_of_items(entry, base, adapted, within, settings)


def contrast_of_items(
    entry: Contrast, base: ItemValues, adapted: ItemValues, within: Answers, settings: Settings
) -> dict[str, Any]:
    """The fields of the contrast of ``adapted - base``, two values an item of the contrast's rows."""
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


def in_contrast(entry: Contrast, answers: Answers) -> Answers:
    """The rows on either side of a contrast."""
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


def pointwise_metric(entry: Contrast, metric: Metric) -> Rate | Mean:
    """The metric of a contrast. Raises ProbeError for a statistic, which has no value an item."""
    if isinstance(metric, Statistic):
        raise ProbeError(
            f"contrast {entry.id} is of {metric.id}, a statistic: contrasts take rates and means"
        )
    return metric


def _compare_statistic(metric: Statistic, pair: Pair, settings: Settings) -> dict[str, Any]:
    fields = change_of_statistic(metric, pair, settings)
    both = usable_items(metric, pair.base) & usable_items(metric, pair.adapted)
    for name, side in (("base_value", pair.base.take(both)), ("adapted_value", pair.adapted.take(both))):
        value = bind(metric, side)(side.weights) if side.n_items else float("nan")
        fields[name] = value if np.isfinite(value) else None
    return fields


def change_of_statistic(
    metric: Statistic, pair: Pair, settings: Settings, mirror: float | None = None
) -> dict[str, Any]:
    """The fields of a paired change of a statistic; with ``mirror``, from ``mirror`` minus the base's."""
    both = usable_items(metric, pair.base) & usable_items(metric, pair.adapted)
    base, adapted = pair.base.take(both), pair.adapted.take(both)
    plain = bind(metric, base)
    numbers = statistics.statistic_change(
        plain if mirror is None else lambda weight: mirror - plain(weight),
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
        return fields | bounds_of_complete(fields)
    if metric.worst is None:
        return fields
    low, high = metric.worst
    first, last = (low, high) if mirror is None else (mirror - high, mirror - low)
    ends = (low - last, high - first)
    return fields | {"worst": ends, "worst_interval": ends}


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
