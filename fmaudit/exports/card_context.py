"""What the context of an audit states, for the sections of a model card that no measurement fills."""

from __future__ import annotations

from dataclasses import dataclass

from fmaudit.context import card_of
from fmaudit.schema import Audit


@dataclass(frozen=True)
class Stated:
    """Statements of a person; empty where nothing was stated."""

    developer: str = ""
    languages: tuple[str, ...] = ()
    intended_use: str = ""
    out_of_scope_use: tuple[str, ...] = ()
    affected_groups: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    auditor: tuple[str, ...] = ()
    contact: str = ""
    relationship: str = ""
    conflicts: str = ""


def stated_in(audit: Audit) -> Stated:
    """The statements that a model card has a place for."""
    card = card_of(audit.context)
    if card is None:
        return Stated()
    names = (card.auditor.name, card.auditor.organisation)
    return Stated(
        developer=(card.developer or "").strip(),
        languages=tuple(card.languages),
        intended_use=(card.intended_use or "").strip(),
        out_of_scope_use=tuple(card.out_of_scope_use),
        affected_groups=tuple(card.affected_groups),
        limitations=tuple(card.limitations),
        auditor=tuple(name for name in names if name and name.strip()),
        contact=(card.auditor.contact or "").strip(),
        relationship=(card.relationship or "").replace("_", " "),
        conflicts=(card.conflicts_of_interest or "").strip(),
    )
