"""The folder a site lives in: written whole, recognized by its marker, and never another's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fmaudit.canonical import digest_file
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.atomic import write_atomically

MARKER = "fmaudit-site.json"
SCHEMA = "fmaudit/site/1"


def written_before(folder: Path) -> Mapping[str, str]:
    """What an earlier build wrote into ``folder``: path and sha256 of every file.

    Raises UsageError for a folder that is neither empty nor a site, and for a marker that is damaged.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder.name} is not a folder: choose another with -o")
    marker = folder / MARKER
    if not marker.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(
                f"folder {folder.name} is not empty and holds no site of fmaudit: choose another with -o"
            )
        return {}
    try:
        content = json.loads(marker.read_bytes())
        files = content["files"]
        sound = content["schema"] == SCHEMA and all(
            isinstance(digest, str) and _inside(name) for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise UsageError(f"{MARKER} in {folder.name} is damaged: choose another folder with -o")
    known: dict[str, str] = dict(files)
    return known


def stage(folder: Path, name: str, data: bytes) -> None:
    """Write one file of a site that is being built beside its folder.

    Raises ExecutionError where the disk is full or the folder cannot be written.
    """
    assert _inside(name), name
    write_atomically(folder.joinpath(*PurePosixPath(name).parts), data)


def publish(staged: Path, folder: Path, before: Mapping[str, str]) -> None:
    """Move every staged file into ``folder``, and take away what only the earlier build wrote.

    A file that somebody else put there or changed is never removed. The marker lists old and new
    files until all is done, so that an interrupted move is finished by the next build.

    Raises UsageError, before anything is moved, when a foreign file or a link is in the way.
    """
    names = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
    files = {name: digest_file(staged / name) for name in names}
    _refuse_foreign(folder, names, before)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / MARKER, _marker({**before, **files}))
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(target)
        for name in sorted(set(before) - set(files)):
            _remove(folder, name, before[name])
        write_atomically(folder / MARKER, _marker(files))
    except OSError as error:
        raise ExecutionError(
            f"cannot write the site to {folder.name}: {error.strerror or error}; choose another with -o"
        ) from error


def _refuse_foreign(folder: Path, names: Sequence[str], before: Mapping[str, str]) -> None:
    for name in names:
        target = folder / name
        places = [
            folder.joinpath(*PurePosixPath(name).parts[:depth]) for depth in range(1, name.count("/") + 2)
        ]
        if any(place.is_symlink() for place in places) or target.is_dir():
            raise UsageError(
                f"{name} in {folder.name} is a link or a folder: move it away, or choose another with -o"
            )
        if target.exists() and name not in before:
            raise UsageError(f"{name} in {folder.name} was not written by fmaudit: move it away first")


def _remove(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if path.is_symlink() or not path.is_file() or digest_file(path) != digest:
        return
    path.unlink()
    for parent in path.relative_to(folder).parents:
        place = folder / parent
        if place == folder or any(place.iterdir()):
            return
        place.rmdir()


def _inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and "\\" not in name and not name.startswith("/") and ".." not in parts


def _marker(files: Mapping[str, str]) -> bytes:
    content = {"schema": SCHEMA, "files": dict(files)}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
