"""The subjects of a run with their places in it, and what each can answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.plan import PlannedMeasurement
from fmaudit.running.options import RunOptions
from fmaudit.subjects import LoadedSubject, LoadOptions, open_subjects, parse_named_spec, preflight


@dataclass(frozen=True)
class Party:
    """One subject with its place in the audit."""

    id: str
    role: str
    subject: LoadedSubject


def open_parties(
    base: str, adapted: Sequence[str], references: Sequence[str], load: LoadOptions
) -> list[Party]:
    """Name and open the subjects; files are checked and hashed, no weights loaded."""
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


def checked(parties: Sequence[Party], options: RunOptions) -> list[dict[str, Any]]:
    """Run the preflight and record each subject. Raises SubjectError for a model that must not be audited."""
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


ANSWERS = {"causal": {"score", "generate"}, "masked": {"fill"}, "classifier": {"classify"}}


def asked_kinds(entry: PlannedMeasurement) -> set[str]:
    """Names of the request kinds the probe asks."""
    return {kind.__name__.lower() for kind in entry.probe.request_kinds}


def can_answer(party: Party, entry: PlannedMeasurement) -> bool:
    """Whether this kind of model answers what the probe asks."""
    return asked_kinds(entry) <= ANSWERS[party.subject.kind]


def to_record(party: Party, planned: Sequence[PlannedMeasurement]) -> list[PlannedMeasurement]:
    """What the report lists: what this subject answers; one entry for a probe of which it answers nothing."""
    able = {entry.probe.id for entry in planned if can_answer(party, entry)}
    first = {entry.probe.id: entry.key for entry in reversed(planned)}
    return [
        entry
        for entry in planned
        if can_answer(party, entry) or (entry.probe.id not in able and first[entry.probe.id] == entry.key)
    ]
