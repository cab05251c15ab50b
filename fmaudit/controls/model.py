"""The controls: rows of public frameworks in our own words, with edition, source and how each was checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fmaudit.errors import DataError

SCHEMA = "fmaudit/controls/1"
Kind = Literal["law", "guidance", "standard", "taxonomy"]
M = TypeVar("M", bound=BaseModel)
_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"


class Strict(BaseModel):
    """Frozen, and strict about its fields and their types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Checked(Strict):
    """When a row was compared with public text, and how; the date is None where it was not."""

    date_checked: date | None
    how: str = Field(min_length=1)


class Framework(Strict):
    """A public framework in one edition, with the defaults of its rows.

    ``id_pattern`` is what its ids look like in this edition: a mistyped id, or one
    of another edition, is refused.
    """

    id: str = Field(pattern=_SLUG)
    title: str = Field(min_length=1)
    edition: str = Field(min_length=1)
    publisher: str = Field(min_length=1)
    kind: Kind
    source: str = Field(min_length=1)
    binds: str = Field(min_length=1)
    in_force_from: date | None
    id_pattern: str = Field(min_length=1)
    superseded_by: str = ""
    note: str = ""


class Row(Strict):
    """One control as a file holds it; what is left out is the framework's."""

    id: str = Field(min_length=1)
    title: str = Field(min_length=1)
    own_words: str = Field(min_length=1)
    check: str = Field(min_length=1)
    section: str = ""
    source: str | None = Field(default=None, min_length=1)
    binds: str | None = Field(default=None, min_length=1)
    in_force_from: date | None = None


class FrameworkFile(Strict):
    """One file: a framework, how its rows were checked, and the rows."""

    schema_: Literal["fmaudit/controls/1"] = Field(alias="schema")
    revision: str = Field(min_length=1)
    framework: Framework
    checks: dict[str, Checked] = Field(min_length=1)
    controls: list[Row] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_are_sound(self) -> FrameworkFile:
        ids = [row.id for row in self.controls]
        twice = sorted({id for id in ids if ids.count(id) > 1})
        if twice:
            raise ValueError(f"given twice: {', '.join(twice)}")
        for row in self.controls:
            if not re.fullmatch(self.framework.id_pattern, row.id):
                raise ValueError(f"{row.id!r} is no id of {self.framework.title} {self.framework.edition}")
            if row.check not in self.checks:
                raise ValueError(f"{row.id}: unknown check {row.check!r}")
        return self


@dataclass(frozen=True)
class Control:
    """One row, complete. ``key`` is framework and id, unique over all frameworks.

    ``in_force_from`` is None where the framework is no law, or no date is known.
    """

    key: str
    id: str
    framework: str
    edition: str
    title: str
    own_words: str
    section: str
    binds: str
    in_force_from: date | None
    source: str
    checked: Checked


@dataclass(frozen=True)
class Catalogue:
    """All frameworks, laws first and taxonomies last, and all controls by key.

    ``revisions`` maps a framework to the revision of its file.
    """

    frameworks: tuple[Framework, ...]
    controls: Mapping[str, Control]
    revisions: Mapping[str, str]

    def of(self, framework: str) -> tuple[Control, ...]:
        """The controls of one framework, in the order of its file."""
        return tuple(control for control in self.controls.values() if control.framework == framework)


def load_catalogue() -> Catalogue:
    """The controls that ship with fmaudit. Raises DataError naming the file and row that is wrong."""
    folder = files("fmaudit.controls").joinpath("data").joinpath("frameworks")
    found = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name
    )
    return catalogue([parse_framework(entry.read_text(encoding="utf-8"), entry.name) for entry in found])


def catalogue(found: Sequence[FrameworkFile]) -> Catalogue:
    """Framework files as one catalogue. Raises DataError where two have one id."""
    ordered = sorted(found, key=lambda file: (get_args(Kind).index(file.framework.kind), file.framework.id))
    ids = [file.framework.id for file in ordered]
    if len(set(ids)) < len(ids):
        raise DataError(
            f"a framework is given twice: {', '.join(sorted({i for i in ids if ids.count(i) > 1}))}"
        )
    controls = [_control(file, row) for file in ordered for row in file.controls]
    return Catalogue(
        frameworks=tuple(file.framework for file in ordered),
        controls={control.key: control for control in controls},
        revisions={file.framework.id: file.revision for file in ordered},
    )


def parse_framework(text: str, name: str) -> FrameworkFile:
    """Check the text of one framework file. Raises DataError naming the file and field."""
    return validated(text, name, FrameworkFile)


def validated(text: str, name: str, model: type[M]) -> M:
    """YAML text as ``model``. Raises DataError naming the file and the field that is wrong."""
    try:
        return model.model_validate(plain_yaml(text))
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "malformed"
        raise DataError(f"{name}: not YAML: {problem}; reinstall fmaudit") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def plain_yaml(text: str) -> Any:
    """YAML text as plain data, by the C parser where there is one."""
    # The file has hundreds of rows, and the parser written in Python takes a good part of a second for them.
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _control(file: FrameworkFile, row: Row) -> Control:
    own = file.framework
    dated = "in_force_from" in row.model_fields_set
    return Control(
        key=f"{own.id}/{row.id}",
        id=row.id,
        framework=own.id,
        edition=own.edition,
        title=row.title,
        own_words=row.own_words,
        section=row.section,
        binds=row.binds or own.binds,
        in_force_from=row.in_force_from if dated else own.in_force_from,
        source=row.source or own.source,
        checked=file.checks[row.check],
    )
