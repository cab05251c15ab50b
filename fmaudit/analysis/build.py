"""From a run directory to ``audit.json``: a pure function of run.json and the rows."""

from __future__ import annotations

from fmaudit.analysis.calibrations import calibrations_of
from fmaudit.analysis.comparisons import field
from fmaudit.analysis.declared import plan_of_records
from fmaudit.analysis.ecosystems import homogenizations
from fmaudit.analysis.measured import probes_of, read_measured
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.records import estimates, measurement, metrics, subject
from fmaudit.evidence.directory import RunDirectory
from fmaudit.question import question_of, record_id
from fmaudit.schema import Audit, InstrumentCard


def build_audit(run: RunDirectory, settings: Settings | None = None) -> Audit:
    """Compute every number of a run. Raises ExecutionError when rows are missing or damaged."""
    state = run.read_state() or {}
    settings = settings or Settings(seed=int(state["plan"]["seed"]))
    subjects = [subject(entry) for entry in state["subjects"]]
    order = {found.id: place for place, found in enumerate(subjects)}
    records = sorted(state["measurements"], key=lambda entry: (order[entry["subject"]], entry["key"]))
    retested = set(state.get("retests", ()))
    probes = probes_of(records)
    measured = [
        read_measured(
            run,
            entry,
            probes[question_of(entry)],
            record_id(entry) in retested,
        )
        for entry in records
        if entry["state"] == "measured"
    ]
    by_id = {entry.id: entry for entry in measured}
    margins = (state.get("policy") or {}).get("margins")
    ground = field(measured, subjects, settings, margins, plan_of_records(records, probes, measured))
    return Audit(
        tool=state["tool"],
        context=state.get("context") or {},
        subjects=subjects,
        measurements=[measurement(entry, probes, by_id, state.get("mixed", ())) for entry in records],
        metrics=metrics(probes.values()),
        estimates=[estimate for entry in measured for estimate in estimates(entry, settings)],
        contrasts=list(ground.claims.contrasts),
        comparisons=list(ground.claims.comparisons),
        families=list(ground.claims.families),
        homogenization=list(homogenizations(ground.measured, subjects, settings, ground.refusal)),
        calibrations=calibrations_of(probes.values()),
        instruments=[InstrumentCard(**card) for card in state["instruments"]],
    )
