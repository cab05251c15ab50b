"""Simulated answers of a base and an adapted model, with the audit and the evidence that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmaudit.analysis import comparisons, records
from fmaudit.analysis.claims import Claim, RunNumbers
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.evaluate import NO_RELEASE, evaluate
from fmaudit.gate.finding import GateResult
from fmaudit.gate.policy import parse_policy
from fmaudit.plugins import DeclaredNames
from fmaudit.probe import Probe
from fmaudit.question import Question
from fmaudit.schema import Audit, Comparison, Lineage, Numbers, Subject

SUBJECTS = (
    Subject(
        id="base", role="base", kind="causal", name="base", digest="sha256:" + "1" * 64,
        parts={"tokenizer": "one"},
    ),
    Subject(
        id="child", role="adapted", kind="causal", name="child", digest="sha256:" + "2" * 64, base="base",
        parts={"tokenizer": "one"}, lineage=Lineage(declared="base", verified=True, from_base=True),
    ),
)  # fmt: skip
Columns = Mapping[str, Any]


def answers(numeric: Columns, clusters: Columns | None = None, slices: Columns | None = None) -> Answers:
    """Answers with one sample an item; the columns have shape (n,)."""
    columns = {name: np.asarray(values, dtype=float)[:, None] for name, values in numeric.items()}
    n = len(next(iter(columns.values())))
    factors, levels = (
        {name: np.asarray(labels).astype(str).astype(object) for name, labels in (given or {}).items()}
        for given in (clusters, slices)
    )
    ids = np.array([f"i{place:05d}" for place in range(n)], dtype=object)
    return Answers(ids, np.ones(n), factors, levels, columns, {}, {})


@dataclass(frozen=True)
class Simulated:
    """Answers by probe and data set, of the base and of its child."""

    questions: Sequence[tuple[Probe, str, Answers, Answers]]

    def rows(self) -> list[MeasuredRows]:
        """As measurements of a run."""
        found = []
        for probe, dataset, base, child in self.questions:
            key = Question(probe.id, dataset, probe.variant).key
            for subject, own in (("base", base), ("child", child)):
                found.append(MeasuredRows(f"{subject}/{key}", subject, key, probe, {}, own, False))
        return found

    def audit(self) -> Audit:
        """What a run of them writes."""
        rows, settings = self.rows(), Settings()
        ground = comparisons.field(rows, SUBJECTS, settings)
        return Audit(
            tool={},
            instruments=[],
            subjects=list(SUBJECTS),
            measurements=[_measurement(entry) for entry in rows],
            metrics=records.metrics(entry.probe for entry in rows),
            estimates=[one for entry in rows for one in records.estimates(entry, settings)],
            contrasts=[one for entry in rows for one in records.contrasts(entry, settings)]
            + list(comparisons.contrast_changes(ground)),
            comparisons=comparisons.comparisons(ground),
        )

    def evidence(self, form: str = "fixed") -> Evidence:
        """Their numbers at any level."""
        rows = self.rows()
        state = {
            "plan": {"seed": 0},
            "subjects": [subject.model_dump() for subject in SUBJECTS],
            "measurements": [
                {"subject": entry.subject, "key": entry.key, "state": "measured", "partial": False}
                for entry in rows
            ],
        }
        return Evidence(
            RunNumbers(RunDirectory(Path("/nonexistent")), form, {entry.id: entry for entry in rows}, state)
        )

    def gated(
        self, *rules: str, declared: Mapping[str, DeclaredNames] | None = None, defaults: str = "{}"
    ) -> GateResult:
        """The real gate on a policy of these rules, each without its id."""
        lines = [f"  - {{id: r{place}, {rule}}}" for place, rule in enumerate(rules)]
        head = ["schema: fmaudit/policy/1", "id: simulated", f"defaults: {defaults}", "rules:"]
        policy = parse_policy("\n".join([*head, *lines]))
        return evaluate(self.audit(), policy, self.evidence(policy.policy.defaults.form), declared)


@dataclass(frozen=True)
class Evidence:
    """Evidence of a run without a baseline."""

    numbers: RunNumbers

    def number(self, claim: Claim, level: float) -> Numbers:
        return self.numbers.number(claim, level)

    def printed(self, claim: Claim, level: float) -> Numbers:
        return self.numbers.printed(claim, level)

    def release_change(self, claim: Claim, level: float) -> Numbers | str:
        return NO_RELEASE

    def word(self, comparison: Comparison) -> str:
        return comparison.verdict


def _measurement(entry: MeasuredRows) -> dict[str, Any]:
    return {
        "id": entry.id,
        "subject": entry.subject,
        "probe": entry.probe.id,
        "version": entry.probe.version,
        "variant": entry.probe.variant,
        "state": "measured",
        "dataset": {
            "id": entry.key.partition("@")[2].partition("+")[0],
            "digest": "sha256:0",
            "n_items": entry.answers.n_items,
            "n_asked": entry.answers.n_items,
            "pinned": True,
            "source": "local",
        },
    }
