"""One metric on one set of answers: its number with everything it may not travel without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.shared import with_shared_references
from fmaudit.analysis.statistic_ends import OfWeights, bind, bind_ends, honest_bounds
from fmaudit.analysis.tables import Answers, among_items
from fmaudit.errors import ProbeError
from fmaudit.probe import Binary, Gap, Mean, Measure, Metric, Rate, Real, Reduce, Statistic, stand_ins

DRAWS = 2000
STATISTIC_DRAWS = 600
NO_INTERVAL = "this number has no interval: nothing is decided from it"
COMPLETE = 1 - 1e-12
"""Coverage from which nothing is missing, short of rounding."""


@dataclass(frozen=True)
class Settings:
    """``level`` of the intervals, ``seed`` of resampling, the ``finest`` p-value that a correction needs."""

    level: float = 0.95
    seed: int = 0
    finest: float = statistics.FINEST


@dataclass(frozen=True)
class ItemValues:
    """A metric's value an item, NaN where missing, and with the missing counted both ways.

    ``low`` and ``high`` are None where the measure has no bounds. ``coverage``: share of the answers usable.
    ``limits``: the range the metric cannot leave.
    """

    values: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    coverage: float
    limits: tuple[float | None, float | None] = (None, None)

    @property
    def valid(self) -> np.ndarray:
        """Which items have a value."""
        valid: np.ndarray = ~np.isnan(self.values)
        return valid


def item_values(metric: Rate | Mean, answers: Answers, measures: Sequence[Measure]) -> ItemValues:
    """Reduce the samples of each item to the metric's value."""
    measure = _measure(metric, measures)
    matrix = answers.numeric[measure.id]
    if isinstance(metric, Rate) and metric.among is not None:
        known = among_items(metric.among, answers, certain=True)
        matrix = np.where(known[:, None], matrix, np.nan)
    if metric.reduce.spare:
        spare = answers.numeric[metric.reduce.spare] == 1
        taken = max(k for k in range(1, matrix.shape[1] + 1) if k + stand_ins(k) <= matrix.shape[1])
        matrix = statistics.without_spares(matrix, spare, taken)
    low, high = (0.0, 1.0) if isinstance(measure, Binary) else honest_bounds(measure, matrix)
    if isinstance(metric, Mean) and metric.absolute:
        matrix = np.abs(matrix)
        low, high = 0.0, (max(abs(low), abs(high)) if low is not None and high is not None else None)
    reduce: Reduce = metric.reduce
    values = statistics.reduce_samples(matrix, reduce.how, reduce.k)
    coverage = statistics.sample_coverage(matrix, reduce.how, reduce.k, answers.weights)
    if np.isnan(coverage):
        return ItemValues(values, None, None, 0.0, (low, high))
    if coverage >= COMPLETE:
        return ItemValues(values, values, values, 1.0, (low, high))
    if low is None or high is None:
        return ItemValues(values, None, None, coverage, (low, high))
    filled_low, filled_high = statistics.bounds(matrix, reduce.how, reduce.k, answers.weights, low, high)
    return ItemValues(values, filled_low, filled_high, coverage, (low, high))


def estimate(
    metric: Metric, answers: Answers, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    """The fields of an estimate of ``metric`` on ``answers``."""
    if isinstance(metric, Gap):
        from fmaudit.analysis.gaps import gap_estimate  # It builds on the fields of this module.

        return gap_estimate(metric, answers, settings)
    if isinstance(metric, Statistic):
        return _statistic(metric, answers, measures, settings)
    found = item_values(metric, answers, measures)
    low, high = found.limits
    estimator = statistics.rate if isinstance(metric, Rate) else partial(statistics.mean, low=low, high=high)

    kept = answers.take(found.valid)

    def interval(
        values: np.ndarray, weights: np.ndarray, clusters: Mapping[str, np.ndarray]
    ) -> statistics.Interval:
        raw = estimator(values, weights, clusters, level=settings.level, draws=DRAWS, seed=settings.seed)
        return within(with_shared_references(metric, kept, raw), *found.limits)

    numbers = interval(found.values[found.valid], kept.weights, kept.clusters)
    fields = number_fields(numbers, answers.samples, found.coverage)
    if found.coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    if found.low is None or found.high is None:
        return fields
    least = interval(found.low, answers.weights, answers.clusters)
    most = interval(found.high, answers.weights, answers.clusters)
    return fields | bounds_of_missing(least, most)


def within(interval: statistics.Interval, low: float | None, high: float | None) -> statistics.Interval:
    """The interval cut to a range its estimand cannot leave; what it covers there is unchanged."""
    lower, upper = interval.lower, interval.upper
    if lower is None or upper is None:
        return interval
    return replace(
        interval,
        lower=lower if low is None else max(lower, low),
        upper=upper if high is None else min(upper, high),
    )


def _statistic(
    metric: Statistic, answers: Answers, measures: Sequence[Measure], settings: Settings
) -> dict[str, Any]:
    usable = usable_items(metric, answers)
    kept = answers.take(usable)
    coverage = statistic_coverage(metric, answers)
    if not metric.interval:
        return _alone(metric, kept, coverage, settings)

    def interval(fn: OfWeights, rows: Answers) -> statistics.Interval:
        found = statistics.statistic(
            fn,
            rows.weights,
            rows.clusters,
            level=settings.level,
            draws=STATISTIC_DRAWS,
            seed=settings.seed,
        )
        return varied(found, metric.worst)

    fields = number_fields(interval(bind(metric, kept), kept), answers.samples, coverage)
    if coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    if (ends := bind_ends(metric, answers, measures)) is not None:
        return fields | bounds_of_missing(*(interval(end, answers) for end in ends))
    if metric.worst is None:
        return fields
    return fields | _pair("worst", *metric.worst) | _pair("worst_interval", *metric.worst)


def _alone(metric: Statistic, kept: Answers, coverage: float, settings: Settings) -> dict[str, Any]:
    """A number that has no interval by its nature."""
    value = bind(metric, kept)(kept.weights) if kept.n_items else float("nan")
    known = bool(np.isfinite(value))
    numbers = statistics.Interval(
        value=value if known else None,
        lower=None,
        upper=None,
        level=settings.level,
        method="none",
        estimand="item-weighted statistic",
        n=kept.n_items,
        n_eff=statistics.kish(kept.weights),
        conclusive=False,
        reason=NO_INTERVAL if known else "undefined on these rows",
    )
    return number_fields(numbers, kept.samples, coverage)


def varied(interval: statistics.Interval, span: tuple[float, float] | None) -> statistics.Interval:
    """A statistic that no draw moved, with limits: what an unseen kind of item could make of it.

    As many independent units without an exception leave room for a share of exceptions,
    Clopper and Pearson's for no event, each of which moves a mean to the end of its range.
    Without a range nothing can be concluded.
    """
    if interval.value is None or interval.lower is None or interval.se:
        return interval
    if span is None:
        return replace(interval, conclusive=False)
    _, share = statistics.clopper_pearson(0, interval.n_eff, interval.level)
    return replace(
        interval,
        lower=interval.value - share * (interval.value - span[0]),
        upper=interval.value + share * (span[1] - interval.value),
        method=f"no draw moves it: room for an unseen kind of item in its range; {interval.method}",
    )


def usable_items(metric: Statistic, answers: Answers) -> np.ndarray:
    """Items where every measure the statistic reads is valid."""
    usable = np.ones(answers.n_items, dtype=bool)
    for name in metric.needs:
        if name in answers.numeric:
            usable &= ~np.isnan(answers.numeric[name]).all(axis=1)
        elif name in answers.text:
            usable &= answers.text[name][:, 0] != ""
        else:
            raise ProbeError(f"metric {metric.id} needs measure {name!r}, which its probe does not declare")
    return usable


def statistic_coverage(metric: Statistic, answers: Answers) -> float:
    """Weighted share of the samples that the statistic can read; 0 without rows."""
    usable = usable_items(metric, answers).astype(float)
    valid = [answers.numeric[name] for name in metric.needs if name in answers.numeric]
    share = np.min([usable, *((~np.isnan(matrix)).mean(axis=1) for matrix in valid)], axis=0)
    total = answers.weights.sum()
    return float(np.where(usable > 0, share, 0.0) @ answers.weights / total) if total > 0 else 0.0


def number_fields(interval: statistics.Interval, samples: int, coverage: float) -> dict[str, Any]:
    """An interval as the fields of ``fmaudit.schema.Numbers``."""
    measured = interval.value is not None
    return {
        "state": "measured" if measured else "unmeasured",
        "reason": interval.reason,
        "value": interval.value,
        "lower": interval.lower,
        "upper": interval.upper,
        "level": interval.level,
        "method": interval.method,
        "resampling": {"draws": interval.draws, "seed": interval.seed} if interval.draws else None,
        "estimand": interval.estimand,
        "n": interval.n,
        "n_eff": interval.n_eff,
        "clusters": dict(interval.clusters),
        "samples_per_item": samples,
        "coverage": coverage,
        "mde": statistics.mde(interval.se, level=interval.level) if interval.se else None,
        "conclusive": interval.conclusive and measured,
        "p": interval.p,
        "approximate": interval.approximate,
    }


def bounds_of_missing(least: statistics.Interval, most: statistics.Interval) -> dict[str, Any]:
    """The bounds from the number with every missing answer counted one way, and the other."""
    ends = _pair("worst", least.value, most.value) | _pair("worst_interval", least.lower, most.upper)
    return ends | _worst_p(least, most)


def _worst_p(least: statistics.Interval, most: statistics.Interval) -> dict[str, Any]:
    """The p-value with the missing answers counted the way that speaks least for a difference.

    1 where they can turn its sign; none where there is no test.
    """
    if least.p is None or most.p is None or least.value is None or most.value is None:
        return {}
    return {"worst_p": least.p if least.value > 0 else most.p if most.value < 0 else 1.0}


def bounds_of_complete(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Where nothing is missing the bounds are the number itself."""
    return _pair("worst", fields["value"], fields["value"]) | _pair(
        "worst_interval", fields["lower"], fields["upper"]
    )


def _pair(name: str, low: float | None, high: float | None) -> dict[str, Any]:
    return {name: (low, high)} if low is not None and high is not None else {}


def _measure(metric: Rate | Mean, measures: Sequence[Measure]) -> Binary | Real:
    for measure in measures:
        if measure.id == metric.of:
            if isinstance(measure, Binary) or (isinstance(metric, Mean) and isinstance(measure, Real)):
                return measure
            raise ProbeError(
                f"metric {metric.id} cannot be taken of measure {metric.of!r}: a rate needs a binary measure"
            )
    raise ProbeError(f"metric {metric.id} is of measure {metric.of!r}, which its probe does not declare")
