"""Logs of Inspect: the ``.json`` form, and the ``.eval`` form (a zip archive of JSON files).

Read from what its recorders write (log version 2): a header with task, model and scorers,
and one sample an item and epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fmaudit.canonical import digest_file
from fmaudit.errors import DataError
from fmaudit.imports.inspect_archive import read_archive, read_plain
from fmaudit.imports.inspect_values import Value, listed, values_of
from fmaudit.imports.logs import Answer, Columns, Log, LoggedItem, LoggedMetric, TaskLog
from fmaudit.imports.measures import agrees, mean_of_means
from fmaudit.imports.reading import MAX_ROWS, clean, content_hash, mapping, model_name, number, plain

FORMAT = "inspect"
_ATTACHMENT = "attachment://"
_GENERATION = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop_seqs", "num_choices", "best_of",
               "frequency_penalty", "presence_penalty", "logit_bias", "system_message", "reasoning_effort",
               "reasoning_tokens")  # fmt: skip
_LIMITS = ("message_limit", "token_limit", "time_limit", "working_limit", "cost_limit", "turn_limit")
_MAX_EPOCHS = 1000
_ABSENT = "the log has no sample of it"


def is_inspect(path: Path) -> bool:
    """Whether this looks like a log of Inspect."""
    return path.suffix in (".eval", ".json")


def read_inspect(path: Path, columns: Columns) -> Log:
    """Read a log. Raises DataError naming the file, and the line or sample, for anything that is none."""
    header, samples = read_archive(path) if path.suffix == ".eval" else read_plain(path)
    evaluation = header.get("eval")
    if not isinstance(evaluation, dict) or not isinstance(evaluation.get("task"), str):
        raise DataError(f"{path.name} is no log of Inspect: it names no task")
    items = _items(path, evaluation, samples, columns)
    status = clean(str(header.get("status")), 40)
    version = mapping(evaluation.get("packages")).get("inspect_ai")
    notes = [f"imported from a log of Inspect {clean(str(version or '(version unknown)'), 40)}"]
    if status != "success":
        notes.append(f"the evaluation ended with status {status}")
    if header.get("invalidated") is True:
        raise DataError(f"{path.name} was invalidated by its authors: run it anew")
    scorers = list(dict.fromkeys(name for item in items for answer in item[1] for name in answer[1]))
    tasks = tuple(_task(path, header, name, items, status) for name in scorers)
    if not tasks:
        raise DataError(f"{path.name} holds no score: score the log first (inspect score)")
    return Log(FORMAT, model_name(evaluation.get("model")), digest_file(path), tasks, tuple(notes))


_Scores = dict[str, dict[str, Value]]
_Answered = tuple[int, _Scores, str | None, str]
_Item = tuple[LoggedItem, list[_Answered]]


def _items(
    path: Path,
    evaluation: Mapping[str, Any],
    samples: Sequence[tuple[str, Mapping[str, Any]]],
    columns: Columns,
) -> list[_Item]:
    found: dict[str, _Item] = {}
    for place, sample in samples:
        name, epoch = sample.get("id"), sample.get("epoch")
        if not isinstance(name, int | str) or not isinstance(epoch, int) or not 1 <= epoch <= _MAX_EPOCHS:
            raise DataError(f"{place} has no id and epoch: it is no sample of Inspect")
        key = clean(str(name), 80)
        hashes = _hashes(sample)
        labels = columns.labels(sample.get("metadata"), f"{place}, its metadata")
        item, answers = found.setdefault(key, (LoggedItem(key, hashes, (), labels), []))
        if any(epoch - 1 == other for other, *_ in answers):
            raise DataError(f"{place}: sample {key} comes twice in epoch {epoch}")
        if item.hashes != hashes:
            raise DataError(f"{place}: sample {key} asks something else than in another epoch")
        answers.append((epoch - 1, _scores(sample), _text(sample), _failure(sample)))
    listed = mapping(evaluation.get("dataset")).get("sample_ids")
    limited = isinstance(listed, list) and len(listed) <= MAX_ROWS
    for name in listed if limited and isinstance(listed, list) else ():
        if isinstance(name, int | str):
            key = clean(str(name), 80)
            found.setdefault(key, (LoggedItem(key, {}, ()), []))
    if not found:
        raise DataError(f"{path.name} holds no sample: check the log")
    return list(found.values())


def _hashes(sample: Mapping[str, Any]) -> dict[str, str]:
    kept = mapping(sample.get("attachments"))
    return {
        "input": content_hash(_bare(sample.get("input"), kept)),
        "choices": content_hash(sample.get("choices")),
        "target": content_hash(sample.get("target")),
    }


def _bare(value: Any, kept: Mapping[str, Any], depth: int = 0) -> Any:
    """Messages without their random ids, attachments put back in their place."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return kept.get(value.removeprefix(_ATTACHMENT), value)
    if depth > 20:
        return value
    if isinstance(value, Mapping):
        return {name: _bare(part, kept, depth + 1) for name, part in value.items() if name != "id"}
    return [_bare(part, kept, depth + 1) for part in value] if isinstance(value, list) else value


def _failure(sample: Mapping[str, Any]) -> str:
    if sample.get("error"):
        return "the sample ended with an error"
    return "the sample was invalidated" if sample.get("invalidation") else ""


def _text(sample: Mapping[str, Any]) -> str | None:
    text = mapping(sample.get("output")).get("completion")
    return clean(text) if isinstance(text, str) and text else None


def _scores(sample: Mapping[str, Any]) -> _Scores:
    return {clean(scorer, 80): values_of(score) for scorer, score in mapping(sample.get("scores")).items()}


def _task(path: Path, header: Mapping[str, Any], scorer: str, items: Sequence[_Item], status: str) -> TaskLog:
    evaluation = mapping(header.get("eval"))
    config = mapping(evaluation.get("config"))
    seen = 1 + max((epoch for _, answers in items for epoch, *_ in answers), default=0)
    epochs = config.get("epochs")
    wanted = max(seen, epochs) if isinstance(epochs, int) and 1 <= epochs <= _MAX_EPOCHS else seen
    if wanted * len(items) > MAX_ROWS:
        raise DataError(f"{path.name} has more than {MAX_ROWS:,} samples: import a part of it")
    names = list(
        dict.fromkeys(n for _, answers in items for answer in answers for n in answer[1].get(scorer, {}))
    )
    available = mapping(evaluation.get("dataset")).get("samples")
    total = available if isinstance(available, int) and len(items) <= available < 2**53 else len(items)
    reasons = [f"status {status}"] if status != "success" else []
    if total > len(items):
        reasons.append(f"{len(items)} of {total} samples were asked")
    metrics = [_settled(_metric(header, scorer, name), scorer, name, items) for name in names]
    odd = {name: metric.odd_number for name, metric in zip(names, metrics, strict=True)}
    return TaskLog(
        task=clean(evaluation["task"], 200),
        variant=scorer,
        variant_kind="scorer",
        file=path.name,
        identity=_identity(evaluation, header, scorer),
        protocol=_protocol(evaluation, header),
        metrics=tuple(metric.logged for metric in metrics),
        items=tuple(_complete(item, answers, scorer, odd, wanted) for item, answers in items),
        n_items=total,
        dataset=model_name(mapping(evaluation.get("dataset")).get("name")),
        partial="; ".join(reasons),
        limits=tuple(metric.limit for metric in metrics if metric.limit),
    )


@dataclass(frozen=True)
class _Settled:
    """A metric with the number that its odd values have, and a sentence for the reader where it has some."""

    logged: LoggedMetric
    odd_number: float | None = None
    limit: str = ""


def _settled(metric: LoggedMetric, scorer: str, part: str, items: Sequence[_Item]) -> _Settled:
    """Ask the log's own number what values count that the tool's rule does not know: 0, or nothing."""
    by_item = [
        [
            value
            for _, scores, _, failed in answers
            if not failed and (value := scores.get(scorer, {}).get(part))
        ]
        for _, answers in items
    ]
    odd = Counter(value.odd for values in by_item for value in values if value.odd)
    if not odd:
        return _Settled(metric)
    many = f"{odd.total()} of its values ({listed(odd)})"
    if metric.reported is None:
        return _Settled(metric, None, f"{metric.title}: {many} are no numbers and count as missing.")
    for counts, said in (
        (0.0, "count 0, as Inspect counted them"),
        (None, "are missing, as Inspect left them out"),
    ):
        means = [[counts if value.odd else value.number for value in values] for values in by_item]
        if agrees(mean_of_means(means), metric.reported):
            return _Settled(metric, counts, f"{metric.title}: {many} {said}.")
    return _Settled(replace(metric, unusable=f"{many} were counted by a rule that the log does not hold"))


def _complete(
    item: LoggedItem, answers: Sequence[_Answered], scorer: str, odd: Mapping[str, float | None], epochs: int
) -> LoggedItem:
    """The item with one answer an epoch, those the log lacks among them; ``odd``: what odd values count."""
    by_epoch = {answer[0]: answer for answer in answers}
    every = []
    for epoch in range(epochs):
        _, scores, text, failed = by_epoch.get(epoch, (epoch, {}, None, _ABSENT))
        values = scores.get(scorer, {})
        numbers = {
            _named(scorer, name): (counts if values[name].odd else values[name].number)
            if name in values
            else None
            for name, counts in odd.items()
        }
        every.append(Answer(numbers, text, failed, epoch))
    return LoggedItem(item.id, item.hashes, tuple(every), item.labels)


def _named(scorer: str, part: str) -> str:
    return f"{scorer}.{part}" if part else scorer


def _identity(evaluation: Mapping[str, Any], header: Mapping[str, Any], scorer: str) -> dict[str, Any]:
    declared = [mapping(s) for s in evaluation.get("scorers") or () if mapping(s).get("name") == scorer]
    steps = mapping(header.get("plan")).get("steps")
    return {
        "task": clean(evaluation["task"], 200),
        "task_version": plain(evaluation.get("task_version")),
        "task_args": plain(evaluation.get("task_args")),
        "solver": [
            {"name": plain(mapping(step).get("solver")), "params": plain(mapping(step).get("params"))}
            for step in steps
        ]
        if isinstance(steps, list)
        else None,
        "scorer": {"name": scorer, "options": plain(declared[0].get("options")) if declared else None},
        "epochs": plain(mapping(evaluation.get("config")).get("epochs")),
    }


def _protocol(evaluation: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    generation = {
        **mapping(mapping(header.get("plan")).get("config")),
        **mapping(evaluation.get("model_generate_config")),
    }
    config = mapping(evaluation.get("config"))
    return {
        "decoding": None,
        "device": None,
        "dtype": None,
        "engine": "inspect",
        "format": None,
        "generation": {name: plain(generation.get(name)) for name in _GENERATION},
        "limits": {name: plain(config.get(name)) for name in _LIMITS},
        "seed": plain(generation.get("seed")),
    }


def _metric(header: Mapping[str, Any], scorer: str, part: str) -> LoggedMetric:
    """The log's own number is the scorer's accuracy or mean, where the epochs were averaged."""
    listed = mapping(header.get("results")).get("scores")
    own = [
        mapping(entry)
        for entry in (listed if isinstance(listed, list) else ())
        if mapping(entry).get("scorer", mapping(entry).get("name")) == scorer
        and (not part or mapping(entry).get("name") == part)
    ]
    # A scorer whose answers are also counted without averaging epochs has an entry of each kind.
    averaged = [entry for entry in own if entry.get("reducer") == "mean"] or [
        entry for entry in own if entry.get("reducer") is None
    ]
    metrics = mapping(averaged[0].get("metrics")) if len(averaged) == 1 else {}
    counted = averaged[0].get("scored_samples") if len(averaged) == 1 else None
    kind = next((name for name in ("accuracy", "mean") if name in metrics), None)
    lettered = "accuracy" in metrics
    return LoggedMetric(
        name=_named(scorer, part),
        title=clean(f"{_named(scorer, part)} ({kind})" if kind else _named(scorer, part), 200),
        higher_is_better=True if lettered else None,
        reported=number(mapping(metrics.get(kind)).get("value")) if kind else None,
        averaged=True if kind else None,
        counted=counted if isinstance(counted, int) else None,
        # Accuracy maps every answer into this range.
        low=0.0 if lettered else None,
        high=1.0 if lettered else None,
    )
