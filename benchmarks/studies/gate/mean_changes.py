"""Paired changes of a bounded measure: rare jumps, noise and both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.studies.gate.single import MEAN, Rows, held
from benchmarks.studies.gate.study import TRUTHS, Cell, GateStudy, Truth
from fmaudit.probe import Real

SEED, SETS = 12, 2000
MEASURES = (Real("x", low=0.0, high=1.0, direction="lower_is_better"),)
SIZES = {72: 0.05, 100: 0.02, 300: 0.02}
"""Items, and the largest increase that is allowed."""
BEYOND, ALTERNATIVE = 4.0, -0.5
"""True changes in units of the limit."""


def _from_zero(rng: np.random.Generator, n: int, change: float) -> Rows:
    gained, lost = max(change, 0.0), max(-change, 0.0)
    u = rng.random(n)
    return Rows((u < gained).astype(float), ((u >= gained) & (u < gained + lost)).astype(float))


def _from_noise(rng: np.random.Generator, n: int, change: float) -> Rows:
    rows = _from_zero(rng, n, change)
    assert rows.base is not None
    return Rows(
        np.where(rows.adapted == 0, 1e-4 * rng.random(n), 1.0),
        np.where(rows.base == 0, 1e-4 * rng.random(n), 1.0),
    )


def _smooth(rng: np.random.Generator, n: int, change: float) -> Rows:
    base = 0.3 + 0.2 * rng.random(n)
    return Rows(base + change + 0.1 * (rng.random(n) - 0.5), base)


def _smooth_and_jumps(rng: np.random.Generator, n: int, change: float) -> Rows:
    """Noise of either sign, and a rare rise or fall over the whole range."""
    base = np.full(n, 0.4) + 0.05 * (rng.random(n) - 0.5)
    moved = base + 0.05 * (rng.random(n) - 0.5)
    u = rng.random(n)
    rare = abs(change)
    low, high = (0.0, 1.0) if change > 0 else (1.0, 0.0)
    return Rows(np.where(u < rare, high, moved), np.where(u < rare, low, base))


def _both_ways(rng: np.random.Generator, n: int, change: float) -> Rows:
    """Binary outcomes that go both ways."""
    u, loss = rng.random(n), 0.03
    gain = loss + change
    shared = (u > 0.8).astype(float)
    return Rows(np.where(u < gain, 1.0, shared), np.where((u >= gain) & (u < gain + loss), 1.0, shared))


GENERATORS: dict[str, Callable[[np.random.Generator, int, float], Rows]] = {
    "rare jumps from 0": _from_zero,
    "rare jumps from about 1e-4": _from_noise,
    "smooth noise": _smooth,
    "smooth noise with rare jumps": _smooth_and_jumps,
    "0 and 1 both ways": _both_ways,
}


@dataclass(frozen=True)
class Case:
    """A generator, a number of items and where the truth lies."""

    values: str
    n: int
    truth: Truth

    @property
    def limit(self) -> float:
        """The largest increase allowed."""
        return SIZES[self.n]

    @property
    def change(self) -> float:
        """The true change."""
        return self.limit * {"limit": 1.0, "beyond": BEYOND, "alternative": ALTERNATIVE}[self.truth]


def cases() -> Iterator[Case]:
    """Every situation of the study."""
    for values in GENERATORS:
        for n in SIZES:
            for truth in TRUTHS:
                yield Case(values, n, truth)


def simulate(case: Case, sets: int = SETS) -> Cell:
    """The gate's verdicts on changes of means of one case."""
    make = GENERATORS[case.values]
    return held(
        (case.values, f"{case.limit:g}", case.truth),
        lambda rng: make(rng, case.n, case.change),
        MEAN,
        MEASURES,
        case.limit,
        sets,
        [SEED, *case.values.encode(), case.n, TRUTHS.index(case.truth)],
    )


TEXT = f"""\
The mean of a measure with the declared range 0 to 1 may rise by at most the limit over that of the base on
the same items, at one-sided confidence .95 (seed {SEED}). *Beyond*: it rises by {BEYOND:g} times the limit;
at the *alternative* it falls by {-ALTERNATIVE:g} of it. What the tests hold
(`tests/gate/test_gate_study_ranges.py`) is what they hold of means.
"""

STUDY = GateStudy(
    "mean_changes",
    "Paired changes of means in a declared range",
    TEXT,
    ("values", "limit", "truth"),
    cases,
    simulate,
)
