"""Rates and means with a target, held by the change of their distance to it.

Rows of base and adapted model share a part of what moves them; the gate reads them as it reads
those of a run. The truths lie on one side of the target, on the other, at it, or change sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from benchmarks.studies.gate.simulated import Simulated
from benchmarks.studies.gate.study import Cell, GateStudy, Truth
from fmaudit.analysis.claims import Claim, RunNumbers
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.tables import Answers
from fmaudit.errors import ExitCode
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.evaluate import evaluate
from fmaudit.gate.policy import PolicyFile, parse_policy
from fmaudit.probe import Binary, Mean, Probe, Rate, Real
from fmaudit.schema import Audit

SEED = 7
CONFIDENCE = 0.95
LEVEL = 2 * CONFIDENCE - 1
KEY = "toy.target@toy"
IDEALS = {"rate": 0.5, "mean": 0.0}
LIMITS = {"rate": 0.05, "mean": 0.2}
ROWS = {"rate": 1000, "mean": 150}
SHARED = 0.6
CLUSTER, LIKENESS = 5, 0.2

Kind = Literal["rate", "mean"]
Pairs = dict[Kind, tuple[tuple[float, float], ...]]

AT_LIMIT: Pairs = {
    "rate": ((0.5, 0.55), (0.5, 0.45), (0.52, 0.57), (0.52, 0.43), (0.6, 0.65), (0.3, 0.25), (0.3, 0.75)),
    "mean": ((0.0, 0.2), (0.6, 0.8), (-0.4, 0.6)),
}
BEYOND: Pairs = {"rate": ((0.5, 0.1), (0.5, 0.62), (0.3, 0.85)), "mean": ((0.0, 0.6), (-0.4, 1.0))}
INSIDE: Pairs = {
    "rate": ((0.3, 0.45), (0.62, 0.45), (0.3, 0.7), (0.5, 0.5), (0.4, 0.4)),
    "mean": ((0.8, 0.4), (-0.5, 0.1)),
}
SETS: dict[Truth, int] = {"limit": 2000, "beyond": 200, "alternative": 200}
SLOW_SETS: dict[Truth, int] = {"limit": 200, "beyond": 40, "alternative": 40}
"""Where the interval is resampled."""


@dataclass(frozen=True)
class Case:
    """One number with its true values before and after; ``clustered``: rows come in clusters of five."""

    kind: Kind
    base: float
    adapted: float
    truth: Truth
    clustered: bool = False

    @property
    def sets(self) -> int:
        """Data sets that the study simulates."""
        return (SLOW_SETS if self.clustered or self.kind == "mean" else SETS)[self.truth]

    @property
    def words(self) -> tuple[str, ...]:
        """The case as columns of the table."""
        rows = f"clusters of {CLUSTER}" if self.clustered else "rows"
        return self.kind, rows, f"{self.base:g} to {self.adapted:g}", self.truth


def cases() -> Iterator[Case]:
    """Every situation of the study."""
    kinds: tuple[Kind, ...] = ("rate", "mean")
    placed: dict[Truth, Pairs] = {"limit": AT_LIMIT, "beyond": BEYOND, "alternative": INSIDE}
    for kind in kinds:
        for truth, pairs in placed.items():
            for base, adapted in pairs[kind]:
                yield Case(kind, base, adapted, truth)
    for base, adapted in ((0.5, 0.55), (0.3, 0.75)):
        yield Case("rate", base, adapted, "limit", clustered=True)


class Target(Probe):
    """One rate and one mean with a target."""

    id, version, family = "toy.target", 1, "toy"
    measures = (Binary("rate", direction="target"), Real("mean", direction="target", low=-5.0, high=5.0))
    metrics = (
        Rate("rate", of="rate", direction="target", ideal=IDEALS["rate"]),
        Mean("mean", of="mean", direction="target", ideal=IDEALS["mean"]),
    )

    def __init__(self, kind: str) -> None:
        self.variant = ""
        self.metrics = tuple(metric for metric in type(self).metrics if metric.id == kind)
        self.measures = tuple(measure for measure in type(self).measures if measure.id == kind)


def simulate(case: Case, sets: int | None = None) -> Cell:
    """Draw the data sets of a case and hold each against the policy."""
    count = sets or case.sets
    policy = parse_policy(
        f"schema: fmaudit/policy/1\nid: study\ndefaults: {{confidence: {CONFIDENCE}}}\nrules:\n"
        f"  - {{id: r, metric: toy.target/{case.kind}, dataset: toy, "
        f"vs_base: {{max_increase: {LIMITS[case.kind]}}}}}\n"
    )
    rng = np.random.default_rng([SEED, *"".join(case.words).encode()])
    codes = [_gate(case, policy, *_rows(case, rng)) for _ in range(count)]
    passed, failed = (codes.count(code) / count for code in (ExitCode.PASS, ExitCode.GATE_FAILED))
    return Cell(case.words, ROWS[case.kind], passed, failed, count)


def _rows(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of base and adapted model and the cluster of each row."""
    n = ROWS[case.kind]
    labels = np.arange(n) // (CLUSTER if case.clustered else 1)
    common, *own = (rng.normal(size=n) for _ in range(3))
    between = rng.normal(size=labels[-1] + 1)[labels] if case.clustered else 0.0
    share = LIKENESS if case.clustered else 0.0
    # All of one kind of mixing, so that both sides are standard normal.
    latent = [
        share**0.5 * between + (1 - share) ** 0.5 * (SHARED**0.5 * common + (1 - SHARED) ** 0.5 * one)
        for one in own
    ]
    if case.kind == "mean":
        return latent[0] + case.base, latent[1] + case.adapted, labels
    base, adapted = (
        (one < ndtri(rate)).astype(float) for one, rate in zip(latent, (case.base, case.adapted), strict=True)
    )
    return base, adapted, labels


def _gate(
    case: Case, policy: PolicyFile, base: np.ndarray, adapted: np.ndarray, labels: np.ndarray
) -> ExitCode:
    probe, names = Target(case.kind), ("base", "adapted")
    clusters = {"cluster": labels.astype(str).astype(object)} if case.clustered else {}
    ids = np.array([f"{place:05d}" for place in range(len(labels))], dtype=object)
    rows = {
        f"{name}/{KEY}": MeasuredRows(
            f"{name}/{KEY}", name, KEY, probe, {},
            Answers(ids, np.ones(len(ids)), clusters, {}, {case.kind: values[:, None]}, {}, {}), False,
        )
        for name, values in zip(names, (base, adapted), strict=True)
    }  # fmt: skip
    state: dict[str, Any] = {
        "plan": {"seed": 0},
        "subjects": [_subject(name) for name in names],
        "measurements": [
            {"subject": name, "key": KEY, "state": "measured", "partial": False} for name in names
        ],
    }
    evidence = Simulated(RunNumbers(RunDirectory(Path()), "fixed", rows, state))
    return evaluate(_audit(case, evidence), policy, evidence, {}).exit_code


def _subject(name: str) -> dict[str, Any]:
    found = {"id": name, "role": name, "kind": "causal", "name": name, "digest": name, "lineage": {}}
    return found | {"parts": {"tokenizer": "one"}}


def _audit(case: Case, evidence: Simulated) -> Audit:
    own = {"measurement": f"adapted/{KEY}", "metric": f"toy.target/{case.kind}"}
    distance = evidence.number(Claim("change", "adapted", **own, base="base", distance=True), LEVEL)
    stated = distance.model_dump()
    dataset = {
        "id": "toy", "digest": "", "n_items": 1, "n_asked": 1, "pinned": True, "source": "local",
    }  # fmt: skip
    return Audit.model_validate(
        {
            "tool": {}, "instruments": [], "contrasts": [], "estimates": [],
            "subjects": [_subject(name) for name in ("base", "adapted")],
            "measurements": [
                {
                    "id": f"{name}/{KEY}", "subject": name, "probe": "toy.target", "version": 1,
                    "state": "measured", "dataset": dataset,
                }
                for name in ("base", "adapted")
            ],
            "metrics": [
                {
                    "id": own["metric"], "probe": "toy.target", "title": case.kind, "kind": case.kind,
                    "direction": "target", "ideal": IDEALS[case.kind],
                }
            ],
            "comparisons": [
                {
                    "id": "c", "base": "base", "adapted": "adapted", "verdict": "inconclusive", **own,
                    **stated, "distance": stated | {"ideal": IDEALS[case.kind]},
                }
            ],
        }
    )  # fmt: skip


TEXT = f"""\
A rate with the target {IDEALS["rate"]:g} ({ROWS["rate"]:,} rows) may move at most {LIMITS["rate"]:g} further
from it, a mean with the target {IDEALS["mean"]:g} ({ROWS["mean"]} rows of standard deviation 1) at most
{LIMITS["mean"]:g}; one-sided confidence {CONFIDENCE:g}, seed {SEED}. Base and adapted model share
{SHARED:.0%} of what moves a row; within clusters rows are alike by {LIKENESS:g}. The truths keep their side
of the target, leave it from either side, or change sides.

What the tests hold (`tests/gate/test_gate_targets_study.py`): at the limit the gate passes in at most 5 %
and fails in at most 5 %; beyond it passes in at most 5 %; where the model comes nearer to its target, or is
as near as before, it fails in at most 5 %; a clear improvement always passes, .50 to .10 always fails.
"""

STUDY = GateStudy(
    "targets",
    "Metrics with a target",
    TEXT,
    ("number", "rows", "base to adapted", "truth"),
    cases,
    simulate,
)
