"""A whole run: plan, check the subjects, measure what is not measured yet, and write it all down."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest
from fmaudit.cards import load_card
from fmaudit.data import Dataset, load_dataset
from fmaudit.errors import NothingEvaluated, ProbeError, UsageError
from fmaudit.evidence.directory import RunDirectory, open_run_directory
from fmaudit.instruments import Instrument, open_instrument
from fmaudit.instruments.base import DEFAULT
from fmaudit.plan import PlannedMeasurement, plan_measurements
from fmaudit.plugins import card_folder, expand, load_probe, select
from fmaudit.probe import Probe
from fmaudit.running.environment import environment, now, tool
from fmaudit.running.measure import Target, measure, pending_blocks
from fmaudit.running.options import Progress, RunOptions
from fmaudit.subjects import LoadedSubject, LoadOptions, open_subjects, parse_named_spec, preflight

RUN_SCHEMA = "fmaudit/run/1"
_BUDGET = {"cuda": 65536, "cpu": 4096}


@dataclass(frozen=True)
class Party:
    """One subject with its place in the audit."""

    id: str
    role: str
    subject: LoadedSubject


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
    probes = choose_probes(options)
    planned = plan_measurements(
        probes,
        lambda probe, name: _load(probe, name, options.data),
        limit=options.limit,
        seed=options.seed,
        datasets=options.datasets,
    )
    _refuse_unused_data(planned, options)
    instrument, no_instrument = _instrument(planned, options)
    load = LoadOptions(options.device, options.dtype, options.allow_pickle, options.allow_remote_code)
    parties = _parties(base, adapted, references, load)
    directory, state = open_run_directory(output, _plan(parties, planned, instrument, load, options))
    run = _Run(directory, _begun(state, parties, planned, instrument, load, options), options, progress, [])
    _measure_all(run, parties, planned, instrument, no_instrument)
    if not any(entry["state"] == "measured" for entry in run.state["measurements"]):
        reasons = sorted({entry["reason"] for entry in run.state["measurements"] if entry["reason"]})
        raise NothingEvaluated(f"nothing could be measured: {'; '.join(reasons[:3])}")
    run.state["finished"] = True
    run.save()
    return directory, run.failures


def choose_probes(options: RunOptions) -> list[Probe]:
    """The probe instances asked for, and those that guard every verdict."""
    ids = select(list(options.probes))
    classes = {name: load_probe(name) for name in ids}
    for name in select([]):
        if name not in classes and options.datasets is None:
            cls = _loadable(name)
            if cls is not None and cls.always:
                classes[name] = cls
    instances = [instance for name in sorted(classes) for instance in expand(classes[name])]
    for instance in instances:
        if options.samples is not None and hasattr(instance, "samples"):
            instance.samples = options.samples
    return instances


def _loadable(name: str) -> type[Probe] | None:
    try:
        return load_probe(name)
    except ProbeError:
        return None


def _load(probe: Probe, name: str, data: Mapping[str, str]) -> Dataset:
    return load_dataset(load_card(name, card_folder(type(probe))), data.get(name))


def _refuse_unused_data(planned: Sequence[PlannedMeasurement], options: RunOptions) -> None:
    used = {entry.dataset.id for entry in planned if entry.dataset is not None}
    unused = sorted(set(options.data) - used)
    if unused:
        known = sorted({name for entry in planned for name in entry.probe.datasets_of(entry.probe.variant)})
        raise UsageError(
            f"--data {unused[0]}: no chosen probe reads a data set of that name; they read: {', '.join(known)}"
        )


def _instrument(planned: Sequence[PlannedMeasurement], options: RunOptions) -> tuple[Instrument | None, str]:
    if not any(entry.probe.instruments and entry.dataset for entry in planned):
        return None, ""
    try:
        return open_instrument(options.instrument or DEFAULT, "cpu"), ""
    except UsageError as error:
        if options.instrument is not None:
            raise
        return None, f"no instrument scores the texts: {error}"


def _parties(base: str, adapted: Sequence[str], references: Sequence[str], load: LoadOptions) -> list[Party]:
    specs = [parse_named_spec(text) for text in (base, *adapted, *references)]
    roles = ["base", *["adapted"] * len(adapted), *["reference"] * len(references)]
    ids: list[str] = []
    for text, spec, role in zip((base, *adapted, *references), specs, roles, strict=True):
        wanted = "base" if role == "base" else _slug(spec.name)
        if role == "adapted" and len(adapted) == 1 and not _is_alias(text, spec.name):
            wanted = "adapted"
        name, number = wanted, 2
        while name in ids:
            name, number = f"{wanted}-{number}", number + 1
        ids.append(name)
    subjects = open_subjects(specs, load)
    return [Party(name, role, subject) for name, role, subject in zip(ids, roles, subjects, strict=True)]


def _is_alias(text: str, name: str) -> bool:
    return text.startswith(f"{name}=")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "subject"


def _plan(
    parties: Sequence[Party],
    planned: Sequence[PlannedMeasurement],
    instrument: Instrument | None,
    load: LoadOptions,
    options: RunOptions,
) -> dict[str, Any]:
    device = load.resolve_device()
    return {
        "subjects": {party.id: {"role": party.role, "digest": party.subject.digest} for party in parties},
        "measurements": {
            entry.key: entry.question() | {"asked": len(entry.items)} for entry in planned if entry.items
        },
        "instrument": {instrument.id: instrument.digest} if instrument else {},
        "device": device,
        "dtype": load.resolve_dtype(),
        "limit": options.limit,
        "seed": options.seed,
        "token_budget": options.token_budget or _BUDGET[device.partition(":")[0]],
    }


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
            "backoff": {"events": 0, "rows_near_tie": 0},
            "looks": 0,
            "sessions": [],
            "finished": False,
        }
    state["environment"] = environment(plan_device=state["plan"]["device"])
    state["sessions"].append({"begun": now(), "ended": now()})
    return state


def _locked_policy(options: RunOptions) -> dict[str, Any] | None:
    if options.policy is None:
        return None
    from fmaudit.gate.policy import load_policy

    policy = load_policy(options.policy)
    return {"digest": policy.digest, "id": policy.policy.id}


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
        (party.id, entry.key) not in done for party in parties for entry in _to_record(party, planned)
    ):
        run.progress.say("checking the models")
        run.state["subjects"] = _checked(parties, run.options)
        run.save()
    for party in parties:
        for entry in _to_record(party, planned):
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
    for party in parties:
        party.subject.release()


def _checked(parties: Sequence[Party], options: RunOptions) -> list[dict[str, Any]]:
    by_role: dict[str, list[LoadedSubject]] = {"base": [], "adapted": [], "reference": []}
    for party in parties:
        by_role[party.role].append(party.subject)
    results = preflight(
        by_role["base"][0], by_role["adapted"], by_role["reference"], allow_identical=options.allow_identical
    )
    found = {id(result.subject): result for result in results}
    records = []
    for party in parties:
        result = found[id(party.subject)]
        declared = "base" if party.role == "adapted" else None
        records.append(
            {
                "id": party.id,
                "role": party.role,
                "kind": party.subject.kind,
                "name": party.subject.name,
                "digest": party.subject.digest,
                "base": declared,
                "lineage": {
                    "declared": declared,
                    "verified": result.lineage_verified if declared else None,
                    "evidence": result.lineage_evidence if declared else "",
                },
                "parts": dict(party.subject.parts),
                "notes": list(party.subject.notes),
            }
        )
    return records


_ANSWERS = {"causal": {"score", "generate"}, "masked": {"fill"}, "classifier": {"classify"}}


def _asked_kinds(entry: PlannedMeasurement) -> set[str]:
    return {kind.__name__.lower() for kind in entry.probe.request_kinds}


def _answers(party: Party, entry: PlannedMeasurement) -> bool:
    return _asked_kinds(entry) <= _ANSWERS[party.subject.kind]


def _to_record(party: Party, planned: Sequence[PlannedMeasurement]) -> list[PlannedMeasurement]:
    """What the report lists: what this subject answers; one entry for a probe of which it answers nothing."""
    able = {entry.probe.id for entry in planned if _answers(party, entry)}
    first = {entry.probe.id: entry.key for entry in reversed(planned)}
    return [
        entry
        for entry in planned
        if _answers(party, entry) or (entry.probe.id not in able and first[entry.probe.id] == entry.key)
    ]


def _measure_one(
    run: _Run, party: Party, entry: PlannedMeasurement, instrument: Instrument | None, no_instrument: str
) -> dict[str, Any]:
    kind = party.subject.kind
    if not _answers(party, entry):
        needs = " and ".join(sorted(_asked_kinds(entry)))
        answers = " and ".join(sorted(_ANSWERS[kind]))
        return _record(party, entry, "unmeasurable", f"it asks {needs}; a {kind} model answers {answers}")
    if entry.dataset is None:
        return _record(party, entry, "unmeasured", entry.reason)
    if entry.probe.instruments and instrument is None:
        return _record(party, entry, "unmeasured", no_instrument)
    used = instrument if entry.probe.instruments else None
    target = Target(run.directory, party.id, entry.key)
    blocks = pending_blocks(entry, target)
    run.progress.start(
        f"{party.id}  {entry.key}",
        sum(len(entry.probe.requests(item)) for block in blocks for item in block.items),
    )
    try:
        log = measure(entry, target, _engine(run, party), used, run.progress.advance)
    except ProbeError as error:
        run.failures.append(str(error))
        return _record(party, entry, "failed", str(error))
    finally:
        run.progress.finish()
    run.state["backoff"]["events"] += log.backoff_events
    run.state["backoff"]["rows_near_tie"] += log.rows_near_tie
    record = _record(party, entry, "measured", "")
    record["protocol"] = _protocol(run.state["plan"], entry, used)
    record["instruments"] = [used.id] if used else []
    record["batches"] = list(log.batches)
    return record


def _engine(run: _Run, party: Party) -> Any:
    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine

    subject, plan = party.subject, run.state["plan"]
    settings = EngineSettings(token_budget=plan["token_budget"], seed=plan["seed"])
    return TransformersEngine(
        subject.model,
        subject.tokenizer,
        subject.kind,
        subject.device,
        settings,
        subject.context_length,
        subject.active,
    )


def _protocol(
    plan: Mapping[str, Any], entry: PlannedMeasurement, instrument: Instrument | None
) -> dict[str, Any]:
    fields = entry.question() | {
        "engine": "transformers",
        "device": plan["device"].partition(":")[0],
        "dtype": plan["dtype"],
        "seed": plan["seed"],
        "instruments": {instrument.id: instrument.digest} if instrument else {},
    }
    return fields | {"digest": digest(fields)}


def _record(party: Party, entry: PlannedMeasurement, state: str, reason: str) -> dict[str, Any]:
    dataset = entry.dataset
    return {
        "subject": party.id,
        "key": entry.key,
        "probe": entry.probe.id,
        "version": entry.probe.version,
        "variant": entry.probe.variant,
        "state": state,
        "reason": reason,
        "partial": entry.partial,
        "protocol": {},
        "instruments": [],
        "batches": [],
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
            "limits": list(dataset.card.limits),
        },
    }
