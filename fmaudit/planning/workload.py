"""What will be asked of a subject, counted exactly: items, requests, tokens and batches."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.base import Ask
from fmaudit.engines.transformers_engine import TransformersEngine
from fmaudit.plan import Block, PlannedMeasurement
from fmaudit.requests import Generate, Request


@dataclass(frozen=True)
class Batch:
    """One forward pass or generation.

    Attributes:
        kind: Name of the request kind.
        rows: Rows computed together.
        length: Tokens of a padded row, the generated ones included.
        generated: Tokens generated a row, at most.
        asks: What it answers, for repeating it; equal requests are computed once.
    """

    kind: str
    rows: int
    length: int
    generated: int
    asks: tuple[Ask, ...]

    @property
    def cost(self) -> float:
        """What its time grows with: tokens generated, else padded tokens read."""
        return float(self.rows * (self.generated or self.length))


@dataclass(frozen=True)
class Workload:
    """What one measurement asks of one kind of subject.

    Attributes:
        items: Items asked.
        requests: Requests by kind.
        unaskable: Requests that no model of this context length can be asked.
        tokens_read: Tokens of prompts and scored texts that are computed, without padding.
        tokens_generated: Tokens that are generated, at most.
        batches: The batches of the run.
        preparing: Seconds it took to tokenize and plan; a run does it twice.
    """

    items: int
    requests: dict[str, int]
    unaskable: int
    tokens_read: int
    tokens_generated: int
    batches: tuple[Batch, ...]
    preparing: float

    @property
    def texts(self) -> int:
        """Texts that are generated, one a sample."""
        return sum(
            ask.request.n for batch in self.batches for ask in batch.asks if isinstance(ask.request, Generate)
        )


def workload(engine: TransformersEngine, entry: PlannedMeasurement) -> Workload:
    """Count a planned measurement with the subject's own tokenizer and batch plan."""
    return _counted(engine, len(entry.items), [_asks(entry, block) for block in entry.blocks()])


def workload_of(engine: TransformersEngine, requests: Sequence[Request]) -> Workload:
    """Count requests that belong to no probe."""
    asks = [Ask(str(place), 0, request) for place, request in enumerate(requests)]
    return _counted(engine, len(asks), [asks])


def _asks(entry: PlannedMeasurement, block: Block) -> list[Ask]:
    return [
        Ask(item.id, index, request)
        for item in block.items
        for index, request in enumerate(entry.probe.requests(item))
    ]


def _counted(engine: TransformersEngine, items: int, blocks: Sequence[Sequence[Ask]]) -> Workload:
    begun = time.perf_counter()
    kinds: Counter[str] = Counter()
    batches: list[Batch] = []
    unaskable = read = generated = 0
    for asks in blocks:
        kinds.update(type(ask.request).__name__.lower() for ask in asks)
        failures, planned = engine.prepared(asks)
        unaskable += len(failures)
        for leaders, group, jobs in planned:
            own = [jobs[leader] for leader in leaders]
            members = tuple(asks[position] for leader in leaders for position in group[leader])
            batch = _batch(own, members)
            batches.append(batch)
            read += sum(_read(job, batch.generated) for job in own)
            generated += batch.rows * batch.generated
    return Workload(
        items=items,
        requests=dict(sorted(kinds.items())),
        unaskable=unaskable,
        tokens_read=read,
        tokens_generated=generated,
        batches=tuple(batches),
        preparing=time.perf_counter() - begun,
    )


def _batch(jobs: Sequence[Any], asks: tuple[Ask, ...]) -> Batch:
    request = asks[0].request
    return Batch(
        kind=type(request).__name__.lower(),
        rows=sum(len(job.rows) for job in jobs),
        length=max(job.length for job in jobs),
        generated=request.max_new_tokens if isinstance(request, Generate) else 0,
        asks=asks,
    )


def _read(job: Any, generated: int) -> int:
    # A prompt is computed once, however many samples continue it; a masked text once a copy.
    return int(job.length - generated) if generated else int(job.length * len(job.rows))
