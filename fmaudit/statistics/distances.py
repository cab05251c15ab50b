"""How much further from its ideal a number is after a change.

With p_A and p_B the two numbers and c the ideal, the change of distance is
``|p_A - c| - |p_B - c|``. Its point estimate is no basis for an interval: where a number
is near its ideal its distance is biased upwards and no bootstrap is valid. But it is the
largest over s = +-1 of the smallest over t = +-1 of ``s (p_A - c) - t (p_B - c)``, and each
of these four is a plain paired change, either of the two numbers or of one of them and the
other's mirror image about c. Their limits decide:

- more than L, where for one s the lower limits are above L for both t; that s is chosen by
  the data, so each has half of the error;
- at most L, where for both s the upper limit is at most L for one t; that t is chosen by the
  data, so each has half of the error. Where the base's own interval leaves only one t, that
  one has all of it.

Two t stay possible where the base is at its ideal. An unchanged model is then shown to be as
near as its base by the change of the number itself, which its distance cannot exceed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.changes import change_rows, limits_at, rate_change
from fmaudit.statistics.design import Clusters
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import rate

At: TypeAlias = Callable[[float], Interval]
"""An estimate with its two-sided interval at any level, all of one draw."""
Ends: TypeAlias = tuple[float, float]
EndsAt: TypeAlias = Callable[[float], Ends | None]

SIDE_SHARE = 0.1
"""Share of the error spent on which side of the ideal the base lies."""
_HALVINGS = 30


def distance_ends(difference: EndsAt, total: EndsAt, base: EndsAt, level: float) -> Ends | None:
    """Limits of ``|p_A - c| - |p_B - c|``, each with one-sided confidence ``(1 + level) / 2``.

    Args:
        difference: Limits of ``p_A - p_B`` at any two-sided level; None where there are none.
        total: Limits of ``(p_A - c) + (p_B - c)``.
        base: Limits of ``p_B - c``.
        level: Two-sided confidence in (0, 1).

    Returns:
        Lower and upper limit; None where one of the parts has no limits.
    """
    half = (1 + level) / 2
    differ, sum_, base_ends = difference(half), total(half), base(_side_level(1 - level))
    if differ is None or sum_ is None or base_ends is None:
        return None
    lower, upper = sides_ends(differ, sum_)
    if not base_ends[0] <= 0 <= base_ends[1]:
        full, full_sum = difference(level), total(level)
        if full is not None and full_sum is not None:
            settled = max(full[1], -full_sum[0]) if base_ends[0] > 0 else max(full_sum[1], -full[0])
            upper = min(upper, settled)
    return min(lower, upper), upper


def sides_ends(difference: Ends, total: Ends) -> Ends:
    """Ends of ``|a| - |b|`` where ``a - b`` and ``a + b`` lie between these."""
    (apart, apart_high), (both, both_high) = difference, total
    lower = max(min(apart, both), min(-apart_high, -both_high))
    return lower, max(min(apart_high, both_high), min(-apart, -both))


def _side_level(error: float) -> float:
    """Level of the interval that says on which side of its ideal the base lies."""
    return 1 - SIDE_SHARE * error


def distance_p(value: float, difference_p: float, total_p: float, settled: Callable[[float], bool]) -> float:
    """Two-sided p-value of equal distances, from those of ``p_A = p_B`` and of ``p_A = 2 c - p_B``.

    Distances are equal where either holds, so both must be refuted.

    Args:
        value: Change of the distance.
        difference_p: Two-sided p-value of ``p_A = p_B``.
        total_p: Two-sided p-value of ``p_A = 2 c - p_B``.
        settled: Whether the base's interval at a level leaves one side of the ideal only.

    Returns:
        The error at which :func:`distance_ends` first excludes 0, where p-values and limits agree.
    """
    larger = max(difference_p, total_p)
    return larger if value < 0 and settled(_side_level(larger)) else min(1.0, 2 * larger)


def distance_change(difference: At, total: At, base: At, ideal: float, level: float) -> Interval:
    """``|p_A - ideal| - |p_B - ideal|``, positive where the adapted number is further from its ideal.

    Args:
        difference: Estimate of ``p_A - p_B`` at any level.
        total: Estimate of ``p_A + p_B - 2 ideal`` at any level.
        base: Estimate of ``p_B`` at any level.
        ideal: Where the numbers ought to be, in their own unit.
        level: Two-sided confidence; each limit has one-sided confidence ``(1 + level) / 2``.

    Returns:
        The difference's n, clusters and conclusiveness; no limits where a part has none.
    """
    apart, both = difference(level), total(level)
    if apart.value is None or both.value is None:
        return replace(apart, value=None, lower=None, upper=None, p=None, se=None)
    away, before = (both.value + apart.value) / 2, (both.value - apart.value) / 2
    value = abs(away) - abs(before)

    def side(at: float) -> Ends | None:
        found = _ends(base(at))
        return None if found is None else (found[0] - ideal, found[1] - ideal)

    def settled(at: float) -> bool:
        found = side(at)
        return found is not None and not found[0] <= 0 <= found[1]

    ends = distance_ends(lambda at: _ends(difference(at)), lambda at: _ends(total(at)), side, level)
    weaker = both if not both.conclusive else apart
    found = replace(
        apart,
        value=value,
        lower=None,
        upper=None,
        se=apart.se if away * before >= 0 else both.se,
        p=None if apart.p is None or both.p is None else distance_p(value, apart.p, both.p, settled),
        method=f"both sides of the ideal; {apart.method}",
        estimand=f"distance to {ideal:g}, {apart.estimand}",
        conclusive=apart.conclusive and both.conclusive and ends is not None,
        reason=weaker.reason or ("" if ends else "a part of the distance has no interval"),
    )
    return found if ends is None else replace(found, lower=min(ends[0], value), upper=max(ends[1], value))


def rate_distance_change(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    ideal: float,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Change of the distance of a paired rate to ``ideal``; intervals as in :func:`rate_change`.

    Args:
        base: Shape (n,), in [0, 1].
        adapted: Shape (n,), in [0, 1], of the same items.
        ideal: In [0, 1].
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Two-sided confidence; each limit has one-sided confidence ``(1 + level) / 2``.
        draws: Bootstrap draws.
        seed: Seed of draws and sign flips.

    Raises:
        ValueError: The ideal or a value lies outside [0, 1], or shapes or weights do not fit.
    """
    if not 0 <= ideal <= 1:
        raise ValueError(f"the ideal {ideal:g} of a rate lies outside [0, 1]")
    old, new = np.asarray(base, dtype=float), np.asarray(adapted, dtype=float)

    def changed(before: npt.NDArray[np.float64], at: float) -> Interval:
        return rate_change(before, new, weights, clusters, level=at, draws=draws, seed=seed)

    def total(at: float) -> Interval:
        # The mirror image of a rate about 1/2 is a rate again, about another ideal it need not be.
        found = shifted(changed(1 - old, at), 1 - 2 * ideal)
        if ideal == 0.5 or found.value is None:
            return found
        rows = change_rows(1 - old, new, weights, clusters, "rate")
        _, limits = limits_at(rows, "rate", draws, seed)
        return replace(found, p=p_of_limits(limits, found.value, 2 * ideal - 1))

    return distance_change(
        lambda at: changed(old, at),
        total,
        lambda at: rate(old, weights, clusters, level=at, draws=draws, seed=seed),
        ideal,
        level,
    )


def shifted(interval: Interval, by: float) -> Interval:
    """The interval of an estimate to which a constant was added; without a p-value unless that is 0."""
    value, lower, upper = (
        None if end is None else end + by for end in (interval.value, interval.lower, interval.upper)
    )
    return replace(interval, value=value, lower=lower, upper=upper, p=interval.p if by == 0 else None)


def p_of_limits(limits: EndsAt, value: float, null: float) -> float:
    """Two-sided p-value of ``null``: the largest error whose interval still holds it.

    ``value``: the estimate less ``null``.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        error = (low + high) / 2
        ends = limits(1 - error)
        outside = ends is not None and (ends[0] > null if value > 0 else ends[1] < null)
        low, high = (low, error) if outside else (error, high)
    return high


def _ends(found: Interval) -> Ends | None:
    return None if found.lower is None or found.upper is None else (found.lower, found.upper)
