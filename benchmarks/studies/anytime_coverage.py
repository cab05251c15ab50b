"""How often sequences of intervals ever miss, with a look after every cluster.

Clusters are drawn independently of each other; their rows depend on each other.
``sorted``: the rows of a cluster follow each other. ``shuffled``: rows of all
clusters are mixed, and clusters enter a bet in their own seeded order, each
once all of its rows are in. Row-wise methods see the rows as they come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from benchmarks.studies.interval_coverage import SEED, chances
from fmaudit.statistics import change_sequence, cluster_totals, confidence_sequence, evidence_against_margin

CLUSTERS, LARGEST, LEVEL = 200, 20, 0.95
RATES = ((0.05, 0.3), (0.3, 0.1), (0.3, 0.3))
"""Rate and intra-cluster correlation."""
DATA_SETS = 1000
FIRST_WALD = 30
"""Rows before which Wald does not look, to its advantage."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sequence:
    """Share of runs in which a sequence missed the truth at any look."""

    setting: str
    order: str
    method: str
    ever: float
    error: float
    width: float
    """Mean width after the last cluster."""
    runs: int


def wald_misses(outcomes: Floats, looks: Floats, truth: float) -> tuple[bool, float]:
    """Whether Wald's interval on rows misses at any look, and its last width."""
    t = looks[looks >= FIRST_WALD].astype(int)
    mean = np.cumsum(outcomes)[t - 1] / t
    half = 1.96 * np.sqrt((np.cumsum(outcomes**2)[t - 1] / t - mean**2) / t)
    return bool((np.abs(mean - truth) > half).any()), float(2 * half[-1])


def mixture_misses(outcomes: Floats, looks: Floats, truth: float) -> tuple[bool, float]:
    """The same of the beta-binomial mixture on rows, with parameters one half."""
    t = looks.astype(int)
    events = np.cumsum(outcomes)[t - 1]

    def capital(theta: Floats | float, s: Floats, n: Floats) -> Floats:
        return (
            betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) - s * np.log(theta) - (n - s) * np.log1p(-theta)
        )

    threshold = math.log(1 / (1 - LEVEL))
    theta = np.linspace(0.0005, 0.9995, 1000)
    kept = theta[capital(theta, events[-1], looks[-1]) < threshold]
    return bool((capital(truth, events, looks) >= threshold).any()), float(np.ptp(kept))


def rate_run(
    rng: np.random.Generator, p: float, correlation: float, order: str
) -> dict[str, tuple[bool, float]]:
    """One run: whether each method ever misses, and its last width."""
    sizes = rng.integers(1, LARGEST + 1, CLUSTERS)
    labels = np.repeat(np.arange(CLUSTERS), sizes)
    outcomes = (rng.random(len(labels)) < chances(rng, p, correlation, CLUSTERS)[labels]).astype(float)
    looks = np.cumsum(sizes).astype(float)
    sums, counts = cluster_totals(outcomes, labels)
    if order == "shuffled":
        outcomes = rng.permutation(outcomes)
        place = rng.permutation(CLUSTERS)
        sums, counts = sums[place], counts[place]
    lower, upper = confidence_sequence(sums, counts, LARGEST, LEVEL)
    return {
        "betting on clusters": (bool(((lower > p) | (upper < p)).any()), float(upper[-1] - lower[-1])),
        "beta-binomial on rows": mixture_misses(outcomes, looks, p),
        "Wald on rows": wald_misses(outcomes, looks, p),
    }


def change_run(rng: np.random.Generator, margin: float, order: str) -> dict[str, tuple[bool, float]]:
    """One run at a true change of ``margin``; the evidence misses where it ever reaches 20."""
    sizes = rng.integers(1, LARGEST + 1, CLUSTERS)
    labels = np.repeat(np.arange(CLUSTERS), sizes)
    # Beta-binomial clusters with three outcomes: gained, lost, same. Correlation .3.
    mix = rng.dirichlet(np.array([0.1 + margin, 0.1, 0.8 - margin]) * 0.7 / 0.3, CLUSTERS)[labels]
    draw = rng.random(len(labels))
    change = (draw < mix[:, 0]).astype(float) - (draw > 1 - mix[:, 1])
    sums, counts = cluster_totals(change, labels)
    means = sums / counts
    if order == "shuffled":
        change, means = rng.permutation(change), rng.permutation(means)
    lower, upper = change_sequence(means, LEVEL)
    capital = evidence_against_margin(means, margin)
    return {
        "betting on clusters": (
            bool(((lower > margin) | (upper < margin)).any()),
            float(upper[-1] - lower[-1]),
        ),
        "evidence against the margin": (bool(capital.max() >= 1 / (1 - LEVEL)), math.nan),
        "Wald on rows": wald_misses(change, np.cumsum(sizes).astype(float), margin),
    }


def study(data_sets: int = DATA_SETS) -> list[Sequence]:
    """Every setting in both orders of rows."""
    found: list[Sequence] = []
    for order in ("sorted", "shuffled"):
        for p, correlation in RATES:
            rng = np.random.default_rng([SEED, round(100 * p), round(100 * correlation), len(order)])
            runs = [rate_run(rng, p, correlation, order) for _ in range(data_sets)]
            found += _summary(f"rate {p:g}, ICC {correlation:g}", order, runs)
        rng = np.random.default_rng([SEED, len(order)])
        found += _summary("change .05", order, [change_run(rng, 0.05, order) for _ in range(data_sets)])
    return found


def _summary(setting: str, order: str, runs: list[dict[str, tuple[bool, float]]]) -> list[Sequence]:
    found = []
    for method in runs[0]:
        ever = float(np.mean([run[method][0] for run in runs]))
        width = float(np.mean([run[method][1] for run in runs]))
        error = (ever * (1 - ever) / len(runs)) ** 0.5
        found.append(Sequence(setting, order, method, ever, error, width, len(runs)))
    return found
