"""Data sets that a rule could have been asked on and that were not given: missing evidence, not none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from fmaudit.gate.policy_model import Policy, Rule
from fmaudit.plan import PlannedMeasurement
from fmaudit.plugins import DeclaredNames
from fmaudit.schema import Audit

Asked = Mapping[str, Collection[str]]
"""Data sets by variant of a probe."""


def not_given(audit: Audit, rule: Rule, subject: str, declared: Mapping[str, DeclaredNames]) -> list[str]:
    """Data sets that a rule without one could have been asked on, and was not; sorted.

    Variants that the subject cannot answer, or was not asked, do not count.
    """
    probe = rule.metric.partition("/")[0]
    if probe not in declared:
        return []
    asked: dict[str, set[str]] = {}
    for one in audit.measurements:
        if (one.probe, one.subject) == (probe, subject) and one.state != "unmeasurable" and one.dataset:
            asked.setdefault(one.question.variant, set()).add(one.question.dataset)
    return _lacking(rule, asked, declared[probe].asked_on.get(rule.metric, {}))


def not_planned(rule: Rule, planned: Sequence[PlannedMeasurement]) -> list[str]:
    """The same of a run that has not begun."""
    probe, _, metric = rule.metric.partition("/")
    own = [
        entry
        for entry in planned
        if entry.probe.id == probe and any(one.id == metric for one in entry.probe.metrics)
    ]
    asked: dict[str, set[str]] = {}
    for entry in own:
        if entry.dataset is not None:
            asked.setdefault(entry.question.variant, set()).add(entry.question.dataset)
    known = {entry.question.variant: entry.probe.datasets_of(entry.probe.variant) for entry in own}
    return _lacking(rule, asked, known)


def absence_lines(policy: Policy, planned: Sequence[PlannedMeasurement]) -> list[str]:
    """What to know before a run under this policy: a line for each data set that a rule will miss."""
    lacking: dict[str, list[str]] = {}
    for rule in policy.rules:
        for name in not_planned(rule, planned):
            lacking.setdefault(name, []).append(rule.id)
    return [
        f"{reason_of(name)}: {', '.join(ids)} will be inconclusive" for name, ids in sorted(lacking.items())
    ]


def reason_of(name: str) -> str:
    """What is said of a data set that was not given."""
    return f"data set {name} was not given (--data {name}=FILE), and the rule names no data set"


def _lacking(rule: Rule, asked: Asked, declared: Asked) -> list[str]:
    if rule.dataset is not None:
        return []
    variants: Iterable[str] = [name for name in asked if rule.variant in (None, name)]
    found = {dataset for name in variants for dataset in asked[name]}
    wanted = {dataset for name in variants for dataset in declared.get(name, ())}
    return sorted(wanted - found)
