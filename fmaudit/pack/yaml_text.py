"""YAML of strangers: refused before it is unfolded into more than can be read."""

from __future__ import annotations

import math

import yaml

from fmaudit.pack.faults import PackFault

MAX_NODES = 100_000
"""Keys, values and lists of one file, each alias counted with all that it stands for."""


def check_yaml(text: str, file: str) -> None:
    """Raise PackFault, naming ``file``, where aliases of aliases unfold to more nodes than a policy can have.

    What is no YAML is left to whoever reads it.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return
    if root is not None and _size(root, {}) > MAX_NODES:
        raise PackFault(file, f"unfolds to more than {MAX_NODES:,} values: not read")


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    if id(node) not in known:
        known[id(node)] = math.inf  # For a node that holds itself.
        children = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]
