"""The claims of a run, listed from its plan: what could be claimed, whatever was then measured.

A family that counted only what was measured would make every other number easier to show whenever
an answer fails. So the list holds every metric and slice of every question that both sides could be
asked, and what was not measured stays in it without a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.pairs import levels
from fmaudit.analysis.records import label, levels_of_slices
from fmaudit.probe import Contrast, Probe
from fmaudit.question import Question, question_of
from fmaudit.schema import Subject

HEADLINE = "headline"
Step: TypeAlias = Literal["from_base", "from_parent"]


@dataclass(frozen=True)
class Planned:
    """One planned measurement: its probe, and the levels of its slice columns where they are known."""

    probe: Probe
    levels: Mapping[str, Sequence[str]] | None = None


Plan: TypeAlias = Mapping[str, Mapping[str, Planned]]
"""What is planned by subject and key."""


def plan_of_records(
    records: Sequence[Mapping[str, Any]],
    probes: Mapping[Question, Probe],
    measured: Sequence[MeasuredRows],
) -> Plan:
    """The plan as ``run.json`` recorded it.

    What a kind of model cannot be asked ("unmeasurable") is known before the run and is no part of it.
    """
    seen = {entry.key: _levels(entry) for entry in measured}
    plan: dict[str, dict[str, Planned]] = {}
    for record in records:
        if record["state"] == "unmeasurable":
            continue
        known = seen.get(record["key"], record.get("slices"))
        planned = Planned(probes[question_of(record)], known)
        plan.setdefault(record["subject"], {})[record["key"]] = planned
    return plan


def plan_of_measured(measured: Sequence[MeasuredRows]) -> Plan:
    """A plan of nothing but what was measured."""
    plan: dict[str, dict[str, Planned]] = {}
    for entry in measured:
        plan.setdefault(entry.subject, {})[entry.key] = Planned(entry.probe, _levels(entry))
    return plan


def _levels(entry: MeasuredRows) -> dict[str, list[str]]:
    return {column: levels(entry.answers, column) for column in sorted(entry.answers.slices)}


def steps(subjects: Mapping[str, Subject]) -> Iterator[tuple[Subject, str, Step]]:
    """Every adapted subject against the base, then against the subject it was adapted from, if another."""
    base = next((subject.id for subject in subjects.values() if subject.role == "base"), None)
    for subject in subjects.values():
        if subject.role != "adapted" or base is None:
            continue
        yield subject, base, "from_base"
        if subject.base not in (None, base) and subject.base in subjects:
            yield subject, str(subject.base), "from_parent"


def comparison_id(subject: str, key: str, step: Step, metric: str, slice_: Mapping[str, str]) -> str:
    """The id of a comparison."""
    place = "/step" if step == "from_parent" else ""
    return f"{subject}/{key}{place}/{metric}{label(slice_)}"


def comparison_family(probe: str, base: str, adapted: str, headline: bool) -> str:
    """The family of a comparison: the headline, or its probe with its pair of subjects."""
    return HEADLINE if headline else f"{probe}, {base} to {adapted}"


def contrast_family(probe: str, subject: Subject, base: str, headline: bool) -> str:
    """The family of a contrast: with the comparisons of an adapted subject, else its own subject's."""
    if subject.role != "adapted":
        return f"contrasts within {subject.id}"
    return comparison_family(probe, base, subject.id, headline)


def declared_claims(subjects: Mapping[str, Subject], plan: Plan) -> dict[str, str]:
    """The family of every claim that the plan allows, by the claim's id."""
    claims: dict[str, str] = {}
    base = next((subject.id for subject in subjects.values() if subject.role == "base"), "")
    for subject, against, step in steps(subjects):
        for key, planned in plan.get(subject.id, {}).items():
            if key not in plan.get(against, {}):
                continue
            probe = planned.probe
            for metric in probe.metrics:
                for slice_ in levels_of_slices(metric, planned.levels or {}):
                    name = comparison_id(subject.id, key, step, metric.id, slice_)
                    headline = metric.headline and not slice_
                    claims[name] = comparison_family(probe.id, against, subject.id, headline)
            if step == "from_base":
                for contrast in _contrasts(planned):
                    name = f"{subject.id}/{key}/change/{contrast.id}"
                    claims[name] = contrast_family(probe.id, subject, base, contrast.headline)
    for subject in subjects.values():
        for key, planned in plan.get(subject.id, {}).items():
            for contrast in _contrasts(planned):
                name = f"{subject.id}/{key}/{contrast.id}"
                claims[name] = contrast_family(planned.probe.id, subject, base, contrast.headline)
    return claims


def _contrasts(planned: Planned) -> Iterator[Contrast]:
    for contrast in planned.probe.contrasts:
        known = planned.levels
        if known is None or {contrast.plus, contrast.minus} <= set(known.get(contrast.column, ())):
            yield contrast
