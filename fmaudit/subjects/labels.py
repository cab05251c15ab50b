"""Whether a configuration names the labels of a classifier one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def label_fault(config: Mapping[str, Any]) -> str:
    """What is wrong with ``id2label`` of a config.json; empty where nothing is.

    The outputs of a classifier are numbered 0, 1, 2, ...; each needs a name of its own.
    A configuration without names has the library's (``LABEL_0`` ...).
    """
    declared = config.get("id2label")
    if declared is None:
        return ""
    if not isinstance(declared, Mapping) or not declared:
        return 'id2label in config.json is no list of names by index; write {"0": NAME, "1": NAME, ...}'
    try:
        names = {int(index): str(name) for index, name in declared.items()}
    except (TypeError, ValueError):
        odd = next(index for index in declared if not str(index).strip().isdecimal())
        return f"id2label in config.json has the index {odd!r}, which is no number; count from 0"
    for index in range(len(names)):
        if index not in names:
            listed = ", ".join(str(number) for number in sorted(names)[:9])
            return (
                f"id2label in config.json names no label {index} (it has {listed}): the outputs of a "
                "classifier are counted from 0 without a gap; number them so"
            )
    seen: dict[str, int] = {}
    for index in range(len(names)):
        if names[index] in seen:
            return (
                f"id2label in config.json names the labels {seen[names[index]]} and {index} both "
                f"{names[index]!r}; give each a name of its own"
            )
        seen[names[index]] = index
    return ""
