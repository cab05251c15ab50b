"""The audit card: what was stated of the audit's context, what was not, and four signals for its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.context import Context, card_of, is_stated
from fmaudit.report.index import AuditIndex, short_digest
from fmaudit.schema import Measurement

NOT_STATED = "not stated"
_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Auditor",
        (
            ("auditor.name", "Name"),
            ("auditor.organisation", "Organisation"),
            ("auditor.contact", "Contact"),
            ("auditor.background", "Background"),
            ("relationship", "Relationship to the developer"),
            ("conflicts_of_interest", "Conflicts of interest"),
            ("funding", "Funding"),
            ("role", "Role of who audits"),
            ("developer", "Developer of the model"),
        ),
    ),
    (
        "Scope",
        (
            ("intended_use", "Intended use"),
            ("out_of_scope_use", "Use that is out of scope"),
            ("affected_groups", "Groups affected"),
            ("scope", "What was asked, and why"),
            ("languages", "Languages"),
            ("modalities", "Modalities"),
        ),
    ),
    ("Method", (("methodology", "Method"),)),
    (
        "Access",
        (
            ("access.level", "Level of access"),
            ("access.given", "What was given"),
            ("access.limits", "Limits of access"),
        ),
    ),
    ("Process", (("process_integrity", "Integrity of the process"), ("review", "Review"))),
    (
        "EU AI Act, as declared",
        (
            ("eu.role", "Role"),
            ("eu.systemic_risk", "Systemic risk"),
            ("eu.compute_ratio", "Computation of the modification over that of the original"),
            ("eu.basis", "What this rests on"),
        ),
    ),
    ("Limits", (("limitations", "Limitations"),)),
)
_GIVEN = {
    "before measuring": "Stated before anything was measured, and locked into the run.",
    "while measuring": "Stated after measuring had begun.",
    "after measuring": "Stated after the run had been measured.",
}


@dataclass(frozen=True)
class CardField:
    """One field: its values as stated; none where it is a gap."""

    key: str
    label: str
    values: tuple[str, ...]

    @property
    def stated(self) -> bool:
        """Whether anything was stated."""
        return bool(self.values)


@dataclass(frozen=True)
class CardGroup:
    """Fields that belong together."""

    title: str
    fields: tuple[CardField, ...]


@dataclass(frozen=True)
class Signal:
    """One of the four signals: a word, what it rests on, and what is missing."""

    name: str
    word: str
    text: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class AuditCardView:
    """The whole card: ``filled`` of ``total`` fields are stated; ``provenance`` says when, replacing what."""

    groups: tuple[CardGroup, ...]
    filled: int
    total: int
    gaps: tuple[str, ...]
    provenance: tuple[str, ...]
    signals: tuple[Signal, ...]

    @property
    def completeness(self) -> str:
        """How much is stated, as a phrase."""
        return f"{self.filled} of {self.total} fields stated"


def audit_card_view(index: AuditIndex) -> AuditCardView:
    """The audit card of an audit; every field is there, stated or not."""
    context = index.audit.context
    card = card_of(context)
    groups = tuple(
        CardGroup(title, tuple(CardField(key, label, _values(card, key)) for key, label in fields))
        for title, fields in _GROUPS
    )
    fields = [field for group in groups for field in group.fields]
    gaps = tuple(field.label for field in fields if not field.stated)
    filled = len(fields) - len(gaps)
    return AuditCardView(
        groups=groups,
        filled=filled,
        total=len(fields),
        gaps=gaps,
        provenance=_provenance(context, card),
        signals=(
            _reproducibility(index),
            Signal(
                "Reporting completeness",
                f"{filled} of {len(fields)}",
                "fields of this card that are stated",
                gaps,
            ),
            _provenance_signal(index, card),
            _comparability(index),
        ),
    )


def _values(card: Context | None, key: str) -> tuple[str, ...]:
    value: Any = card
    for part in key.split("."):
        value = getattr(value, part, None)
    if not is_stated(value):
        return ()
    if isinstance(value, list):
        return tuple(" ".join(item.split()) for item in value if item.strip())
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, float):
        return (f"{value:g}",)
    text = " ".join(str(value).split())
    return (text.replace("_", " ") if key in ("relationship", "role", "access.level", "eu.role") else text,)


def _provenance(context: Any, card: Context | None) -> tuple[str, ...]:
    if card is None:
        if context.get("card") is not None:
            return ("The audit holds a context that is no audit card of this version; none of it is shown.",)
        return ("Nothing was stated; fmaudit run --context FILE or fmaudit report --context FILE states it.",)
    said = [_GIVEN.get(str(context.get("given")), "It is not recorded when this was stated.")]
    if context.get("replaces"):
        said.append(f"It replaces an earlier card, {short_digest(context['replaces'])}.")
    said.append("It is printed as stated; nothing of it was inferred or checked.")
    return tuple(said)


def _reproducibility(index: AuditIndex) -> Signal:
    measured = [m for m in index.audit.measurements if m.state == "measured"]
    found = [(m, _unknown_settings(m)) for m in measured]
    missing = [f"{m.question.probe}: {', '.join(unknown)}" for m, unknown in found if unknown]
    whole = sum(not unknown for _, unknown in found)
    word = f"settings recorded: {whole} of {len(measured)}" if measured else "nothing measured"
    text = (
        f"{whole} of {len(measured)} measurements record seed, number type, items and requests, and what "
        "generates also temperature and length limit"
    )
    return Signal("Reproducibility", word, text, tuple(dict.fromkeys(missing)))


def _unknown_settings(measurement: Measurement) -> list[str]:
    protocol = measurement.protocol
    names = {
        "digest": "protocol",
        "seed": "seed",
        "dtype": "number type",
        "items": "items",
        "requests": "requests",
    }
    missing = [label for name, label in names.items() if protocol.get(name) in (None, "")]
    decoding = protocol.get("decoding")
    if not isinstance(decoding, list) or not decoding:
        return [*missing, "decoding"]
    asked = [entry for entry in decoding if isinstance(entry, dict) and entry.get("kind") == "generate"]
    settings = {"temperature": "temperature", "max_new_tokens": "length limit"}
    return missing + [
        label for name, label in settings.items() if any(entry.get(name) is None for entry in asked)
    ]


def _provenance_signal(index: AuditIndex, card: Context | None) -> Signal:
    relationship = _values(card, "relationship")
    made = [m for m in index.audit.measurements if m.state == "measured"]
    imported = sum(m.assurance == "imported" for m in made)
    text = f"{len(made) - imported} measurements made by this tool, {imported} imported; no second party's"
    missing = () if relationship else ("Relationship to the developer",)
    return Signal("Provenance", relationship[0] if relationship else "unspecified", text, missing)


def _comparability(index: AuditIndex) -> Signal:
    protocols: dict[Any, set[str]] = {}
    for measurement in index.audit.measurements:
        if measurement.state == "measured":
            protocols.setdefault(measurement.question, set()).add(str(measurement.protocol.get("digest", "")))
    differing = [question for question, found in protocols.items() if len(found) > 1]
    word = "nothing measured" if not protocols else "divergent" if differing else "one setup"
    text = (
        f"{len(protocols) - len(differing)} of {len(protocols)} questions were asked of all models under one "
        "protocol; other parties' results are not known here"
    )
    return Signal("Comparability", word, text, _labels(differing))


def _labels(questions: Sequence[Any]) -> tuple[str, ...]:
    return tuple(f"{q.probe} {q.label}".strip() for q in questions)
