"""What run.json and the evidence hold of an imported log."""

from __future__ import annotations

import json
from typing import Any

from fmaudit.canonical import digest
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import Row, cleaned
from fmaudit.imports.logs import Answer, Columns, Log, TaskLog
from fmaudit.imports.measures import Imported, observation
from fmaudit.imports.reading import clean, slug
from fmaudit.ordering import random_order
from fmaudit.plan import BLOCK_ITEMS
from fmaudit.probe import Item
from fmaudit.question import Question

VERSION = 2
"""Of the way logs are read: it rises when numbers of one log change."""
NOT_SEEN = "imported from a log: its weights were not seen"


def subject_record(name: str, role: str, log: Log) -> dict[str, Any]:
    """A subject of run.json; ``digest`` is empty as no weights were seen, the log's is among the parts."""
    declared = "base" if role == "adapted" else None
    return {
        "id": name,
        "role": role,
        "kind": "unknown",
        "name": log.model or name,
        "digest": "",
        "base": declared,
        "lineage": {"declared": declared, "evidence": NOT_SEEN if role != "base" else ""},
        "parts": {"log": log.digest},
        "notes": [NOT_SEEN, *log.notes],
    }


def measurement_record(
    subject: str, log: Log, task: TaskLog | None, key: tuple[str, str], found: Imported
) -> dict[str, Any]:
    """A measurement of run.json with the declaration that stands in for its probe."""
    name, variant = key
    asked = Question(f"{log.format}.{slug(name)}", slug(name), slug(variant))
    absent = f"its log holds no task {name!r}" if task is None else found.reason
    record: dict[str, Any] = {
        "subject": subject,
        "key": asked.key,
        "probe": asked.probe,
        "version": VERSION,
        "variant": asked.variant,
        "assurance": "imported",
        "declaration": found.declaration.model_dump(mode="json"),
        "state": "unmeasured" if absent else "measured",
        "reason": clean(absent, 500),
        "partial": task is not None and bool(task.partial),
        "protocol": {},
        "instruments": [],
        "batches": [],
        "dataset": None,
    }
    if task is not None:
        fields = {**task.protocol, **task.identity, "import_format": log.format}
        record["protocol"] = fields | {"digest": digest(fields)}
        record["dataset"] = _dataset(asked.dataset, task)
    return record


def _dataset(data: str, task: TaskLog) -> dict[str, Any]:
    return {
        "id": data,
        "digest": digest(sorted([item.id, *sorted(item.hashes.values())] for item in task.items)),
        "n_items": task.n_items,
        "n_asked": len(task.items),
        "pinned": False,
        "source": "imported",
        "title": clean(task.dataset or task.task, 200),
        "licence": "",
        "limits": [],
    }


def write_rows(
    directory: RunDirectory,
    subject: str,
    task: TaskLog,
    found: Imported,
    key: str,
    columns: Columns,
    seed: int,
) -> None:
    """Write the evidence of one measurement in blocks of the seeded random order."""
    measures = found.declaration.measures()
    logged = {item.id: item for item in task.items}
    items = [
        Item(
            id=item.id,
            payload={},
            clusters={name: item.labels[name] for name in columns.clusters if name in item.labels},
            slices={name: item.labels[name] for name in columns.slices if name in item.labels},
        )
        for item in task.items
    ]
    ordered = random_order(items, seed)
    for block, start in enumerate(range(0, len(ordered), BLOCK_ITEMS)):
        rows = [
            Row(
                item=item,
                position=start + place,
                block=block,
                seed=seed,
                observation=cleaned(observation(found, answer), measures),
                responses=_responses(answer),
            )
            for place, item in enumerate(ordered[start : start + BLOCK_ITEMS])
            for answer in logged[item.id].answers
        ]
        directory.write_block(subject, key, block, rows, measures)


def _responses(answer: Answer) -> str:
    if answer.text is None:
        return "[]"
    # A log does not say how many tokens it had, how it ended or how near it came to another text.
    text: dict[str, Any] = {
        "kind": "generation",
        "text": answer.text,
        "n_tokens": None,
        "finish": None,
        "margin": None,
        "scores": {},
    }
    return json.dumps([text], ensure_ascii=False, separators=(",", ":"))
