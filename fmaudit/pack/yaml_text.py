"""YAML of strangers: refused before it is unfolded into more than can be read."""

from __future__ import annotations

import yaml

from fmaudit.gate.yaml_file import MAX_NODES, unfolded_size
from fmaudit.pack.faults import PackFault


def check_yaml(text: str, file: str) -> None:
    """Raise PackFault, naming ``file``, where aliases of aliases unfold to more nodes than a policy can have.

    What is no YAML is left to whoever reads it.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return
    if root is not None and unfolded_size(root) > MAX_NODES:
        raise PackFault(file, f"unfolds to more than {MAX_NODES:,} values: not read")
