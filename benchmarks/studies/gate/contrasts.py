"""Contrasts of two groups: members minus controls, their levels and their paired changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.studies.gate.single import Rows, held
from benchmarks.studies.gate.study import TRUTHS, Cell, GateStudy, Truth
from fmaudit.probe import Binary, Rate

SEED, SETS = 29, 2000
LIMIT = 0.02
MEASURES = (Binary("x"),)
METRIC = Rate("x", of="x")
BEYOND, ALTERNATIVE = 0.1, 0.0
"""True contrast beyond the limit, and inside it."""


@dataclass(frozen=True)
class Setting:
    """Rows a group, and the shares that gain and lose the outcome in the first and the second group.

    ``level``: a contrast of levels; ``gain`` and ``other_gain`` are then the two rates.
    """

    n: int
    gain: float
    loss: float
    other_gain: float
    other_loss: float
    level: bool = False

    @property
    def text(self) -> str:
        """The setting in words."""
        if self.level:
            return f"rates {self.gain:g} and {self.other_gain:g}"
        return f"+{self.gain:g} -{self.loss:g}, controls +{self.other_gain:g} -{self.other_loss:g}"


SETTINGS = (
    *(Setting(n, 0.03, 0.01, 0, 0) for n in (100, 150, 300, 600)),
    *(Setting(n, 0, 0, 0, 0.02) for n in (100, 150, 300, 600)),
    Setting(600, 0.02, 0, 0, 0),
    Setting(300, 0.02, 0, 0.01, 0.01),
    Setting(300, 0.01, 0, 0, 0.01),
    Setting(150, 0, 0, 0.02, 0.04),
    Setting(300, 0.04, 0.01, 0.02, 0.01),
    Setting(150, 0.02, 0, 0, 0, level=True),
    Setting(300, 0.02, 0, 0, 0, level=True),
    Setting(300, 0.3, 0, 0.28, 0, level=True),
)


@dataclass(frozen=True)
class Case:
    """A setting, whose truth lies at the limit, and how far the truth is moved from there."""

    setting: Setting
    truth: Truth

    @property
    def moved(self) -> float:
        """What is added to the gain of the first group; taken from the second where it is negative."""
        return {"limit": 0.0, "beyond": BEYOND - LIMIT, "alternative": ALTERNATIVE - LIMIT}[self.truth]


def cases() -> Iterator[Case]:
    """Every situation of the study."""
    for setting in SETTINGS:
        for truth in TRUTHS:
            yield Case(setting, truth)


def draw(case: Case, rng: np.random.Generator) -> Rows:
    """One data set."""
    asked, n = case.setting, case.setting.n
    plus = np.arange(2 * n) < n
    first, second = max(case.moved, 0.0), max(-case.moved, 0.0)
    gain = np.where(plus, asked.gain + first, asked.other_gain + second)
    loss = np.where(plus, asked.loss, asked.other_loss)
    u = rng.random(2 * n)
    gained, lost = u < gain, (u >= gain) & (u < gain + loss)
    return Rows(gained.astype(float), None if asked.level else lost.astype(float), plus)


def simulate(case: Case, sets: int = SETS) -> Cell:
    """The gate's verdicts on contrasts of one case."""
    words = (str(case.setting.n), case.setting.text, case.truth)
    seed = [SEED, SETTINGS.index(case.setting), TRUTHS.index(case.truth)]
    return held(words, lambda rng: draw(case, rng), METRIC, MEASURES, LIMIT, sets, seed)


TEXT = f"""\
The first group's rate minus the second's, or the paired change of that difference over the base, may be at
most {LIMIT:g}, at one-sided confidence .95 (seed {SEED}). The words say which share of each group gains and
loses the outcome at the limit; *beyond* the first group gains as much more that the contrast is {BEYOND:g},
at the *alternative* the second gains until it is {ALTERNATIVE:g}. What the tests hold
(`tests/gate/test_gate_study_ranges.py`) is what they hold of means.
"""

STUDY = GateStudy(
    "contrasts", "Contrasts of two groups", TEXT, ("rows a group", "shares", "truth"), cases, simulate
)
