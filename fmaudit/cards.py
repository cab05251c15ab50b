"""Dataset cards: what a data set is, where it comes from, how its rows must look."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fmaudit.errors import DataError
from fmaudit.resources import shipped_folder

ColumnType = Literal["string", "integer", "number", "boolean"]
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ID = re.compile(r"[a-z0-9][a-z0-9_]*")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Record):
    """One column of the rows.

    ``required`` columns must be present and filled (an empty string is filled).
    ``aliases`` are other names under which a file may carry it; nested objects
    are named with dots (``prompt.text``).
    """

    type: ColumnType = "string"
    required: bool = True
    description: str = ""
    aliases: list[str] = Field(default_factory=list)


class Source(_Record):
    """Where the rows come from when the user names no file.

    ``embedded``: ``path`` is ``package:relative/file.jsonl``. ``computed``:
    ``path`` is ``module:function``, which returns the rows. ``hub``:
    ``repository`` at ``revision``, with ``config`` and ``split``; read only when
    the user says ``hub``. ``local``: the user's own copy. ``file`` names the
    files to take from a folder.
    """

    kind: Literal["embedded", "local", "hub", "computed"]
    path: str = ""
    repository: str = ""
    revision: str = ""
    config: str = ""
    split: str = ""
    file: str | list[str] = Field(default_factory=list)

    @property
    def file_names(self) -> tuple[str, ...]:
        """The files to take from a folder, as written on the card."""
        return (self.file,) if isinstance(self.file, str) else tuple(self.file)

    @model_validator(mode="after")
    def _complete(self) -> Source:
        if self.kind in {"embedded", "computed"} and not re.fullmatch(r"[^:\s]+:[^:\s]+", self.path):
            wanted = "package:relative/file.jsonl" if self.kind == "embedded" else "module:function"
            raise ValueError(f"a source of kind {self.kind} needs path: {wanted}")
        if self.kind == "hub" and not (self.repository and self.revision):
            raise ValueError("a source of kind hub needs repository and revision")
        return self


class Card(_Record):
    """One data set: origin, licence, limits, columns, pins and how to get it.

    ``checksums`` maps a file name to ``sha256:`` and its digest; ``n_items`` is
    the number of rows of the original, None where it is the user's own data.
    ``extra_columns`` says whether columns beside the declared ones are kept.
    """

    id: str
    title: str
    licence: str
    origin: str
    construction: str = ""
    language: str = ""
    n_items: int | None = Field(default=None, ge=0)
    limits: list[str] = Field(default_factory=list)
    offensive: bool = False
    source: Source
    columns: dict[str, Column] = Field(min_length=1)
    extra_columns: bool = True
    checksums: dict[str, str] = Field(default_factory=dict)
    how_to_get: str = ""

    @field_validator("id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError("use lower-case letters, digits and underscores")
        return value

    @field_validator("checksums")
    @classmethod
    def _sha256(cls, value: dict[str, str]) -> dict[str, str]:
        for name, digest in value.items():
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"{name}: write sha256: and 64 hex digits")
        return value

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Card:
        names = [*self.columns, *(alias for column in self.columns.values() for alias in column.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column name used twice: {', '.join(twice)}")
        if self.source.kind in {"local", "hub"} and not self.how_to_get:
            raise ValueError("say in how_to_get how the user obtains the data")
        return self


def load_card(dataset_id: str, beside: Path | None = None) -> Card:
    """The card of a data set.

    Args:
        dataset_id: its id, the stem of the card's file name.
        beside: folder of the probe's module, looked in first: third-party probes
            keep ``<id>.yaml`` there. None looks only at the shipped cards.

    Raises:
        DataError: no such card (names the known ones), or the card is malformed.
    """
    folders = [folder for folder in (beside, shipped_folder("datasets_cards")) if folder is not None]
    for folder in folders:
        path = folder / f"{dataset_id}.yaml"
        if _ID.fullmatch(dataset_id) and path.is_file():
            return read_card(path)
    known = ", ".join(shipped_card_ids()) or "none"
    raise DataError(f"data set {dataset_id!r} has no card; known: {known}; see fmaudit ls datasets")


def read_card(path: Path) -> Card:
    """Read one card file. Raises DataError naming the file and the field that is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"card {path.name}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise DataError(f"card {path.name}{line}: not YAML: {problem}; correct it") from None
    try:
        card = Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "card"
        raise DataError(f"card {path.name}: {place}: {first['msg']}") from None
    if card.id != path.stem:
        raise DataError(f"card {path.name}: its id is {card.id!r}; name the file {card.id}.yaml")
    return card


def shipped_card_ids() -> tuple[str, ...]:
    """Ids of the cards that ship with fmaudit, sorted."""
    return tuple(sorted(path.stem for path in shipped_folder("datasets_cards").glob("*.yaml")))


def embedded_file(card: Card) -> Path:
    """The file of an embedded data set. Raises DataError where the package or file is missing."""
    package, _, relative = card.source.path.partition(":")
    try:
        path = Path(str(files(package))).joinpath(relative)
    except (ModuleNotFoundError, TypeError):
        raise DataError(f"data set {card.id}: its package {package!r} is not installed; install it") from None
    if not path.is_file():
        raise DataError(f"data set {card.id}: {relative} is missing in package {package}; reinstall it")
    return path


def computed_rows(card: Card) -> list[dict[str, object]]:
    """Rows of a computed data set. Raises DataError where its function is missing or finds none."""
    module, _, name = card.source.path.partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DataError(f"data set {card.id}: cannot compute it with {card.source.path}: {error}") from None
    rows = list(function())
    if not rows:
        remedy = card.how_to_get or "nothing to measure here"
        raise DataError(f"data set {card.id}: {card.source.path} finds no rows on this machine; {remedy}")
    return rows
