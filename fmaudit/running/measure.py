"""One measurement of one subject: ask, score, observe, write, block by block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fmaudit.canonical import digest
from fmaudit.engines.base import Ask, Engine
from fmaudit.errors import EngineError, FmauditError, ProbeError
from fmaudit.evidence.directory import RunDirectory, retest_key
from fmaudit.evidence.responses import encode_responses
from fmaudit.evidence.rows import Row, cleaned, read_counts
from fmaudit.instruments import Instrument
from fmaudit.plan import Block, PlannedMeasurement
from fmaudit.probe import Item, Observation, Probe
from fmaudit.requests import Failure, Generate, Generation, Generations, InstrumentScore, Response

_LOGGER = logging.getLogger(__name__)
EVENTS, NEAR_TIES, BUDGET = "backoff_events", "rows_near_tie", "token_budget_left"
NEAR_TIE = 1e-4
"""Margin below which another batch composition may change an outcome or a text."""


class PlanningEngine(Engine, Protocol):
    """An engine that can say which batches it will make."""

    def plan(self, asks: Sequence[Ask]) -> list[tuple[int, ...]]:
        """Positions in ``asks``, batch by batch."""
        ...


@dataclass(frozen=True)
class Target:
    """Where the rows of a measurement go; ``replicate`` above 0 is a retest of the same protocol."""

    run: RunDirectory
    subject: str
    key: str
    replicate: int = 0

    @property
    def folder(self) -> str:
        """Name of the evidence folder within the subject."""
        return retest_key(self.key) if self.replicate else self.key


@dataclass(frozen=True)
class MeasurementLog:
    """What happened while measuring: the planned batches of each block, and what memory forced."""

    batches: tuple[Mapping[str, Any], ...]
    backoff_events: int
    rows_near_tie: int


def pending_blocks(planned: PlannedMeasurement, target: Target) -> list[Block]:
    """The blocks that are not written yet."""
    return [
        block
        for block in planned.blocks()
        if not target.run.has_block(target.subject, target.folder, block.index)
    ]


def measure(
    planned: PlannedMeasurement,
    target: Target,
    engine: PlanningEngine,
    instrument: Instrument | None,
    tick: Callable[[int], None],
) -> MeasurementLog:
    """Answer and write every pending block.

    Raises ProbeError when the probe breaks its contract, ExecutionError when
    rows cannot be written; finished blocks stay.
    """
    plans: list[Mapping[str, Any]] = []
    pending = {block.index for block in pending_blocks(planned, target)}
    halved = False
    for block in planned.blocks():
        asks = _asks(planned.probe, block)
        batches = engine.plan(asks)
        plans.append(
            {
                "block": block.index,
                "batches": len(batches),
                "digest": digest([list(batch) for batch in batches]),
            }
        )
        if block.index not in pending:
            halved |= _continued(engine, target, block)
            continue
        before = len(engine.backoff.events)
        responses = _scored(_answers(engine, asks, target, tick), instrument)
        rows = _rows(planned.probe, block, asks, responses, target.replicate)
        target.run.write_block(
            target.subject,
            target.folder,
            block.index,
            [row for row, _ in rows],
            planned.probe.measures,
            _backoff_counts(engine, before, rows, halved),
        )
    counts = read_counts(target.run.evidence(target.subject, target.folder))
    return MeasurementLog(tuple(plans), counts.get(EVENTS, 0), counts.get(NEAR_TIES, 0))


def _continued(engine: Engine, target: Target, block: Block) -> bool:
    """Let the engine go on as after this finished block; whether memory had run out by then."""
    counts = target.run.block_counts(target.subject, target.folder, block.index)
    if BUDGET in counts:
        engine.backoff.token_budget = counts[BUDGET]
    return EVENTS in counts


def _backoff_counts(
    engine: Engine, before: int, rows: Sequence[tuple[Row, tuple[Response, ...]]], halved: bool
) -> dict[str, int]:
    # Kept with the rows, so that a kill between two blocks loses no count and no lower budget.
    if not engine.backoff.events and not halved:
        return {}
    left = engine.backoff.token_budget
    return {
        EVENTS: len(engine.backoff.events) - before,
        NEAR_TIES: sum(_near_tie(entry) for entry in rows),
    } | ({} if left is None else {BUDGET: left})


def _asks(probe: Probe, block: Block) -> list[Ask]:
    return [
        Ask(item.id, index, request)
        for item in block.items
        for index, request in enumerate(probe.requests(item))
    ]


def _answers(
    engine: Engine, asks: Sequence[Ask], target: Target, tick: Callable[[int], None]
) -> list[Response | None]:
    responses: list[Response | None] = [None] * len(asks)
    try:
        for position, response in engine.run(asks, tick):
            responses[position] = response
    except FmauditError:
        raise
    except Exception as error:
        _LOGGER.debug("engine failed on %s", target.key, exc_info=True)
        first = (str(error).strip().splitlines() or [""])[0]
        raise EngineError(
            f"{target.subject} could not answer {target.key}: {type(error).__name__}: {first[:200]}"
        ) from error
    return responses


def _scored(responses: Sequence[Response | None], instrument: Instrument | None) -> list[Response]:
    answered = [
        Failure("the engine gave no answer") if response is None else response for response in responses
    ]
    if instrument is None:
        return answered
    texts = [
        sample.text
        for response in answered
        if isinstance(response, Generations)
        for sample in response.samples
    ]
    scores = iter(_scores(instrument, texts))
    return [
        Generations(tuple(_with_score(sample, instrument.id, next(scores)) for sample in response.samples))
        if isinstance(response, Generations)
        else response
        for response in answered
    ]


def _scores(instrument: Instrument, texts: Sequence[str]) -> list[InstrumentScore]:
    scores = instrument.score(texts) if texts else []
    if len(scores) != len(texts):
        raise ProbeError(f"instrument {instrument.id} gave {len(scores)} scores for {len(texts)} texts")
    return scores


def _with_score(sample: Generation, instrument: str, score: InstrumentScore) -> Generation:
    return replace(sample, scores={**sample.scores, instrument: score})


def _rows(
    probe: Probe, block: Block, asks: Sequence[Ask], responses: Sequence[Response], replicate: int
) -> list[tuple[Row, tuple[Response, ...]]]:
    rows: list[tuple[Row, tuple[Response, ...]]] = []
    start = 0
    for offset, item in enumerate(block.items):
        count = _count(asks, start, item.id)
        answers = tuple(responses[start : start + count])
        requests = [ask.request for ask in asks[start : start + count]]
        start += count
        for observation in _observations(probe, item, requests, answers):
            row = Row(
                item=item,
                position=block.start + offset,
                block=block.index,
                seed=replicate,
                observation=cleaned(observation, probe.measures),
                responses=encode_responses(answers, observation.sample),
            )
            rows.append((row, answers))
    return rows


def _count(asks: Sequence[Ask], start: int, item: str) -> int:
    end = start
    while end < len(asks) and asks[end].item == item:
        end += 1
    return end - start


def _observations(
    probe: Probe, item: Item, requests: Sequence[Any], answers: Sequence[Response]
) -> Sequence[Observation]:
    failed = next((answer for answer in answers if isinstance(answer, Failure)), None)
    if failed is not None:
        samples = max((request.n for request in requests if isinstance(request, Generate)), default=1)
        reasons = {measure.id: failed.reason for measure in probe.measures}
        return [Observation({}, reasons, sample) for sample in range(samples)]
    try:
        observed = probe.observe(item, answers)
    except FmauditError:
        raise
    except Exception as error:
        raise ProbeError(
            f"probe {probe.id} could not observe item {item.id!r}: {type(error).__name__}; "
            "report it to the probe's author"
        ) from error
    observations = [observed] if isinstance(observed, Observation) else list(observed)
    numbered = sorted(observation.sample for observation in observations)
    if not numbered or numbered != list(range(len(numbered))):
        raise ProbeError(
            f"probe {probe.id} observed item {item.id!r} as samples {numbered} instead of 0, 1, 2, ...; "
            "report it to the probe's author"
        )
    return observations


def _near_tie(entry: tuple[Row, tuple[Response, ...]]) -> bool:
    row, answers = entry
    severity = row.observation.values.get("severity")
    if isinstance(severity, float) and abs(severity) < NEAR_TIE:
        return True
    return any(
        isinstance(answer, Generations)
        and row.observation.sample < len(answer.samples)
        and answer.samples[row.observation.sample].margin < NEAR_TIE
        for answer in answers
    )
