"""How likely an interval is to end where it has to, before a model is asked.

A gate passes a number where its whole interval lies inside a limit and fails it
where it lies wholly beyond. For each kind of interval this package makes, a model
here gives the chance that its upper limit ends at or below a bound:

- :class:`RateModel`: Clopper-Pearson and Wilson summed exactly over the binomial;
  Korn-Graubard on the effective items where rows are weighted or clustered.
- :class:`ChangeModel`: Tango's score interval of a paired change, summed exactly
  over the trinomial; Student's t on the effective items where rows are clustered.
- :class:`MeanModel`: Student's t of a mean or of any statistic with a standard error.

Chances jump with n where counts are discrete, so :func:`items_needed` gives an n
from which on they stay high enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betainc, bdtrik, nctdtr, stdtrit

from fmaudit.statistics.design import Floats
from fmaudit.statistics.layout import Layout
from fmaudit.statistics.levels import RARE
from fmaudit.statistics.proportions import critical

Bounds: TypeAlias = tuple[float | None, float | None]
"""Least and greatest allowed value; None leaves a side open."""
MOST_ITEMS = 10_000_000
_HALVINGS = 60
_TAIL = 9.0
"""Standard deviations of a count beyond which its chance is nothing."""


class IntervalModel(Protocol):
    """Where the intervals of one kind of number end, by true value and number of items."""

    @property
    def range(self) -> tuple[float, float]:
        """What the true value can be; infinite where it is unbounded."""
        ...

    @property
    def dense(self) -> bool:
        """Whether thousands of n cost as little as one."""
        ...

    def mirror(self, value: float) -> float:
        """The value as seen from the other side, so that a lower limit becomes an upper one."""
        ...

    def below(self, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
        """Chance that the upper limit is at most ``bound``, with ``n`` items, at ``truth``."""
        ...


@dataclass(frozen=True)
class RateModel:
    """The interval of a rate, as :func:`fmaudit.statistics.rate` makes it."""

    layout: Layout
    range: tuple[float, float] = (0.0, 1.0)
    dense: bool = True

    def mirror(self, value: float) -> float:
        """The rate of the other outcome."""
        return 1 - value

    def below(self, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
        """Chance that the upper limit is at most ``bound``."""
        count = np.atleast_1d(np.asarray(n, dtype=np.int64))
        if bound >= 1:
            return np.ones(len(count))
        if bound <= 0:
            return np.zeros(len(count))
        p = min(max(truth, 0.0), 1.0)
        if self.layout.simple:
            return _exact_rate(p, count, bound, level)
        worth, units = self.layout.effective(count), self.layout.independent_units(count)
        return _clustered_rate(p, count, worth, units, bound, level)


def _exact_rate(p: float, n: npt.NDArray[np.int64], bound: float, level: float) -> Floats:
    alpha, z = (1 - level) / 2, critical(level)
    # The most events with which Clopper-Pearson ends at the bound, and Wilson.
    exact = np.floor(bdtrik(alpha, n, bound) + 1e-9)
    exact = np.where(bdtr(0, n, bound) > alpha * (1 + 1e-12), -1.0, np.maximum(exact, 0.0))
    score = np.floor(n * bound - z * np.sqrt(n * bound * (1 - bound)) + 1e-9)
    rare = RARE - 1
    few = _at_most(np.minimum(exact, np.minimum(rare, n)), n, p)
    usual = _at_most(np.minimum(score, n - RARE), n, p) - _at_most(np.minimum(rare, n), n, p)
    many = _at_most(np.minimum(exact, n), n, p) - _at_most(np.maximum(np.minimum(rare, n), n - RARE), n, p)
    chance: Floats = few + np.maximum(usual, 0.0) + np.maximum(many, 0.0)
    return np.minimum(chance, 1.0)


def _at_most(count: Floats, n: npt.NDArray[np.int64], p: float) -> Floats:
    found: Floats = np.where(count < 0, 0.0, bdtr(np.maximum(np.minimum(count, n), 0.0), n, p))
    return found


def _clustered_rate(
    p: float, n: npt.NDArray[np.int64], worth: Floats, units: Floats, bound: float, level: float
) -> Floats:
    """Korn-Graubard with the effective items it will find on average."""
    if p <= 0:
        return (_no_event_upper(np.minimum(units, n), level) <= bound).astype(float)
    usual = stdtrit(np.maximum(n - 1.0, 1.0), (1 + level) / 2)
    least = np.minimum(worth, units)
    own = worth * (usual / stdtrit(_freedom(p, worth, units), (1 + level) / 2)) ** 2
    single = least * (usual / stdtrit(np.maximum(units - 1, 1.0), (1 + level) / 2)) ** 2
    size = np.maximum(own, single)
    most = _most_events(size, bound, level)
    # The lattice of the rate is finer than one effective item: half a step less is at or below the limit.
    events = np.maximum(most / size * worth - 0.5 * (1 - np.minimum(worth / n, 1.0)), 0.0)
    chance = np.where(most < 0, 0.0, betainc(np.maximum(worth - events, 1e-9), events + 1, 1 - p))
    none = (1 - p) ** worth
    useless = _no_event_upper(np.minimum(units, n), level) > bound
    found: Floats = np.where(useless, np.maximum(chance - none, 0.0), chance)
    return found


def _no_event_upper(clusters: Floats, level: float) -> Floats:
    upper: Floats = -np.expm1(np.log((1 - level) / 2) / clusters)
    return upper


def _freedom(p: float, worth: Floats, units: Floats) -> Floats:
    """Degrees of freedom of the variance: of the units, or of the few that hold a rare event."""
    q = min(p, 1 - p)
    uneven = ((1 - q) ** 3 + q**3) / (q * (1 - q)) - 1
    scarce = 2 * worth / uneven if uneven > 1e-9 else np.full(worth.shape, np.inf)
    found: Floats = np.maximum(np.minimum(units - 1, scarce), 1.0)
    return found


def _most_events(size: Floats, bound: float, level: float) -> Floats:
    """Events out of ``size`` with which Clopper-Pearson's upper limit is ``bound``; -1 where none is few enough."""
    wanted = (1 + level) / 2
    low, high = np.zeros(size.shape), size * bound
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = betainc(middle + 1, np.maximum(size - middle, 1e-9), bound) >= wanted
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    impossible = betainc(1.0, size, bound) < wanted
    found: Floats = np.where(impossible, -1.0, low)
    return found


@dataclass(frozen=True)
class ChangeModel:
    """The interval of a paired change of a rate, as :func:`fmaudit.statistics.rate_change` makes it.

    ``discordance``: share of items whose outcome differs between the two subjects.
    """

    discordance: float
    layout: Layout
    range: tuple[float, float] = (-1.0, 1.0)
    dense: bool = False

    def mirror(self, value: float) -> float:
        """The change the other way round."""
        return -value

    def below(self, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
        """Chance that the upper limit is at most ``bound``."""
        count = np.atleast_1d(np.asarray(n, dtype=np.int64))
        psi = min(max(self.discordance, abs(truth)), 1.0)
        if self.layout.simple:
            return np.array([_tango(truth, psi, int(k), float(k), bound, level) for k in count])
        worth, units = self.layout.effective(count), self.layout.independent_units(count)
        sd = math.sqrt(max(psi - truth**2, 0.0))
        usual = student(truth, sd, worth, np.maximum(units - 1, 1.0), bound, level)
        freedom = 2 * worth * psi / max(1 - psi, 1e-9)
        scarce = (freedom < 30) | (worth * psi < RARE)
        z = critical(level)
        for place in np.flatnonzero(scarce):
            df = max(min(float(units[place]) - 1, float(freedom[place])), 1.0)
            whole = max(float(units[place]) - 1, 1.0)
            own = float(worth[place]) * (z / critical(level, df)) ** 2
            single = min(float(worth[place]), float(units[place])) * (z / critical(level, whole)) ** 2
            usual[place] = _tango(truth, psi, int(worth[place]), max(own, single), bound, level)
        return usual


def _tango(change: float, psi: float, n: int, decided_on: float, bound: float, level: float) -> float:
    """Chance that Tango's upper limit is at most ``bound``.

    Counts come from ``n`` pairs; the interval is taken as if there were ``decided_on``.
    """
    if bound >= 1 or n < 1:
        return float(bound >= 1)
    if bound <= -1:
        return 0.0
    spread = _TAIL * math.sqrt(n * psi * (1 - psi)) + 3
    moved = np.arange(max(math.floor(n * psi - spread), 0), min(math.ceil(n * psi + spread), n) + 1)
    scale, z2 = decided_on / n, critical(level) ** 2
    # By halving: the most gains among the moved pairs with which the limit is low enough.
    low, high = np.full(len(moved), -1), moved.copy()
    while (low < high).any():
        middle = (low + high + 1) // 2
        good = _ends_below(middle * scale, (moved - middle) * scale, decided_on, bound, z2)
        low, high = np.where(good, middle, low), np.where(good, high, middle - 1)
    gain = min(max((psi + change) / (2 * psi), 0.0), 1.0) if psi > 0 else 0.5
    weight = _binomial_pmf(moved, n, psi)
    given = np.where(low < 0, 0.0, bdtr(np.maximum(low, 0).astype(float), moved, gain))
    return float(min(weight @ given, 1.0))


def _ends_below(gained: Floats, lost: Floats, n: float, bound: float, z2: float) -> npt.NDArray[np.bool_]:
    """Whether Tango's score test at ``bound`` rejects from below, which is where its interval ends."""
    difference = (gained - lost) / n
    linear = (2 * n - gained + lost) * bound - gained - lost
    constant = -lost * bound * (1 - bound)
    q = (np.sqrt(np.maximum(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    excess = n * (difference - bound) ** 2 - z2 * np.maximum(2 * q + bound * (1 - bound), 0.0)
    found: npt.NDArray[np.bool_] = (difference <= bound) & (excess >= -1e-12)
    return found


def _binomial_pmf(k: npt.NDArray[np.int64], n: int, p: float) -> Floats:
    from scipy.stats import binom

    mass: Floats = binom.pmf(k, n, p)
    return mass


@dataclass(frozen=True)
class MeanModel:
    """The interval of a mean, or of any statistic whose standard error is ``sd`` over root n.

    ``sd``: standard deviation of one item, in the unit of the number.
    """

    sd: float
    layout: Layout
    range: tuple[float, float] = (-math.inf, math.inf)
    dense: bool = True

    def mirror(self, value: float) -> float:
        """The negated value."""
        return -value

    def below(self, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
        """Chance that the upper limit is at most ``bound``."""
        count = np.atleast_1d(np.asarray(n, dtype=np.int64))
        worth, units = self.layout.effective(count), self.layout.independent_units(count)
        return student(truth, self.sd, worth, np.maximum(units - 1, 1.0), bound, level)


def student(truth: float, sd: float, n: Floats, df: Floats, bound: float, level: float) -> Floats:
    """Chance that the upper limit of Student's t interval is at most ``bound`` (noncentral t)."""
    if sd <= 0:
        return np.full(n.shape, float(truth <= bound))
    shift = (truth - bound) / (sd / np.sqrt(n))
    # The chance is 0 or 1 to all digits long before the series of the noncentral t loses its own.
    kept = np.clip(shift, -37.0, 37.0)
    found: Floats = nctdtr(df, kept, -stdtrit(df, (1 + level) / 2))
    return np.clip(np.nan_to_num(found, nan=0.0), 0.0, 1.0)


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
    over = np.zeros(shape) if high is None else chance_above(model, truth, n, high, level)
    under = np.zeros(shape) if low is None else chance_below(model, truth, n, low, level)
    return np.minimum(over + under, 1.0)


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
        side = chance_above if upward else chance_below
        return float(side(model, truth, n, reference, level)[0])

    return _smallest(chance, _reach(model, reference, upward), power)


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

    return _smallest(chance, _reach(model, bound, not upper), power)


def _reach(model: IntervalModel, start: float, upward: bool) -> float:
    low, high = model.range
    return high - start if upward else start - low


def _smallest(chance: Callable[[float], float], reach: float, power: float) -> float | None:
    """Smallest distance whose chance is at least ``power``, by halving; chances rise with distance."""
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
        if high - low < 1e-6 * high:
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

    The chance jumps with n where counts are discrete: every larger n that was looked
    at has the power too.

    Returns:
        The number; None where ``most`` items do not give it.
    """

    def enough(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = chance_inside(model, truth, counts, bounds, level) >= power
        return found

    high = max(least, 1)
    while not enough(_between(high, 2 * high, 48)).all():
        high *= 2
        if high > most:
            return None
    low = max(high // 2, least)
    points = 20_000 if model.dense else 48
    while True:
        looked = _between(low, high, points)
        good = enough(looked)
        if good.all():
            return int(looked[0])
        last = int(np.flatnonzero(~good)[-1])
        low, high = int(looked[last]), int(looked[min(last + 1, len(looked) - 1)])
        if high - low <= 1:
            return high


def _between(low: int, high: int, points: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(low, high, min(points, high - low + 1)).astype(np.int64))


def joint(chances: Sequence[float]) -> float:
    """Least chance that all of several events happen, whatever their dependence (Bonferroni)."""
    return max(1 - sum(1 - chance for chance in chances), 0.0)


def share_of_power(power: float, claims: int) -> float:
    """Power each of several claims needs so that all together have ``power`` (Bonferroni)."""
    return 1 - (1 - power) / max(claims, 1)
