"""The subjects of a run with their places in it, and what each can answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.start import common_start, own_start, token_id
from fmaudit.errors import SubjectError, UsageError
from fmaudit.plan import PlannedMeasurement
from fmaudit.running.options import RunOptions
from fmaudit.subjects import LoadedSubject, LoadOptions, open_subjects, parse_named_spec, preflight
from fmaudit.subjects.spec import SubjectSpec


@dataclass(frozen=True)
class Party:
    """One subject with its place in the audit; ``parent`` is what an adapted one was adapted from."""

    id: str
    role: str
    subject: LoadedSubject
    parent: str | None = None


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
    parents = [
        _parent(name, role, spec, ids, roles) for name, role, spec in zip(ids, roles, specs, strict=True)
    ]
    _refuse_rings(dict(zip(ids, parents, strict=True)))
    subjects = open_subjects(specs, load)
    share_start(dict(zip(ids, subjects, strict=True)))
    return [Party(*place) for place in zip(ids, roles, subjects, parents, strict=True)]


def share_start(subjects: Mapping[str, LoadedSubject]) -> None:
    """Let all causal subjects of a run score from one start token, the first one's, and note the changes.

    A subject whose tokenizer cannot be read is left to whoever asks it first.
    """
    causal = {name: subject for name, subject in subjects.items() if subject.kind == "causal"}
    tokenizers: dict[str, Any] = {}
    for name, subject in causal.items():
        with suppress(SubjectError):
            tokenizers[name] = subject.tokenizer
    if not tokenizers:
        return
    first = next(iter(tokenizers))
    wanted, common = own_start(tokenizers[first]), common_start(list(tokenizers.values()))
    lacking = [name for name, one in tokenizers.items() if token_id(one, wanted.token) is None]
    for name, tokenizer in tokenizers.items():
        causal[name].start_from(common)
        own = own_start(tokenizer)
        if common.token and own != common:
            causal[name].note(
                f"its texts start from {common.token!r} ({common.protocol()['before']}), as those of "
                f"{first!r} do; its own tokenizer starts from {own.token!r} ({own.protocol()['before']})"
            )
        elif not common.token and wanted.token:
            causal[name].note(
                f"texts are scored from their second token on: {', '.join(lacking)} has no token "
                f"{wanted.token!r}, from which those of {first!r} would start"
            )


def _parent(name: str, role: str, spec: SubjectSpec, ids: Sequence[str], roles: Sequence[str]) -> str | None:
    """The subject of the run that this one is declared to be adapted from."""
    if role != "adapted":
        if spec.parent is not None:
            raise UsageError(
                f"model {name!r}: ::parent= belongs to an adapted model; a {role} model has no parent"
            )
        return None
    parent = spec.parent or "base"
    known = [other for other, kind in zip(ids, roles, strict=True) if kind != "reference" and other != name]
    if parent not in known:
        raise UsageError(
            f"model {name!r}: ::parent={parent} is no model of this run; name one of {', '.join(known)} "
            "(adapted models are named by NAME=MODEL)"
        )
    return parent


def _refuse_rings(parents: Mapping[str, str | None]) -> None:
    for name in parents:
        seen, place = {name}, parents[name]
        while place is not None:
            if place in seen:
                raise UsageError(f"model {name!r} is its own ancestor by ::parent=; name each model's origin")
            seen.add(place)
            place = parents[place]


def _is_alias(text: str, name: str) -> bool:
    return text.startswith(f"{name}=")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "subject"


def checked(parties: Sequence[Party], options: RunOptions) -> list[dict[str, Any]]:
    """Run the preflight and record each subject. Raises SubjectError for a model that must not be audited."""
    by_role: dict[str, list[LoadedSubject]] = {"base": [], "adapted": [], "reference": []}
    for party in parties:
        by_role[party.role].append(party.subject)
    preflight(
        by_role["base"][0], by_role["adapted"], by_role["reference"], allow_identical=options.allow_identical
    )
    return [
        {
            "id": party.id,
            "role": party.role,
            "kind": party.subject.kind,
            "name": party.subject.name,
            "digest": party.subject.digest,
            "base": party.parent,
            "lineage": {"declared": party.parent},
            "parts": dict(party.subject.parts),
            "notes": list(party.subject.notes),
        }
        for party in parties
    ]


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
