"""Names and signs of a policy held against what there is: metrics, subjects, slices, controls."""

from __future__ import annotations

from collections.abc import Mapping

from fmaudit.gate.cases import named
from fmaudit.gate.names import KnownNames
from fmaudit.gate.policy import PolicyFile
from fmaudit.gate.policy_model import EVERY
from fmaudit.probe import Direction

_ROLES = ("base", "adapted", "reference")


def check_policy(policy: PolicyFile, directions: Mapping[str, Direction]) -> None:
    """Hold a policy against metrics and controls; no run is needed.

    ``directions``: of every metric that is known, by id (``probe/metric``).

    Raises UsageError, with the line, for an unknown metric or control, for a limit or margin
    that would stop an improvement and let a deterioration pass, and for one that holds a
    metric with a target on one side alone.
    """
    policy.check_margins(directions)
    for place in range(len(policy.policy.rules)):
        _check_metric(policy, place, directions)
    _check_controls(policy)


def check_names(policy: PolicyFile, known: KnownNames) -> None:
    """Raise UsageError, with the line, for a subject, slice, variant, data set or contrast nobody knows."""
    for place in range(len(policy.policy.rules)):
        _check_subject(policy, place, known)
        _check_asked(policy, place, known)
        _check_slices(policy, place, known)
        _check_contrast(policy, place, known)


def _check_metric(policy: PolicyFile, place: int, directions: Mapping[str, Direction]) -> None:
    rule = policy.policy.rules[place]
    if rule.metric not in directions:
        probe = rule.metric.partition("/")[0]
        near = ", ".join(sorted(name for name in directions if name.partition("/")[0] == probe))
        hint = f"its probe has {near}" if near else "see fmaudit ls probes"
        policy.refuse(place, "metric", f"unknown metric {rule.metric!r}: {hint}")
    own = directions[rule.metric]
    if own == "target":
        field, problem = rule.one_sided()
        if problem:
            policy.refuse(place, field, problem)
        return
    if rule.within is not None:
        problem = f"within is for metrics with a target, which {rule.metric} has not: give min or max"
        policy.refuse(place, "within", problem)
    if rule.contrast is not None:
        return
    if (
        rule.direction is not None
        and rule.direction != own
        and own in ("lower_is_better", "higher_is_better")
    ):
        if rule.direction != "target":
            problem = f"contradiction: {rule.metric} is {own.replace('_', ' ')}, not {rule.direction}"
            policy.refuse(place, "direction", problem)
        return
    field, problem = rule.wrong_side(own)
    if problem:
        policy.refuse(
            place, field, f"{problem}; write direction: target if a move to either side is meant to count"
        )


def _check_controls(policy: PolicyFile) -> None:
    from fmaudit.controls import load_catalogue

    if not any(rule.controls for rule in policy.policy.rules):
        return
    known = load_catalogue().controls
    for place, rule in enumerate(policy.policy.rules):
        for control in rule.controls:
            if control not in known:
                framework = control.partition("/")[0]
                near = sorted(key for key in known if key.partition("/")[0] == framework)
                have = f"{framework} has {', '.join(near[:6])}" if near else "see docs/controls.md"
                policy.refuse(place, "controls", f"unknown control {control!r}: {have}")


def _check_subject(policy: PolicyFile, place: int, known: KnownNames) -> None:
    rule = policy.policy.rules[place]
    if rule.subject not in {*_ROLES, *known.subjects}:
        problem = f"unknown subject {rule.subject!r}: use base, adapted or an id of the run"
        policy.refuse(place, "subject", problem)


def _check_asked(policy: PolicyFile, place: int, known: KnownNames) -> None:
    rule = policy.policy.rules[place]
    probe = rule.metric.partition("/")[0]
    for field, asked in (("variant", known.variants), ("dataset", known.datasets)):
        wanted = getattr(rule, field)
        if probe in asked and wanted is not None and wanted not in asked[probe]:
            have = ", ".join(sorted(asked[probe])) or "none"
            policy.refuse(place, field, f"unknown {field} {wanted!r}: this run has {have}")


def _check_slices(policy: PolicyFile, place: int, known: KnownNames) -> None:
    rule = policy.policy.rules[place]
    slices = known.slices.get(rule.metric, ())
    for wanted in rule.every_slice:
        if not wanted or not slices:
            continue
        found = any(
            set(have) == set(wanted) and all(level in (EVERY, have[c]) for c, level in wanted.items())
            for have in slices
        )
        if not found:
            have = sorted({f"{column}: {level}" for levels in slices for column, level in levels.items()})
            field = "slices" if rule.slices is not None else "slice"
            problem = f"unknown slice {wanted}: this run has {', '.join(have[:8]) or 'none'}"
            policy.refuse(place, field, problem)


def _check_contrast(policy: PolicyFile, place: int, known: KnownNames) -> None:
    rule = policy.policy.rules[place]
    contrasts = known.contrasts.get(rule.metric)
    wanted = rule.contrast
    if wanted and contrasts is not None and not any(named(contrast, wanted) for contrast in contrasts):
        have = ", ".join(sorted({contrast.rpartition("/")[2] for contrast in contrasts})) or "none"
        policy.refuse(place, "contrast", f"unknown contrast {wanted!r}: {rule.metric} has {have}")
