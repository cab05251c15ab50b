"""Text to token ids, with the border between context and continuation and the text of each token."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.plain_text import PlainText
from fmaudit.engines.start import Start, own_start, prefix_id, token_id
from fmaudit.requests import Failure, Span


@dataclass(frozen=True, slots=True)
class EncodedText:
    """``ids`` of a text; ``pieces``: the text of each id from ``first`` on; those are to be scored."""

    ids: tuple[int, ...]
    first: int
    pieces: tuple[str, ...]


class CausalEncoder:
    """Encodes text for a causal model, from the start that all models of the run have in common.

    The start token is put in front of every text, or only where nothing else precedes
    the text to predict, as ``start`` says; by default as the tokenizer itself does
    (:func:`~fmaudit.engines.start.own_start`). Where ``start`` names no token, the
    tokenizer's own prefix stays and the first token of a text is never scored.
    """

    def __init__(self, tokenizer: Any, start: Start | None = None) -> None:
        self._tokenizer = tokenizer
        self._plain = PlainText(tokenizer)
        start = own_start(tokenizer) if start is None else start
        self._skips_first = not start.token
        self._start = prefix_id(tokenizer) if self._skips_first else token_id(tokenizer, start.token)
        self._adds_start = self._skips_first or start.always

    def prompt(self, text: str) -> tuple[int, ...] | Failure:
        """The ids a continuation of ``text`` is generated from."""
        if self._skips_first and not text:
            return ()
        encoded = self._plain.encode(text)
        if isinstance(encoded, Failure):
            return encoded
        return self._started(tuple(encoded["input_ids"]), bare=not text)

    def pair(self, context: str, continuation: str) -> EncodedText | Failure:
        """Encode both as one text; a token that straddles their border is the continuation's.

        The pieces join to the continuation, or to more where its first token begins before it.
        """
        text = context + continuation
        encoded = self._plain.encode(text, offsets=self._tokenizer.is_fast)
        if isinstance(encoded, Failure):
            return encoded
        ids = tuple(encoded["input_ids"])
        if not ids:
            return EncodedText((), 0, ())
        if self._tokenizer.is_fast:
            offsets = [(int(start), int(end)) for start, end in encoded["offset_mapping"]]
            border = token_border(text, offsets, len(context)) if context else 0
            pieces = token_texts(text, offsets)[border:]
        else:
            border = self._common_prefix(context, ids) if context else 0
            pieces = tuple(self._tokenizer.convert_ids_to_tokens(list(ids[border:])))
        full = self._started(ids, bare=border == 0)
        first = border + len(full) - len(ids)
        least = self._least(full, ids)
        if first < least and context:
            return Failure("continuation begins within the first token, and nothing precedes that one")
        # Nothing that all models share precedes the very first token, so nothing predicts it.
        lost = max(least - first, 0)
        return EncodedText(full, first + lost, pieces[lost:])

    def _least(self, full: tuple[int, ...], ids: tuple[int, ...]) -> int:
        """The first position that may be scored."""
        return len(full) - len(ids) + 1 if self._skips_first else 1

    def _started(self, ids: tuple[int, ...], *, bare: bool) -> tuple[int, ...]:
        wanted = self._start is not None and (self._adds_start or bare)
        if not wanted or self._start is None:
            return ids
        return (self._start, *ids)

    def _common_prefix(self, context: str, ids: Sequence[int]) -> int:
        alone = self._tokenizer(context, add_special_tokens=False)["input_ids"]
        same = (a == b for a, b in zip(alone, ids, strict=False))
        return sum(1 for _ in itertools.takewhile(bool, same))


def token_border(text: str, offsets: Sequence[Span], cut: int) -> int:
    """The first token that reaches beyond the character ``cut``; ``len(offsets)`` where none does.

    Some tokenizers merge a character into the one before it and report the span of
    the first alone (an accent joined to its letter): what they leave uncovered behind
    the cut, blanks aside, was merged into the token before.
    """
    border = next((i for i, (_, end) in enumerate(offsets) if end > cut), len(offsets))
    uncovered = text[cut : offsets[border][0] if border < len(offsets) else len(text)]
    merged = border > 0 and offsets[border - 1][1] == cut and uncovered.strip() != ""
    return border - 1 if merged else border


def token_texts(text: str, offsets: Sequence[Span]) -> tuple[str, ...]:
    """The stretch of text each token stands for, such that they join to the text from the first one on.

    A character made of several tokens belongs to the last of them; text that no
    token covers (spaces, for some tokenizers) belongs to the next one.
    """
    pieces: list[str] = []
    cut = 0
    for index, (_, end) in enumerate(offsets):
        stop = min(end, offsets[index + 1][0]) if index + 1 < len(offsets) else len(text)
        stop = max(cut, stop)
        pieces.append(text[cut:stop])
        cut = stop
    return tuple(pieces)


def continuation_text(tokenizer: Any, prompt: Sequence[int], generated: Sequence[int]) -> str:
    """The text that generated ids add to a prompt.

    Decoding them alone would lose the space before the first word with
    sentencepiece tokenizers, so both are decoded and the prompt is cut off.
    """
    before = _decode(tokenizer, prompt)
    whole = _decode(tokenizer, [*prompt, *generated])
    return whole[len(before) :] if whole.startswith(before) else _decode(tokenizer, generated)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))
