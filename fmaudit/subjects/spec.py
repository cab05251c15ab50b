"""How a model is named on the command line, and how documents name it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fmaudit.errors import SubjectError

Source = Literal["hub", "directory", "gguf"]
OPTIONS = ("adapter", "revision", "parent")
FORMS = "a hub id, a directory, FILE.gguf, each with ::adapter=DIR and ::parent=NAME, or HUBID::revision=REV"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_ALIAS = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class SubjectSpec:
    """Where one model is.

    ``name`` is what documents show: never an absolute path, user or host. ``parent``
    names the subject of the run that this one was adapted from; the base if None.
    """

    source: Source
    location: str
    adapter: str | None = None
    revision: str | None = None
    name: str = ""
    parent: str | None = None


def parse_spec(text: str) -> SubjectSpec:
    """Read a model string.

    Raises:
        SubjectError: an unknown or repeated option, an empty part, or a location that is no possible model.
    """
    location, *parts = text.split("::")
    options: dict[str, str] = {}
    for part in parts:
        key, separator, value = part.partition("=")
        if key not in OPTIONS or not separator or not value:
            known = ", ".join(f"::{option}=" for option in OPTIONS)
            raise SubjectError(f"model {text!r}: '::{part}' is not an option; the options are {known}")
        if key in options:
            raise SubjectError(f"model {text!r}: '::{key}=' is given twice; name it once")
        options[key] = value
    source = _source(text, location)
    if "revision" in options and source != "hub":
        raise SubjectError(f"model {text!r}: '::revision=' needs a hub id; a local model has no revisions")
    adapter = options.get("adapter")
    name = _display_name(source, location)
    if adapter is not None:
        name = f"{name} + {_last_component(adapter)}"
    return SubjectSpec(source, location, adapter, options.get("revision"), name, options.get("parent"))


def parse_named_spec(text: str) -> SubjectSpec:
    """Read ``MODEL`` or ``NAME=MODEL``; the alias then is what documents show.

    A path may itself contain ``=``: a text whose location exists is never read as an alias.
    """
    alias, separator, model = text.partition("=")
    if not separator or not _ALIAS.fullmatch(alias) or Path(text.split("::")[0]).expanduser().exists():
        return parse_spec(text)
    return replace(parse_spec(model), name=alias)


def _source(text: str, location: str) -> Source:
    if not location.strip():
        raise SubjectError(f"model {text!r} is empty; give {FORMS}")
    path = Path(location).expanduser()
    if location.lower().endswith(".gguf"):
        return "gguf"
    if path.is_dir():
        return "directory"
    if path.is_file():
        raise SubjectError(f"model {location!r} is a file, but only FILE.gguf can be audited; give {FORMS}")
    if _HUB_ID.fullmatch(location):
        return "hub"
    raise SubjectError(f"no model at {location!r}: no such directory, and not a hub id; give {FORMS}")


def _display_name(source: Source, location: str) -> str:
    if source == "hub":
        return location
    last = _last_component(location)
    return last[: -len(".gguf")] if source == "gguf" else last


def _last_component(location: str) -> str:
    path = Path(location).expanduser()
    return path.name if path.name not in ("", "..") else path.resolve().name
