"""Writing files so that a kill at any moment leaves the old file or the new one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fmaudit.errors import ExecutionError

PARTIAL_SUFFIX = ".partial"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` durably.

    Raises ExecutionError when the disk is full or the folder cannot be written.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        raise ExecutionError(_explain(path, error)) from error


def remove_partial_files(folder: Path) -> None:
    """Delete what an interrupted write left behind."""
    for partial in folder.rglob("*" + PARTIAL_SUFFIX):
        partial.unlink(missing_ok=True)


def _explain(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"no space left while writing {path.name}: free some and repeat the command, "
            "what was measured is kept"
        )
    return f"cannot write {path.name}: {error.strerror or error}; choose another folder with -o"
