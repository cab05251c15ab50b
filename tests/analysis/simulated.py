"""Audits of simulated rows: the real analysis, from answers that a test draws itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmaudit.analysis import numbers, pairs, pedigree, records
from fmaudit.analysis.comparisons import field
from fmaudit.analysis.declared import Plan
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers
from fmaudit.probe import Probe
from fmaudit.schema import Audit, DatasetRef, Lineage, Measurement, Subject

DRAWS = 300
"""Bootstrap draws: enough for an interval, few enough for hundreds of audits."""


def few_draws(monkeypatch: Any) -> None:
    """Resample less, so that many audits fit into a test."""
    for module in (numbers, pairs, pedigree):
        monkeypatch.setattr(module, "DRAWS", DRAWS)
    for module in (numbers, pairs):
        monkeypatch.setattr(module, "STATISTIC_DRAWS", DRAWS)


def subject(name: str, role: str, **lineage: Any) -> Subject:
    """A model of one tokenizer; an adapted one declares ``base`` as its parent."""
    return Subject(
        id=name,
        role=role,
        kind="causal",
        name=name,
        digest=f"sha256:{name}",
        base="base" if role == "adapted" else None,
        parts={"tokenizer": "one"},
        lineage=Lineage(**lineage),
    )


BASE = subject("base", "base")
CHILD = subject("child", "adapted", declared="base", verified=True, from_base=True)


def answers(
    numeric: Mapping[str, np.ndarray],
    slices: Mapping[str, Sequence[str]] | None = None,
    clusters: Mapping[str, Sequence[Any]] | None = None,
) -> Answers:
    """Answers of shape (items,) or (items, samples) by measure; NaN where one is missing."""
    columns = {name: np.atleast_2d(np.asarray(found, float).T).T for name, found in numeric.items()}
    n = len(next(iter(columns.values())))
    labels = (
        {name: np.array([str(one) for one in found], dtype=object) for name, found in (given or {}).items()}
        for given in (clusters, slices)
    )
    ids = np.array([f"item-{place:05d}" for place in range(n)], dtype=object)
    return Answers(ids, np.ones(n), *labels, columns, {}, {})


def rows(
    name: str,
    probe: Probe,
    given: Answers,
    data: str = "simulated",
    protocol: Mapping[str, Any] | None = None,
) -> MeasuredRows:
    """One measurement of one subject."""
    key = f"{probe.id}@{data}" + (f"+{probe.variant}" if probe.variant else "")
    return MeasuredRows(f"{name}/{key}", name, key, probe, protocol or {}, given, False)


def audit(
    measured: Sequence[MeasuredRows],
    subjects: Sequence[Subject] = (BASE, CHILD),
    plan: Plan | None = None,
    settings: Settings | None = None,
) -> Audit:
    """What the analysis makes of these rows."""
    settings = settings or Settings()
    ground = field(measured, subjects, settings, plan=plan)
    return Audit(
        tool={"name": "fmaudit"},
        subjects=list(subjects),
        measurements=[_measurement(entry) for entry in measured],
        metrics=records.metrics(entry.probe for entry in measured),
        estimates=[one for entry in measured for one in records.estimates(entry, settings)],
        contrasts=list(ground.claims.contrasts),
        comparisons=list(ground.claims.comparisons),
        families=list(ground.claims.families),
        instruments=[],
    )


def _measurement(entry: MeasuredRows) -> Measurement:
    n = entry.answers.n_items
    data = entry.key.partition("@")[2].partition("+")[0]
    return Measurement(
        id=entry.id,
        subject=entry.subject,
        probe=entry.probe.id,
        version=entry.probe.version,
        variant=entry.probe.variant,
        title=entry.probe.title,
        family=entry.probe.family,
        dataset=DatasetRef(id=data, digest="sha256:0", n_items=n, n_asked=n, pinned=True, source="local"),
        protocol=dict(entry.protocol),
        state="measured",
    )
