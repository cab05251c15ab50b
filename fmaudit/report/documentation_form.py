"""The model documentation form of the EU's code of practice: what the audit can fill in, the rest as gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmaudit.context import Context, card_of
from fmaudit.controls import Control, Framework
from fmaudit.report.index import AuditIndex
from fmaudit.schema import Subject

if TYPE_CHECKING:
    from fmaudit.report.controls import EvidenceView

FORM = "eu-gpai-form"
_OUTPUTS_ONLY = "of the model's outputs; it says nothing about the training data themselves"


@dataclass(frozen=True)
class FormField:
    """One field; ``state`` is where its values are from, or that it is a gap."""

    id: str
    section: str
    title: str
    own_words: str
    state: str
    symbol: str
    values: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class FormView:
    """The form with its fields in order; ``filled`` are those that are no gap."""

    title: str
    edition: str
    note: str
    source: str
    fields: tuple[FormField, ...]
    declared: tuple[tuple[str, str], ...]

    @property
    def filled(self) -> int:
        """Fields that are no gap."""
        return sum(bool(field.values) for field in self.fields)

    @property
    def sections(self) -> tuple[tuple[str, tuple[FormField, ...]], ...]:
        """The fields by section, in the order of the form."""
        names = dict.fromkeys(field.section for field in self.fields)
        return tuple((name, tuple(field for field in self.fields if field.section == name)) for name in names)

    @property
    def count(self) -> str:
        """How many fields the audit holds something for, as a phrase."""
        return f"something for {self.filled} of {len(self.fields)} fields"


def form_view(
    index: AuditIndex,
    framework: Framework | None,
    controls: Sequence[Control],
    biases: Sequence[EvidenceView],
) -> FormView:
    """The form of the audited models; ``biases`` are the bias measurements of the audit."""
    card = card_of(index.audit.context)
    fields = tuple(_field(index, card, control, biases) for control in controls)
    return FormView(
        title=framework.title if framework else "",
        edition=framework.edition if framework else "",
        note=framework.note if framework else "",
        source=framework.source if framework else "",
        fields=fields,
        declared=_declared(card),
    )


def _field(
    index: AuditIndex, card: Context | None, control: Control, biases: Sequence[EvidenceView]
) -> FormField:
    state, symbol, note = "gap", "✕", ""
    values: tuple[str, ...] = ()
    if control.id == "MDF bias-detection" and biases:
        state, symbol, note = "evidence relevant to it", "◐", _OUTPUTS_ONLY
        values = tuple(f"{part.probe}: {part.text}" for entry in biases for part in entry.parts)
    elif control.id in FROM_AUDIT:
        values = FROM_AUDIT[control.id](index)
        state, symbol = ("from this audit", "●") if values else (state, symbol)
    elif control.id in FROM_CARD:
        values = FROM_CARD[control.id](card) if card else ()
        state, symbol = ("as stated in the audit card", "○") if values else (state, symbol)
    return FormField(
        id=control.id,
        section=control.section,
        title=control.title,
        own_words=control.own_words,
        state=state,
        symbol=symbol,
        values=values,
        note=note,
    )


def _own(index: AuditIndex) -> list[Subject]:
    """The models the form is about: those adapted, or the base where there are none."""
    adapted = [subject for subject in index.ordered_subjects if subject.role == "adapted"]
    return adapted or [subject for subject in index.ordered_subjects if subject.role == "base"]


def _model_names(index: AuditIndex) -> tuple[str, ...]:
    return tuple(subject.name for subject in _own(index))


def _authenticity(index: AuditIndex) -> tuple[str, ...]:
    return tuple(f"{subject.name}: {subject.digest}" for subject in _own(index))


def _dependencies(index: AuditIndex) -> tuple[str, ...]:
    lines = []
    for subject in _own(index):
        declared = subject.lineage.declared or subject.base
        if declared is None:
            continue
        found = index.subjects.get(declared)
        state = {True: "verified", False: "refuted", None: "not verified"}[subject.lineage.verified]
        name = f"{found.name} ({found.digest})" if found else declared
        lines.append(f"{subject.name}: declared to be adapted from {name}; {state}")
    return tuple(lines)


def _provider(card: Context) -> tuple[str, ...]:
    return _stated([card.developer])


def _uses(card: Context) -> tuple[str, ...]:
    return _stated([card.intended_use]) + tuple(
        f"out of scope: {use}" for use in _stated(card.out_of_scope_use)
    )


def _modalities(card: Context) -> tuple[str, ...]:
    return _stated(card.modalities)


FROM_AUDIT: Mapping[str, Callable[[AuditIndex], tuple[str, ...]]] = {
    "MDF model-name": _model_names,
    "MDF model-authenticity": _authenticity,
    "MDF model-dependencies": _dependencies,
}
FROM_CARD: Mapping[str, Callable[[Context], tuple[str, ...]]] = {
    "MDF provider-name": _provider,
    "MDF intended-uses": _uses,
    "MDF input-modalities": _modalities,
    "MDF output-modalities": _modalities,
}


def _declared(card: Context | None) -> tuple[tuple[str, str], ...]:
    eu = card.eu if card else None
    role = eu.role.replace("_", " ") if eu and eu.role else "not stated"
    ratio = f"{eu.compute_ratio:g}" if eu and eu.compute_ratio is not None else "not stated"
    risk = {True: "yes", False: "no", None: "not stated"}[eu.systemic_risk if eu else None]
    return (
        ("Role, as declared", role),
        ("Model with systemic risk, as declared", risk),
        ("Computation of the modification over that of the original, as declared", ratio),
        ("What this rests on", (eu.basis or "not stated") if eu else "not stated"),
    )


def _stated(values: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(value.strip() for value in values if value and value.strip())
