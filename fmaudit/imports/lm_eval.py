"""Sample logs of lm-evaluation-harness: ``samples_TASK_DATE.jsonl`` beside its ``results_DATE.json``.

Read from what its evaluation tracker writes (lm-evaluation-harness 0.4, ``--log_samples``):
one line a document and filter, with hashes of document, prompt and target.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest, digest_file
from fmaudit.errors import DataError
from fmaudit.imports.logs import Answer, Columns, Log, LoggedItem, LoggedMetric, TaskLog
from fmaudit.imports.reading import (
    clean,
    content_hash,
    mapping,
    model_name,
    number,
    plain,
    read_json,
    read_lines,
)

FORMAT = "lm-eval"
SAMPLES = re.compile(
    r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl", re.DOTALL
)
# A preference for stereotypes is best in the middle (Nangia et al. 2020), whatever the task file says.
_IDEAL = {"pct_stereotype": 0.5}
_NO_ITEM_VALUE = "the log holds no plain number per item for it (a corpus-level metric)"
_NO_LINE = "the log has no line of it under this filter"
_DEFINITION = ("description", "doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter",
               "fewshot_delimiter", "fewshot_split", "process_docs")  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """One line: a document under one filter."""

    item: LoggedItem
    metrics: tuple[str, ...]
    lists: frozenset[str]


def is_lm_eval(path: Path) -> bool:
    """Whether this is a sample log, or a folder that holds one."""
    if path.is_dir():
        return any(SAMPLES.fullmatch(file.name) for file in path.iterdir())
    return path.suffix == ".jsonl"


def read_lm_eval(path: Path, columns: Columns) -> Log:
    """Read a sample log, or every task of a folder of them.

    Raises DataError naming file and line for anything that is not such a log.
    """
    files = _files(path)
    results = {file: _results(file) for file in files}
    tasks = [task for file in files for task in _tasks(file, results[file], columns)]
    named = sorted({name for found in results.values() if (name := _model(found))})
    if len(named) > 1:
        raise DataError(
            f"{path.name} holds logs of several models ({', '.join(named[:3])}): name one at a time"
        )
    versions = sorted(
        {clean(str(v), 40) for found in results.values() if (v := found.get("lm_eval_version"))}
    )
    tool = f"lm-evaluation-harness {', '.join(versions) or '(version unknown)'}"
    sources = sorted({*files, *(s for file in files if (s := _results_file(file)))})
    return Log(
        FORMAT,
        named[0] if named else "",
        digest([digest_file(source) for source in sources]),
        tuple(tasks),
        (f"imported from a sample log of {tool}", *_missing_results(results)),
    )


def _missing_results(results: Mapping[Path, Mapping[str, Any]]) -> list[str]:
    return [f"{clean(file.name, 120)} has no results file beside it: its protocol is unknown"
            for file, found in results.items() if not found]  # fmt: skip


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not SAMPLES.fullmatch(path.name):
            raise DataError(
                f"{path.name} is not named samples_TASK_DATE.jsonl, so its task is unknown: restore the name"
            )
        return [path]
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        match = SAMPLES.fullmatch(file.name)
        if match is None:
            continue
        if match["task"] in found:
            raise DataError(
                f"{path.name} holds two logs of one task, {found[match['task']].name} and {file.name}"
            )
        found[match["task"]] = file
    if not found:
        raise DataError(
            f"folder {path.name} holds no samples_TASK_DATE.jsonl: run lm_eval with --log_samples"
        )
    return list(found.values())


def _results_file(samples: Path) -> Path | None:
    match = SAMPLES.fullmatch(samples.name)
    assert match is not None
    found = sorted(samples.parent.glob(f"*_{glob.escape(match['date'])}.json"))
    if len(found) > 1:
        raise DataError(f"{samples.name} has several results files of its date beside it: keep the right one")
    return found[0] if found else None


def _results(samples: Path) -> Mapping[str, Any]:
    file = _results_file(samples)
    return {} if file is None else read_json(file)


def _model(results: Mapping[str, Any]) -> str:
    arguments = mapping(mapping(results.get("config")).get("model_args"))
    return model_name(results.get("model_name") or arguments.get("pretrained"))


def _tasks(file: Path, results: Mapping[str, Any], columns: Columns) -> list[TaskLog]:
    match = SAMPLES.fullmatch(file.name)
    assert match is not None
    task = match["task"]
    filters: dict[str, dict[str, _Row]] = {}
    for line, entry in read_lines(file):
        name, row = _row(entry, f"{file.name}, line {line}", columns)
        rows = filters.setdefault(name, {})
        if row.item.id in rows:
            raise DataError(
                f"{file.name}, line {line}: document {row.item.id} comes twice under filter {name!r}"
            )
        rows[row.item.id] = row
    if not filters:
        raise DataError(f"{file.name} holds no sample: check the log")
    # Every filter reads the answers to the same documents: what one has and another lacks was lost.
    asked = {name: row.item for rows in filters.values() for name, row in rows.items()}
    return [
        _task(file, task, name, list(rows.values()), _lacking(asked, rows), results)
        for name, rows in filters.items()
    ]


def _lacking(asked: Mapping[str, LoggedItem], rows: Mapping[str, _Row]) -> list[LoggedItem]:
    """The documents without a line under a filter, as unanswered items."""
    unanswered = (Answer({}, None, _NO_LINE),)
    return [replace(item, answers=unanswered) for name, item in asked.items() if name not in rows]


def _row(entry: Mapping[str, Any], place: str, columns: Columns) -> tuple[str, _Row]:
    if "doc_id" not in entry or "doc" not in entry:
        raise DataError(f"{place} has no doc_id and doc: it is no sample of lm-evaluation-harness")
    number_of = entry["doc_id"]
    if not isinstance(number_of, int | str):
        raise DataError(f"{place}: doc_id is no number: it is no sample of lm-evaluation-harness")
    listed = entry.get("metrics")
    names = (
        [name for name in listed if isinstance(name, str)]
        if isinstance(listed, list)
        else _older_metrics(entry)
    )
    filter_name = entry.get("filter")
    values = {clean(name, 200): number(entry.get(name)) for name in names}
    lists = frozenset(name for name in names if isinstance(entry.get(name), list | dict | str))
    item = LoggedItem(
        id=clean(str(number_of), 80),
        hashes={
            "document": _hash(entry, "doc_hash", entry["doc"]),
            "prompt": _hash(entry, "prompt_hash", entry.get("arguments")),
            "target": _hash(entry, "target_hash", entry.get("target")),
        },
        answers=(Answer(values, _text(entry)),),
        labels=columns.labels(entry["doc"], f"{place}, its document"),
    )
    return (clean(filter_name, 80) if isinstance(filter_name, str) else "none"), _Row(
        item, tuple(names), lists
    )


_FIXED = frozenset({"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
                    "doc_hash", "prompt_hash", "target_hash"})  # fmt: skip


def _older_metrics(entry: Mapping[str, Any]) -> list[str]:
    return [name for name in entry if name not in _FIXED]


def _hash(entry: Mapping[str, Any], name: str, content: Any) -> str:
    given = entry.get(name)
    return clean(given, 80) if isinstance(given, str) and given else content_hash(content)


def _text(entry: Mapping[str, Any]) -> str | None:
    # Only a request to generate has settings as its second argument.
    settings = mapping(mapping(entry.get("arguments")).get("gen_args_0")).get("arg_1")
    answers = entry.get("filtered_resps")
    if not isinstance(settings, dict) or not isinstance(answers, list) or not answers:
        return None
    return clean(answers[0]) if isinstance(answers[0], str) else None


def _task(
    file: Path,
    task: str,
    variant: str,
    rows: Sequence[_Row],
    lacking: Sequence[LoggedItem],
    results: Mapping[str, Any],
) -> TaskLog:
    config = mapping(mapping(results.get("configs")).get(task))
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    lists = frozenset(name for row in rows for name in row.lists)
    counted = mapping(mapping(results.get("n-samples")).get(task))
    asked, available = _count(counted, "effective"), _count(counted, "original")
    n_asked = len(rows) + len(lacking)
    limits = [] if results else ["Without its results file the task's version and protocol are unknown."]
    partial = ""
    if asked is not None and asked > n_asked:
        # Some versions count the whole task although chosen documents were asked; a file may be cut off too.
        partial = f"the log holds {n_asked} documents and its results count {asked}"
    elif available is not None and available > n_asked:
        partial = f"--limit: {n_asked} of {available} documents were asked"
    if lacking:
        limits.append(
            f"{len(lacking)} documents have no line under filter {variant!r}: the log is incomplete."
        )
    return TaskLog(
        task=clean(task, 200),
        variant=variant,
        variant_kind="filter",
        file=file.name,
        identity=_identity(task, variant, config, results),
        protocol=_protocol(config, results),
        metrics=tuple(_metric(task, variant, name, name in lists, config, results) for name in names),
        items=(*(row.item for row in rows), *lacking),
        n_items=max(n_asked, available or 0),
        dataset=model_name(config.get("dataset_path")),
        partial=partial,
        limits=tuple(limits),
    )


def _count(counted: Mapping[str, Any], name: str) -> int | None:
    found = counted.get(name)
    return found if isinstance(found, int) and 0 <= found < 2**53 else None


def _identity(
    task: str, variant: str, config: Mapping[str, Any], results: Mapping[str, Any]
) -> dict[str, Any]:
    steps = [entry for entry in config.get("filter_list") or () if mapping(entry).get("name") == variant]
    return {
        "task": clean(task, 200),
        "task_version": plain(mapping(results.get("versions")).get(task)),
        "num_fewshot": plain(mapping(results.get("n-shot")).get(task)),
        "filter": {"name": variant, "steps": plain(steps[0]) if steps else None},
        "scorer": {
            "metrics": plain(config.get("metric_list")),
            "process_results": plain(config.get("process_results")),
        },
    }


def _protocol(config: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    run = mapping(results.get("config"))
    dtype, device = run.get("model_dtype"), run.get("device")
    template = bool(results["chat_template"]) if "chat_template" in results else None
    return {
        "decoding": None,
        "definition": {name: plain(config.get(name)) for name in _DEFINITION} if config else None,
        "device": device.partition(":")[0] if isinstance(device, str) else None,
        "dtype": clean(dtype, 40).removeprefix("torch.") if isinstance(dtype, str) else None,
        "engine": plain(run.get("model")),
        "fewshot_as_multiturn": plain(results.get("fewshot_as_multiturn")),
        "fewshot_seed": plain(run.get("fewshot_seed")),
        "format": None if template is None else "native" if template else "raw",
        "generation": plain(config.get("generation_kwargs")),
        "generation_override": plain(run.get("gen_kwargs")),
        "output_type": plain(config.get("output_type")),
        "repeats": plain(config.get("repeats")),
        "seed": plain(run.get("random_seed")),
        "system_instruction": plain(results.get("system_instruction")),
    }


def _metric(
    task: str, variant: str, name: str, listed: bool, config: Mapping[str, Any], results: Mapping[str, Any]
) -> LoggedMetric:
    entries = [
        mapping(entry) for entry in config.get("metric_list") or () if mapping(entry).get("metric") == name
    ]
    higher = mapping(mapping(results.get("higher_is_better")).get(task)).get(name)
    aggregation = entries[0].get("aggregation") if entries else None
    return LoggedMetric(
        name=clean(name, 200),
        title=clean(name, 200),
        higher_is_better=higher if isinstance(higher, bool) else None,
        ideal=_IDEAL.get(name),
        reported=number(mapping(mapping(results.get("results")).get(task)).get(f"{name},{variant}")),
        averaged=None if aggregation is None else aggregation == "mean",
        unusable=_NO_ITEM_VALUE if listed else "",
    )
