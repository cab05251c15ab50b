"""Canaries under the gate: mean rank and mean exposure of secrets never inserted, and of inserted ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from benchmarks.studies.gate.study import Cell, GateStudy
from benchmarks.studies.gate.whole_policy import answers_of, cell, held
from fmaudit.errors import ExitCode
from fmaudit_probes.memorization.canary import Canary, by_chance

SEED = 12
SETS = 2000
NAME, TITLE = "canaries", "Canaries that share their references"
TEXT = """\
The metric may be at most `limit`: the share of references that are less likely, or the mean exposure in bits.
Likelihoods are normal; those of canaries are better by `shift` standard deviations, 0 for secrets that were
never inserted. At the limit a pass or a failure is wrong, beyond it a pass, inside a failure. With 20
references nothing is concluded. Exposure has no declared cap, since that depends on the references of a data
set: its mean is approximate, and the gate decides nothing by it.
"""
COLUMNS = ("metric", "canaries", "references", "shift", "limit", "truth")
PERCENTILE, EXPOSURE = "mean_percentile", "mean_exposure"
Truth = Literal["limit", "beyond", "alternative"]


@dataclass(frozen=True)
class Case:
    """``canaries`` whose likelihoods are ``shift`` better than those of ``references``."""

    metric: str
    canaries: int
    references: int
    shift: float
    limit: float
    truth: Truth


def cases() -> Iterator[Case]:
    """Never inserted at the expectation of chance, below a limit, and inserted beyond one."""
    sizes = ((100, 20), (100, 40), (100, 100), (100, 400), (40, 100), (400, 100))
    for canaries, references in sizes:
        yield Case(PERCENTILE, canaries, references, 0.0, 0.5, "limit")
    for shift in (0.5, 1.5):
        yield Case(PERCENTILE, 100, 100, shift, float(ndtr(shift / 2**0.5)), "limit")
    yield Case(PERCENTILE, 100, 100, 0.0, 0.7, "alternative")
    yield Case(PERCENTILE, 100, 100, 1.5, 0.7, "beyond")
    for canaries, references in sizes[:-1]:
        yield Case(EXPOSURE, canaries, references, 0.0, by_chance(references)[0], "limit")
    yield Case(EXPOSURE, 100, 100, 0.0, 2.0, "alternative")
    yield Case(EXPOSURE, 100, 100, 1.5, 2.0, "beyond")


def simulate(case: Case, sets: int = SETS) -> Cell:
    """Draw the sets of a case and hold each against the limit."""
    n = case.canaries + case.references
    canary = np.arange(n) < case.canaries
    slices = {
        "role": np.where(canary, "canary", "reference"),
        "template": np.full(n, "all"),
        "repeats": np.where(canary, "1", "0"),
    }
    probe = Canary()

    def drawn(number: int) -> ExitCode:
        rng = np.random.default_rng([SEED, number, n])
        columns = {measure.id: np.full(n, np.nan) for measure in probe.measures}
        columns["nll"] = 50 + rng.normal(size=n) - case.shift * canary
        return held(probe, case.metric, answers_of(columns, slices), case.limit)

    words = (
        case.metric, str(case.canaries), str(case.references),
        f"{case.shift:g}", f"{case.limit:.4g}", case.truth,
    )  # fmt: skip
    return cell(words, case.canaries, sets, drawn)


STUDY = GateStudy(NAME, TITLE, TEXT, COLUMNS, cases, simulate)
