"""Base against adapted on the items both answered, and signed sums of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.numbers import (
    DRAWS,
    STATISTIC_DRAWS,
    ItemValues,
    Settings,
    bind,
    estimate,
    item_values,
    number_fields,
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
    shared = np.isin(base.item_ids, adapted.item_ids)
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
    change = statistics.rate_change if isinstance(metric, Rate) else statistics.mean_change
    numbers = change(
        old, new, kept.weights, kept.clusters, level=settings.level, draws=DRAWS, seed=settings.seed
    )
    coverage = min(_share(both, pair.base.weights), base.coverage, adapted.coverage)
    fields = number_fields(numbers, pair.base.samples, coverage)
    fields |= _change_bounds(base, adapted, pair.base.weights)
    fields["base_value"] = _weighted(old, kept.weights)
    fields["adapted_value"] = _weighted(new, kept.weights)
    if isinstance(metric, Rate) and len(old) and np.isin(old, (0, 1)).all() and np.isin(new, (0, 1)).all():
        n11, n10, n01, n00 = statistics.paired_table(old, new)
        fields["table"] = {"n11": n11, "n10": n10, "n01": n01, "n00": n00}
    return fields


def contrast(
    entry: Contrast, metric: Metric, answers: Answers, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of ``metric`` at level ``plus`` minus at level ``minus``, within one subject."""
    found = item_values(_pointwise(entry, metric), answers, measures)
    return _contrast(entry, found.values, answers, settings, found.coverage)


def contrast_of_change(
    entry: Contrast, metric: Metric, pair: Pair, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of the difference in differences: how far adaptation moved the contrast."""
    pointwise = _pointwise(entry, metric)
    base, adapted = (
        item_values(pointwise, pair.base, measures),
        item_values(pointwise, pair.adapted, measures),
    )
    return _contrast(
        entry, adapted.values - base.values, pair.base, settings, min(base.coverage, adapted.coverage)
    )


def levels(answers: Answers, column: str) -> list[str]:
    """The levels of a slice column that occur, sorted; the empty level is no level."""
    found = answers.slices.get(column)
    return [] if found is None else sorted({str(level) for level in found} - {""})


def _contrast(
    entry: Contrast, values: np.ndarray, answers: Answers, settings: Settings, coverage: float
) -> dict[str, Any]:
    valid = ~np.isnan(values)
    kept = answers.take(valid)
    column = kept.slices[entry.column]
    numbers = statistics.contrast(
        values[valid],
        column == entry.plus,
        column == entry.minus,
        kept.weights,
        kept.clusters,
        level=settings.level,
        draws=DRAWS,
        seed=settings.seed,
    )
    return number_fields(numbers, answers.samples, coverage)


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
    coverage = _share(both, pair.base.weights)
    fields = number_fields(numbers, pair.base.samples, coverage)
    for name, side in (("base_value", base), ("adapted_value", adapted)):
        value = bind(metric, side)(side.weights) if side.n_items else float("nan")
        fields[name] = value if np.isfinite(value) else None
    return fields


def _change_bounds(base: ItemValues, adapted: ItemValues, weights: np.ndarray) -> dict[str, Any]:
    if (
        base.low is None
        or base.high is None
        or adapted.low is None
        or adapted.high is None
        or not len(weights)
    ):
        return {}
    least, most = _weighted(adapted.low - base.high, weights), _weighted(adapted.high - base.low, weights)
    return {"worst": (least, most)} if least is not None and most is not None else {}


def _share(rows: np.ndarray, weights: np.ndarray) -> float:
    return float(weights[rows].sum() / weights.sum()) if len(rows) else 0.0


def _weighted(values: np.ndarray, weights: np.ndarray) -> float | None:
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else None


__all__ = ["Pair", "compare", "contrast", "contrast_of_change", "estimate", "levels", "pair_up"]
