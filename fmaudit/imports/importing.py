"""Logs in, run directory out: the rows as evidence, run.json as the analysis reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmaudit.canonical import digest
from fmaudit.errors import NothingEvaluated, UsageError
from fmaudit.evidence.directory import RunDirectory, open_run_directory
from fmaudit.evidence.lock import sole_writer
from fmaudit.imports.inspect_logs import is_inspect, read_inspect
from fmaudit.imports.lm_eval import is_lm_eval, read_lm_eval
from fmaudit.imports.logs import Columns, Log, TaskLog
from fmaudit.imports.matching import check_logs
from fmaudit.imports.measures import Imported, declare
from fmaudit.imports.reading import clean, content_hash, slug
from fmaudit.imports.records import measurement_record, subject_record, write_rows

if TYPE_CHECKING:
    from fmaudit.api import Run

RUN_SCHEMA = "fmaudit/run/1"
SEED = 0
_READERS: Mapping[str, tuple[Callable[[Path], bool], Callable[[Path, Columns], Log]]] = {
    "lm-eval": (is_lm_eval, read_lm_eval),
    "inspect": (is_inspect, read_inspect),
}
FORMATS = tuple(_READERS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class ImportOptions:
    """What the user adds to what the logs say.

    ``format``: of the logs, guessed from their names when None. ``columns``: fields
    that cut items into clusters and slices. ``directions``: by metric, whether higher is better.
    """

    format: str | None = None
    columns: Columns = field(default_factory=Columns)
    directions: Mapping[str, bool] | None = None


def import_logs(
    base: str | Path,
    adapted: Mapping[str, str | Path],
    output: str | Path,
    *,
    references: Mapping[str, str | Path] | None = None,
    options: ImportOptions | None = None,
) -> Run:
    """Import logs of a base model and the models adapted from it as a finished run.

    Everything is read and checked before anything is written. The same call again
    continues or repeats the import; another one needs another folder.

    Args:
        base: Sample log of the base model: a file, or a folder of them.
        adapted: Logs of the models adapted from it, by name.
        output: The run directory.
        references: Logs of unrelated models, by name.
        options: Format, clusters, slices and directions.

    Raises:
        UsageError: a log of another format or definition of the task, or an unusable name.
        DataError: a broken log, or items that do not match; names file and line, or the items.
        NothingEvaluated: no metric of the logs has numbers an item.
    """
    from fmaudit.api import Run, finish

    chosen = options or ImportOptions()
    places = {"base": Path(base)} | {
        name: Path(log) for name, log in [*adapted.items(), *(references or {}).items()]
    }
    _check_names(adapted, references or {})
    roles = (
        {"base": "base"} | dict.fromkeys(adapted, "adapted") | dict.fromkeys(references or {}, "reference")
    )
    logs = {name: _read(place, chosen) for name, place in places.items()}
    check_logs(logs)
    declared = _declared(logs, chosen)
    if all(found.reason for found in declared.values()):
        reasons = sorted({found.reason for found in declared.values()})
        raise NothingEvaluated(f"nothing can be imported: {'; '.join(reasons[:3])}")
    plan = _plan(logs, roles, declared, chosen.columns)
    with sole_writer(Path(output)):
        directory, state = open_run_directory(Path(output), plan)
        if not state.get("finished"):
            _write(directory, plan, logs, roles, declared, chosen.columns)
        return Run(directory.path, finish(directory))


def _check_names(adapted: Mapping[str, Any], references: Mapping[str, Any]) -> None:
    names = ["base", *adapted, *references]
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"name {clean(name, 80)!r}: use letters, digits, dots, dashes and underscores")
        if [other.lower() for other in names].count(name.lower()) > 1:
            raise UsageError(f"two models are named {name!r}: give each its own name")


def _read(path: Path, options: ImportOptions) -> Log:
    if not path.exists():
        raise UsageError(f"no log {path.name}: check the path")
    kind = options.format or next((name for name, (fits, _) in _READERS.items() if fits(path)), None)
    if kind is None or kind not in _READERS:
        raise UsageError(
            f"{path.name} is no known log: give samples_TASK_DATE.jsonl or its folder, FILE.eval, FILE.json, "
            f"or name the format ({', '.join(_READERS)})"
        )
    if path.is_dir() and kind == "inspect":
        raise UsageError(f"{path.name} is a folder: name one .eval or .json log of Inspect")
    return _READERS[kind][1](path, options.columns)


def _declared(logs: Mapping[str, Log], options: ImportOptions) -> dict[tuple[str, str], Imported]:
    found: dict[tuple[str, str], Imported] = {}
    for task in dict.fromkeys(task.task for log in logs.values() for task in log.tasks):
        own = [entry for log in logs.values() for entry in log.tasks if entry.task == task]
        for variant, imported in declare(own, options.directions or {}).items():
            found[task, variant] = imported
    unknown = set(options.directions or {}) - {
        name for imported in found.values() for name in imported.names.values()
    }
    if unknown:
        raise UsageError(f"no metric {sorted(unknown)[0]!r} in these logs: check --higher and --lower")
    return found


def _plan(
    logs: Mapping[str, Log],
    roles: Mapping[str, str],
    declared: Mapping[tuple[str, str], Imported],
    columns: Columns,
) -> dict[str, Any]:
    return {
        "imported": next(iter(logs.values())).format,
        "seed": SEED,
        "subjects": {
            name: {
                "role": roles[name],
                "log": log.digest,
                "parent": "base" if roles[name] == "adapted" else None,
            }
            for name, log in logs.items()
        },
        "measurements": {
            f"{slug(task)}+{slug(variant)}": content_hash(found.declaration.model_dump(mode="json"))
            for (task, variant), found in declared.items()
        },
        "clusters": list(columns.clusters),
        "slices": list(columns.slices),
    }


def _write(
    directory: RunDirectory,
    plan: Mapping[str, Any],
    logs: Mapping[str, Log],
    roles: Mapping[str, str],
    declared: Mapping[tuple[str, str], Imported],
    columns: Columns,
) -> None:
    from fmaudit.running.environment import tool

    state: dict[str, Any] = {
        "schema": RUN_SCHEMA,
        "tool": tool(),
        "plan": plan,
        "plan_digest": digest(plan),
        "subjects": [subject_record(name, roles[name], log) for name, log in logs.items()],
        "measurements": [],
        "instruments": [],
        "policy": None,
        "retests": [],
        "backoff": {"events": 0, "rows_near_tie": 0},
        "looks": 0,
        "sessions": [],
        "finished": False,
    }
    directory.write_state(state)
    for name, log in logs.items():
        for (task, variant), found in declared.items():
            entry = _of(log.tasks, task, variant)
            record = measurement_record(name, log, entry, (task, variant), found)
            state["measurements"].append(record)
            if entry is not None and not found.reason:
                write_rows(directory, name, entry, found, record["key"], columns, SEED)
    state["finished"] = True
    directory.write_state(state)


def _of(tasks: Sequence[TaskLog], task: str, variant: str) -> TaskLog | None:
    return next((entry for entry in tasks if entry.key == (task, variant)), None)
