"""How likely the interval of a mean in a declared range, or of a contrast of two, ends where it has to.

The limit is Gaffke's (:mod:`fmaudit.statistics.bounded`): that of a sample which is spread
as its distribution, a beta distribution in the range, and around it a normal error whose
variance follows from the limit's influence function. Where rows share clusters or weigh
differently the estimator joins it with a bootstrap's, here Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, ndtri

from fmaudit.statistics.bounded import expected_upper
from fmaudit.statistics.design import Floats
from fmaudit.statistics.layout import Layout
from fmaudit.statistics.power import student

_POINTS = 201
_MOST_MASS = 1e6
"""Parameters of a beta distribution from which on it is normal for every purpose here."""
_LOOKED_AT = 7
"""Numbers of items at which a limit is computed where many are asked about; it is smooth between them."""
_CACHED = 4096
_DIGITS = 12


@dataclass(frozen=True)
class BoundedModel:
    """The interval of a mean whose items lie in ``range``.

    ``sd``: standard deviation of one item, in the unit of the number.
    """

    sd: float
    layout: Layout
    range: tuple[float, float]
    dense: bool = False

    def mirror(self, value: float) -> float:
        """The value from the other end of the range."""
        return self.range[0] + self.range[1] - value

    def below(self, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
        """Chance that the upper limit is at most ``bound``."""
        count = np.atleast_1d(np.asarray(n, dtype=np.int64))
        low, high = self.range
        if bound >= high:
            return np.ones(len(count))
        worth, units = self.layout.effective(count), self.layout.independent_units(count)
        p, edge = (min(max((one - low) / (high - low), 0.0), 1.0) for one in (truth, bound))
        spread = self.sd / (high - low) * np.sqrt(units / worth)

        def limit(place: int) -> tuple[float, float]:
            _, influence, u = _limit(p, float(spread[place]), float(units[place]), (1 - level) / 2)
            return u - p, float(influence.std())

        chance = _normal(edge - p, units, *_between(count, limit))
        if self.layout.simple:
            return chance
        usual = student(truth, self.sd, worth, np.maximum(units - 1, 1.0), bound, level)
        joined: Floats = np.minimum(chance, usual)
        return joined


@dataclass(frozen=True)
class ContrastModel:
    """The interval of the mean of one group minus that of another: the square-and-add of their limits.

    Attributes:
        sd: Standard deviation of one item within a group.
        layout: Of the items of both groups.
        limits: Range of one item.
        groups: Share of the items that each group has.
    """

    sd: float
    layout: Layout
    limits: tuple[float, float]
    groups: tuple[float, float]
    dense: bool = False

    @property
    def range(self) -> tuple[float, float]:
        """From one end of the items' range minus the other to the reverse."""
        width = self.limits[1] - self.limits[0]
        return -width, width

    def mirror(self, value: float) -> float:
        """The groups exchanged."""
        return -value

    def below(self, truth: float, n: npt.ArrayLike, bound: float, level: float) -> Floats:
        """Chance that the upper limit is at most ``bound``; the groups lie about the middle of the range."""
        count = np.atleast_1d(np.asarray(n, dtype=np.int64))
        width = self.limits[1] - self.limits[0]
        if bound >= width:
            return np.ones(len(count))
        worth, units = self.layout.effective(count), self.layout.independent_units(count)
        # Both groups as seen from the end that their limit looks at: the second one is mirrored.
        p = min(max(0.5 + truth / width / 2, 0.0), 1.0)
        spread = self.sd / width * np.sqrt(units / worth)

        def limit(place: int) -> tuple[float, float]:
            return self._joined(p, float(spread[place]), float(units[place]), (1 - level) / 2)

        chance = _normal((bound - truth) / width, units, *_between(count, limit))
        if self.layout.simple:
            return chance
        arms = math.sqrt(sum(1 / share for share in self.groups))
        usual = student(truth, self.sd * arms, worth, np.maximum(units - 2, 1.0), bound, level)
        joined: Floats = np.minimum(chance, usual)
        return joined

    def _joined(self, p: float, spread: float, units: float, tail: float) -> tuple[float, float]:
        sides = [_limit(p, spread, max(share * units, 1.0), tail) for share in self.groups]
        distances = [u - p for _, _, u in sides]
        distance = math.hypot(*distances)
        variance = 0.0
        for (points, influence, _), own, share in zip(sides, distances, self.groups, strict=True):
            weight = own / distance
            moved = (1 - weight) * points + weight * influence
            variance += float(moved.var()) / share
        return distance, variance**0.5


def _normal(room: float, units: Floats, distance: Floats, deviation: Floats) -> Floats:
    error = deviation / np.sqrt(units)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = ndtr((room - distance) / error)
    found: Floats = np.where(error > 0, chance, (distance <= room).astype(float))
    return found


def _between(
    count: npt.NDArray[np.int64], limit: Callable[[int], tuple[float, float]]
) -> tuple[Floats, Floats]:
    """A limit's distance and deviation for every number of items, computed for some of them."""
    places = np.unique(np.linspace(0, len(count) - 1, min(_LOOKED_AT, len(count))).astype(int))
    order = np.argsort(count, kind="stable")
    chosen = order[places]
    found = np.array([limit(int(place)) for place in chosen])
    at, every = np.log(count[chosen]), np.log(count)
    distance = np.exp(np.interp(every, at, np.log(np.maximum(found[:, 0], 1e-300))))
    return distance, np.interp(every, at, found[:, 1])


def _limit(p: float, spread: float, units: float, tail: float) -> tuple[Floats, Floats, float]:
    """Points of the distribution, the limit's influence at each, and the limit."""
    return _known_limit(*(round(one, _DIGITS) for one in (p, spread, max(units, 1.0), tail)))


@lru_cache(maxsize=_CACHED)
def _known_limit(p: float, spread: float, units: float, tail: float) -> tuple[Floats, Floats, float]:
    points = _distribution(p, spread)
    shares = np.full(len(points), 1 / len(points))
    u, influence = expected_upper(points, shares, units, tail)
    return points, influence, u


def _distribution(p: float, spread: float) -> Floats:
    """Equally likely points of a beta distribution in [0, 1] with this mean and standard deviation."""
    most = p * (1 - p)
    if spread**2 <= 1e-12 * most or most <= 0:
        return np.full(1, p)
    chances = (np.arange(_POINTS) + 0.5) / _POINTS
    mass = most / min(spread**2, 0.999 * most) - 1
    if mass > _MOST_MASS:
        points = p + spread * ndtri(chances)
    else:
        points = betaincinv(p * mass, (1 - p) * mass, chances)
    found: Floats = np.clip(points + p - points.mean(), 0.0, 1.0)
    return found
