"""Rules spelled out: one case a subject, slice and limit, with the record of the audit it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fmaudit.analysis.distances import CONTRAST_IDEAL
from fmaudit.gate.finding import Kind
from fmaudit.gate.policy_model import EVERY, Margin, Rule
from fmaudit.gate.verdict import Limit
from fmaudit.schema import Audit, Comparison, ContrastResult, Estimate, Measurement, Numbers

DISTANCE_KINDS: tuple[Kind, ...] = ("change", "release change", "contrast change")
"""Kinds of number that a target turns into a change of distance."""


@dataclass(frozen=True)
class Case:
    """A rule on one subject and slice with one limit; ``place`` is the rule's in the policy.

    ``ideal``: the target of the number; None where it has none.
    """

    place: int
    rule: Rule
    subject: str
    kind: Kind
    limit: Limit
    slice: dict[str, str] = field(default_factory=dict)
    ideal: float | None = None

    @property
    def distance(self) -> bool:
        """Whether it is held by the change of the distance to its target."""
        return self.ideal is not None and self.kind in DISTANCE_KINDS


def cases(audit: Audit, place: int, rule: Rule) -> Iterator[Case]:
    """Every case of a rule; a subject or slice level that the run does not have gives the rule's own name."""
    ideal = _ideal(audit, rule)
    for subject in subjects(audit, rule) or (rule.subject,):
        for wanted in rule.every_slice:
            for slice_ in _levels(audit, rule, wanted):
                for kind, limit in limits(rule, ideal):
                    yield Case(place, rule, subject, kind, limit, slice_, ideal)


def _ideal(audit: Audit, rule: Rule) -> float | None:
    info = next((metric for metric in audit.metrics if metric.id == rule.metric), None)
    if info is None or info.direction != "target" or info.ideal is None:
        return None
    return ideal_of(rule, info.ideal)


def ideal_of(rule: Rule, ideal: float) -> float:
    """The target of a rule's number: that of its metric, or of a contrast that both groups are alike."""
    return ideal if rule.contrast is None else CONTRAST_IDEAL


def subjects(audit: Audit, rule: Rule) -> tuple[str, ...]:
    """Ids of the subjects a rule is about."""
    return tuple(subject.id for subject in audit.subjects if rule.subject in (subject.id, subject.role))


def _levels(audit: Audit, rule: Rule, wanted: dict[str, str]) -> list[dict[str, str]]:
    if EVERY not in wanted.values():
        return [dict(wanted)]
    known = [estimate.slice for estimate in audit.estimates if estimate.metric == rule.metric]
    found = [
        slice_
        for slice_ in known
        if set(slice_) == set(wanted) and all(level in (EVERY, slice_[c]) for c, level in wanted.items())
    ]
    distinct = [dict(pairs) for pairs in sorted({tuple(sorted(slice_.items())) for slice_ in found})]
    return distinct or [dict(wanted)]


def limits(rule: Rule, ideal: float | None) -> Iterator[tuple[Kind, Limit]]:
    """The kinds of number a rule bounds, each with its limit; ``ideal``: the number's target."""
    contrast = rule.contrast is not None
    if rule.bounded:
        yield ("contrast" if contrast else "level"), _around(rule, ideal)
    if rule.vs_base is not None:
        yield ("contrast change" if contrast else "change"), _moved(rule.vs_base)
    if rule.vs_release is not None:
        yield "release change", _moved(rule.vs_release)
    if rule.verdicts is not None:
        yield "verdict", Limit(None, None)


def _around(rule: Rule, ideal: float | None) -> Limit:
    if rule.within is None:
        return Limit(rule.min, rule.max)
    # A metric that the run does not have is of unknown target, and its finding is missing.
    centre = 0.0 if ideal is None else ideal
    return Limit(round(centre - rule.within, 12), round(centre + rule.within, 12))


def _moved(margin: Margin) -> Limit:
    return Limit(None if margin.max_decrease is None else -margin.max_decrease, margin.max_increase)


def measurements(audit: Audit, case: Case) -> list[Measurement]:
    """What a case covers.

    Unnamed variants that the model cannot answer do not count if another was
    measured; unnamed data sets do not count if only others have the metric.
    """
    rule = case.rule
    own = [
        measurement
        for measurement in audit.measurements
        if measurement.subject == case.subject and rule.asks(measurement.question)
    ]
    if rule.variant is None and any(measurement.state == "measured" for measurement in own):
        own = [measurement for measurement in own if measurement.state != "unmeasurable"]
    if rule.dataset is None:
        answering = [m for m in own if m.state != "measured" or recorded(audit, case, m) is not None]
        return answering or own
    return own


def recorded(audit: Audit, case: Case, measurement: Measurement) -> Numbers | None:
    """The audit's own record of the number a case is about; for a release change, that of its level."""
    rule = case.rule
    if case.kind in ("level", "release change") and rule.contrast is None:
        estimates: list[Estimate] = [
            e for e in audit.estimates
            if e.measurement == measurement.id and e.metric == rule.metric and e.slice == case.slice
        ]  # fmt: skip
        return next((e for e in estimates if e.subject == case.subject), None)
    if case.kind in ("change", "verdict"):
        comparisons: list[Comparison] = [
            c for c in audit.comparisons
            if c.adapted == case.subject and c.metric == rule.metric and c.slice == case.slice
            and c.step == "from_base" and _asks_same(audit, c.measurement, measurement)
        ]  # fmt: skip
        return next(iter(comparisons), None)
    kind = "difference_in_differences" if case.kind == "contrast change" else "within_subject"
    contrasts: list[ContrastResult] = [
        c for c in audit.contrasts
        if c.kind == kind and c.metric == rule.metric and named(c.id, rule.contrast or "")
        and any(term.subject == case.subject for term in c.terms)
        and _asks_same(audit, c.measurement, measurement)
    ]  # fmt: skip
    return next(iter(contrasts), None)


def named(id: str, name: str) -> bool:
    """Whether ``name`` is an id, or its last part."""
    return id == name or id.endswith("/" + name)


def _asks_same(audit: Audit, measurement_id: str, measurement: Measurement) -> bool:
    if measurement_id == measurement.id:
        return True
    other = next((m for m in audit.measurements if m.id == measurement_id), None)
    if other is None:
        return False
    return other.question == measurement.question
