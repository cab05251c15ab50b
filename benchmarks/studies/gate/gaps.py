"""Gaps between groups under the gate: classifiers of known true-positive rates, many and few groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.studies.gate.study import Cell, GateStudy
from benchmarks.studies.gate.whole_policy import answers_of, cell, held
from fmaudit.errors import ExitCode
from fmaudit_probes.downstream.group_fairness import GroupFairness

SEED = 11
SETS = 2000
NAME, TITLE = "gaps", "Gaps between groups"
TEXT = """\
The largest gap of true-positive rates may be at most `limit`. `groups`: how many, and their positives each;
`rates`: their true-positive rates. Without any gap a failure is wrong; at the limit a pass or a failure is;
beyond it a pass.
"""
COLUMNS = ("groups", "rates", "limit", "truth")
Truth = Literal["limit", "beyond", "alternative"]


@dataclass(frozen=True)
class Case:
    """Groups with these true-positive rates, of ``per`` positives each, held against ``limit``."""

    rates: tuple[float, ...]
    per: int
    limit: float
    truth: Truth


def cases() -> Iterator[Case]:
    """No gap, at the limit, and beyond it."""
    for groups in (2, 5, 10):
        for per in (30, 100):
            yield Case((0.8,) * groups, per, 0.05, "alternative")
    yield Case((0.8, 0.8), 1200, 0.1, "alternative")
    for rates in ((0.75, 0.85), (0.75, 0.8, 0.8, 0.8, 0.85), (0.9, 0.99)):
        for per in (100, 400):
            yield Case(rates, per, round(max(rates) - min(rates), 9), "limit")
    yield Case((0.6, 0.8, 0.8, 0.8, 0.9), 100, 0.1, "beyond")


def simulate(case: Case, sets: int = SETS) -> Cell:
    """Draw the sets of a case and hold each against the limit."""
    group = np.repeat([f"g{place}" for place in range(len(case.rates))], case.per)
    chance = np.repeat(case.rates, case.per)
    probe = GroupFairness()

    def drawn(number: int) -> ExitCode:
        rng = np.random.default_rng([SEED, number, len(group)])
        predicted = (rng.random(len(group)) < chance).astype(float)
        columns = {
            "outcome": 1 - predicted,
            "severity": 0.5 - predicted,
            "actual_positive": np.ones(len(group)),
            "predicted_positive": predicted,
        }
        return held(probe, "tpr_gap", answers_of(columns, {"group": group}), case.limit)

    low, high = min(case.rates), max(case.rates)
    rates = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    words = (f"{len(case.rates)} of {case.per}", rates, f"{case.limit:g}", case.truth)
    return cell(words, len(group), sets, drawn)


STUDY = GateStudy(NAME, TITLE, TEXT, COLUMNS, cases, simulate)
