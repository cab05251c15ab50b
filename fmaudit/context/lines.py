"""YAML of a user checked against a model, with the line of the first problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fmaudit.errors import UsageError

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]
_HINTS = {
    "extra_forbidden": "unknown field",
    "missing": "missing",
    "string_type": "wants text; put it in quotes",
    "string_unicode": "holds half a character (an unpaired surrogate); remove it",
    "list_type": "wants a list, one line each with a dash",
    "model_type": "wants fields of its own, indented below it",
}


def parse_yaml(text: str, name: str, model: type[M]) -> M:
    """Check ``text`` against ``model``. Raises UsageError with file, line and field of the first problem."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise UsageError(f"{name}: anchors and aliases are not read; write the text out")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise UsageError(f"{name}{place}: {problem}; correct the file") from None
    if tree is None or not isinstance(data, Mapping):
        raise UsageError(f"{name}: wants fields with values, such as schema and auditor; see docs/context.md")
    lines: dict[Location, int] = {}
    _collect(tree, (), lines, name)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UsageError(_explain(error, lines, name)) from None


def _explain(error: ValidationError, lines: Mapping[Location, int], name: str) -> str:
    first = error.errors()[0]
    location = tuple(first["loc"])
    field = ".".join(str(part) for part in location) or "file"
    problem = _HINTS.get(first["type"], first["msg"].removeprefix("Value error, "))
    while location and location not in lines:
        location = location[:-1]
    return f"{name}, line {lines.get(location, 1)}: {field}: {problem}"


def _collect(node: Any, location: Location, lines: dict[Location, int], name: str) -> None:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*location, str(key.value))
            if place in lines:
                raise UsageError(f"{name}, line {key.start_mark.line + 1}: {key.value} is given twice")
            lines[place] = key.start_mark.line + 1
            _collect(value, place, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(value, (*location, index), lines, name)
