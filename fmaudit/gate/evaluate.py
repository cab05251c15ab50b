"""A pure function of audit, policy and numbers: every rule becomes findings, the findings an exit code.

A pass needs the interval at the policy's one-sided confidence, with the missing answers
counted as defects, inside the limit. A fail needs it wholly outside at the level that
Holm's step-down leaves it among the blocking findings. Everything else, and everything
that was not measured, is inconclusive.

Passing needs every blocking finding, so it is an intersection-union test and needs no
correction (Berger 1982); failing needs any one, so it does (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from typing import Protocol

from fmaudit.analysis.claims import Claim
from fmaudit.errors import ExecutionError, ExitCode
from fmaudit.gate.absent import not_given, reason_of
from fmaudit.gate.cases import Case, cases, measurements, recorded, subjects
from fmaudit.gate.checks import check_names
from fmaudit.gate.finding import Finding, GateResult
from fmaudit.gate.names import installed_names, names_of
from fmaudit.gate.policy import PolicyFile
from fmaudit.gate.verdict import (
    Reading,
    Requirements,
    beyond,
    fails,
    obstacle,
    passes,
    two_sided,
    unbounded,
    unbounded_reading,
)
from fmaudit.plugins import DeclaredNames
from fmaudit.schema import Audit, Comparison, Measurement, Numbers

_PLAIN = ("state", "n", "conclusive", "clusters")
_REAL = ("value", "lower", "upper", "coverage", "n_eff")
NO_RELEASE = "no baseline of the last release was given"
_UNKNOWN_WORDS = ("inconclusive", "unmeasured", "changed, size unresolved")


class Evidence(Protocol):
    """Where a gate's numbers come from: the rows of a run, and those of the last release."""

    def number(self, claim: Claim, level: float) -> Numbers:
        """A number of the run with its two-sided interval at ``level``, to decide on."""
        ...

    def printed(self, claim: Claim, level: float) -> Numbers:
        """The same number as the audit should hold it."""
        ...

    def release_change(self, claim: Claim, level: float) -> Numbers | str:
        """Its change since the last release, or why there is none."""
        ...

    def word(self, comparison: Comparison) -> str:
        """The inheritance verdict of a comparison."""
        ...


@dataclass(frozen=True)
class _Draft:
    """A case on one measurement, with the claim to compute or the reading that is there already.

    ``dataset``: the data set that is missing, where there is no measurement.
    """

    case: Case
    measurement: Measurement | None
    claim: Claim | None = None
    reading: Reading | None = None
    word: str = ""
    missing: bool = False
    dataset: str = ""


@dataclass
class _Tested:
    """A draft whose number can decide, and the level at which it was found beyond its limit."""

    draft: _Draft
    needs: Requirements
    number: Numbers
    failed_at: float | None = None
    family: int = 1


def evaluate(
    audit: Audit, policy: PolicyFile, evidence: Evidence, declared: Mapping[str, DeclaredNames] | None = None
) -> GateResult:
    """Hold an audit against a policy that :func:`~fmaudit.gate.checks.check_policy` has accepted.

    ``declared``: what probes may be asked beside what the run asked, by probe; a rule on
    that is inconclusive, on anything else a mistake. What the installed probes declare when None.

    Raises:
        UsageError: a subject, slice, variant, data set or contrast that nobody knows, with the line.
        ExecutionError: the rows are damaged, or are not those that the audit was computed from.
    """
    known = installed_names() if declared is None else declared
    check_names(policy, names_of(audit).joined(known))
    drafts = [
        draft
        for place, rule in enumerate(policy.policy.rules)
        for case in cases(audit, place, rule)
        for draft in _drafts(audit, case, evidence, known)
    ]
    tested = _tested(audit, policy, drafts, evidence)
    _find_failures(policy, drafts, tested, evidence)
    digests = {subject.id: subject.digest for subject in audit.subjects}
    findings = tuple(
        _settled(policy, _finding(policy, draft, tested.get(place), digests))
        for place, draft in enumerate(drafts)
    )
    return GateResult(policy.policy, policy.digest, policy.name, findings, exit_code(audit, findings))


def exit_code(audit: Audit, findings: Sequence[Finding]) -> ExitCode:
    """What the findings add up to; waived ones do not stand in the way."""
    blocking = {finding.verdict for finding in findings if finding.blocks}
    if "fail" in blocking:
        return ExitCode.GATE_FAILED
    if not any(measurement.state == "measured" for measurement in audit.measurements):
        return ExitCode.NOTHING_EVALUATED
    if blocking:
        return ExitCode.INCONCLUSIVE
    return ExitCode.PASS if any(not finding.missing for finding in findings) else ExitCode.NOTHING_EVALUATED


def _drafts(audit: Audit, case: Case, evidence: Evidence, known: Mapping[str, DeclaredNames]) -> list[_Draft]:
    found = [_draft(audit, case, measurement, evidence) for measurement in measurements(audit, case)]
    if found:
        return found + [_absent(case, name) for name in not_given(audit, case.rule, case.subject, known)]
    reason = f"{case.rule.metric} was not asked of {case.subject} in this run"
    if not subjects(audit, case.rule):
        reason = f"this run has no {case.rule.subject} model"
    data = f" with data set {case.rule.dataset}" if case.rule.dataset else ""
    action = f"run the probe {case.rule.metric.partition('/')[0]}{data} on {case.subject}"
    return [_Draft(case, None, reading=Reading("inconclusive", reason, action), missing=True)]


def _absent(case: Case, dataset: str) -> _Draft:
    action = f"give it with --data {dataset}=FILE, or write the data set that is meant into the rule"
    reading = Reading("inconclusive", reason_of(dataset), action)
    return _Draft(case, None, reading=reading, missing=True, dataset=dataset)


def _draft(audit: Audit, case: Case, measurement: Measurement, evidence: Evidence) -> _Draft:
    if measurement.state != "measured":
        reason = f"{measurement.state}: {measurement.reason or 'no reason recorded'}"
        return _missing(case, measurement, reason, "remove the reason and repeat the run")
    record = recorded(audit, case, measurement)
    if record is None:
        reason = f"this run has no {case.kind} of {case.rule.metric} for {case.subject}"
        return _missing(case, measurement, reason, "measure it on the same items, or remove the rule")
    if record.state != "measured":
        reason = f"{record.state}: {record.reason or 'no value'}"
        return _missing(case, measurement, reason, "remove the reason and repeat the run")
    if case.kind == "verdict":
        assert isinstance(record, Comparison)
        return _worded(case, measurement, evidence.word(record), record)
    return _Draft(case, measurement, claim=_claim(case, measurement, record))


def _missing(case: Case, measurement: Measurement | None, reason: str, action: str) -> _Draft:
    return _Draft(case, measurement, reading=Reading("inconclusive", reason, action), missing=True)


def _claim(case: Case, measurement: Measurement, record: Numbers) -> Claim:
    base = contrast = ""
    if isinstance(record, Comparison):
        base = record.base
    if case.rule.contrast is not None:
        contrast = case.rule.contrast.rpartition("/")[2]
        # The base's terms are subtracted in a change, so they lead with a negative sign.
        others = [term.subject for term in getattr(record, "terms", ()) if term.subject != case.subject]
        base = others[0] if others else ""
    kind = case.kind
    if kind == "release change":
        kind = "contrast change" if contrast else "change"
    assert kind != "verdict"
    metric, distance = case.rule.metric, case.distance
    return Claim(kind, case.subject, measurement.id, metric, case.slice, contrast, base, distance)


def _worded(case: Case, measurement: Measurement, word: str, record: Comparison) -> _Draft:
    words = case.rule.verdicts
    assert words is not None
    why = f" ({record.verdict_reason})" if record.verdict_reason else ""
    if unbounded(record):
        reading = unbounded_reading(record)
    elif word in words.block:
        reading = Reading(
            "fail", f"the verdict is {word}{why}", "mitigate the defect, or have the rule reviewed"
        )
    elif word in words.passing and not measurement.partial:
        reading = Reading("pass", f"the verdict is {word}")
    elif word in _UNKNOWN_WORDS:
        more = f"about {record.items_needed:,} items would decide it" if record.items_needed else "ask more"
        reading = Reading("inconclusive", f"the verdict is {word}{why}", more)
    else:
        reason = f"the verdict is {word}{why}, which the rule neither blocks nor allows"
        reading = Reading("inconclusive", reason, "add good references, or list the word under allow")
    return _Draft(case, measurement, reading=reading, word=word, missing=unbounded(record))


def _tested(
    audit: Audit, policy: PolicyFile, drafts: Sequence[_Draft], evidence: Evidence
) -> dict[int, _Tested]:
    """The drafts whose numbers are at hand, with the interval at the policy's own confidence."""
    defaults = policy.policy.defaults
    found: dict[int, _Tested] = {}
    for place, draft in enumerate(drafts):
        if draft.claim is None or draft.measurement is None:
            continue
        _must_agree(audit, draft, evidence)
        number = _number(draft, two_sided(defaults.confidence), evidence)
        rule = draft.case.rule
        needs = Requirements(
            rule.min_n or defaults.min_n,
            defaults.min_coverage if rule.min_coverage is None else rule.min_coverage,
            draft.measurement.partial or _base_partial(audit, draft.claim),
        )
        found[place] = _Tested(draft, needs, number)
    return found


def _base_partial(audit: Audit, claim: Claim) -> bool:
    """Whether the other side of a change was cut short."""
    return any(one.partial for one in audit.measurements if one.id == f"{claim.base}/{claim.key}")


def _number(draft: _Draft, level: float, evidence: Evidence) -> Numbers:
    assert draft.claim is not None
    if draft.case.kind != "release change":
        return evidence.number(draft.claim, level)
    found = evidence.release_change(draft.claim, level)
    return Numbers(state="unmeasured", reason=found, conclusive=False) if isinstance(found, str) else found


def _must_agree(audit: Audit, draft: _Draft, evidence: Evidence) -> None:
    """Rows and audit must say the same, else one of them is not of this run."""
    if draft.case.kind == "release change" or draft.measurement is None or draft.claim is None:
        return
    stated = recorded(audit, draft.case, draft.measurement)
    assert stated is not None
    if draft.claim.distance:
        away = getattr(stated, "distance", None)
        if away is None:
            raise ExecutionError(
                f"audit.json holds no distance of {draft.case.rule.metric} to its target, as an earlier "
                "fmaudit wrote it: repeat the fmaudit run command, which computes it anew"
            )
        stated = away
    found = evidence.printed(draft.claim, stated.level)
    plain = all(getattr(found, name) == getattr(stated, name) for name in _PLAIN)
    if not plain or not all(_same(getattr(found, name), getattr(stated, name)) for name in _REAL):
        raise ExecutionError(
            f"audit.json and the rows of {draft.measurement.id} disagree on {draft.case.rule.metric}: "
            "repeat the fmaudit run command, which computes it anew"
        )


def _same(found: float | None, stated: float | None) -> bool:
    if found is None or stated is None:
        return found is stated
    return isclose(found, stated, rel_tol=1e-9, abs_tol=1e-12)


def _find_failures(
    policy: PolicyFile, drafts: Sequence[_Draft], tested: dict[int, _Tested], evidence: Evidence
) -> None:
    """Holm's step-down over the blocking findings, without p-values.

    With r findings left, those whose interval at 1 - alpha / r lies beyond their limit
    are failures; then r falls by their number, until none is new.
    """
    defaults = policy.policy.defaults
    alpha = 1 - defaults.confidence
    decidable = [p for p, entry in tested.items() if obstacle(entry.number, entry.needs) is None]
    blocking = [place for place, draft in enumerate(drafts) if draft.case.rule.tier == "block"]
    for place in decidable:
        if place not in blocking or defaults.multiplicity == "none":
            _try(tested[place], alpha, 1, evidence)
    if defaults.multiplicity == "none":
        return
    open_ones, left = [place for place in decidable if place in blocking], len(blocking)
    while True:
        new = [place for place in open_ones if _try(tested[place], alpha, left, evidence)]
        if not new:
            return
        open_ones = [place for place in open_ones if place not in new]
        left -= len(new)


def _try(entry: _Tested, alpha: float, left: int, evidence: Evidence) -> bool:
    limit = entry.draft.case.limit
    level = 1 - 2 * alpha / (left * limit.sides)
    # A wider interval cannot lie beyond what the narrower one does not.
    if not beyond(entry.number, limit):
        return False
    number = entry.number if left * limit.sides == 1 else _number(entry.draft, level, evidence)
    if obstacle(number, entry.needs) is not None or not beyond(number, limit):
        return False
    entry.number, entry.failed_at, entry.family = number, level, left
    return True


def _finding(policy: PolicyFile, draft: _Draft, entry: _Tested | None, digests: dict[str, str]) -> Finding:
    reading, number, missing = draft.reading, None, draft.missing
    if entry is not None:
        number = entry.number
        missing = number.state != "measured" or unbounded(number)
        reading = _read(draft, entry)
        if draft.case.distance:
            about = f"change of the distance to {draft.case.ideal:g}"
            reading = replace(reading, reason=f"{about}: {reading.reason}")
    assert reading is not None
    case, measurement = draft.case, draft.measurement
    return Finding(
        rule=case.rule.id,
        tier=case.rule.tier,
        kind=case.kind,
        metric=case.rule.metric,
        subject=case.subject,
        model_digest=digests.get(case.subject, ""),
        variant=measurement.question.variant if measurement else case.rule.variant or "",
        dataset=(measurement.question.dataset if measurement else "")
        or draft.dataset
        or case.rule.dataset
        or "",
        slice=dict(case.slice),
        contrast=case.rule.contrast or "",
        limit=case.limit,
        verdict=reading.verdict,
        reason=reading.reason,
        action=reading.action,
        number=number if number is not None and number.state == "measured" else None,
        protocol=str(measurement.protocol.get("digest", "")) if measurement else "",
        line=policy.line(case.place),
        missing=missing,
        blocked_words=tuple(case.rule.verdicts.block)
        if case.kind == "verdict" and case.rule.verdicts
        else (),
        word=draft.word,
        severity=case.rule.severity,
        controls=tuple(case.rule.controls),
        ideal=case.ideal if case.distance else None,
    )


def _read(draft: _Draft, entry: _Tested) -> Reading:
    stopped = obstacle(entry.number, entry.needs)
    if stopped is not None:
        return stopped
    limit = draft.case.limit
    if entry.failed_at is not None:
        rows = f"fmaudit rows RUN {draft.case.rule.metric.partition('/')[0]} --subject {draft.case.subject}"
        failed = fails(entry.number, limit, entry.family)
        return replace(failed, action=f"see the items with {rows}; then {failed.action}")
    reading = passes(entry.number, limit, entry.needs)
    imported = draft.measurement is not None and draft.measurement.assurance == "imported"
    if reading.verdict == "pass" and imported and not draft.case.rule.accept_imported:
        return Reading(
            "inconclusive",
            "it was imported from another tool's log and nobody verified it",
            "measure it with fmaudit run, or write accept_imported: true into the rule",
        )
    return reading


def _settled(policy: PolicyFile, finding: Finding) -> Finding:
    """The finding with what the policy makes of evidence that is missing or does not decide."""
    defaults = policy.policy.defaults
    if finding.verdict != "inconclusive":
        return finding
    name = "on_missing" if finding.missing else "on_inconclusive"
    if getattr(defaults, name) != "fail":
        return finding
    return replace(finding, verdict="fail", reason=f"{finding.reason}; the policy says {name}: fail")
