"""The context inside a run: recorded before measuring, or later, and always said which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest
from fmaudit.context.lines import parse_yaml
from fmaudit.context.model import Context
from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.schema import read_audit

BEFORE = "before measuring"
DURING = "while measuring"
AFTER = "after measuring"
_MOST = 1 << 20


def read_context(path: Path) -> Context:
    """Read and check a context file. Raises UsageError with the line of the first problem."""
    try:
        if path.stat().st_size > _MOST:
            raise UsageError(f"context {path.name} is larger than 1 MB: shorten it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read context {path.name}: {error.strerror}; check --context") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"context {path.name} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    return parse_yaml(text, path.name, Context)


def recorded_context(previous: Mapping[str, Any] | None, path: Path | None, begun: bool) -> dict[str, Any]:
    """What ``run.json`` holds of the context when a run begins or goes on; empty where none was ever given.

    Args:
        previous: what it holds so far.
        path: the file given with this command; None for none.
        begun: whether the run was begun by an earlier command.

    Raises:
        UsageError: the file is wrong, or another one was recorded before.
    """
    if path is None:
        return dict(previous or {})
    record = _record(read_context(path), DURING if begun else BEFORE)
    if not previous:
        return record
    if previous.get("digest") != record["digest"]:
        raise UsageError(
            f"this run recorded another context than {path.name}: "
            "finish it without --context, then give the new one to fmaudit report --context"
        )
    return dict(previous)


def replace_context(run: RunDirectory, path: Path) -> bool:
    """Record a context in a finished run; says so in it, with the digest of the one it replaces.

    Rewrites ``context`` in run.json and audit.json, nothing else; the caller
    renews reports and manifest. Returns False where it was recorded already.

    Raises:
        UsageError: the file is wrong, or the run is not finished.
        ExecutionError: the run could not be written.
    """
    audit = read_audit(run.path)
    record = _record(read_context(path), AFTER)
    before = audit.context.get("digest")
    if before == record["digest"]:
        return False
    if before:
        record["replaces"] = str(before)
    state = run.read_state()
    if state is not None:
        run.write_state(state | {"context": record})
    write_atomically(run.path / AUDIT_FILE, audit.model_copy(update={"context": record}).to_bytes())
    return True


def _record(context: Context, given: str) -> dict[str, Any]:
    card = context.plain()
    return {"card": card, "digest": digest(card), "given": given}
