"""A pure function of audit and policy: every rule becomes findings, the findings an exit code.

A pass needs the whole interval, with the missing answers counted as defects,
inside the limit; a fail needs it wholly outside; everything else, and everything
that was not measured, is inconclusive. The audit prints two-sided intervals: one
at 95 % is one-sided at 97.5 %, hence stricter than a one-sided confidence of
95 %, and it is used as printed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from fmaudit.errors import ExitCode
from fmaudit.gate.policy import Policy, PolicyFile, Rule, Tier
from fmaudit.gate.verdict import Limit, Reading, Verdict, read_number
from fmaudit.schema import Audit, Comparison, ContrastResult, Estimate, Measurement, Numbers

Kind = Literal["level", "change", "contrast", "contrast change"]
_ROLES = ("base", "adapted", "reference")


@dataclass(frozen=True)
class Finding:
    """One rule held against one number, or against its absence."""

    rule: str
    tier: Tier
    kind: Kind
    metric: str
    subject: str
    variant: str
    dataset: str
    slice: dict[str, str]
    limit: Limit
    verdict: Verdict
    reason: str
    action: str
    number: Numbers | None
    protocol: str


@dataclass(frozen=True)
class GateResult:
    """All findings of a policy and what they add up to."""

    policy: Policy
    policy_digest: str
    findings: tuple[Finding, ...]
    exit_code: ExitCode

    @property
    def verdict(self) -> str:
        """The exit code as a word."""
        return {
            ExitCode.PASS: "pass",
            ExitCode.GATE_FAILED: "fail",
            ExitCode.INCONCLUSIVE: "inconclusive",
        }.get(self.exit_code, "nothing evaluated")


@dataclass(frozen=True)
class _Case:
    """A rule on one subject with one limit, to be held against the numbers of the audit."""

    rule: Rule
    subject: str
    kind: Kind
    limit: Limit


def evaluate(audit: Audit, policy: PolicyFile, known_metrics: Collection[str] = ()) -> GateResult:
    """Hold an audit against a policy.

    ``known_metrics`` are ids (``probe/metric``) of installed probes that this run
    may not have asked: rules on them are inconclusive. Raises UsageError, with the
    line, for a metric, subject, slice, variant, data set or contrast nobody knows.
    """
    known = {metric.id for metric in audit.metrics} | set(known_metrics)
    findings: list[Finding] = []
    for place, rule in enumerate(policy.policy.rules):
        _check_names(audit, policy, place, known)
        for subject in _subjects(audit, rule) or (rule.subject,):
            for case in _cases(rule, subject):
                findings += _findings(audit, policy, place, case)
    return GateResult(policy.policy, policy.digest, tuple(findings), _exit_code(audit, findings))


def _exit_code(audit: Audit, findings: list[Finding]) -> ExitCode:
    blocking = {finding.verdict for finding in findings if finding.tier == "block"}
    if "fail" in blocking:
        return ExitCode.GATE_FAILED
    if not any(measurement.state == "measured" for measurement in audit.measurements):
        return ExitCode.NOTHING_EVALUATED
    if "inconclusive" in blocking:
        return ExitCode.INCONCLUSIVE
    evaluated = any(finding.number is not None and finding.number.state == "measured" for finding in findings)
    return ExitCode.PASS if evaluated else ExitCode.NOTHING_EVALUATED


def _check_names(audit: Audit, policy: PolicyFile, place: int, known: set[str]) -> None:
    rule = policy.policy.rules[place]
    if rule.metric not in known:
        near = ", ".join(
            sorted(name for name in known if name.partition("/")[0] == rule.metric.partition("/")[0])
        )
        hint = f"its probe has {near}" if near else "see fmaudit ls probes"
        policy.refuse(place, "metric", f"unknown metric {rule.metric!r}: {hint}")
    if rule.subject not in {*_ROLES, *(subject.id for subject in audit.subjects)}:
        policy.refuse(
            place, "subject", f"unknown subject {rule.subject!r}: use base, adapted or an id of the run"
        )
    own = [
        measurement
        for measurement in audit.measurements
        if measurement.probe == rule.metric.partition("/")[0]
    ]
    asked = {"variant": {m.variant for m in own}, "dataset": {m.dataset.id for m in own if m.dataset}}
    for field, names in asked.items():
        wanted = getattr(rule, field)
        if own and wanted is not None and wanted not in names:
            policy.refuse(
                place, field, f"unknown {field} {wanted!r}: this run has {', '.join(sorted(names)) or 'none'}"
            )
    slices = [estimate.slice for estimate in audit.estimates if estimate.metric == rule.metric]
    slices += [comparison.slice for comparison in audit.comparisons if comparison.metric == rule.metric]
    if rule.slice and slices and rule.slice not in slices:
        have = sorted({f"{column}: {level}" for levels in slices for column, level in levels.items()})
        policy.refuse(
            place, "slice", f"unknown slice {rule.slice}: this run has {', '.join(have[:8]) or 'none'}"
        )
    contrasts = [contrast for contrast in audit.contrasts if contrast.metric == rule.metric]
    if rule.contrast and contrasts and not any(_named(contrast.id, rule.contrast) for contrast in contrasts):
        have = sorted({contrast.id.rpartition("/")[2] for contrast in contrasts})
        policy.refuse(
            place, "contrast", f"unknown contrast {rule.contrast!r}: this run has {', '.join(have)}"
        )


def _subjects(audit: Audit, rule: Rule) -> tuple[str, ...]:
    return tuple(subject.id for subject in audit.subjects if rule.subject in (subject.id, subject.role))


def _cases(rule: Rule, subject: str) -> Iterator[_Case]:
    contrast = rule.contrast is not None
    if rule.min is not None or rule.max is not None:
        yield _Case(rule, subject, "contrast" if contrast else "level", Limit(rule.min, rule.max))
    if rule.vs_base is not None:
        low = None if rule.vs_base.max_decrease is None else -rule.vs_base.max_decrease
        kind: Kind = "contrast change" if contrast else "change"
        yield _Case(rule, subject, kind, Limit(low, rule.vs_base.max_increase))


def _findings(audit: Audit, policy: PolicyFile, place: int, case: _Case) -> list[Finding]:
    measurements = _measurements(audit, case)
    found = []
    for measurement in measurements:
        number = _number(audit, case, measurement)
        found.append(_finding(policy, case, measurement, number))
    if found:
        return found
    reason = f"{case.rule.metric} was not asked of {case.subject} in this run"
    return [
        _absent(case, None, reason, f"run the probe {case.rule.metric.partition('/')[0]} on {case.subject}")
    ]


def _measurements(audit: Audit, case: _Case) -> list[Measurement]:
    """What the rule covers.

    Unnamed variants that the model cannot answer do not count if another was
    measured; unnamed data sets do not count if only others have the metric.
    """
    rule = case.rule
    own = [
        measurement
        for measurement in audit.measurements
        if measurement.subject == case.subject
        and measurement.probe == rule.metric.partition("/")[0]
        and rule.variant in (None, measurement.variant)
        and (
            rule.dataset is None
            or (measurement.dataset is not None and measurement.dataset.id == rule.dataset)
        )
    ]
    if rule.variant is None and any(measurement.state == "measured" for measurement in own):
        own = [measurement for measurement in own if measurement.state != "unmeasurable"]
    if rule.dataset is None:
        answering = [m for m in own if m.state != "measured" or _number(audit, case, m) is not None]
        return answering or own
    return own


def _number(audit: Audit, case: _Case, measurement: Measurement) -> Numbers | None:
    rule = case.rule
    if case.kind == "level":
        estimates: list[Estimate] = [
            e for e in audit.estimates
            if e.measurement == measurement.id and e.metric == rule.metric and e.slice == rule.slice
        ]  # fmt: skip
        return next((e for e in estimates if e.subject == case.subject), None)
    if case.kind == "change":
        comparisons: list[Comparison] = [
            c for c in audit.comparisons
            if c.adapted == case.subject and c.metric == rule.metric and c.slice == rule.slice
            and _asks_same(audit, c.measurement, measurement)
        ]  # fmt: skip
        return next(iter(comparisons), None)
    kind = "within_subject" if case.kind == "contrast" else "difference_in_differences"
    contrasts: list[ContrastResult] = [
        c for c in audit.contrasts
        if c.kind == kind and c.metric == rule.metric and _named(c.id, rule.contrast or "")
        and any(term.subject == case.subject for term in c.terms)
        and _asks_same(audit, c.measurement, measurement)
    ]  # fmt: skip
    return next(iter(contrasts), None)


def _asks_same(audit: Audit, measurement_id: str, measurement: Measurement) -> bool:
    if measurement_id == measurement.id:
        return True
    other = next((m for m in audit.measurements if m.id == measurement_id), None)
    if other is None:
        return False
    datasets = [found.dataset.id if found.dataset else "" for found in (other, measurement)]
    return (other.probe, other.variant) == (measurement.probe, measurement.variant) and datasets[
        0
    ] == datasets[1]


def _named(id: str, name: str) -> bool:
    return id == name or id.endswith("/" + name)


def _finding(policy: PolicyFile, case: _Case, measurement: Measurement, number: Numbers | None) -> Finding:
    if measurement.state != "measured":
        reason = f"{measurement.state}: {measurement.reason or 'no reason recorded'}"
        return _absent(case, measurement, reason, "remove the reason and repeat the run")
    if number is None:
        reason = f"this run has no {case.kind} of {case.rule.metric} for {case.subject}"
        return _absent(
            case, measurement, reason, "measure base and adapted on the same items, or remove the rule"
        )
    defaults = policy.policy.defaults
    reading: Reading = read_number(
        number,
        case.limit,
        partial=measurement.partial,
        min_n=case.rule.min_n or defaults.min_n,
        confidence=defaults.confidence,
    )
    if reading.verdict == "pass" and measurement.assurance == "imported" and not case.rule.accept_imported:
        reading = Reading(
            "inconclusive",
            "it was imported from another tool's log and nobody verified it",
            "measure it with fmaudit run, or write accept_imported: true into the rule",
        )
    return _assemble(case, measurement, reading, number)


def _absent(case: _Case, measurement: Measurement | None, reason: str, action: str) -> Finding:
    return _assemble(case, measurement, Reading("inconclusive", reason, action), None)


def _assemble(
    case: _Case, measurement: Measurement | None, reading: Reading, number: Numbers | None
) -> Finding:
    return Finding(
        rule=case.rule.id,
        tier=case.rule.tier,
        kind=case.kind,
        metric=case.rule.metric,
        subject=case.subject,
        variant=measurement.variant if measurement else case.rule.variant or "",
        dataset=measurement.dataset.id if measurement and measurement.dataset else case.rule.dataset or "",
        slice=dict(case.rule.slice),
        limit=case.limit,
        verdict=reading.verdict,
        reason=reading.reason,
        action=reading.action,
        number=number,
        protocol=str(measurement.protocol.get("digest", "")) if measurement else "",
    )
