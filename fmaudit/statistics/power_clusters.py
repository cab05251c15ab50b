"""Power of a clustered rate, by simulation: its effective size is estimated from few events.

Korn and Graubard's interval rests on the design effect that the sample itself shows.
Where events are rare that estimate moves with the number of events, which no closed
form follows; the decision is cheap enough to be simulated on beta-binomial clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, stdtrit

from fmaudit.statistics.design import Floats, Ints, kish
from fmaudit.statistics.power import RATE_STEP, Bounds

REPLICATES = 2000
_CELLS = 4_000_000


@dataclass(frozen=True)
class ClusteredRate:
    """A rate on clusters of ``sizes`` items with weights ``mass``, of intraclass correlation ``icc``."""

    truth: float
    sizes: Ints
    mass: Floats
    icc: float

    def power(
        self, clusters: int, bounds: Bounds, level: float, *, replicates: int = REPLICATES, seed: int = 0
    ) -> float:
        """Share of runs of so many clusters whose interval lies inside ``bounds``.

        Args:
            clusters: Clusters of a run, in the order of ``sizes``, which begins anew.
            bounds: Least and greatest allowed value.
            level: Two-sided level of the interval.
            replicates: Simulated runs.
            seed: Of the simulation.
        """
        rng = np.random.default_rng([seed, clusters, replicates])
        sizes, mass = np.resize(self.sizes, clusters), np.resize(self.mass, clusters)
        low, high = bounds
        inside = 0
        portion = max(_CELLS // clusters, 1)
        for start in range(0, replicates, portion):
            means = self._means(sizes, min(portion, replicates - start), rng)
            kept = np.ones(len(means), dtype=bool)
            if high is not None:
                kept &= _upper(means, sizes, mass, level) <= high
            if low is not None:
                kept &= _upper(1 - means, sizes, mass, level) <= 1 - low
            inside += int(kept.sum())
        return inside / replicates

    def _means(self, sizes: Ints, runs: int, rng: np.random.Generator) -> Floats:
        p, rho, shape = min(max(self.truth, 0.0), 1.0), min(self.icc, 1 - 1e-9), (runs, len(sizes))
        chance: float | Floats = p
        if rho > 0 and 0 < p < 1:
            spread = (1 - rho) / rho
            chance = rng.beta(p * spread, (1 - p) * spread, shape)
        found: Floats = rng.binomial(sizes, chance, shape) / sizes
        return found


def clusters_for_power(
    found: ClusteredRate, bounds: Bounds, level: float, *, power: float, least: int, most: int
) -> int | None:
    """Clusters with which a simulated run lies inside ``bounds`` with ``power``; None beyond ``most``.

    Two standard errors of the simulation are added to the power. Steps of 4 % from ``least`` on.
    """
    safe = min(power + 2 * math.sqrt(power * (1 - power) / REPLICATES), 1 - 1 / REPLICATES)
    clusters = least
    while clusters <= most:
        got = found.power(clusters, bounds, level)
        if got >= safe:
            return clusters
        # Far from the power the steps are longer: a tenth more items for every 5 points that are missing.
        clusters = math.ceil(clusters * (1 + max(0.04, min(2 * (safe - got), 1.0)))) + 1
    return None


def _upper(means: Floats, sizes: Ints, mass: Floats, level: float) -> Floats:
    """Upper limits of Korn and Graubard with half an effective answer of correction; one a run."""
    total, n, k = mass.sum(), float(sizes.sum()), len(sizes)
    p = means @ mass / total
    units = kish(mass)
    # Each item of a cluster has an equal part of its weight.
    least = min(units, float(total**2 / (mass**2 / sizes).sum()))
    spread = (means - p[:, None]) * mass
    variance = (k - 1) / k * ((spread / (total - mass)) ** 2).sum(axis=1)
    squares = spread**2
    shares = squares / np.maximum(squares.sum(axis=1), 1e-300)[:, None]
    uneven = np.maximum((shares**2).sum(axis=1) - 1 / k, 1e-12)
    df = np.maximum(np.minimum(units - 1, 2 / uneven), 1.0)
    flat = (p <= 0) | (p >= 1) | (variance <= 0)
    effective = np.where(flat, least, n * p * (1 - p) / (n - 1) / np.where(flat, 1.0, variance))
    effective = np.minimum(effective, n)
    tail = (1 + level) / 2
    usual = stdtrit(n - 1, tail)
    own = effective * (usual / stdtrit(df, tail)) ** 2
    single = np.minimum(effective, least) * (usual / stdtrit(max(units - 1, 1.0), tail)) ** 2
    adjusted = np.where(flat, least, np.maximum(own, single))
    events = p * adjusted
    limits = betaincinv(events + 1, np.maximum(adjusted - events, 1e-300), tail)
    limits = np.where(flat, limits, np.minimum(limits + RATE_STEP / effective, 1.0))
    found: Floats = np.where(p >= 1, 1.0, limits)
    return found
