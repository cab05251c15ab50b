"""Fill: pseudo-log-likelihood of a text under a masked language model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.base import Ask
from fmaudit.engines.encoding import token_texts
from fmaudit.engines.forward import HeadRows
from fmaudit.engines.operation import NOT_FINITE, Job, LoadedModel, padded
from fmaudit.engines.plain_text import PlainText
from fmaudit.engines.scoring import score_chunks, token_scores
from fmaudit.requests import ANCESTRAL, Failure, Fill, Response, Span, TokenScores


@dataclass(frozen=True, slots=True)
class MaskedCopy:
    """``ids`` with one token (and perhaps later ones of its word) masked; ``target`` was at ``position``."""

    ids: tuple[int, ...]
    position: int
    target: int
    piece: str


class PseudoLikelihood:
    """Answers :class:`~fmaudit.requests.Fill`: a masked copy a scored token, logits at the mask only."""

    def __init__(self, loaded: LoadedModel, head: HeadRows) -> None:
        self._loaded = loaded
        self._plain = PlainText(loaded.tokenizer)
        self._head = head

    def prepare(self, ask: Ask) -> Job[MaskedCopy] | Failure:
        """Tokenize, choose the scored tokens and mask each in a copy."""
        request = ask.request
        assert isinstance(request, Fill)
        tokenizer = self._loaded.tokenizer
        if tokenizer.mask_token_id is None or not tokenizer.is_fast:
            return Failure("pseudo-log-likelihood needs a fast tokenizer with a mask token")
        encoded = self._plain.encode(request.text, frame=True, offsets=True)
        other = self._plain.encode(request.shared_with, frame=True) if request.shared_with else None
        if isinstance(encoded, Failure):
            return encoded
        if isinstance(other, Failure):
            return other
        ids = tuple(encoded["input_ids"])
        too_long = self._loaded.too_long(len(ids))
        if too_long:
            return too_long
        positions = _scored_positions(encoded, request.spans)
        if other is not None:
            shared = _shared_positions(ids, tuple(other["input_ids"]))
            positions = [i for i in positions if i in shared]
        if not positions:
            return Failure("no token of the text is to be scored")
        words = encoded.word_ids() if request.scheme == "within_word_l2r" else list(range(len(ids)))
        pieces = _pieces(request.text, encoded)
        mask_id = tokenizer.mask_token_id
        rows = tuple(
            MaskedCopy(mask_word_rest(ids, i, words, mask_id), i, ids[i], pieces[i]) for i in positions
        )
        return Job(len(ids), rows)

    def compute(self, rows: Sequence[MaskedCopy]) -> list[TokenScores | Failure]:
        """The score of each masked copy's target."""
        import torch

        device = self._loaded.device
        ids = padded([row.ids for row in rows], self._loaded.padding_id, device)
        mask = padded([[1] * len(row.ids) for row in rows], 0, device)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        keep[torch.arange(len(rows)), torch.tensor([row.position for row in rows])] = True
        targets = torch.tensor([row.target for row in rows], device=device)
        chunks = self._head.chunks(keep.to(device), input_ids=ids, attention_mask=mask)
        columns = score_chunks(chunks, targets, ANCESTRAL)
        finite = columns.finite.tolist()
        return [
            token_scores((row.piece,), columns, slice(i, i + 1)) if finite[i] else Failure(NOT_FINITE)
            for i, row in enumerate(rows)
        ]

    def finish(self, job: Job[MaskedCopy], answers: Sequence[TokenScores]) -> Response:
        """All scored tokens in text order."""
        return TokenScores(
            tokens=tuple(a.tokens[0] for a in answers),
            logprob=tuple(a.logprob[0] for a in answers),
            mean=tuple(a.mean[0] for a in answers),
            variance=tuple(a.variance[0] for a in answers),
            is_argmax=tuple(a.is_argmax[0] for a in answers),
            gap=tuple(a.gap[0] for a in answers),
            decoded=tuple(a.logprob[0] for a in answers),
        )


def mask_word_rest(
    ids: Sequence[int], position: int, words: Sequence[int | None], mask_id: int
) -> tuple[int, ...]:
    """``ids`` with the token at ``position`` and the later tokens of its word masked."""
    return tuple(
        mask_id if i >= position and words[i] == words[position] else token for i, token in enumerate(ids)
    )


def _scored_positions(encoded: Any, spans: Sequence[Span]) -> list[int]:
    special = encoded["special_tokens_mask"]
    offsets = encoded["offset_mapping"]
    return [
        i
        for i, (start, end) in enumerate(offsets)
        if not special[i] and (not spans or any(start < stop and end > begin for begin, stop in spans))
    ]


def _shared_positions(ids: tuple[int, ...], other: tuple[int, ...]) -> frozenset[int]:
    """Positions of ``ids`` inside the matching blocks of both texts.

    The two texts of a pair are aligned in one order, whichever of them is scored:
    the matcher is not symmetric, and both must be scored on the same tokens.
    """
    first, second = sorted((ids, other))
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    return frozenset(
        position
        for name, i, i_end, j, j_end in matcher.get_opcodes()
        if name == "equal"
        for position in (range(i, i_end) if ids == first else range(j, j_end))
    )


def _pieces(text: str, encoded: Any) -> dict[int, str]:
    inside = [i for i, special in enumerate(encoded["special_tokens_mask"]) if not special]
    offsets = [encoded["offset_mapping"][i] for i in inside]
    return dict(zip(inside, token_texts(text, offsets), strict=True))
