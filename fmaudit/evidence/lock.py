"""One writer a run directory: a second command that would write into it is refused in one line.

The lock is the operating system's (``flock``), so a killed command leaves none behind; its file is a marker
that says who holds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fmaudit.errors import ExecutionError, UsageError

LOCK_FILE = ".fmaudit-lock"
_TRIES = 100


@contextmanager
def sole_writer(folder: Path, *, make: bool = True) -> Iterator[None]:
    """Hold the run directory ``folder`` alone; a folder that this made and nobody filled is taken away again.

    Without ``make`` a folder that does not exist is nobody's, and left for the caller to complain about.

    Raises:
        UsageError: another command writes into it.
        ExecutionError: the folder cannot be made or written.
    """
    if not folder.is_dir() and (folder.exists() or not make):
        yield
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        descriptor = _acquire(folder)
    except OSError as error:
        _remove_empty(made)
        raise ExecutionError(
            f"cannot write into {folder.name}: {error.strerror or error}; choose another folder with -o"
        ) from error
    try:
        yield
    finally:
        (folder / LOCK_FILE).unlink(missing_ok=True)
        os.close(descriptor)
        _remove_empty(made)


def _acquire(folder: Path) -> int:
    path = folder / LOCK_FILE
    for _ in range(_TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # whoever made the folder for nothing has just taken it away again
            continue
        if not _lock(descriptor):
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f" (process {holder})" if holder.isdecimal() else ""
            raise UsageError(
                f"folder {folder.name} is being written by another fmaudit command{who}: wait until it has "
                "ended, or choose another folder"
            )
        # Whoever held it before may have taken the file away between our opening and our locking it.
        if _stands_at(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
        os.close(descriptor)
    raise UsageError(
        f"folder {folder.name} is being written by other fmaudit commands: wait until they have ended"
    )


def _stands_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool:
    """Whether the lock is ours now. Where the file system knows no locks, everybody gets it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remove_empty(made: list[Path]) -> None:
    for folder in made:
        with suppress(OSError):
            folder.rmdir()
