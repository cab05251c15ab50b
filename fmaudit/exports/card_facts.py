"""What a model card may state of one audited model: which one, where it comes from, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from fmaudit.errors import UsageError
from fmaudit.exports.card_yaml import Address, line
from fmaudit.question import Question
from fmaudit.report.index import AuditIndex
from fmaudit.report.numbers import status_of
from fmaudit.schema import Audit, Subject

Relation = Literal["adapter", "merge", "quantized", "finetune"]
RELATIONS: tuple[Relation, ...] = ("adapter", "finetune", "merge", "quantized")
NOT_STATED = "Not stated by the auditor."
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
_GIVEN_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/?=&%+-]*)?")
# How loading records a file whose weights were stored in fewer bits.
_QUANTIZED_NOTE = "quantized GGUF weights"


@dataclass(frozen=True)
class CardOptions:
    """What the user adds to the evidence: hub id of the base, relation to it, address of the report."""

    base_model: str | None = None
    relation: str | None = None
    report_url: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, as far as a card may say it.

    ``base_model`` is a hub id or None; ``parent`` the name of the audited parent;
    ``statements`` say what is shown of it and why something is left out.
    """

    base_model: str | None
    relation: Relation | None
    parent: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """Something this audit does not know of the model, and why."""

    what: str
    state: str
    reason: str


def checked_options(options: CardOptions) -> CardOptions:
    """The options with a checked address. Raises UsageError for a form that a card must not carry."""
    if options.base_model is not None and not _GIVEN_ID.fullmatch(options.base_model):
        raise UsageError(
            f"--base-model wants a hub id such as OWNER/NAME, got {line(options.base_model, 80)!r}"
        )
    if options.relation is not None and options.relation not in RELATIONS:
        raise UsageError(f"--relation wants {', '.join(RELATIONS)}, got {line(options.relation, 80)!r}")
    if options.report_url is None:
        return options
    if not _ADDRESS.fullmatch(options.report_url):
        raise UsageError(f"--report-url wants an http or https address, got {line(options.report_url, 80)!r}")
    return CardOptions(options.base_model, options.relation, Address(options.report_url))


def choose_subject(audit: Audit, wanted: str | None) -> Subject:
    """The model the card is about: ``wanted`` by id or name, else the only adapted one, else the base.

    Raises UsageError naming the choices.
    """
    if wanted is not None:
        found = [subject for subject in audit.subjects if subject.id == wanted]
        found = found or [subject for subject in audit.subjects if subject.name == wanted]
        if len(found) == 1:
            return found[0]
        problem = "no model" if not found else "several models"
        raise UsageError(f"{problem} {line(wanted, 80)!r} in this run: choose one of {_ids(audit.subjects)}")
    adapted = [subject for subject in audit.subjects if subject.role == "adapted"]
    if len(adapted) > 1:
        raise UsageError(
            f"this run has {len(adapted)} adapted models: name one with --subject: {_ids(adapted)}"
        )
    chosen = adapted or [subject for subject in audit.subjects if subject.role == "base"]
    if not chosen:
        raise UsageError("this run has neither a base nor an adapted model: name one with --subject")
    return chosen[0]


def origin_of(index: AuditIndex, subject: Subject, options: CardOptions) -> Origin:
    """Base model and relation, from evidence or as given; what neither shows is left out and said."""
    parent = index.subjects.get(subject.lineage.declared or subject.base or "")
    name = parent.name if parent else (subject.lineage.declared or subject.base or "")
    refuted = subject.lineage.verified is False
    statements = list(_descent(subject, name))
    base_model = options.base_model
    if base_model is not None:
        statements.append(f"The hub id {base_model} of the base model was given for this card, not audited.")
    elif name and not refuted and _HUB_ID.fullmatch(name):
        base_model = name
    elif name:
        why = "descent was refuted" if refuted else "the audited parent has no hub id"
        statements.append(f"base_model is left out of the metadata: {why}.")
    relation = cast("Relation | None", options.relation) or (None if refuted else _relation(subject, parent))
    if options.relation is not None:
        statements.append(f"The relation {options.relation} was given for this card, not audited.")
    elif name and relation is None:
        statements.append(
            "base_model_relation is left out of the metadata: nothing recorded tells fine-tuning, merging "
            "and quantization apart."
        )
    return Origin(base_model, relation, name, tuple(statements))


def gaps_of(index: AuditIndex, subject: Subject) -> tuple[Gap, ...]:
    """Questions and numbers without a result for this model."""
    own = {m.question: m for m in index.audit.measurements if m.subject == subject.id}
    asked: Mapping[Question, str] = {m.question: m.title for m in index.audit.measurements}
    gaps = []
    for question, title in asked.items():
        found = own.get(question)
        what = f"{title or question.probe} ({question.probe}, {question.label or 'no data set'})"
        if found is None:
            gaps.append(Gap(what, "not asked", "asked of other models of this run only"))
        elif found.state != "measured":
            gaps.append(Gap(what, found.state, found.reason or "no reason recorded"))
    for estimate in index.audit.estimates:
        if estimate.subject != subject.id or estimate.slice:
            continue
        state = status_of(estimate, partial=index.partial(estimate.measurement))
        if state in ("unmeasured", "unmeasurable"):
            what = f"{index.metric_title(estimate.metric)} ({estimate.metric})"
            gaps.append(Gap(what, state, estimate.reason or "no reason recorded"))
    return tuple(gaps)


def _descent(subject: Subject, parent: str) -> tuple[str, ...]:
    if not parent:
        return ("No model was declared as the one this was adapted from.",)
    state = {
        True: "verified",
        False: "refuted: this model does not come from it",
        None: "neither verified nor refuted",
    }[subject.lineage.verified]
    evidence = f" ({subject.lineage.evidence})" if subject.lineage.evidence else ""
    return (f"Declared: adapted from {parent}; {state}{evidence}.",)


def _relation(subject: Subject, parent: Subject | None) -> Relation | None:
    inherited = parent.parts if parent else {}
    if "adapter" in subject.parts and subject.parts["adapter"] != inherited.get("adapter"):
        return "adapter"
    if _quantized(subject) and not (parent and _quantized(parent)):
        return "quantized"
    return next((known for known in RELATIONS if known == (subject.recipe or "").lower()), None)


def _quantized(subject: Subject) -> bool:
    return any(note.startswith(_QUANTIZED_NOTE) for note in subject.notes)


def _ids(subjects: list[Subject]) -> str:
    names = [line(subject.id, 60) for subject in subjects]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
