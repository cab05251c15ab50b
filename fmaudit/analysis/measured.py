"""The rows of one measurement, read and finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fmaudit.analysis.imported import declared_probe, is_imported
from fmaudit.analysis.tables import Answers, read_answers
from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RunDirectory, retest_key
from fmaudit.plugins import load_probe
from fmaudit.probe import Probe
from fmaudit.question import Question, question_of, record_id


@dataclass(frozen=True)
class MeasuredRows:
    """One measurement with its rows; ``retest`` holds the base's second answers where they were sampled."""

    id: str
    subject: str
    key: str
    probe: Probe
    protocol: Mapping[str, Any]
    answers: Answers
    partial: bool
    retest: Answers | None = None
    imported: bool = False


def probes_of(records: Iterable[Mapping[str, Any]]) -> dict[Question, Probe]:
    """The probe instances of these measurement records by question, imported ones as declared there."""
    found: dict[Question, Probe] = {}
    for entry in records:
        asked = question_of(entry)
        if asked not in found:
            found[asked] = probe_of(entry)
    return found


def probe_of(record: Mapping[str, Any]) -> Probe:
    """The probe instance that a measurement record was asked by.

    Raises ProbeError where it is not installed or has no such variant.
    """
    return declared_probe(record) if is_imported(record) else load_probe(record["probe"])(record["variant"])


def read_measured(
    run: RunDirectory, entry: Mapping[str, Any], probe: Probe, retested: bool = False
) -> MeasuredRows:
    """Read one measurement's rows.

    Raises ExecutionError when they are incomplete or were made by another version of the probe.
    """
    name = record_id(entry)
    if probe.version != entry["version"]:
        raise ExecutionError(
            f"{name} was measured by version {entry['version']} of {probe.id} and version {probe.version} is "
            "installed: install the former, or run anew in another folder"
        )
    answers = _complete(run, entry, probe, entry["key"])
    retest = _complete(run, entry, probe, retest_key(entry["key"])) if retested else None
    return MeasuredRows(
        id=name,
        subject=entry["subject"],
        key=entry["key"],
        probe=probe,
        protocol=entry["protocol"],
        answers=answers,
        partial=entry["partial"],
        retest=retest,
        imported=is_imported(entry),
    )


def _complete(run: RunDirectory, entry: Mapping[str, Any], probe: Probe, folder: str) -> Answers:
    answers = read_answers(run.evidence(entry["subject"], folder), probe.measures)
    asked = entry["dataset"]["n_asked"]
    if answers.n_items != asked:
        raise ExecutionError(
            f"evidence of {entry['subject']}/{folder} is incomplete: {answers.n_items} of {asked} items; "
            "repeat the fmaudit run command"
        )
    return finished(probe, answers)


def finished(probe: Probe, answers: Answers) -> Answers:
    """The answers with the measures that need all items at once, limited to the items that count."""
    done = probe.finish(answers.table())
    if done is None:
        return answers
    columns = {name: np.asarray(column, dtype=float)[:, None] for name, column in done.columns.items()}
    reasons = {
        name: {"not defined for this item": int(np.isnan(columns[name][done.counted]).sum())}
        if np.isnan(columns[name][done.counted]).any()
        else {}
        for name in columns
    }
    whole = replace(
        answers,
        numeric={**answers.numeric, **columns},
        reasons={**answers.reasons, **reasons},
        shared=done.shared,
    )
    return whole.take(np.asarray(done.counted, dtype=bool))
