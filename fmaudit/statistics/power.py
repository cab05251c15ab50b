"""How likely an interval is to end where it has to, before a model is asked.

A gate passes a number where its whole interval lies inside a limit and fails it
where it lies wholly beyond. For each kind of interval a gate decides on, a model
gives the chance that its upper limit ends at or below a bound:

- :class:`RateModel`: Clopper-Pearson, summed exactly over the binomial; Korn-Graubard
  with half an effective answer of continuity correction where rows are weighted or clustered.
- :class:`MeanModel`: Student's t of a mean without a range or of any statistic with a standard error.
- :class:`fmaudit.statistics.power_bounded.BoundedModel`: Gaffke's limits of a mean in a range, and
  :class:`fmaudit.statistics.power_bounded.ContrastModel` of the difference of two.
- :class:`fmaudit.statistics.power_change.ChangeModel`: a paired change of a rate.

Chances jump with n where counts are discrete: see :mod:`fmaudit.statistics.sizing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrik, betainc, nctdtr, stdtrit

from fmaudit.statistics.design import Floats
from fmaudit.statistics.layout import Layout

Bounds: TypeAlias = tuple[float | None, float | None]
"""Least and greatest allowed value; None leaves a side open."""
_HALVINGS = 60
RATE_STEP = 0.5
"""Effective answers of continuity correction of a rate that is not a plain binomial."""


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
    """The interval of a rate that a gate decides on."""

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
    alpha = (1 - level) / 2
    most = np.floor(bdtrik(alpha, n, bound) + 1e-9)
    possible = bdtr(0, n, bound) <= alpha * (1 + 1e-12)
    chance: Floats = np.where(possible, bdtr(np.clip(np.nan_to_num(most), 0, n), n, p), 0.0)
    return np.minimum(chance, 1.0)


def _clustered_rate(
    p: float, n: npt.NDArray[np.int64], worth: Floats, units: Floats, bound: float, level: float
) -> Floats:
    """Korn-Graubard, corrected for continuity, with the effective items it will find on average."""
    if p <= 0:
        return (_no_event_upper(np.minimum(units, n), level) <= bound).astype(float)
    if p >= 1:
        return np.zeros(len(n))
    usual = stdtrit(np.maximum(n - 1.0, 1.0), (1 + level) / 2)
    least = np.minimum(worth, units)
    own = worth * (usual / stdtrit(_freedom(p, worth, units), (1 + level) / 2)) ** 2
    single = least * (usual / stdtrit(np.maximum(units - 1, 1.0), (1 + level) / 2)) ** 2
    size = np.maximum(own, single)
    most = _most_events(size, np.maximum(bound - RATE_STEP / worth, 1e-12), level)
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


def _most_events(size: Floats, bound: Floats, level: float) -> Floats:
    """Events out of ``size`` with which Clopper-Pearson ends at ``bound``; -1 where none is few enough."""
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


def student(truth: float, sd: float, n: Floats, df: Floats, bound: npt.ArrayLike, level: float) -> Floats:
    """Chance that the upper limit of Student's t interval is at most ``bound`` (noncentral t)."""
    if sd <= 0:
        return np.broadcast_to(truth <= np.asarray(bound, dtype=float), n.shape).astype(float)
    shift = (truth - np.asarray(bound, dtype=float)) / (sd / np.sqrt(n))
    # The chance is 0 or 1 to all digits long before the series of the noncentral t loses its own.
    kept = np.clip(shift, -37.0, 37.0)
    found: Floats = nctdtr(df, kept, -stdtrit(df, (1 + level) / 2))
    return np.clip(np.nan_to_num(found, nan=0.0), 0.0, 1.0)
