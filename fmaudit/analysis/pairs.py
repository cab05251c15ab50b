"""Base against adapted on the items both answered, and signed sums of slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.gaps import gap_comparison
from fmaudit.analysis.numbers import (
    COMPLETE,
    DRAWS,
    STATISTIC_DRAWS,
    ItemValues,
    Settings,
    bounds_of_complete,
    bounds_of_missing,
    estimate,
    item_values,
    number_fields,
    statistic_coverage,
    usable_items,
    varied,
)
from fmaudit.analysis.shared import change_with_shared_references
from fmaudit.analysis.statistic_ends import OfWeights, bind, bind_ends
from fmaudit.analysis.tables import Answers, among_items
from fmaudit.errors import ProbeError
from fmaudit.probe import Contrast, Gap, Mean, Measure, Metric, Rate, Statistic


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
    if isinstance(metric, Gap):
        return gap_comparison(metric, pair.base, pair.adapted, settings)
    if isinstance(metric, Statistic):
        return _compare_statistic(metric, pair, measures, settings)
    base, adapted = item_values(metric, pair.base, measures), item_values(metric, pair.adapted, measures)
    fields = change_of_items(metric, base, adapted, pair, settings)
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
    metric: Rate | Mean,
    base: ItemValues,
    adapted: ItemValues,
    pair: Pair,
    settings: Settings,
    *,
    mirrored: bool = False,
) -> dict[str, Any]:
    """The fields of a paired change of ``metric`` between two values an item of the pair's rows.

    ``mirrored``: ``base`` holds the mirror image of the base's values.
    """
    both = base.valid & adapted.valid
    kept, others = pair.base.take(both), pair.adapted.take(both)
    low, high = _shared_range(base, adapted)
    paired = partial(
        statistics.rate_change
        if isinstance(metric, Rate)
        else partial(statistics.mean_change, low=low, high=high),
        level=settings.level,
        draws=DRAWS,
        seed=settings.seed,
    )

    def change(*arguments: Any) -> statistics.Interval:
        return change_with_shared_references(metric, kept, others, paired(*arguments), mirrored=mirrored)

    numbers = change(base.values[both], adapted.values[both], kept.weights, kept.clusters)
    coverage = min(_share(both, pair.base.weights), base.coverage, adapted.coverage)
    fields = number_fields(numbers, pair.base.samples, coverage)
    if coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    if not (ends := _ends(base, adapted)):
        return fields
    base_low, base_high, adapted_low, adapted_high = ends
    every = (pair.base.weights, pair.base.clusters)
    return fields | bounds_of_missing(
        change(base_high, adapted_low, *every), change(base_low, adapted_high, *every)
    )


def contrast(
    entry: Contrast, metric: Metric, answers: Answers, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of ``metric`` at level ``plus`` minus at level ``minus``, within one subject."""
    within = in_contrast(entry, metric, answers)
    found = item_values(pointwise_metric(entry, metric), within, measures)
    low, high = found.limits
    return _contrast(entry, within, found.valid, found.coverage, _Level(found, low, high), settings)


def contrast_of_change(
    entry: Contrast, metric: Metric, pair: Pair, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of the difference in differences: how far adaptation moved the contrast."""
    base, adapted, within = contrast_items(entry, metric, pair, measures)
    return contrast_of_items(entry, base, adapted, within, settings)


def contrast_items(
    entry: Contrast, metric: Metric, pair: Pair, measures: Sequence[Measure]
) -> tuple[ItemValues, ItemValues, Answers]:
    """Values of base and adapted on the rows on either side of a contrast, and the base's rows."""
    pointwise, within = pointwise_metric(entry, metric), in_contrast(entry, metric, pair.base)
    adapted = pair.adapted.aligned(within.item_ids)
    return item_values(pointwise, within, measures), item_values(pointwise, adapted, measures), within


def contrast_of_items(
    entry: Contrast, base: ItemValues, adapted: ItemValues, within: Answers, settings: Settings
) -> dict[str, Any]:
    """The fields of the contrast of ``adapted - base``, two values an item of the contrast's rows."""
    both = base.valid & adapted.valid
    coverage = min(_share(both, within.weights), base.coverage, adapted.coverage)
    low, high = _shared_range(base, adapted)
    return _contrast(entry, within, both, coverage, _Change(base, adapted, low, high), settings)


def levels(answers: Answers, column: str) -> list[str]:
    """The levels of a slice column that occur, sorted; the empty level is no level."""
    found = answers.slices.get(column)
    return [] if found is None else sorted({str(level) for level in found} - {""})


def in_contrast(entry: Contrast, metric: Metric, answers: Answers) -> Answers:
    """The rows on either side of a contrast that count in its metric."""
    inside = np.isin(answers.slices[entry.column], [entry.plus, entry.minus])
    return answers.take(inside & among_items(getattr(metric, "among", None), answers))


@dataclass(frozen=True)
class _Level:
    """Values of one subject for a contrast, and the range of their measure."""

    found: ItemValues
    low: float | None
    high: float | None

    def seen(self, rows: np.ndarray) -> Callable[..., statistics.Interval]:
        """The contrast of the values in ``rows``."""
        return partial(statistics.contrast, self.found.values[rows], low=self.low, high=self.high)

    def worst(self, plus: np.ndarray, *, least: bool) -> Callable[..., statistics.Interval] | None:
        """The contrast with the missing counted so that it is least, or most; None without bounds."""
        low, high = self.found.low, self.found.high
        if low is None or high is None:
            return None
        filled = np.where(plus == least, low, high)
        return partial(statistics.contrast, filled, low=self.low, high=self.high)


@dataclass(frozen=True)
class _Change:
    """Paired values of base and adapted for a contrast, and the range of their measure."""

    base: ItemValues
    adapted: ItemValues
    low: float | None
    high: float | None

    def seen(self, rows: np.ndarray) -> Callable[..., statistics.Interval]:
        """The contrast of the changes in ``rows``."""
        old, new = self.base.values[rows], self.adapted.values[rows]
        return partial(statistics.contrast_of_changes, old, new, low=self.low, high=self.high)

    def worst(self, plus: np.ndarray, *, least: bool) -> Callable[..., statistics.Interval] | None:
        """The contrast with the missing counted so that it is least, or most; None without bounds."""
        ends = _ends(self.base, self.adapted)
        if ends is None:
            return None
        base_low, base_high, adapted_low, adapted_high = ends
        down = plus == least
        old, new = np.where(down, base_high, base_low), np.where(down, adapted_low, adapted_high)
        return partial(statistics.contrast_of_changes, old, new, low=self.low, high=self.high)


def _contrast(
    entry: Contrast,
    answers: Answers,
    valid: np.ndarray,
    coverage: float,
    asked: _Level | _Change,
    settings: Settings,
) -> dict[str, Any]:
    def estimated(contrast: Callable[..., statistics.Interval], rows: Answers) -> statistics.Interval:
        column = rows.slices[entry.column]
        return contrast(
            column == entry.plus,
            column == entry.minus,
            rows.weights,
            rows.clusters,
            level=settings.level,
            draws=DRAWS,
            seed=settings.seed,
            finest=settings.finest,
        )

    fields = number_fields(estimated(asked.seen(valid), answers.take(valid)), answers.samples, coverage)
    if coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    plus = answers.slices[entry.column] == entry.plus
    ends = [asked.worst(plus, least=least) for least in (True, False)]
    if ends[0] is None or ends[1] is None:
        return fields
    return fields | bounds_of_missing(estimated(ends[0], answers), estimated(ends[1], answers))


def _shared_range(base: ItemValues, adapted: ItemValues) -> tuple[float | None, float | None]:
    """The range that both subjects' values keep; unknown where one of them breaks it."""
    return adapted.limits if base.limits == adapted.limits else (None, None)


def pointwise_metric(entry: Contrast, metric: Metric) -> Rate | Mean:
    """The metric of a contrast. Raises ProbeError for one of all items, which has no value an item."""
    if isinstance(metric, (Statistic, Gap)):
        raise ProbeError(
            f"contrast {entry.id} is of {metric.id}, a statistic: contrasts take rates and means"
        )
    return metric


def _compare_alone(metric: Statistic, pair: Pair, settings: Settings) -> dict[str, Any]:
    """Two numbers without an interval, and their difference, which has none either."""
    old, new = (estimate(metric, side, (), settings) for side in (pair.base, pair.adapted))
    known = old["value"] is not None and new["value"] is not None
    fields = dict(new if old["value"] is not None else old)
    fields |= {"value": new["value"] - old["value"] if known else None}
    fields |= {"base_value": old["value"], "adapted_value": new["value"]}
    return fields | {"coverage": min(old["coverage"], new["coverage"])}


def _compare_statistic(
    metric: Statistic, pair: Pair, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    if not metric.interval:
        return _compare_alone(metric, pair, settings)
    fields = change_of_statistic(metric, pair, measures, settings)
    both = usable_items(metric, pair.base) & usable_items(metric, pair.adapted)
    for name, side in (("base_value", pair.base.take(both)), ("adapted_value", pair.adapted.take(both))):
        value = bind(metric, side)(side.weights) if side.n_items else float("nan")
        fields[name] = value if np.isfinite(value) else None
    return fields


def change_of_statistic(
    metric: Statistic,
    pair: Pair,
    measures: Sequence[Measure],
    settings: Settings,
    mirror: float | None = None,
) -> dict[str, Any]:
    """The fields of a paired change of a statistic; with ``mirror``, from ``mirror`` minus the base's."""
    both = usable_items(metric, pair.base) & usable_items(metric, pair.adapted)
    span = _span_of_change(metric, mirror)

    def change(before: OfWeights, after: OfWeights, rows: Answers) -> statistics.Interval:
        found = statistics.statistic_change(
            _turned(before, mirror),
            after,
            rows.weights,
            rows.clusters,
            level=settings.level,
            draws=STATISTIC_DRAWS,
            seed=settings.seed,
        )
        return varied(found, span)

    base, adapted = pair.base.take(both), pair.adapted.take(both)
    sides = (statistic_coverage(metric, side) for side in (pair.base, pair.adapted))
    coverage = min(_share(both, pair.base.weights), *sides)
    numbers = change(bind(metric, base), bind(metric, adapted), base)
    fields = number_fields(numbers, pair.base.samples, coverage)
    if coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    before, after = (bind_ends(metric, side, measures) for side in (pair.base, pair.adapted))
    if before is not None and after is not None:
        least, most = (1, 0) if mirror is None else (0, 1)
        return fields | bounds_of_missing(
            change(before[least], after[0], pair.base), change(before[most], after[1], pair.base)
        )
    return fields if span is None else fields | {"worst": span, "worst_interval": span}


def _turned(fn: OfWeights, mirror: float | None) -> OfWeights:
    return fn if mirror is None else lambda weight: mirror - fn(weight)


def _span_of_change(metric: Statistic, mirror: float | None) -> tuple[float, float] | None:
    if metric.worst is None:
        return None
    low, high = metric.worst
    first, last = (low, high) if mirror is None else (mirror - high, mirror - low)
    return low - last, high - first


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
