"""The engine that runs a loaded transformers model in this process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeAlias

from fmaudit.engines.backoff import Backoff
from fmaudit.engines.base import Ask, BackoffLog, EngineSettings
from fmaudit.engines.batching import plan_batches
from fmaudit.engines.operation import Job, LoadedModel, Operation
from fmaudit.errors import ProbeError
from fmaudit.requests import Classify, Failure, Fill, Generate, Request, RequestKind, Response, Score

ModelKind: TypeAlias = Literal["causal", "masked", "classifier"]


class TransformersEngine:
    """Answers requests with a transformers model.

    Args:
        model: A causal or masked language model or sequence classifier, in evaluation
            mode on ``device``; a PEFT model is fine.
        tokenizer: Its tokenizer.
        kind: Which of the three it is.
        device: Where inputs go.
        settings: Token budget, and what keys the random numbers.
        context_length: Tokens the model can hold.
        active: Makes a context that is entered around each batch: the place to
            switch an adapter off.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        kind: ModelKind,
        device: Any,
        settings: EngineSettings,
        context_length: int,
        active: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.settings = settings
        self._active = active
        self._kind = kind
        loaded = LoadedModel(model, tokenizer, device, context_length)
        self._operations = _operations(loaded, kind, settings)
        self._memory = Backoff(settings.token_budget)

    @property
    def answers(self) -> frozenset[RequestKind]:
        """The request kinds this subject can answer."""
        return frozenset(self._operations)

    @property
    def backoff(self) -> BackoffLog:
        """Out-of-memory events so far."""
        return self._memory.log

    def length(self, request: Request) -> int:
        """Tokens one row of this request takes, the generated ones included; 0 if it cannot be asked."""
        job = self._operation(request).prepare(Ask("", 0, request))
        return 0 if isinstance(job, Failure) else job.length

    def plan(self, asks: Sequence[Ask]) -> list[tuple[int, ...]]:
        """The batches :meth:`run` will make, as positions in ``asks``.

        A pure function of asks, token budget and tokenizer. Requests that cannot be
        asked (too long, empty) are in no batch; equal requests share one.
        """
        _, batches = self.prepared(asks)
        return [
            tuple(position for leader in batch for position in group[leader]) for batch, group, _ in batches
        ]

    def run(
        self, asks: Sequence[Ask], tick: Callable[[int], None] | None = None
    ) -> Iterator[tuple[int, Response]]:
        """Yield ``(position in asks, response)`` as batches finish, in plan order.

        Requests that cannot be asked come first, as failures. ``tick`` is told how
        many requests each finished batch answered.

        Raises:
            ProbeError: A request is of a kind this subject cannot answer.
        """
        failures, batches = self.prepared(asks)
        yield from failures
        if tick and failures:
            tick(len(failures))
        for number, (batch, group, jobs) in enumerate(batches):
            operation = self._operation(asks[batch[0]].request)
            responses = self._answer(number, operation, [jobs[leader] for leader in batch])
            for leader, response in zip(batch, responses, strict=True):
                for position in group[leader]:
                    yield position, response
            if tick:
                tick(sum(len(group[leader]) for leader in batch))

    def prepared(self, asks: Sequence[Ask]) -> tuple[list[tuple[int, Response]], list[PreparedBatch]]:
        """What cannot be asked, and the batches of the rest: leaders, positions that share each, their jobs.

        Positions are those in ``asks``; a leader stands for all equal requests.
        """
        same: dict[Hashable, list[int]] = defaultdict(list)
        for position, ask in enumerate(asks):
            # Samples are keyed by item and index: equal prompts of two items give different texts.
            key = (ask.item, ask.index, ask.request) if isinstance(ask.request, Generate) else ask.request
            same[key].append(position)
        group = {positions[0]: tuple(positions) for positions in same.values()}
        failures: list[tuple[int, Response]] = []
        jobs: dict[int, Job[Any]] = {}
        kinds: dict[Hashable, list[int]] = defaultdict(list)
        for leader in group:
            job = self._operation(asks[leader].request).prepare(asks[leader])
            if isinstance(job, Failure):
                failures.extend((position, job) for position in group[leader])
            else:
                jobs[leader] = job
                kinds[type(asks[leader].request), job.group].append(leader)
        batches: list[PreparedBatch] = []
        for leaders in kinds.values():
            lengths = [jobs[leader].length for leader in leaders]
            rows = [len(jobs[leader].rows) for leader in leaders]
            for batch in plan_batches(lengths, self.settings.token_budget, rows):
                batches.append((tuple(leaders[i] for i in batch), group, jobs))
        return failures, batches

    def _answer(self, number: int, operation: Operation, jobs: Sequence[Job[Any]]) -> list[Response]:
        import torch

        def forward(rows: Sequence[Any]) -> list[Any]:
            with torch.inference_mode(), self._active():
                return operation.compute(rows)

        rows = [row for job in jobs for row in job.rows]
        answers = iter(self._memory.compute(number, rows, max(job.length for job in jobs), forward))
        responses: list[Response] = []
        for job in jobs:
            own = [next(answers) for _ in job.rows]
            failure = next((answer for answer in own if isinstance(answer, Failure)), None)
            responses.append(failure or operation.finish(job, own))
        return responses

    def _operation(self, request: Request) -> Operation:
        operation = self._operations.get(type(request))
        if operation is None:
            raise ProbeError(f"a {self._kind} model cannot answer {type(request).__name__} requests")
        return operation


PreparedBatch: TypeAlias = tuple[tuple[int, ...], dict[int, tuple[int, ...]], dict[int, Job[Any]]]


def _operations(
    loaded: LoadedModel, kind: ModelKind, settings: EngineSettings
) -> dict[RequestKind, Operation]:
    from fmaudit.engines.causal import CausalScoring
    from fmaudit.engines.classify import Classification
    from fmaudit.engines.encoding import CausalEncoder
    from fmaudit.engines.forward import HeadRows
    from fmaudit.engines.masked import PseudoLikelihood
    from fmaudit.engines.sampling import Sampling

    if kind == "classifier":
        return {Classify: Classification(loaded)}
    head = HeadRows(loaded.model)
    if kind == "masked":
        return {Fill: PseudoLikelihood(loaded, head)}
    encoder = CausalEncoder(loaded.tokenizer)
    sampling = Sampling(loaded, encoder, head, settings.seed, settings.stream)
    return {Score: CausalScoring(loaded, encoder, head), Generate: sampling}
