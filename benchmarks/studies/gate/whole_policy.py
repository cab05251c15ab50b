"""One simulated measurement held against a policy of one rule by the gate itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.studies.gate.simulated import Simulated
from benchmarks.studies.gate.study import Cell
from fmaudit.analysis.claims import Claim, RunNumbers
from fmaudit.analysis.measured import MeasuredRows, finished
from fmaudit.analysis.tables import Answers
from fmaudit.errors import ExitCode
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.evaluate import evaluate
from fmaudit.gate.policy import PolicyFile, parse_policy
from fmaudit.probe import Probe
from fmaudit.schema import Audit

CONFIDENCE = 0.95
SUBJECT = "adapted"


@cache
def policy(metric: str, most: float) -> PolicyFile:
    """A policy of one blocking rule: the metric may be at most ``most``."""
    return parse_policy(
        f"schema: fmaudit/policy/1\nid: study\ndefaults: {{confidence: {CONFIDENCE}}}\n"
        f"rules:\n  - {{id: one, metric: {metric}, max: {most!r}}}\n"
    )


def held(probe: Probe, metric: str, answers: Answers, most: float) -> ExitCode:
    """What the gate says of one measurement whose metric may be at most ``most``."""
    name = f"{probe.id}/{metric}"
    key = f"{probe.id}@toy"
    entry = MeasuredRows(f"{SUBJECT}/{key}", SUBJECT, key, probe, {}, finished(probe, answers), False)
    subject = {
        "id": SUBJECT, "role": "adapted", "kind": "causal", "name": SUBJECT, "digest": "d", "lineage": {},
        "parts": {"tokenizer": "one"},
    }  # fmt: skip
    record = {"subject": SUBJECT, "key": key, "state": "measured", "partial": False}
    state = {"plan": {"seed": 0}, "subjects": [subject], "measurements": [record]}
    evidence = Simulated(RunNumbers(RunDirectory(Path()), "fixed", {entry.id: entry}, state))
    stated = evidence.number(Claim("level", SUBJECT, entry.id, name), 2 * CONFIDENCE - 1).model_dump()
    audit = Audit.model_validate(
        {
            "tool": {}, "instruments": [], "metrics": [], "contrasts": [], "comparisons": [],
            "subjects": [subject],
            "measurements": [
                {"id": entry.id, "subject": SUBJECT, "probe": probe.id, "version": 1, "state": "measured"}
            ],
            "estimates": [
                {"id": "e", "subject": SUBJECT, "measurement": entry.id, "metric": name, **stated}
            ],
        }
    )  # fmt: skip
    return evaluate(audit, policy(name, most), evidence, {}).exit_code


def cell(words: tuple[str, ...], n: int, sets: int, drawn: Callable[[int], ExitCode]) -> Cell:
    """The shares of ``sets`` verdicts; ``drawn`` gives that of a set by its number."""
    said = [drawn(number) for number in range(sets)]
    return Cell(words, n, said.count(ExitCode.PASS) / sets, said.count(ExitCode.GATE_FAILED) / sets, sets)


def answers_of(columns: dict[str, np.ndarray], slices: dict[str, np.ndarray]) -> Answers:
    """Rows of one sample each, alone and of one weight."""
    n = len(next(iter(columns.values())))
    return Answers(
        item_ids=np.array([str(place) for place in range(n)], dtype=object),
        weights=np.ones(n),
        clusters={},
        slices={name: labels.astype(object) for name, labels in slices.items()},
        numeric={name: np.asarray(values, dtype=float)[:, None] for name, values in columns.items()},
        text={},
        reasons={},
    )
