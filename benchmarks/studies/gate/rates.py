"""Rates and paired changes of rates: simulated releases, held against a policy by the gate itself.

Rows are drawn for base and adapted model, alone or in clusters; the gate reads them as it
reads those of a run, with one or several gated metrics, in the fixed form and in the
anytime form with looks while the run grows. The number of items is what `fmaudit plan`
proposes for the policy's alternative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.gate.simulated import Simulated
from benchmarks.studies.gate.study import Cell, GateStudy
from fmaudit.analysis.claims import Claim, RunNumbers
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.tables import Answers
from fmaudit.errors import ExitCode
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.evaluate import evaluate
from fmaudit.gate.policy import PolicyFile, parse_policy
from fmaudit.probe import Binary, Probe, Rate
from fmaudit.schema import Audit
from fmaudit.statistics.proposals import Aim, Sample, grouped, independent, proposed_items, sampled

SEED = 5
CONFIDENCE, POWER = 0.95, 0.9
LIMIT, GOOD_RATE = 0.05, 0.02
MARGIN, DISCORDANCE = 0.05, 0.1
SHARED_DEFECTS = 0.2
LOOKS = (0.25, 0.5, 0.75, 1.0)
RELEASES, AT_LIMIT = 1000, 4000
KEY = "toy.study@toy"


@dataclass(frozen=True)
class Design:
    """How rows depend on each other: clusters of these sizes in turn, with this intra-cluster correlation."""

    name: str
    sizes: tuple[int, ...] = (1,)
    icc: float = 0.0

    def labels(self, n: int) -> np.ndarray:
        """Cluster of each of ``n`` rows, every cluster in one piece, whole or cut at the end."""
        turns = n // sum(self.sizes) + 1
        sizes = np.tile(self.sizes, turns)
        return np.repeat(np.arange(len(sizes)), sizes)[:n]

    def sample(self) -> Sample:
        """What the plan knows of it."""
        if not self.icc:
            return independent()
        if len(self.sizes) == 1:
            return grouped(self.sizes[0], self.icc)
        labels = self.labels(20_000).astype(str)
        return sampled(np.ones(len(labels)), {"cluster": labels}, {"cluster": self.icc})


DESIGNS = (
    Design("rows"),
    Design("clusters of 5, ICC .1", (5,), 0.1),
    Design("clusters of 3, 5, 8, ICC .2", (3, 5, 8), 0.2),
)
GATED = {"a rate": ("rate",), "a change": ("change",), "a rate and two changes": ("rate", "change", "change")}
FORMS = ("fixed", "anytime")


@dataclass(frozen=True)
class Case:
    """One simulated situation. ``scale``: share of the proposed items that is asked."""

    design: Design
    form: str
    gated: str
    truth: str
    scale: float = 1.0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the gated metrics."""
        return GATED[self.gated]

    @property
    def releases(self) -> int:
        """How many are simulated: more where a share near 5 % is held against it."""
        return AT_LIMIT if "limit" in self.truth and self.form == "fixed" else RELEASES

    def true(self, place: int) -> float:
        """True rate or change of one gated metric."""
        limit, good = (LIMIT, GOOD_RATE) if self.kinds[place] == "rate" else (MARGIN, 0.0)
        if self.truth == "all at the limit" or (self.truth == "one at the limit" and place == 0):
            return limit
        if self.truth == "one beyond" and place == 0:
            return limit + 0.05
        return good


TRUTHS = ("all at the limit", "one at the limit", "one beyond", "alternative")
UNDERPOWERED = 0.25


def cases() -> Iterator[Case]:
    """Every situation of the study."""
    for design in DESIGNS:
        for form in FORMS:
            for gated, kinds in GATED.items():
                for truth in TRUTHS:
                    if truth == "one at the limit" and len(kinds) == 1:
                        continue
                    yield Case(design, form, gated, truth)
                for truth in ("all at the limit", "alternative"):
                    yield Case(design, form, gated, truth, UNDERPOWERED)


@dataclass(frozen=True)
class Shares:
    """What the gate said of the simulated releases of one case."""

    case: Case
    n: int
    passed: float
    failed: float
    releases: int

    @property
    def inconclusive(self) -> float:
        """Share without a decision."""
        return 1 - self.passed - self.failed


@cache
def planned(design: Design, form: str, gated: str) -> int:
    """Items that the plan proposes for all gated metrics together."""
    aims = {
        "rate": Aim("rate", GOOD_RATE, (None, LIMIT)),
        "change": Aim("change", 0.0, (None, MARGIN), spread=DISCORDANCE),
    }
    kinds = GATED[gated]
    found = [
        proposed_items(
            aims[kind], design.sample(), form=form, confidence=CONFIDENCE, power=POWER, gated=len(kinds)
        )
        for kind in set(kinds)
    ]
    assert all(found)
    return max(n for n in found if n)


def simulate(case: Case, releases: int | None = None) -> Shares:
    """Draw the releases of a case and hold each against the policy."""
    n = max(round(planned(case.design, case.form, case.gated) * case.scale), 1)
    policy = _policy(case)
    rng = np.random.default_rng([SEED, *case.truth.encode(), *case.form.encode(), n, len(case.kinds)])
    count = releases or case.releases
    verdicts = [_verdict(case, policy, _outcomes(case, n, rng)) for _ in range(count)]
    passed, failed = (verdicts.count(code) / count for code in (ExitCode.PASS, ExitCode.GATE_FAILED))
    return Shares(case, n, passed, failed, count)


def _policy(case: Case) -> PolicyFile:
    rules = [
        f"  - {{id: r{place}, metric: toy.study/m{place}, "
        + (f"max: {LIMIT}}}" if kind == "rate" else f"vs_base: {{max_increase: {MARGIN}}}}}")
        for place, kind in enumerate(case.kinds)
    ]
    defaults = f"defaults: {{confidence: {CONFIDENCE}, form: {case.form}}}"
    return parse_policy("\n".join(["schema: fmaudit/policy/1", "id: study", defaults, "rules:", *rules]))


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of base and adapted model by metric, of shape (n,), and the clusters of the rows."""

    base: list[np.ndarray]
    adapted: list[np.ndarray]
    labels: np.ndarray

    def head(self, n: int) -> Outcomes:
        """The first rows."""
        return Outcomes([b[:n] for b in self.base], [a[:n] for a in self.adapted], self.labels[:n])


def _outcomes(case: Case, n: int, rng: np.random.Generator) -> Outcomes:
    labels = case.design.labels(n)
    base, adapted = [], []
    for place, kind in enumerate(case.kinds):
        true = case.true(place)
        if kind == "rate":
            found = _drawn([1 - true, true], labels, case.design.icc, rng).astype(float)
            base.append(found)
            adapted.append(found)
            continue
        spread = max(DISCORDANCE, true)
        shares = [1 - SHARED_DEFECTS - spread, SHARED_DEFECTS, (spread + true) / 2, (spread - true) / 2]
        found = _drawn(shares, labels, case.design.icc, rng)
        base.append(np.isin(found, (1, 3)).astype(float))
        adapted.append(np.isin(found, (1, 2)).astype(float))
    return Outcomes(base, adapted, labels)


def _drawn(shares: list[float], labels: np.ndarray, icc: float, rng: np.random.Generator) -> np.ndarray:
    """Category of each row; shares vary between clusters (Dirichlet) so that the correlation is ``icc``."""
    cumulated = np.cumsum(shares)[:-1]
    u = rng.random(len(labels))
    if not icc:
        return np.searchsorted(cumulated, u, side="right")
    gammas = rng.gamma(np.asarray(shares) * (1 - icc) / icc, size=(int(labels[-1]) + 1, len(shares)))
    total = gammas.sum(axis=1, keepdims=True)
    own = np.cumsum(gammas / np.where(total > 0, total, 1), axis=1)[:, :-1]
    found: np.ndarray = (u[:, None] >= own[labels]).sum(axis=1)
    return found


def _verdict(case: Case, policy: PolicyFile, whole: Outcomes) -> ExitCode:
    """What the gate says; in the anytime form it looks while the run grows, and a failure ends the run."""
    n = len(whole.labels)
    if case.form == "fixed":
        return _gate(case, policy, whole, n)
    code = ExitCode.INCONCLUSIVE
    for share in LOOKS:
        code = _gate(case, policy, whole.head(max(round(share * n), 1)), n)
        if code == ExitCode.GATE_FAILED:
            return code
    return code


class Study(Probe):
    """As many binary measures as are gated, each with its rate."""

    id, version, family = "toy.study", 1, "toy"

    def __init__(self, metrics: int) -> None:
        self.variant = ""
        self.measures = tuple(Binary(f"m{place}") for place in range(metrics))
        self.metrics = tuple(Rate(f"m{place}", of=f"m{place}") for place in range(metrics))


def _gate(case: Case, policy: PolicyFile, seen: Outcomes, n: int) -> ExitCode:
    partial = len(seen.labels) < n
    probe = Study(len(case.kinds))
    rows = {
        name: MeasuredRows(f"{name}/{KEY}", name, KEY, probe, {}, _answers(columns, seen.labels), partial)
        for name, columns in (("base", seen.base), ("adapted", seen.adapted))
    }
    whole = case.design.labels(n)
    cut = set(whole[len(seen.labels) :].tolist()) & set(seen.labels.tolist())
    clusters = {"factor": "cluster", "largest": max(case.design.sizes), "cut": [str(one) for one in cut]}
    state: dict[str, Any] = {
        "plan": {"seed": 0},
        "subjects": [_subject(name) for name in rows],
        "measurements": [
            {"subject": name, "key": KEY, "state": "measured", "partial": partial, "clusters": clusters}
            for name in rows
        ],
    }
    numbers = RunNumbers(RunDirectory(Path()), policy.policy.defaults.form, rows_of(rows), state)
    evidence = Simulated(numbers)
    return evaluate(_audit(case, evidence, partial), policy, evidence, {}).exit_code


def rows_of(rows: dict[str, MeasuredRows]) -> dict[str, MeasuredRows]:
    """By measurement id."""
    return {found.id: found for found in rows.values()}


def _subject(name: str) -> dict[str, Any]:
    parts = {"tokenizer": "one"}
    role = {"id": name, "role": name, "kind": "causal", "name": name, "digest": name, "parts": parts}
    return role | {"lineage": {}}


def _answers(columns: list[np.ndarray], labels: np.ndarray) -> Answers:
    n = len(labels)
    return Answers(
        item_ids=np.array([str(place) for place in range(n)], dtype=object),
        weights=np.ones(n),
        clusters={"cluster": labels.astype(str).astype(object)},
        slices={},
        numeric={f"m{place}": column[:, None] for place, column in enumerate(columns)},
        text={},
        reasons={},
    )


def _audit(case: Case, evidence: Simulated, partial: bool) -> Audit:
    level = 2 * CONFIDENCE - 1
    measurements = [
        {
            "id": f"{name}/{KEY}", "subject": name, "probe": "toy.study", "version": 1, "state": "measured",
            "partial": partial,
        }
        for name in ("base", "adapted")
    ]  # fmt: skip
    estimates, comparisons = [], []
    for place, kind in enumerate(case.kinds):
        own = {"measurement": f"adapted/{KEY}", "metric": f"toy.study/m{place}"}
        claim = Claim("level", "adapted", **own)
        if kind == "change":
            claim = replace(claim, kind="change", base="base")
        stated = evidence.number(claim, level).model_dump()
        if kind == "rate":
            estimates.append({"id": f"e{place}", "subject": "adapted", **own, **stated})
        else:
            ends = {"base": "base", "adapted": "adapted", "verdict": "inconclusive"}
            comparisons.append({"id": f"c{place}", **ends, **own, **stated})
    return Audit.model_validate(
        {
            "tool": {}, "instruments": [], "metrics": [], "contrasts": [], "measurements": measurements,
            "subjects": [_subject(name) for name in ("base", "adapted")],
            "estimates": estimates, "comparisons": comparisons,
        }
    )  # fmt: skip


def _cell(case: Case) -> Cell:
    got = simulate(case)
    truth = case.truth if case.scale == 1 else f"{case.truth}, a quarter of the items"
    words = (case.design.name, case.form, case.gated, truth)
    return Cell(words, got.n, got.passed, got.failed, got.releases)


TEXT = f"""\
Each release is held against a whole policy at one-sided confidence {CONFIDENCE:g} (seed {SEED}). A rate
may be at most {LIMIT:g}, the change of a paired rate at most {MARGIN:g} (discordance {DISCORDANCE:g}). At
the *alternative* rates are {GOOD_RATE:g} and changes 0; `n` is what `fmaudit plan` proposes for power
{POWER:g} there, all gated metrics together. *One beyond*: the first metric lies .05 beyond its limit. In
the anytime form the gate looks after a quarter, a half, three quarters and all of the items; a look before
the last can fail and never passes.

What the tests hold (`tests/gate/test_gate_study.py`): where a metric is at or beyond its limit the gate
passes in at most 5 %; where all are at or inside it fails in at most 5 %; at the alternative with the
proposed items it is inconclusive in at most 10 %; with a quarter of the items it is inconclusive more often
and wrong still in at most 5 %, no more often than with all of them beyond Monte Carlo error.
"""

STUDY = GateStudy(
    "rates", "Rates and changes of rates", TEXT, ("rows", "form", "gated", "truth"), cases, _cell
)
