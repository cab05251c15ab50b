"""Means of a bounded measure whose large values are rare, at a limit, beyond it and inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.studies.gate.single import MEAN, Rows, held
from benchmarks.studies.gate.study import TRUTHS, Cell, GateStudy, Truth
from fmaudit.probe import Real

SEED, SETS = 11, 2000
MEASURES = (Real("x", low=0.0, high=1.0, direction="lower_is_better"),)
SIZES = {72: 0.05, 100: 0.01, 300: 0.01}
"""Items, and the limit that they are held against."""
BEYOND, ALTERNATIVE = 4.0, 0.2
"""True means in units of the limit."""


def _rare_ones(rng: np.random.Generator, n: int, t: float) -> np.ndarray:
    return (rng.random(n) < t).astype(float)


def _rare_ones_in_noise(rng: np.random.Generator, n: int, t: float) -> np.ndarray:
    noise = 1e-4 * rng.random(n)
    return np.where(rng.random(n) < (t - 5e-5) / (1 - 5e-5), 1.0, noise)


def _rare_uniform(rng: np.random.Generator, n: int, t: float) -> np.ndarray:
    share = (t - 0.0005) / (0.5 - 0.0005)
    return np.where(rng.random(n) < share, rng.random(n), 0.001 * rng.random(n))


def _beta(shape: float) -> Callable[[np.random.Generator, int, float], np.ndarray]:
    return lambda rng, n, t: rng.beta(shape, shape * (1 - t) / t, n)


def _rare_ones_on_a_floor(rng: np.random.Generator, n: int, t: float) -> np.ndarray:
    return np.where(rng.random(n) < (t / 2) / (1 - t / 2), 1.0, t / 2)


GENERATORS: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "rare 1, else 0": _rare_ones,
    "rare 1, else about 1e-4": _rare_ones_in_noise,
    "rare uniform, else about .001": _rare_uniform,
    "beta, shape .2": _beta(0.2),
    "beta, shape .5": _beta(0.5),
    "rare 1 on a constant floor": _rare_ones_on_a_floor,
}


@dataclass(frozen=True)
class Case:
    """A generator, a number of items and where the truth lies."""

    values: str
    n: int
    truth: Truth

    @property
    def limit(self) -> float:
        """The largest mean allowed."""
        return SIZES[self.n]

    @property
    def mean(self) -> float:
        """The true mean."""
        return self.limit * {"limit": 1.0, "beyond": BEYOND, "alternative": ALTERNATIVE}[self.truth]


def cases() -> Iterator[Case]:
    """Every situation of the study."""
    for values in GENERATORS:
        for n in SIZES:
            for truth in TRUTHS:
                yield Case(values, n, truth)


def simulate(case: Case, sets: int = SETS) -> Cell:
    """The gate's verdicts on means of one case."""
    make = GENERATORS[case.values]
    seed = [SEED, *case.values.encode(), case.n, TRUTHS.index(case.truth)]
    return held(
        (case.values, f"{case.limit:g}", case.truth),
        lambda rng: Rows(make(rng, case.n, case.mean)),
        MEAN,
        MEASURES,
        case.limit,
        sets,
        seed,
    )


TEXT = f"""\
The mean of a measure with the declared range 0 to 1 may be at most the limit, at one-sided confidence .95
(seed {SEED}). *Beyond*: the true mean is {BEYOND:g} times the limit, at the *alternative* {ALTERNATIVE:g}
of it. What the tests hold (`tests/gate/test_gate_study_ranges.py`): passes at and beyond the limit, and
failures at and inside it, in at most 5 %, 6 % with Monte Carlo error. Few items cannot show a small mean:
of 100 items without a large value, up to 3 in 100 may have one.
"""

STUDY = GateStudy("means", "Means in a declared range", TEXT, ("values", "limit", "truth"), cases, simulate)
