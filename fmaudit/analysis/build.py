"""From a run directory to ``audit.json``: a pure function of run.json and the rows."""

from __future__ import annotations

from fmaudit.analysis.calibrations import calibrations_of
from fmaudit.analysis.comparisons import comparisons, contrast_changes, field
from fmaudit.analysis.ecosystems import homogenizations
from fmaudit.analysis.measured import probes_of, read_measured
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.records import contrasts, estimates, measurement, metrics, subject
from fmaudit.evidence.directory import RunDirectory
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
            probes[entry["probe"], entry["variant"]],
            f"{entry['subject']}/{entry['key']}" in retested,
        )
        for entry in records
        if entry["state"] == "measured"
    ]
    by_id = {entry.id: entry for entry in measured}
    ground = field(measured, subjects, settings, (state.get("policy") or {}).get("margins"))
    return Audit(
        tool=state["tool"],
        context=state.get("context") or {},
        subjects=subjects,
        measurements=[measurement(entry, probes, by_id, state.get("mixed", ())) for entry in records],
        metrics=metrics(probes),
        estimates=[estimate for entry in measured for estimate in estimates(entry, settings)],
        contrasts=[found for entry in measured for found in contrasts(entry, settings)]
        + list(contrast_changes(ground)),
        comparisons=comparisons(ground),
        homogenization=list(homogenizations(ground.measured, subjects, settings, ground.refusal)),
        calibrations=calibrations_of(probes),
        instruments=[InstrumentCard(**card) for card in state["instruments"]],
    )
