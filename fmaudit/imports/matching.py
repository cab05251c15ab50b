"""Whether two logs asked the same: one format, one task definition, the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmaudit.errors import DataError, UsageError
from fmaudit.evidence.directory import first_difference
from fmaudit.imports.logs import Log, LoggedItem, TaskLog

_SHOWN = 3


def check_logs(logs: Mapping[str, Log]) -> None:
    """Refuse logs that may not stand side by side; the first is the base.

    Raises:
        UsageError: another format, another definition of a task (names the field), or the
            very same log under two names.
        DataError: items that one log has and the other has not, or that ask something else (names them).
    """
    names = list(logs)
    base = logs[names[0]]
    for place, name in enumerate(names):
        twin = next((other for other in names[:place] if logs[other].digest == logs[name].digest), None)
        if twin is not None:
            raise UsageError(f"{name} and {twin} are the same log: give each model its own")
    for name in names[1:]:
        _check_pair(names[0], base, name, logs[name])


def _check_pair(base_name: str, base: Log, name: str, other: Log) -> None:
    if base.format != other.format:
        raise UsageError(
            f"{base_name} is a log of {base.format} and {name} of {other.format}: "
            "logs are compared only within one format"
        )
    ours = {task.key: task for task in base.tasks}
    shared = {task.task for task in base.tasks} & {task.task for task in other.tasks}
    if not shared:
        raise UsageError(
            f"{base_name} and {name} differ in task ({_listed(sorted({t.task for t in base.tasks}))} against "
            f"{_listed(sorted({t.task for t in other.tasks}))}): import logs of one task"
        )
    for task in other.tasks:
        if task.task not in shared:
            continue
        if task.key not in ours:
            raise UsageError(f"{base_name} and {name} differ in {task.variant_kind} of task {task.task!r}: "
                             f"{base_name} has no {task.variant!r}")  # fmt: skip
        _check_task(base_name, ours[task.key], name, task)
    theirs = {task.key for task in other.tasks}
    for task in base.tasks:
        if task.task in shared and task.key not in theirs:
            raise UsageError(f"{base_name} and {name} differ in {task.variant_kind} of task {task.task!r}: "
                             f"{name} has no {task.variant!r}")  # fmt: skip


def _check_task(base_name: str, old: TaskLog, name: str, new: TaskLog) -> None:
    field = first_difference(dict(old.identity), dict(new.identity))
    if field:
        raise UsageError(
            f"{base_name} and {name} differ in {field} of task {old.task!r} "
            f"({_at(old.identity, field)} against {_at(new.identity, field)}): they are not compared"
        )
    first = {item.id: item for item in old.items}
    second = {item.id: item for item in new.items}
    for here, there, mine, theirs in ((base_name, name, first, second), (name, base_name, second, first)):
        alone = [item for item in mine if item not in theirs]
        if alone:
            raise DataError(
                f"task {old.task!r}: {len(alone)} items of {here} are not in {there}: {_listed(alone)}; "
                "import logs of the same items"
            )
    labelled = [key for key, item in first.items() if item.labels != second[key].labels]
    if labelled and all(first[key].hashes and second[key].hashes for key in labelled):
        raise DataError(f"task {old.task!r}: the clusters or slices of {len(labelled)} items differ between "
                        f"{base_name} and {name}: {_listed(labelled)}")  # fmt: skip
    for field in _hash_fields(old.items):
        other = [key for key, item in first.items() if _another(item, second[key], field)]
        if other:
            raise DataError(
                f"task {old.task!r}: {len(other)} items of {base_name} and {name} differ in {field}: "
                f"{_listed(other)}; they were not asked the same"
            )


def _hash_fields(items: Sequence[LoggedItem]) -> list[str]:
    return list(dict.fromkeys(field for item in items for field in item.hashes))


def _another(old: LoggedItem, new: LoggedItem, field: str) -> bool:
    # An item that a log only lists by id was not answered there, so nothing of it is compared.
    return bool(old.hashes and new.hashes) and old.hashes.get(field) != new.hashes.get(field)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _at(identity: Mapping[str, Any], field: str) -> str:
    found: Any = identity
    for part in field.replace("[", ".").replace("]", "").split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
    text = "unknown" if found is None else str(found)
    return text if len(text) <= 60 else f"{text[:60]}..."
