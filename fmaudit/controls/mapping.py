"""Which things of an audit are evidence relevant to which controls: rules kept as data."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Literal

from pydantic import Field, model_validator

from fmaudit.controls.model import Catalogue, Strict, validated
from fmaudit.errors import DataError
from fmaudit.schema import Verdict

When = Literal[
    "measured",
    "verdict",
    "unmeasured",
    "invalid_scores",
    "instrument",
    "calibration",
    "homogenization",
    "lineage",
    "stated",
    "document",
]
_OF_PROBES = frozenset(
    {"measured", "verdict", "unmeasured", "invalid_scores", "calibration", "homogenization"}
)


class Rule(Strict):
    """What counts (``when``), of which probes or audit card fields, and which controls it speaks to.

    ``probes`` are ids or patterns (``bias.*``); ``verdicts`` belongs to ``when: verdict``,
    ``fields`` to ``when: stated``. ``says`` is what a reader is told of it.
    """

    id: str = Field(min_length=1)
    when: When
    says: str = Field(min_length=1)
    probes: list[str] = Field(default_factory=list)
    verdicts: list[Verdict] = Field(default_factory=list)
    fields: list[str] = Field(default_factory=list)
    controls: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Rule:
        for name, filled, wanted in (
            ("probes", bool(self.probes), self.when in _OF_PROBES),
            ("verdicts", bool(self.verdicts), self.when == "verdict"),
            ("fields", bool(self.fields), self.when == "stated"),
        ):
            if filled != wanted:
                raise ValueError(f"rule {self.id}: {'needs' if wanted else 'has no use for'} {name}")
        if len(set(self.controls)) < len(self.controls):
            raise ValueError(f"rule {self.id}: a control is given twice")
        return self

    def covers(self, probe: str) -> bool:
        """Whether the rule is about this probe."""
        return any(fnmatchcase(probe, pattern) for pattern in self.probes)


class ControlMapping(Strict):
    """All rules, in the order of the file."""

    schema_: Literal["fmaudit/controls-mapping/1"] = Field(alias="schema")
    revision: str = Field(min_length=1)
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> ControlMapping:
        ids = [rule.id for rule in self.rules]
        twice = sorted({id for id in ids if ids.count(id) > 1})
        if twice:
            raise ValueError(f"rule given twice: {', '.join(twice)}")
        return self

    def names(self, probe: str) -> bool:
        """Whether a rule is about this probe's own subject, not only about any probe."""
        return any(rule.when == "measured" and rule.covers(probe) for rule in self.rules)


def load_mapping(catalogue: Catalogue) -> ControlMapping:
    """The mapping that ships with fmaudit. Raises DataError naming a control that is not in ``catalogue``."""
    path = files("fmaudit.controls").joinpath("data").joinpath("mapping.yaml")
    return parse_mapping(path.read_text(encoding="utf-8"), catalogue, path.name)


def parse_mapping(text: str, catalogue: Catalogue, name: str = "mapping") -> ControlMapping:
    """Check the text of a mapping. Raises DataError naming the rule and the unknown control."""
    found = validated(text, name, ControlMapping)
    for rule in found.rules:
        for control in rule.controls:
            if control not in catalogue.controls:
                raise DataError(f"{name}: rule {rule.id}: unknown control {control!r}")
    return found


def check_probes(mapping: ControlMapping, installed: Collection[str]) -> None:
    """Raise DataError where a rule names a probe, or a family of probes, that is not among ``installed``."""
    for rule in mapping.rules:
        for pattern in rule.probes:
            if not any(fnmatchcase(probe, pattern) for probe in installed):
                raise DataError(f"rule {rule.id}: no installed probe is {pattern!r}")
