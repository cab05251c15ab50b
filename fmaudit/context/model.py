"""The context of an audit, as a person states it: who audited, with what access, for which use.

Nothing here is inferred. What is left out, empty or null is "not stated".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA = "fmaudit/context/1"
Text = Annotated[str, Field(max_length=10_000)]
Texts = Annotated[list[Text], Field(max_length=200)]
Relationship = Literal["first_party", "third_party", "collaborative", "other"]
Role = Literal["developer", "adapter", "deployer", "buyer", "regulator", "researcher", "third_party", "other"]
AccessLevel = Literal["black_box", "grey_box", "white_box"]
EuRole = Literal["provider", "downstream_modifier", "deployer", "none", "unknown"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Auditor(_Part):
    """Who audited; ``background`` is what makes them fit to."""

    name: Text | None = None
    organisation: Text | None = None
    contact: Text | None = None
    background: Text | None = None


class Access(_Part):
    """What the auditor could see: ``black_box`` answers only, ``grey_box`` more, ``white_box`` weights."""

    level: AccessLevel | None = None
    given: Texts = Field(default_factory=list)
    limits: Text | None = None


class EuStatement(_Part):
    """What the user declares of the EU AI Act.

    ``compute_ratio``: computation of the modification over that of the original's
    training, 0 or more. ``basis`` says what the statement rests on.
    """

    role: EuRole | None = None
    systemic_risk: bool | None = None
    compute_ratio: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    basis: Text | None = None


class Context(_Part):
    """The whole file."""

    schema_: Literal["fmaudit/context/1"] = Field(alias="schema")
    auditor: Auditor = Auditor()
    relationship: Relationship | None = None
    conflicts_of_interest: Text | None = None
    funding: Text | None = None
    role: Role | None = None
    developer: Text | None = None
    intended_use: Text | None = None
    out_of_scope_use: Texts = Field(default_factory=list)
    affected_groups: Texts = Field(default_factory=list)
    scope: Text | None = None
    languages: Texts = Field(default_factory=list)
    modalities: Texts = Field(default_factory=list)
    methodology: Text | None = None
    access: Access = Access()
    process_integrity: Text | None = None
    review: Text | None = None
    eu: EuStatement = EuStatement()
    limitations: Texts = Field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The stated fields as plain data; equal statements give equal data."""
        kept = _stated(self.model_dump(mode="json", by_alias=True))
        assert isinstance(kept, dict)
        return kept


def is_stated(value: Any) -> bool:
    """Whether a field says something: not null, and more than white space."""
    if isinstance(value, BaseModel):
        return any(is_stated(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list | tuple):
        return any(is_stated(item) for item in value)
    return value is not None


def card_of(context: Mapping[str, Any]) -> Context | None:
    """The statements inside ``Audit.context``; None where there are none that can be read."""
    try:
        return Context.model_validate(context.get("card"))
    except ValidationError:
        return None


def _stated(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _stated(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [], None)}
    if isinstance(value, list):
        return [item for item in value if is_stated(item)]
    return value if is_stated(value) else None
