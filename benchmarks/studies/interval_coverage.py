"""Coverage of the intervals over a grid of rates, sizes, clusters and crossed factors.

    python -m benchmarks.studies.interval_coverage docs/studies/interval_coverage.md

Truth is known: binomial rows, beta-binomial clusters of unequal size, crossed
random effects on the probit scale. Every interval comes from the estimators that
reports use. Each cell has its own seed, so a table is reproduced to the digit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, norm

from fmaudit.statistics import Interval, effective_clusters, rate, rate_change

SEED = 20
RATES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
ROWS = (50, 100, 200, 500, 1000, 2000, 5000)
CLUSTERED = ((20, 15.0), (50, 1.2), (70, 8.0), (100, 10.0), (500, 2.0), (500, 9.0))
"""Clusters and mean rows a cluster; sizes are log-normal with a coefficient of variation near .9."""
CORRELATIONS = (0.0, 0.1, 0.3)
CROSSED = ((35, 35, 0.1), (35, 35, 0.5), (40, 100, 0.3))
"""Levels of both factors; variance of each one's random effect on the probit scale (noise: 1)."""
CHANGES = ((0.1, 0.02, 0.1), (0.2, 0.05, 0.05), (0.5, 0.2, 0.1))
"""Base rate, chance to gain a defect where there was none, chance to lose one."""
CHANGED = ((70, 8.0, 0.05), (70, 8.0, 0.3), (150, 8.0, 0.3))
FEW = ((60, 0.02), (60, 0.05), (240, 0.01), (240, 0.05))
"""Clusters, and the share of them that changed: too few to resample."""
STRICT = 0.998
"""Level of each of 25 intervals that hold together at .95."""
DATA_SETS = 4000
_DRAWS = 300

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """One cell of the grid.

    ``effective`` is of the true design; ``refused`` the share of data sets whose
    interval may carry no verdict; ``error`` the Monte Carlo standard error.
    """

    kind: str
    design: str
    p: float
    n: int
    effective: float
    coverage: float
    error: float
    too_low: float
    too_high: float
    refused: float
    data_sets: int

    @property
    def enough(self) -> bool:
        """Whether the true design has at least 30 effective clusters or independent rows."""
        return self.effective >= 30

    @property
    def common(self) -> bool:
        """Whether at least 10 events are expected."""
        return self.n * self.p >= 10


def independent(n: int, p: float) -> Cell:
    """Exact coverage on independent rows: a sum over all event counts, without simulation."""
    parts = np.zeros(3)
    for events in range(int(binom.ppf(1e-9, n, p)), int(binom.ppf(1 - 1e-9, n, p)) + 1):
        found = rate((np.arange(n) < events).astype(float))
        parts += binom.pmf(events, n, p) * np.array(_misses(found, p))
    return Cell(
        "independent", "rows", p, n, float(n), 1 - parts[0] - parts[1], 0.0, *parts.tolist(), data_sets=0
    )


def cluster_sizes(clusters: int, mean: float) -> Labels:
    """Unequal sizes, the same for every data set of a design."""
    rng = np.random.default_rng([SEED, clusters, round(10 * mean)])
    drawn = mean * rng.lognormal(-0.32, 0.8, clusters)
    return np.maximum(1, np.rint(drawn)).astype(np.int64)


def chances(rng: np.random.Generator, p: float, correlation: float, clusters: int) -> Floats:
    """Chance of each cluster: beta with mean ``p`` and the intra-cluster correlation."""
    if not correlation:
        return np.full(clusters, p)
    scale = (1 - correlation) / correlation
    return rng.beta(p * scale, (1 - p) * scale, clusters)


def clustered(clusters: int, mean: float, correlation: float, p: float, data_sets: int) -> Cell:
    """Coverage of a rate over beta-binomial clusters of unequal size."""
    labels = np.repeat(np.arange(clusters), cluster_sizes(clusters, mean))

    def estimate(rng: np.random.Generator, seed: int) -> Interval:
        chance = chances(rng, p, correlation, clusters)[labels]
        return rate((rng.random(len(labels)) < chance).astype(float), None, {"cluster": labels})

    effective = effective_clusters(np.ones(len(labels)), labels)
    name = f"{clusters} clusters, ICC {correlation:g}"
    seeds = [clusters, round(10 * mean), round(100 * correlation), round(100 * p)]
    return _simulated("clustered", name, p, p, (len(labels), effective), estimate, seeds, data_sets)


def crossed(first: int, second: int, effect: float, p: float, data_sets: int) -> Cell:
    """Coverage of a rate over two crossed factors with random effects, one row a combination."""
    factors = {"a": np.repeat(np.arange(first), second), "b": np.tile(np.arange(second), first)}
    cut = norm.ppf(p) * (1 + 2 * effect) ** 0.5

    def estimate(rng: np.random.Generator, seed: int) -> Interval:
        latent = cut + effect**0.5 * (rng.normal(size=(first, 1)) + rng.normal(size=(1, second)))
        outcome = rng.random((first, second)) < norm.cdf(latent)
        return rate(outcome.ravel().astype(float), None, factors, draws=_DRAWS, seed=seed)

    name = f"{first} x {second}, effects {effect:g}"
    size = (first * second, float(min(first, second)))
    seeds = [first, second, round(100 * effect), round(100 * p)]
    return _simulated("crossed", name, p, p, size, estimate, seeds, data_sets)


def changed(
    clusters: int, mean: float, correlation: float, chance: tuple[float, float, float], data_sets: int
) -> Cell:
    """Coverage of a paired change whose base rate, gains and losses all vary between clusters."""
    labels = np.repeat(np.arange(clusters), cluster_sizes(clusters, mean))
    p, gain, loss = chance
    truth = (1 - p) * gain - p * loss

    def estimate(rng: np.random.Generator, seed: int) -> Interval:
        rates, gains, losses = (chances(rng, c, correlation, clusters)[labels] for c in chance)
        base, flip = rng.random((2, len(labels)))
        before = base < rates
        after = np.where(before, flip >= losses, flip < gains)
        paired = before.astype(float), after.astype(float)
        return rate_change(*paired, None, {"cluster": labels}, draws=_DRAWS, seed=seed)

    effective = effective_clusters(np.ones(len(labels)), labels)
    name = f"{clusters} clusters, ICC {correlation:g}, gain {gain:g}, loss {loss:g}"
    seeds = [clusters, round(100 * correlation), *(round(1000 * c) for c in chance)]
    return _simulated("change", name, p, truth, (len(labels), effective), estimate, seeds, data_sets)


def few_changed(clusters: int, share: float, gains: float, whole: bool, data_sets: int) -> Cell:
    """Coverage at a simultaneous level where few clusters changed, each wholly or in one of its rows."""
    sizes = cluster_sizes(clusters, 4.0)
    labels = np.repeat(np.arange(clusters), sizes)
    first = np.r_[True, labels[1:] != labels[:-1]]
    truth = share * (2 * gains - 1) * (1.0 if whole else clusters / len(labels))

    def estimate(rng: np.random.Generator, seed: int) -> Interval:
        sign = np.where(rng.random(clusters) < share, np.where(rng.random(clusters) < gains, 1.0, -1.0), 0.0)
        change = sign[labels] * (first | whole)
        base = np.where(change == 0, rng.random(len(labels)) < 0.5, change < 0).astype(float)
        paired = base, base + change
        return rate_change(*paired, None, {"cluster": labels}, level=STRICT, draws=_DRAWS, seed=seed)

    effective = effective_clusters(np.ones(len(labels)), labels)
    how = "every row of it" if whole else "one row of it"
    name = f"{clusters} clusters, {share:g} of them change in {how}, gains {gains:g}"
    seeds = [clusters, round(1000 * share), round(10 * gains), whole]
    return _simulated("few", name, share, truth, (len(labels), effective), estimate, seeds, data_sets)


def grid(kind: str, data_sets: int = DATA_SETS) -> Iterator[Cell]:
    """All cells of one kind: independent, clustered, crossed, change or few (changed clusters)."""
    if kind == "independent":
        yield from (independent(n, p) for p in RATES for n in ROWS)
    elif kind == "clustered":
        yield from (
            clustered(c, m, icc, p, data_sets) for c, m in CLUSTERED for icc in CORRELATIONS for p in RATES
        )
    elif kind == "crossed":
        yield from (crossed(a, b, e, p, data_sets) for a, b, e in CROSSED for p in RATES)
    elif kind == "change":
        yield from (changed(c, m, icc, chance, data_sets) for c, m, icc in CHANGED for chance in CHANGES)
    elif kind == "few":
        yield from (
            few_changed(clusters, share, gains, whole, data_sets)
            for clusters, share in FEW
            for gains in (0.5, 0.9)
            for whole in (False, True)
        )
    else:
        raise ValueError(f"grid {kind!r} is unknown: use independent, clustered, crossed, change or few")


def failures(cells: list[Cell]) -> list[str]:
    """The cells that break a bound, in words; empty when all hold."""
    broken = []
    for cell in cells:
        spared = 3 * (STRICT * (1 - STRICT) / max(cell.data_sets, 1)) ** 0.5
        name = f"{cell.kind} {cell.design} p={cell.p} n={cell.n}"
        if cell.kind == "few" and cell.coverage < STRICT - spared:
            broken.append(f"{name}: coverage {cell.coverage:.4f} is below {STRICT}")
        if cell.enough and cell.coverage < 0.92:
            broken.append(f"{name}: coverage {cell.coverage:.4f} is below .92")
        if cell.kind == "independent" and cell.common and cell.coverage > 0.975:
            broken.append(f"{name}: coverage {cell.coverage:.4f} is above .975")
        if cell.enough and cell.common and cell.refused > 0.05:
            broken.append(f"{name}: refuses {cell.refused:.1%}")
    return broken


def _misses(found: Interval, truth: float) -> tuple[float, float, float]:
    lower = -np.inf if found.lower is None else found.lower
    upper = np.inf if found.upper is None else found.upper
    return float(upper < truth), float(lower > truth), float(not found.conclusive)


def _simulated(
    kind: str,
    design: str,
    p: float,
    truth: float,
    size: tuple[int, float],
    estimate: Callable[[np.random.Generator, int], Interval],
    seeds: list[int],
    data_sets: int,
) -> Cell:
    rng = np.random.default_rng([SEED, *seeds])
    parts = np.mean([_misses(estimate(rng, seed), truth) for seed in range(data_sets)], axis=0)
    coverage = float(1 - parts[0] - parts[1])
    error = (coverage * (1 - coverage) / data_sets) ** 0.5
    return Cell(kind, design, p, *size, coverage, error, *parts.tolist(), data_sets=data_sets)


def main() -> None:
    """Run the whole study and write its tables."""
    import sys
    from pathlib import Path

    from benchmarks.studies.anytime_coverage import study
    from benchmarks.studies.interval_tables import page

    start = time.perf_counter()
    cells = []
    for kind in ("independent", "clustered", "crossed", "change", "few"):
        cells += list(grid(kind))
        print(kind, round(time.perf_counter() - start), "s", flush=True)
    sequences = study()
    Path(sys.argv[1]).write_text(page(cells, sequences), encoding="utf-8")
    print("\n".join(failures(cells)) or "every bound holds", round(time.perf_counter() - start), "s")


if __name__ == "__main__":
    main()
