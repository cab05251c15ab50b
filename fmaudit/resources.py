"""Where the folders that ship inside the wheel are, installed or in a checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped_folder(name: str) -> Path:
    """The folder ``templates`` or ``datasets_cards``."""
    packaged = Path(str(files("fmaudit"))) / "_data" / name
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name
