"""A finished run held against a policy: what must be true of the run first, then the record beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest_file
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.gate.baseline import Baseline, open_baseline
from fmaudit.gate.checks import check_policy
from fmaudit.gate.evaluate import evaluate, exit_code
from fmaudit.gate.finding import GateResult
from fmaudit.gate.outcome import Circumstances, gate_file, outcome, write_outcome
from fmaudit.gate.policy import PolicyFile, load_policy
from fmaudit.gate.run_evidence import RunEvidence, check_audit, check_manifest
from fmaudit.gate.waivers import WaiverFile, apply_waivers, load_waivers
from fmaudit.plugins import declared_names, metric_directions
from fmaudit.schema import Audit, read_audit


@dataclass(frozen=True)
class GateOptions:
    """What a gate is asked.

    Attributes:
        policy: A policy file, or the name of one that ships.
        waivers: A file of waivers.
        baseline: The baseline of the last release, as ``fmaudit baseline set`` wrote it.
        first_release: There is no last release: rules on it do not apply.
        other_policy: Gate with another policy than the one that was locked into the run.
    """

    policy: Path
    waivers: Path | None = None
    baseline: Path | None = None
    first_release: bool = False
    other_policy: bool = False


def gate_run(
    run: Path, options: GateOptions, now: datetime | None = None
) -> tuple[GateResult, dict[str, Any]]:
    """Hold a run against a policy and write ``gate/<policy digest>.json`` into it.

    Raises:
        UsageError: policy, waivers, baseline or run cannot be used as asked.
        ExecutionError: the run is unfinished, or its files are not those that were written.
    """
    policy = load_policy(options.policy)
    waivers = None if options.waivers is None else load_waivers(options.waivers)
    audit = read_audit(run)
    directions = metric_directions() | {metric.id: metric.direction for metric in audit.metrics}
    check_policy(policy, directions)
    directory, state = _finished(run)
    _check_clock(state, now or datetime.now(UTC))
    locked = _lock(state, policy, run, options)
    check_manifest(run)
    check_audit(audit, state)
    baseline = _baseline(policy, options)
    _check_form(state, policy, run)
    seed = int(state["plan"]["seed"])
    evidence = RunEvidence(directory, audit, policy.policy.defaults.form, seed, baseline)
    result = evaluate(audit, _applicable(policy, options), evidence, declared_names())
    result = replace(result, policy=policy.policy)
    result, used = _waived(audit, policy, result, waivers, now or datetime.now(UTC))
    looks = int(state.get("looks", 0)) + 1
    directory.write_state(state | {"looks": looks})
    found = Circumstances(
        looks=looks,
        locked=locked,
        audit=digest_file(run / AUDIT_FILE),
        release=None
        if baseline is None
        else {"digest": baseline.digest, "subjects": dict(baseline.subjects)},
        waivers=used,
    )
    record = outcome(audit, result, found)
    write_outcome(run, record, result)
    write_atomically(gate_file(run, result, ".policy.yaml"), policy.text.encode())
    if waivers is not None:
        write_atomically(gate_file(run, result, ".waivers.yaml"), waivers.text.encode())
    directory.write_manifest()
    return result, record


def _finished(run: Path) -> tuple[RunDirectory, dict[str, Any]]:
    directory = RunDirectory(run)
    state = directory.read_state()
    if state is None:
        raise UsageError(f"{run.name} has no run.json: it is not a run directory")
    if not state.get("finished"):
        raise ExecutionError(f"{run.name} is unfinished: repeat the fmaudit run command, then the gate")
    return directory, state


def _check_clock(state: Mapping[str, Any], now: datetime) -> None:
    """Expiry and order of events cannot be judged by a clock that is behind the run."""
    ended = [str(session.get("ended", "")) for session in state.get("sessions", ())]
    latest = max(ended, default="")
    shown = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if latest > shown:
        raise UsageError(
            f"this machine's clock says {shown} and the run ended at {latest}: set the clock, then repeat"
        )


def _lock(state: Mapping[str, Any], policy: PolicyFile, run: Path, options: GateOptions) -> bool:
    recorded = state.get("policy") or {}
    locked = recorded.get("digest")
    if locked == policy.digest:
        return True
    if locked is not None and not options.other_policy:
        raise UsageError(
            f"{run.name} was locked to policy {recorded.get('id')} ({locked}) before it measured, and "
            f"{policy.name} is {policy.policy.id} ({policy.digest}): gate with the locked one, or say "
            "--other-policy, which the record will show"
        )
    return False


def _check_form(state: Mapping[str, Any], policy: PolicyFile, run: Path) -> None:
    looks = [int(entry.get("looks", 0)) for entry in state.get("extensions", ())]
    if any(looks) and policy.policy.defaults.form != "anytime":
        raise UsageError(
            f"{run.name} was extended after it was gated ({max(looks)} looks before): intervals of a fixed "
            "n no longer hold. Write form: anytime into the policy's defaults, or run anew in another folder"
        )


def _baseline(policy: PolicyFile, options: GateOptions) -> Baseline | None:
    if options.first_release and options.baseline is not None:
        raise UsageError("--first-release and --baseline contradict each other: give one")
    if options.baseline is None:
        return None
    if not any(rule.vs_release for rule in policy.policy.rules):
        raise UsageError(f"--baseline: no rule of {policy.name} has vs_release; add one, or leave it out")
    return open_baseline(options.baseline)


def _applicable(policy: PolicyFile, options: GateOptions) -> PolicyFile:
    """Without rules on the last release where this is the first; what remains of a rule is kept."""
    if not options.first_release:
        return policy
    rules = [rule.model_copy(update={"vs_release": None}) for rule in policy.policy.rules]
    return replace(policy, policy=policy.policy.model_copy(update={"rules": rules}))


def _waived(
    audit: Audit, policy: PolicyFile, result: GateResult, waivers: WaiverFile | None, now: datetime
) -> tuple[GateResult, Any]:
    if waivers is None:
        return result, ()
    longest = policy.policy.defaults.waiver_days
    findings, used = apply_waivers(result.findings, waivers, now.date(), longest)
    return replace(result, findings=tuple(findings), exit_code=exit_code(audit, findings)), used
