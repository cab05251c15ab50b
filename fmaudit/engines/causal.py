"""Score: log-probability of a continuation under a causal model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmaudit.engines.base import Ask
from fmaudit.engines.encoding import CausalEncoder, EncodedText
from fmaudit.engines.forward import HeadRows
from fmaudit.engines.operation import NOT_FINITE, Job, LoadedModel, padded
from fmaudit.engines.scoring import score_chunks, token_scores
from fmaudit.requests import Decoding, Failure, Response, Score, TokenScores


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One text to score under one decoding."""

    text: EncodedText
    decoding: Decoding


class CausalScoring:
    """Answers :class:`~fmaudit.requests.Score`: texts right-padded, logits at scored positions only."""

    def __init__(self, loaded: LoadedModel, encoder: CausalEncoder, head: HeadRows) -> None:
        self._loaded = loaded
        self._encoder = encoder
        self._head = head

    def prepare(self, ask: Ask) -> Job[ScoreRow] | Failure:
        """Tokenize context and continuation as one text."""
        request = ask.request
        assert isinstance(request, Score)
        if not request.continuation:
            return Failure("empty continuation")
        text = self._encoder.pair(request.context, request.continuation)
        if isinstance(text, Failure):
            return text
        if not text.pieces:
            return Failure("continuation has no token that follows another")
        too_long = self._loaded.too_long(len(text.ids))
        if too_long:
            return too_long
        return Job(len(text.ids), (ScoreRow(text, request.decoding),), request.decoding)

    def compute(self, rows: Sequence[ScoreRow]) -> list[TokenScores | Failure]:
        """Score all rows in one forward pass."""
        import torch

        device = self._loaded.device
        ids = padded([row.text.ids for row in rows], self._loaded.padding_id, device)
        mask = padded([[1] * len(row.text.ids) for row in rows], 0, device)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        for position, row in enumerate(rows):
            keep[position, row.text.first - 1 : len(row.text.ids) - 1] = True
        targets = torch.tensor([i for row in rows for i in row.text.ids[row.text.first :]], device=device)
        chunks = self._head.chunks(keep.to(device), input_ids=ids, attention_mask=mask, use_cache=False)
        columns = score_chunks(chunks, targets, rows[0].decoding)
        answers: list[TokenScores | Failure] = []
        start = 0
        for row in rows:
            part = slice(start, start + len(row.text.ids) - row.text.first)
            start = part.stop
            finite = bool(columns.finite[part].all())
            answers.append(token_scores(row.text.pieces, columns, part) if finite else Failure(NOT_FINITE))
        return answers

    def finish(self, job: Job[ScoreRow], answers: Sequence[TokenScores]) -> Response:
        """The one row's scores."""
        return answers[0]
