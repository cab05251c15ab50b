"""Numbers of measures that all items took against one shared yardstick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fmaudit.analysis.tables import Answers
from fmaudit.probe import Mean, Metric, Rate, Yardstick
from fmaudit.statistics import Interval
from fmaudit.statistics.yardsticks import shared_variance, with_yardstick

NO_INTERVAL = (
    "all items share their references, and no interval of this share covers what other references would give"
)
NO_SEQUENCE = "a rank among shared references has no anytime form"
OTHER_REFERENCES = "the two sides were not ranked among the same references"


def yardstick_of(metric: Metric, answers: Answers) -> Yardstick | None:
    """The yardstick that a metric's measure was taken against; None where it has none."""
    shared = answers.shared
    if shared is None or not isinstance(metric, Rate | Mean):
        return None
    return shared if metric.of in shared.without or metric.of in shared.stepwise else None


def with_shared_references(metric: Rate | Mean, answers: Answers, interval: Interval) -> Interval:
    """The interval of a level with the variance of the shared references; ``answers``: its rows."""
    shared = yardstick_of(metric, answers)
    if shared is None or interval.value is None:
        return interval
    if metric.of in shared.stepwise:
        return without_limits(interval, NO_INTERVAL)
    groups = shared.groups_of_rows()
    means = _means(metric, shared, groups, answers.weights)
    low, high = shared.range.get(metric.of, (None, None))
    variance = shared_variance(means, shared.stratum[groups])
    return with_yardstick(interval, variance, shared.size(groups), low, high)


def change_with_shared_references(
    metric: Rate | Mean, base: Answers, adapted: Answers, interval: Interval, *, mirrored: bool = False
) -> Interval:
    """The same of a paired change: both sides lose the same references at once.

    ``mirrored``: the change is from the mirror image of the base's values.
    """
    old, new = yardstick_of(metric, base), yardstick_of(metric, adapted)
    if interval.value is None or (old is None and new is None):
        return interval
    if old is None or new is None or not old.like(new):
        return without_limits(interval, OTHER_REFERENCES)
    if metric.of in old.stepwise:
        return without_limits(interval, NO_INTERVAL)
    groups = old.groups_of_rows()
    before, after = (_means(metric, side, groups, base.weights) for side in (old, new))
    moved = after + before if mirrored else after - before
    variance = shared_variance(moved, old.stratum[groups])
    return with_yardstick(
        interval, variance, min(old.size(groups), new.size(groups)), None, None, tested=True
    )


def without_limits(interval: Interval, reason: str) -> Interval:
    """The number alone: it has no interval, so that nothing is decided from it."""
    return replace(
        interval, lower=None, upper=None, se=None, p=None, conclusive=False, reason=reason, method="none",
        draws=None, seed=None,
    )  # fmt: skip


def _means(metric: Rate | Mean, shared: Yardstick, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    values = shared.without[metric.of][:, groups]
    if isinstance(metric, Mean) and metric.absolute:
        values = np.abs(values)
    means: np.ndarray = weights @ values / weights.sum()
    return means
