"""The engine that runs a loaded transformers model in this process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, TypeAlias

from fmaudit.engines.backoff import Backoff
from fmaudit.engines.base import Ask, BackoffLog, EngineSettings
from fmaudit.engines.batching import plan_batches
from fmaudit.engines.operation import Job, LoadedModel, Operation
from fmaudit.engines.start import Start
from fmaudit.engines.traits import Batching, GenerationWay, ModelKind, ModelTraits
from fmaudit.errors import FmauditError, ProbeError
from fmaudit.memory import is_out_of_memory
from fmaudit.requests import Classify, Failure, Fill, Generate, Request, RequestKind, Response, Score


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
        traits: How the model has to be asked; found out before the first request if not given.
        start: What texts are scored from; by default what the tokenizer asks for.
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
        traits: ModelTraits | None = None,
        start: Start | None = None,
    ) -> None:
        self.settings = settings
        self._active = active
        self._kind = kind
        self._loaded = LoadedModel(model, tokenizer, device, context_length)
        self._start = start
        self._known_traits = traits
        self._answered = False
        self._memory = Backoff(settings.token_budget)

    @property
    def answers(self) -> frozenset[RequestKind]:
        """The request kinds this subject can answer."""
        return ANSWERED[self._kind]

    @cached_property
    def traits(self) -> ModelTraits:
        """How the model has to be asked."""
        if self._known_traits is not None:
            return self._known_traits
        if str(self._loaded.device) == "meta":
            return ModelTraits()  # an outline without weights answers nothing
        from fmaudit.engines.asking import ask_traits

        with self._active():
            return ask_traits(self._loaded, self._kind)

    @cached_property
    def _operations(self) -> dict[RequestKind, Operation]:
        return _operations(self._loaded, self._kind, self.settings, self.traits, self._start)

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

        A pure function of asks, token budget and subject (its tokenizer and traits). Requests that cannot be
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
            responses = self._answer(number, asks[batch[0]].request, [jobs[leader] for leader in batch])
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
            batching = self._batching(type(asks[leaders[0]].request))
            for batch in plan_batches(lengths, self.settings.token_budget, rows, batching=batching):
                batches.append((tuple(leaders[i] for i in batch), group, jobs))
        return failures, batches

    def _answer(self, number: int, request: Request, jobs: Sequence[Job[Any]]) -> list[Response]:
        import torch

        operation = self._operation(request)

        batching = self._batching(type(request))

        def forward(rows: Sequence[Any]) -> list[Any]:
            with torch.inference_mode(), self._active():
                if batching == "alone":
                    return [answer for row in rows for answer in self._row_by_row(operation, [row])]
                return self._row_by_row(operation, rows)

        rows = [row for job in jobs for row in job.rows]
        answers = iter(self._memory.compute(number, rows, max(job.length for job in jobs), forward))
        responses: list[Response] = []
        for job in jobs:
            own = [next(answers) for _ in job.rows]
            failure = next((answer for answer in own if isinstance(answer, Failure)), None)
            responses.append(failure or operation.finish(job, own))
        return responses

    def _row_by_row(self, operation: Operation, rows: Sequence[Any]) -> list[Any]:
        """All rows in one pass; where that raises, each alone, so that one bad row sinks no other.

        A model that never answered anything raises: that is no fault of a row.
        """
        try:
            answers = operation.compute(rows)
        except Exception as error:  # architectures raise many types
            if not _concerns_rows(error):
                raise
            if len(rows) == 1:
                if not self._answered:
                    raise
                return [Failure(f"the model fails on this text ({type(error).__name__})")]
            raised = error
        else:
            self._answered = True
            return answers
        alone: list[Any] = []
        for row in rows:
            try:
                alone += operation.compute([row])
                self._answered = True
            except Exception as error:
                if not _concerns_rows(error):
                    raise
                alone.append(Failure(f"the model fails on this text ({type(error).__name__})"))
        if not self._answered:
            raise raised
        return alone

    def _batching(self, request: RequestKind) -> Batching:
        way = self.traits.generating
        return way.batching if request is Generate and way is not None else self.traits.batching

    def _operation(self, request: Request) -> Operation:
        operation = self._operations.get(type(request))
        if operation is None:
            raise ProbeError(f"a {self._kind} model cannot answer {type(request).__name__} requests")
        return operation


ANSWERED: Mapping[ModelKind, frozenset[RequestKind]] = {
    "causal": frozenset({Score, Generate}),
    "masked": frozenset({Fill}),
    "classifier": frozenset({Classify}),
}


def _concerns_rows(error: Exception) -> bool:
    """Whether other rows may still be answered: memory has its back-off, a broken device answers nothing."""
    return not (is_out_of_memory(error) or isinstance(error, FmauditError) or "CUDA error" in str(error))


PreparedBatch: TypeAlias = tuple[tuple[int, ...], dict[int, tuple[int, ...]], dict[int, Job[Any]]]


def _operations(
    loaded: LoadedModel, kind: ModelKind, settings: EngineSettings, traits: ModelTraits, start: Start | None
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
    encoder = CausalEncoder(loaded.tokenizer, start)
    way = traits.generating or GenerationWay(positions=loaded.takes("position_ids"))
    sampling = Sampling(loaded, encoder, head, settings.seed, way, settings.stream)
    return {Score: CausalScoring(loaded, encoder, head), Generate: sampling}
