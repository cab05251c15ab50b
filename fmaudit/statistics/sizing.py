"""Chances that an interval decides, the smallest differences it shows, and the items it takes.

Chances jump with n where counts are discrete, so :func:`items_needed` gives an n
from which on they stay high enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Floats
from fmaudit.statistics.power import Bounds, IntervalModel

MOST_ITEMS = 10_000_000
_HALVINGS = 60
_EDGE = 1e-9
_DENSE, _SPARSE = 20_000, 48
"""Numbers of items looked at between one and its double, where that is cheap and where it is not."""
_NEXT = 200
"""Numbers after the one found that are all looked at; more where that is cheap."""


def chance_below(model: IntervalModel, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
    """Chance that the whole interval lies at or below ``bound``."""
    return model.below(truth, n, bound, level)


def chance_above(model: IntervalModel, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
    """Chance that the whole interval lies at or above ``bound``."""
    return model.below(model.mirror(truth), n, model.mirror(bound), level)


def chance_inside(
    model: IntervalModel, truth: float, n: npt.ArrayLike, bounds: Bounds, level: float
) -> Floats:
    """Chance that the whole interval lies inside ``bounds``; never more than it is."""
    low, high = bounds
    shape = np.atleast_1d(np.asarray(n)).shape
    upper = np.ones(shape) if high is None else chance_below(model, truth, n, high, level)
    lower = np.ones(shape) if low is None else chance_above(model, truth, n, low, level)
    return np.maximum(upper + lower - 1, 0.0)


def chance_beyond(
    model: IntervalModel, truth: float, n: npt.ArrayLike, bounds: Bounds, level: float
) -> Floats:
    """Chance that the whole interval lies beyond one of the ``bounds``."""
    low, high = bounds
    shape = np.atleast_1d(np.asarray(n)).shape
    over = np.zeros(shape) if high is None else _chance_past(model, truth, n, high, level, upward=True)
    under = np.zeros(shape) if low is None else _chance_past(model, truth, n, low, level, upward=False)
    return np.minimum(over + under, 1.0)


def _chance_past(
    model: IntervalModel, truth: float, n: npt.ArrayLike, bound: float, level: float, *, upward: bool
) -> Floats:
    """Chance that the whole interval lies beyond ``bound``; at an end of the range every one reaches it."""
    low, high = model.range
    if upward:
        return chance_above(model, truth, n, bound + _EDGE * (bound == low), level)
    return chance_below(model, truth, n, bound - _EDGE * (bound == high), level)


def detectable(
    model: IntervalModel, reference: float, n: int, level: float, *, power: float = 0.8, upward: bool = True
) -> float | None:
    """Smallest true distance from ``reference`` with which the interval excludes it: the detectable effect.

    The exact form of :func:`fmaudit.statistics.mde` for the intervals that are used.

    Args:
        model: The interval.
        reference: What the interval is to exclude: 0 for a change, the limit for a level.
        n: Items.
        level: Two-sided level of the interval.
        power: Chance of excluding it.
        upward: Whether the truth lies above the reference.

    Returns:
        The distance, positive; None where no possible value is far enough.
    """

    def chance(distance: float) -> float:
        truth = reference + distance if upward else reference - distance
        return float(_chance_past(model, truth, n, reference, level, upward=upward)[0])

    return smallest(chance, _reach(model, reference, upward), power)


def room_needed(
    model: IntervalModel, bound: float, n: int, level: float, *, power: float, upper: bool = True
) -> float | None:
    """How far inside a limit the truth must lie for the interval to lie inside with ``power``.

    Args:
        model: The interval.
        bound: The limit.
        n: Items.
        level: Two-sided level of the interval.
        power: Chance of lying inside.
        upper: Whether ``bound`` is the greatest allowed value, not the least.

    Returns:
        The distance, positive; None where no possible value is far enough.
    """

    def chance(distance: float) -> float:
        truth = bound - distance if upper else bound + distance
        side = chance_below if upper else chance_above
        return float(side(model, truth, n, bound, level)[0])

    return smallest(chance, _reach(model, bound, not upper), power)


def _reach(model: IntervalModel, start: float, upward: bool) -> float:
    low, high = model.range
    return high - start if upward else start - low


def smallest(
    chance: Callable[[float], float], reach: float, power: float, *, precision: float = 1e-6
) -> float | None:
    """Smallest distance up to ``reach`` whose chance is at least ``power``, by halving; None where none is.

    Chances have to rise with distance. ``precision`` is relative; ``reach`` may be infinite.
    """
    if math.isinf(reach):
        reach = 1e-6
        while chance(reach) < power:
            reach *= 4
            if reach > 1e12:
                return None
    if reach <= 0 or chance(reach) < power:
        return None
    low, high = 0.0, reach
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
        if high - low < precision * high:
            break
    return high


def items_needed(
    model: IntervalModel,
    truth: float,
    bounds: Bounds,
    level: float,
    *,
    power: float,
    least: int = 1,
    most: int = MOST_ITEMS,
) -> int | None:
    """Items from which on the interval lies inside ``bounds`` with at least ``power``, at ``truth``.

    The chance jumps with n where counts are discrete: the larger n that were looked at have
    the power too, among them every one of the next hundreds.

    Returns:
        The number; None where ``most`` items do not give it.
    """

    def enough(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = chance_inside(model, truth, counts, bounds, level) >= power
        return found

    points = _DENSE if model.dense else _SPARSE
    high = max(least, 1)
    while not enough(_between(high, 2 * high, points)).all():
        high *= 2
        if high > most:
            return None
    low = max(high // 2, least)
    while high - low > 1:
        looked = _between(low, high, points)
        good = enough(looked)
        if good.all():
            high = int(looked[0])
            break
        last = int(np.flatnonzero(~good)[-1])
        low, high = int(looked[last]), int(looked[min(last + 1, len(looked) - 1)])
    # The teeth of the saw reach about as far as the root of n.
    return _settled(enough, high, _NEXT + (20 * math.isqrt(high) if model.dense else 0))


def _settled(enough: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]], n: int, window: int) -> int:
    """The least number from ``n`` on after which the next ``window`` are all enough."""
    while True:
        few = np.flatnonzero(~enough(np.arange(n, n + window)))
        if not len(few):
            return n
        n += int(few[-1]) + 1


def _between(low: int, high: int, points: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(low, high, min(points, high - low + 1)).astype(np.int64))


def joint(chances: Sequence[float]) -> float:
    """Least chance that all of several events happen, whatever their dependence (Bonferroni)."""
    return max(1 - sum(1 - chance for chance in chances), 0.0)


def share_of_power(power: float, claims: int) -> float:
    """Power each of several claims needs so that all together have ``power`` (Bonferroni)."""
    return 1 - (1 - power) / max(claims, 1)
