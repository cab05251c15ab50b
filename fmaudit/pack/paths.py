"""Names of files in a pack: what may be written, and what is never followed when read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fmaudit.pack.faults import Fault

MAX_FILES = 1_000_000
MAX_DEPTH = 32
_FORBIDDEN = frozenset("\\%")
_EMPTY = "is an empty folder"


class Walk(NamedTuple):
    """The regular files of a folder by their relative names, what may not be there, and empty folders."""

    files: tuple[str, ...]
    faults: tuple[Fault, ...]
    empty: tuple[str, ...] = ()


def unsafe_name(name: str) -> str:
    """Why a relative file name cannot be part of a pack; empty where it can.

    Names that ``sha256sum -c`` and BagIt spell differently are left out: they
    could be checked by one of the two only.
    """
    if not name or name.startswith("/"):
        return "is not a relative path"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "leads out of its folder"
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in _FORBIDDEN for char in name):
        return "has a control character, backslash or percent sign in its name"
    if any(0xD800 <= ord(char) < 0xE000 or char in "\u2028\u2029\u0085" for char in name):
        return "has a name that is no UTF-8 text of one line"
    return ""


def walk(folder: Path) -> Walk:
    """Every regular file below ``folder``, sorted; links and special files are faults and never opened."""
    files: list[str] = []
    faults: list[Fault] = []
    empty: list[str] = []
    for name, kind in _entries(folder):
        reason = unsafe_name(name)
        if kind is _EMPTY:
            empty.append(shown(name))
        elif reason or kind:
            faults.append(Fault(shown(name), reason or kind))
        elif len(files) >= MAX_FILES:
            return Walk(tuple(sorted(files)), (*faults, Fault(".", f"holds more than {MAX_FILES:,} files")))
        else:
            files.append(name)
    return Walk(tuple(sorted(files)), tuple(sorted(faults)), tuple(empty))


def shown(name: str) -> str:
    """A name that can be printed and encoded, whatever bytes it came from."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _entries(folder: Path, prefix: str = "") -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    if prefix and not entries:
        yield prefix.removesuffix("/"), _EMPTY
    for entry in entries:
        name = f"{prefix}{entry.name}"
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and name.count("/") >= MAX_DEPTH:
            yield name, "lies too deep in folders"
        elif stat.S_ISDIR(mode):
            yield from _entries(Path(entry.path), f"{name}/")
        else:
            yield name, "" if stat.S_ISREG(mode) else "is a link or a special file"
