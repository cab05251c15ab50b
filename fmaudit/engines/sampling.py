"""Generate: own sampling loop, whose texts do not depend on batches.

One prefill a prompt, its key-value cache copied to the samples where the model allows
it (:mod:`fmaudit.engines.stepping`), one token a step by inverse CDF with numbers that
are counters. Nothing is inherited from a model's ``generation_config`` but its
end-of-sequence tokens: no hidden top-k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fmaudit.engines.base import Ask
from fmaudit.engines.encoding import CausalEncoder, continuation_text
from fmaudit.engines.forward import HeadRows
from fmaudit.engines.operation import NOT_FINITE, Job, LoadedModel
from fmaudit.engines.randomness import SampleStream
from fmaudit.engines.scoring import draw, rows_at_once
from fmaudit.engines.stepping import begin
from fmaudit.engines.traits import GenerationWay
from fmaudit.requests import Failure, Generate, Generation, Generations, Response


@dataclass(frozen=True)
class SampleRow:
    """One sample to draw."""

    prompt: tuple[int, ...]
    request: Generate
    stream: SampleStream


@dataclass
class _Draft:
    """A sample in progress."""

    row: SampleRow
    ids: list[int] = field(default_factory=list)
    text: str | None = None
    margin: float = float("inf")
    finish: Literal["eos", "stop", "length"] | None = None
    broken: bool = False


class Sampling:
    """Answers :class:`~fmaudit.requests.Generate`; ``seed`` and ``stream`` key every draw."""

    def __init__(
        self,
        loaded: LoadedModel,
        encoder: CausalEncoder,
        head: HeadRows,
        seed: int,
        way: GenerationWay,
        stream: str = "",
    ) -> None:
        self._loaded = loaded
        self._encoder = encoder
        self._head = head
        self._seed, self._stream = seed, stream
        self._way = way
        self._ends = _end_tokens(loaded)

    def prepare(self, ask: Ask) -> Job[SampleRow] | Failure:
        """Tokenize the prompt and key the samples."""
        request = ask.request
        assert isinstance(request, Generate)
        if request.n < 1 or request.max_new_tokens < 1:
            return Failure(f"{request.n} samples of {request.max_new_tokens} tokens: nothing to generate")
        prompt = self._encoder.prompt(request.prompt)
        if isinstance(prompt, Failure):
            return prompt
        if not prompt:
            return Failure("empty prompt and no beginning-of-sequence token")
        too_long = self._loaded.too_long(len(prompt), request.max_new_tokens)
        if too_long:
            return too_long
        rows = tuple(
            SampleRow(prompt, request, SampleStream(self._seed, ask.item, ask.index, sample, self._stream))
            for sample in range(request.n)
        )
        return Job(len(prompt) + request.max_new_tokens, rows, (request.max_new_tokens, request.decoding))

    def compute(self, rows: Sequence[SampleRow]) -> list[Generation | Failure]:
        """Draw all rows step by step; they share decoding and ``max_new_tokens``."""
        drafts = [_Draft(row) for row in rows]
        running = begin(self._loaded, self._head, self._way, [row.prompt for row in rows])
        live = drafts
        for step in range(rows[0].request.max_new_tokens):
            chosen, margins, finite = self._draw(running.logits, live, step)
            for draft, token, margin, good in zip(live, chosen, margins, finite, strict=True):
                self._extend(draft, token, margin, good)
            on = [i for i, draft in enumerate(live) if draft.finish is None and not draft.broken]
            if not on or step + 1 == rows[0].request.max_new_tokens:
                break
            if len(on) < len(live):
                running.select(on)
                live = [live[i] for i in on]
            running.advance([draft.ids[-1] for draft in live])
        return [self._generation(draft) for draft in drafts]

    def finish(self, job: Job[SampleRow], answers: Sequence[Generation]) -> Response:
        """The samples in order."""
        return Generations(tuple(answers))

    def _draw(
        self, logits: Any, live: Sequence[_Draft], step: int
    ) -> tuple[list[int], list[float], list[bool]]:
        import torch

        uniforms: Any = torch.tensor([d.row.stream.uniform(step) for d in live], dtype=torch.float64)
        decoding = live[0].row.request.decoding
        pieces = zip(logits.split(rows_at_once(logits)), uniforms.split(rows_at_once(logits)), strict=True)
        parts = [draw(rows, numbers, decoding) for rows, numbers in pieces]
        tokens, margins, finite = (torch.cat(column).cpu().tolist() for column in zip(*parts, strict=True))
        return tokens, margins, finite

    def _extend(self, draft: _Draft, token: int, margin: float, finite: bool) -> None:
        if not finite:
            draft.broken = True
            return
        draft.margin = min(draft.margin, margin)
        if token in self._ends:
            draft.finish = "eos"
            return
        draft.ids.append(token)
        if draft.row.request.stop:
            text = continuation_text(self._loaded.tokenizer, draft.row.prompt, draft.ids)
            cuts = [at for stop in draft.row.request.stop if (at := text.find(stop)) >= 0]
            if cuts:
                draft.text, draft.finish = text[: min(cuts)], "stop"

    def _generation(self, draft: _Draft) -> Generation | Failure:
        if draft.broken:
            return Failure(NOT_FINITE)
        text = draft.text
        if text is None:
            text = continuation_text(self._loaded.tokenizer, draft.row.prompt, draft.ids)
        return Generation(text, len(draft.ids), draft.finish or "length", draft.margin)


def _end_tokens(loaded: LoadedModel) -> frozenset[int]:
    settings = getattr(loaded.model, "generation_config", None)
    declared = getattr(settings, "eos_token_id", None)
    many = declared if isinstance(declared, list | tuple) else [declared]
    return frozenset(int(end) for end in (*many, loaded.tokenizer.eos_token_id) if end is not None)
