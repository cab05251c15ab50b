"""YAML files that people write: read strictly, with the line of every field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fmaudit.errors import UsageError

Location = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)
MAX_NODES = 100_000
"""What a policy or waiver file can unfold to."""


def read_yaml(path: Path, what: str, option: str) -> tuple[str, Any, dict[Location, int]]:
    """Text, data and lines of a file. Raises UsageError with the line of what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {what} {path.name}: {error.strerror}; check {option}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {path.name} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    return text, *parse_yaml(text, path.name)


def parse_yaml(text: str, name: str) -> tuple[Any, dict[Location, int]]:
    """Data and lines of YAML text; the data is None where it is empty. Raises UsageError with the line."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        # Aliases of aliases unfold without end.
        unfolds = tree is not None and unfolded_size(tree) > MAX_NODES
        data = None if unfolds else yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise UsageError(f"{name}{place}: {problem}; correct the file") from None
    if unfolds:
        raise UsageError(f"{name}: its aliases unfold to more than {MAX_NODES:,} values; write them out")
    lines: dict[Location, int] = {}
    if tree is not None:
        _collect_lines(tree, (), lines, name)
    return data, lines


def unfolded_size(node: yaml.Node) -> float:
    """Keys, values and lists of a document, each alias counted with all it stands for."""
    return _size(node, {})


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    if id(node) not in known:
        known[id(node)] = math.inf  # For a node that holds itself.
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]


def validated(model: type[M], data: Any, lines: Mapping[Location, int], name: str) -> M:
    """The data as ``model``. Raises UsageError with the line and field of the first problem."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UsageError(_explain(error, lines, name)) from None


def line_of(lines: Mapping[Location, int], location: Location) -> int:
    """The line of a field, or of what holds it."""
    while location and location not in lines:
        location = location[:-1]
    return lines.get(location, 1)


def _explain(error: ValidationError, lines: Mapping[Location, int], name: str) -> str:
    first = error.errors()[0]
    location = tuple(part for part in first["loc"])
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = "unknown field"
    elif first["type"] == "missing":
        problem = "missing"
    field = ".".join(str(part) for part in location) or "file"
    return f"{name}, line {line_of(lines, location)}: {field}: {problem}"


def _collect_lines(node: Any, location: Location, lines: dict[Location, int], name: str) -> None:
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*location, str(key.value))
            if place in lines:
                raise UsageError(f"{name}, line {key.start_mark.line + 1}: {key.value} is given twice")
            lines[place] = key.start_mark.line + 1
            _collect_lines(value, place, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*location, index), lines, name)
