"""How likely the interval of a paired change ends where it has to.

Tango's score interval with one effective answer of continuity correction, summed
exactly over the trinomial; Student's t on the effective items where rows are
clustered and changes are not rare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from fmaudit.statistics.design import Floats
from fmaudit.statistics.interval import MIN_CLUSTERS
from fmaudit.statistics.layout import Layout
from fmaudit.statistics.levels import RARE
from fmaudit.statistics.power import student
from fmaudit.statistics.proportions import critical

CHANGE_STEP = 1.0
"""Effective answers of continuity correction of a paired change."""
_TAIL = 9.0
"""Standard deviations of a count beyond which its chance is nothing."""


@dataclass(frozen=True)
class ChangeModel:
    """The interval of a paired change of a rate that a gate decides on.

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
        if bound >= 1:
            return np.ones(len(count))
        if self.layout.simple:
            return np.array(
                [_tango(truth, psi, int(k), float(k), bound - CHANGE_STEP / int(k), level) for k in count]
            )
        worth, units = self.layout.effective(count), self.layout.independent_units(count)
        ends = bound - CHANGE_STEP / worth
        sd = math.sqrt(max(psi - truth**2, 0.0))
        usual = student(truth, sd, worth, np.maximum(units - 1, 1.0), ends, level)
        freedom = 2 * worth * psi / max(1 - psi, 1e-9)
        scarce = (freedom < MIN_CLUSTERS) | (worth * psi < RARE)
        z = critical(level)
        for place in np.flatnonzero(scarce):
            df = max(min(float(units[place]) - 1, float(freedom[place])), 1.0)
            whole = max(float(units[place]) - 1, 1.0)
            own = float(worth[place]) * (z / critical(level, df)) ** 2
            single = min(float(worth[place]), float(units[place])) * (z / critical(level, whole)) ** 2
            usual[place] = _tango(truth, psi, int(worth[place]), max(own, single), float(ends[place]), level)
        return usual


def _tango(change: float, psi: float, n: int, decided_on: float, bound: float, level: float) -> float:
    """Chance that Tango's upper limit is at most ``bound``.

    Counts come from ``n`` pairs; the interval is taken as if there were ``decided_on``.
    """
    if n < 1 or bound <= -1:
        return 0.0
    spread = _TAIL * math.sqrt(n * psi * (1 - psi)) + 3
    moved = np.arange(max(math.floor(n * psi - spread), 0), min(math.ceil(n * psi + spread), n) + 1)
    scale, z2 = np.float64(decided_on / n), critical(level) ** 2
    # By halving: the most gains among the moved pairs with which the limit is low enough.
    low, high = np.full(len(moved), -1), moved.copy()
    while (low < high).any():
        middle = (low + high + 1) // 2
        good = _ends_below(middle * scale, (moved - middle) * scale, decided_on, bound, z2)
        low, high = np.where(good, middle, low), np.where(good, high, middle - 1)
    gain = min(max((psi + change) / (2 * psi), 0.0), 1.0) if psi > 0 else 0.5
    weight = _binomial_pmf(moved, n, psi)
    given = np.where(low < 0, 0.0, bdtr(np.maximum(low, 0).astype(float), moved, gain))
    return min(float(weight @ given), 1.0)


def _ends_below(gained: Floats, lost: Floats, n: float, bound: float, z2: float) -> npt.NDArray[np.bool_]:
    """Whether Tango's score test at ``bound`` rejects from below, which is where its interval ends."""
    difference = (gained - lost) / n
    linear = (2 * n - gained + lost) * bound - gained - lost
    constant = -lost * bound * (1 - bound)
    q = (np.sqrt(np.maximum(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    excess = n * (difference - bound) ** 2 - z2 * np.maximum(2 * q + bound * (1 - bound), 0.0)
    # Strictly: a table without any change has no variance at 0, yet its interval reaches beyond.
    found: npt.NDArray[np.bool_] = (difference < bound) & (excess >= 0)
    return found


def _binomial_pmf(k: npt.NDArray[np.int64], n: int, p: float) -> Floats:
    from scipy.stats import binom

    mass: Floats = binom.pmf(k, n, p)
    return mass
