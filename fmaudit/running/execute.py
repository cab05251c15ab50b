"""A whole run: plan, check the subjects, measure what is not measured yet, and write it all down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest
from fmaudit.context.record import read_context, recorded_context
from fmaudit.engines.base import ENGINE_PROTOCOL
from fmaudit.errors import EngineError, NothingEvaluated, ProbeError, UsageError
from fmaudit.evidence.directory import RunDirectory, open_run_directory
from fmaudit.instruments import Instrument
from fmaudit.plan import PlannedMeasurement
from fmaudit.plugins import metric_directions
from fmaudit.running.choices import chosen_instrument, planned_measurements
from fmaudit.running.descent import lineages
from fmaudit.running.environment import environment, now, tool
from fmaudit.running.extension import extend
from fmaudit.running.measure import MeasurementLog, Target, measure, pending_blocks
from fmaudit.running.mixing import is_pending, mixtures
from fmaudit.running.options import Progress, RunOptions, token_budget_of
from fmaudit.running.parties import ANSWERS, Party, asked_kinds, can_answer, checked, open_parties, to_record
from fmaudit.subjects import LoadOptions

RUN_SCHEMA = "fmaudit/run/1"


@dataclass
class _Run:
    """What the steps of one run share."""

    directory: RunDirectory
    state: dict[str, Any]
    options: RunOptions
    progress: Progress
    failures: list[str]

    def save(self) -> None:
        self.state["sessions"][-1]["ended"] = now()
        self.directory.write_state(self.state)


def execute(
    base: str,
    adapted: Sequence[str],
    references: Sequence[str],
    output: Path,
    options: RunOptions,
    progress: Progress,
) -> tuple[RunDirectory, list[str]]:
    """Carry out a run, or continue the one begun in ``output`` with the same command.

    Returns the run directory and one line for each measurement that failed while
    the others went on.

    Raises:
        UsageError: a model, probe, data file or option cannot be used; nothing was spent.
        ExecutionError: rows could not be written; what was measured is kept.
        NothingEvaluated: no probe could be measured on any subject.
    """
    if options.context is not None:
        read_context(options.context)
    planned = planned_measurements(options)
    instrument, no_instrument = chosen_instrument(planned, options)
    load = LoadOptions(options.device, options.dtype, options.allow_pickle, options.allow_remote_code)
    parties = open_parties(base, adapted, references, load)

    def plan_of(measurements: Sequence[PlannedMeasurement], limit: int | None) -> dict[str, Any]:
        return _plan(parties, measurements, instrument, load, replace(options, limit=limit))

    def unmixed(state: Mapping[str, Any]) -> list[str]:
        here = environment(plan_device=state["plan"]["device"])
        return mixtures(state, tool(), here, output.name, options.allow_mixed)

    _refuse_other_policy(output, options)
    if extend(output, planned, options.limit, plan_of, unmixed):
        progress.say(f"extending the run in {output.name}: what was measured is kept")
    directory, state = open_run_directory(output, plan_of(planned, options.limit))
    for line in _absent_data(options, planned):
        progress.say(line)
    mixed = unmixed(state) if state and is_pending(state) else []
    if mixed:
        progress.say("continuing a run that other versions or another machine began (--allow-mixed)")
        state["mixed"] = sorted({*state.get("mixed", ()), *mixed})
    run = _Run(directory, _begun(state, parties, planned, instrument, load, options), options, progress, [])
    for note in dict.fromkeys(note for entry in planned for note in entry.notes):
        progress.say(f"note: {note}")
    _measure_all(run, parties, planned, instrument, no_instrument)
    if not any(entry["state"] == "measured" for entry in run.state["measurements"]):
        reasons = sorted({entry["reason"] for entry in run.state["measurements"] if entry["reason"]})
        raise NothingEvaluated(f"nothing could be measured: {'; '.join(reasons[:3])}")
    run.state["finished"] = True
    run.save()
    return directory, run.failures


def _plan(
    parties: Sequence[Party],
    planned: Sequence[PlannedMeasurement],
    instrument: Instrument | None,
    load: LoadOptions,
    options: RunOptions,
) -> dict[str, Any]:
    device = load.resolve_device()
    return {
        "subjects": {
            party.id: {"role": party.role, "digest": party.subject.digest, "parent": party.parent}
            for party in parties
        },
        "measurements": {
            entry.key: entry.text_protocol() | {"asked": len(entry.items)} for entry in planned if entry.items
        },
        "instrument": {instrument.id: instrument.digest} if instrument else {},
        "device": device,
        "dtype": load.resolve_dtype(),
        "start": _start(parties),
        "limit": options.limit,
        "seed": options.seed,
        "token_budget": options.token_budget or token_budget_of(device),
        "engine_protocol": ENGINE_PROTOCOL,
    }


def _start(parties: Sequence[Party]) -> dict[str, str] | None:
    causal = [party.subject for party in parties if party.subject.kind == "causal"]
    return causal[0].start.protocol() if causal else None


def _begun(
    state: dict[str, Any],
    parties: Sequence[Party],
    planned: Sequence[PlannedMeasurement],
    instrument: Instrument | None,
    load: LoadOptions,
    options: RunOptions,
) -> dict[str, Any]:
    if not state:
        plan = _plan(parties, planned, instrument, load, options)
        state = {
            "schema": RUN_SCHEMA,
            "tool": tool(),
            "plan": plan,
            "plan_digest": digest(plan),
            "subjects": [],
            "measurements": [],
            "instruments": [instrument.card.model_dump(mode="json")] if instrument else [],
            "policy": _locked_policy(options),
            "retests": [],
            "backoff": {"events": 0, "rows_near_tie": 0},
            "looks": 0,
            "sessions": [],
            "finished": False,
        }
    state["context"] = recorded_context(state.get("context"), options.context, bool(state["sessions"]))
    here = environment(plan_device=state["plan"]["device"])
    state.setdefault("environment", here)
    session = {
        "begun": now(),
        "ended": now(),
        "asked": is_pending(state),
        "tool": tool(),
        "environment": here,
    }
    state["sessions"].append(session)
    return state


def _refuse_other_policy(output: Path, options: RunOptions) -> None:
    """A policy is locked before anything is measured: a begun run takes no other."""
    state = RunDirectory(output).read_state() if output.is_dir() else None
    if not state or options.policy is None:
        return
    from fmaudit.gate.policy import load_policy

    policy = load_policy(options.policy)
    locked = state.get("policy") or {}
    if locked.get("digest") != policy.digest:
        held = f"policy {locked['id']} ({locked['digest']})" if locked else "no policy"
        raise UsageError(
            f"--policy: this run was begun with {held}, and {policy.name} is {policy.policy.id} "
            f"({policy.digest}): give the one it was begun with, or choose another folder with -o"
        )


def _absent_data(options: RunOptions, planned: Sequence[PlannedMeasurement]) -> list[str]:
    """A line for each data set that the policy's rules miss in this run."""
    if options.policy is None:
        return []
    from fmaudit.gate.absent import absence_lines
    from fmaudit.gate.policy import load_policy

    return absence_lines(load_policy(options.policy).policy, planned)


def _locked_policy(options: RunOptions) -> dict[str, Any] | None:
    if options.policy is None:
        return None
    from fmaudit.gate.checks import check_policy
    from fmaudit.gate.policy import load_policy

    policy = load_policy(options.policy)
    check_policy(policy, metric_directions())
    margins = {name: found.model_dump() for name, found in policy.policy.margins.items()}
    return {"digest": policy.digest, "id": policy.policy.id, "margins": margins}


def _measure_all(
    run: _Run,
    parties: Sequence[Party],
    planned: Sequence[PlannedMeasurement],
    instrument: Instrument | None,
    no_instrument: str,
) -> None:
    done = {
        (entry["subject"], entry["key"]) for entry in run.state["measurements"] if entry["state"] != "failed"
    }
    if not run.state["subjects"] or any(
        (party.id, entry.key) not in done for party in parties for entry in to_record(party, planned)
    ):
        run.progress.say("checking the models")
        subjects = checked(parties, run.options)
        for party in parties:
            for note in party.subject.traits.notes:
                run.progress.say(f"{party.id}: {note}")
        found = lineages(parties, planned, run.options, run.progress)
        run.state["subjects"] = [
            entry | {"lineage": found.get(entry["id"], entry["lineage"])} for entry in subjects
        ]
        run.save()
    for party in parties:
        for entry in to_record(party, planned):
            if (party.id, entry.key) in done:
                continue
            record = _measure_one(run, party, entry, instrument, no_instrument)
            others = [
                old
                for old in run.state["measurements"]
                if (old["subject"], old["key"]) != (party.id, entry.key)
            ]
            run.state["measurements"] = [*others, record]
            run.save()
        parent = party.role == "base" or any(other.parent == party.id for other in parties)
        if parent and any(other.role == "reference" for other in parties):
            _retest(run, party, planned, instrument)
    for party in parties:
        party.subject.release()


def _retest(
    run: _Run, party: Party, planned: Sequence[PlannedMeasurement], instrument: Instrument | None
) -> None:
    """Answer what is sampled a second time: agreement with itself is the yardstick of a copy fraction."""
    measured = {
        entry["key"]
        for entry in run.state["measurements"]
        if entry["subject"] == party.id and entry["state"] == "measured"
    }
    for entry in planned:
        name = f"{party.id}/{entry.key}"
        if entry.key not in measured or name in run.state.setdefault("retests", []) or not entry.sampled:
            continue
        target = Target(run.directory, party.id, entry.key, replicate=1)
        used = instrument if entry.probe.instruments else None
        try:
            _answer(run, party, entry, target, used, f"{party.id}  {entry.key} (retest)")
        except (ProbeError, EngineError) as error:
            run.failures.append(f"retest: {error}")
            continue
        run.state["retests"] = [*run.state["retests"], name]
        run.save()


def _answer(
    run: _Run,
    party: Party,
    entry: PlannedMeasurement,
    target: Target,
    instrument: Instrument | None,
    label: str,
) -> MeasurementLog:
    blocks = pending_blocks(entry, target)
    run.progress.start(
        label, sum(len(entry.probe.requests(item)) for block in blocks for item in block.items)
    )
    try:
        return measure(entry, target, _engine(run, party, target.replicate), instrument, run.progress.advance)
    finally:
        run.progress.finish()


def _measure_one(
    run: _Run, party: Party, entry: PlannedMeasurement, instrument: Instrument | None, no_instrument: str
) -> dict[str, Any]:
    kind = party.subject.kind
    if not can_answer(party, entry):
        needs = " and ".join(sorted(asked_kinds(entry)))
        answers = " and ".join(sorted(ANSWERS[kind]))
        return _record(party, entry, "unmeasurable", f"it asks {needs}; a {kind} model answers {answers}")
    if entry.dataset is None:
        return _record(party, entry, "unmeasured", entry.reason)
    if entry.probe.instruments and instrument is None:
        return _record(party, entry, "unmeasured", no_instrument)
    used = instrument if entry.probe.instruments else None
    target = Target(run.directory, party.id, entry.key)
    try:
        log = _answer(run, party, entry, target, used, f"{party.id}  {entry.key}")
    except (ProbeError, EngineError) as error:
        run.failures.append(str(error))
        return _record(party, entry, "failed", str(error))
    run.state["backoff"]["events"] += log.backoff_events
    run.state["backoff"]["rows_near_tie"] += log.rows_near_tie
    record = _record(party, entry, "measured", "")
    record["protocol"] = _protocol(run.state["plan"], entry, used)
    record["instruments"] = [used.id] if used else []
    record["batches"] = list(log.batches)
    return record


def _engine(run: _Run, party: Party, replicate: int) -> Any:
    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine

    subject, plan = party.subject, run.state["plan"]
    # A paired change gains from common random numbers; likeness is judged on answers that share none.
    own = party.role == "reference" or replicate > 0
    settings = EngineSettings(
        token_budget=plan["token_budget"],
        seed=plan["seed"] + replicate,
        stream=subject.digest if own else "",
    )
    return TransformersEngine(
        subject.model,
        subject.tokenizer,
        subject.kind,
        subject.device,
        settings,
        subject.context_length,
        subject.active,
        subject.traits,
        subject.start,
    )


def _protocol(
    plan: Mapping[str, Any], entry: PlannedMeasurement, instrument: Instrument | None
) -> dict[str, Any]:
    fields = entry.text_protocol() | {
        "engine": "transformers",
        "engine_protocol": ENGINE_PROTOCOL,
        "device": plan["device"].partition(":")[0],
        "dtype": plan["dtype"],
        "seed": plan["seed"],
        "instruments": {instrument.id: instrument.digest} if instrument else {},
    }
    if asked_kinds(entry) & {"score", "generate"}:
        fields["start"] = plan["start"]
    return fields | {"digest": digest(fields)}


def _record(party: Party, entry: PlannedMeasurement, state: str, reason: str) -> dict[str, Any]:
    dataset = entry.dataset
    return {
        "subject": party.id,
        "key": entry.key,
        "probe": entry.question.probe,
        "version": entry.probe.version,
        "variant": entry.question.variant,
        "state": state,
        "reason": reason,
        "partial": entry.partial,
        "protocol": {},
        "instruments": [],
        "batches": [],
        "clusters": entry.clusters(),
        "slices": entry.slices(),
        "dataset": None
        if dataset is None
        else {
            "id": dataset.id,
            "digest": dataset.digest,
            "n_items": entry.available,
            "n_asked": len(entry.items),
            "pinned": dataset.pinned,
            "source": dataset.source,
            "title": dataset.card.title,
            "licence": dataset.card.licence,
            "limits": [*dataset.card.limits, *entry.notes],
        },
    }
