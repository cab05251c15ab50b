"""When a confidence sequence first lies inside a limit: simulated, because it has no closed form.

A sequence never widens, so a look passes from the first cluster on after which
the capital at the limit has reached its threshold. Only that capital is simulated,
with the bets of :func:`fmaudit.statistics.confidence_sequence` and whole clusters
in the order of the run; the quantile of the stopping time is the number needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.anytime import _GRID, _TRUNCATION, predictable_bets
from fmaudit.statistics.design import Floats, Ints
from fmaudit.statistics.power import Bounds

Law: TypeAlias = Literal["rate", "change", "mean"]
REPLICATES = 2000
MOST_CLUSTERS = 200_000
NEVER = np.iinfo(np.int64).max
_CELLS = 4_000_000
_LONG, _FEW = 20_000, 100
"""Clusters from which on a run is long, and how many such runs are tried first."""


@dataclass(frozen=True)
class Clustered:
    """How clusters of answers come about.

    Attributes:
        law: ``rate``: 0/1 answers, beta-binomial. ``change``: differences of paired 0/1
            answers, Dirichlet-multinomial. ``mean``: values in [0, 1], beta.
        truth: Rate, change or mean.
        sizes: Items of each cluster in the order of the run; begins anew where more are needed.
        spread: Unused by ``rate``; discordance of ``change``; standard deviation of one item of ``mean``.
        icc: Intraclass correlation of the items of a cluster, in [0, 1].
        mass: Weight of each cluster; its size where None.
    """

    law: Law
    truth: float
    sizes: Ints
    spread: float = 0.0
    icc: float = 0.0
    mass: Floats | None = None


def stopping_clusters(
    found: Clustered,
    bounds: Bounds,
    level: float,
    *,
    clusters: int,
    beyond: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Ints:
    """Clusters after which the sequence first lies inside ``bounds``, or beyond one of them.

    Args:
        found: The law of the clusters.
        bounds: Least and greatest allowed value, on the scale of the truth.
        level: Two-sided level of the sequence.
        clusters: Clusters of one run.
        beyond: Ask when it first lies beyond one of the bounds instead.
        replicates: Simulated runs.
        seed: Of the simulation.

    Returns:
        Shape (replicates,), from 1; ``NEVER`` where a run ends before.
    """
    rng = np.random.default_rng([seed, clusters, replicates])
    sizes = np.resize(found.sizes, clusters)
    mass = found.sizes.astype(float) if found.mass is None else found.mass
    units = np.resize(mass, clusters) / mass.max()
    low, high = (None if bound is None else _scaled(found, bound) for bound in bounds)
    times = []
    portion = max(_CELLS // clusters, 1)
    for start in range(0, replicates, portion):
        for sums in units * _draw(found, sizes, min(portion, replicates - start), rng):
            bets = predictable_bets(sums, units, level)
            over = None if high is None else _crossing(sums, units, bets, high, level, beyond, up=beyond)
            under = None if low is None else _crossing(sums, units, bets, low, level, beyond, up=not beyond)
            crossed = [time for time in (over, under) if time is not None]
            times.append(min(crossed) if beyond else max(crossed))
    return np.array(times, dtype=np.int64)


def clusters_needed(
    found: Clustered,
    bounds: Bounds,
    level: float,
    *,
    power: float,
    replicates: int = REPLICATES,
    seed: int = 0,
    most: int = MOST_CLUSTERS,
) -> int | None:
    """Clusters after which the sequence lies inside ``bounds`` with at least ``power``; None beyond ``most``.

    Two standard errors of the simulation are added to the power.
    """
    safe = power + 2 * math.sqrt(power * (1 - power) / replicates)
    rank = math.ceil(min(safe, 1 - 1 / replicates) * replicates) - 1
    clusters = 64
    while True:
        clusters = min(clusters * 4, most)
        runs = min(_FEW, replicates) if clusters > _LONG else replicates
        times = stopping_clusters(found, bounds, level, clusters=clusters, replicates=runs, seed=seed)
        # Long runs are costly: a few show whether the length is hopeless, five standard errors short.
        hopeless = (times != NEVER).mean() + 5 * math.sqrt(power * (1 - power) / runs) < power
        if runs < replicates and not hopeless:
            times = stopping_clusters(
                found, bounds, level, clusters=clusters, replicates=replicates, seed=seed
            )
        times = np.sort(times)
        if len(times) == replicates and times[rank] != NEVER:
            return int(times[rank])
        if clusters == most:
            return None
        clusters = _projected(times, clusters)


def _projected(times: Ints, clusters: int) -> int:
    """A quarter of the next length to try: longer at once where hardly a run has stopped."""
    stopped = float((times != NEVER).mean())
    return clusters if stopped > 0.2 else 2 * clusters


def _scaled(found: Clustered, bound: float) -> float:
    return (bound + 1) / 2 if found.law == "change" else bound


def _crossing(
    sums: Floats, units: Floats, bets: Floats, bound: float, level: float, beyond: bool, *, up: bool
) -> int:
    """The first cluster after which the bound is ruled out from the side that matters.

    ``up``: the sequence lies above it. The grid of the sequence is rounded outward, as there.
    A limit on the bound is inside it and not ``beyond`` it.
    """
    room = bound if up else 1 - bound
    if room < 0 or (room <= 0 and not beyond):
        # No sequence leaves [0, 1]: it lies on this side of such a bound from the start.
        return 1
    if room > 1:
        return NEVER
    theta = _on_grid(bound, up=up)
    pay = sums - theta * units
    with np.errstate(divide="ignore"):
        most = np.divide(_TRUNCATION, theta if up else 1 - theta)
    growth = np.log1p(np.minimum(bets, most) * pay) if up else np.log1p(-np.minimum(bets, most) * pay)
    ruled = np.flatnonzero(np.cumsum(growth) >= math.log(2 / (1 - level)))
    return int(ruled[0]) + 1 if len(ruled) else NEVER


def _on_grid(bound: float, *, up: bool) -> float:
    """The point of the sequence's grid that has to be ruled out."""
    exact = _GRID * math.acos(1 - 2 * bound) / math.pi
    # Above the bound: the first point at or over it must be ruled out; below it: the last at or under it.
    place = max(math.ceil(exact - 1e-9), 1) if up else min(math.floor(exact + 1e-9), _GRID - 1)
    return (1 - math.cos(math.pi * place / _GRID)) / 2


def _draw(found: Clustered, sizes: Ints, runs: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Means of the clusters in [0, 1], a change ``d`` as ``(d + 1) / 2``; shape (runs, clusters)."""
    shape = (runs, len(sizes))
    rho = min(max(found.icc, 0.0), 1 - 1e-9)
    means: Floats
    if found.law == "change":
        psi = max(found.spread, abs(found.truth))
        gained, lost = (psi + found.truth) / 2, (psi - found.truth) / 2
        gain, loss = _chances(np.array([gained, lost, 1 - psi]), rho, shape, rng)
        ups = rng.binomial(sizes, gain)
        rest = np.divide(loss, 1 - gain, out=np.zeros(shape), where=gain < 1)
        downs = rng.binomial(sizes - ups, np.minimum(rest, 1.0))
        means = ((ups - downs) / sizes + 1) / 2
        return means
    if found.law == "rate":
        (chance,) = _chances(np.array([found.truth, 1 - found.truth]), rho, shape, rng)
        means = rng.binomial(sizes, chance) / sizes
        return means
    if not 0 < found.truth < 1 or found.spread <= 0:
        return np.full(shape, min(max(found.truth, 0.0), 1.0))
    share = min(found.spread**2 / max(found.truth * (1 - found.truth), 1e-300), 1 - 1e-9)
    inside = share * (rho + (1 - rho) / sizes)
    mass = (1 - inside) / np.maximum(inside, 1e-12)
    means = rng.beta(found.truth * mass, (1 - found.truth) * mass, shape)
    return means


def _chances(means: Floats, rho: float, shape: tuple[int, int], rng: np.random.Generator) -> list[Floats]:
    """The chances of a cluster, without the last one: the means, or Dirichlet around them."""
    if rho <= 0:
        return [np.full(shape, mean) for mean in means[:-1]]
    mass = (1 - rho) / rho
    drawn = [rng.standard_gamma(mean * mass, shape) if mean > 0 else np.zeros(shape) for mean in means]
    total = np.sum(drawn, axis=0)
    likely = int(np.argmax(means))
    return [
        np.divide(column, total, out=np.full(shape, float(place == likely)), where=total > 0)
        for place, column in enumerate(drawn[:-1])
    ]
