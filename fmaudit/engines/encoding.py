"""Text to token ids, with the border between context and continuation and the text of each token."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    (:func:`~fmaudit.engines.start.own_start`). A text that already begins with it does
    not get another. Where ``start`` names no token, the tokenizer's own prefix stays
    and the first token of a text is never scored.
    """

    def __init__(self, tokenizer: Any, start: Start | None = None) -> None:
        self._tokenizer = tokenizer
        start = own_start(tokenizer) if start is None else start
        self._skips_first = not start.token
        self._start = prefix_id(tokenizer) if self._skips_first else token_id(tokenizer, start.token)
        self._adds_start = self._skips_first or start.always

    def prompt(self, text: str) -> tuple[int, ...] | Failure:
        """The ids a continuation of ``text`` is generated from."""
        if self._skips_first and not text:
            return ()
        ids = _encode(self._tokenizer, text, offsets=False)
        return ids if isinstance(ids, Failure) else self._started(tuple(ids["input_ids"]), bare=not text)

    def pair(self, context: str, continuation: str) -> EncodedText | Failure:
        """Encode both as one text; a token that straddles their border is the continuation's."""
        text = context + continuation
        encoded = _encode(self._tokenizer, text, offsets=self._tokenizer.is_fast)
        if isinstance(encoded, Failure):
            return encoded
        ids = tuple(encoded["input_ids"])
        if not ids:
            return EncodedText((), 0, ())
        if self._tokenizer.is_fast:
            offsets = [(int(start), int(end)) for start, end in encoded["offset_mapping"]]
            border = next(
                (i for i, (_, end) in enumerate(offsets) if not context or end > len(context)), len(ids)
            )
            pieces = token_texts(text, offsets)[border:]
        else:
            border = self._common_prefix(context, ids) if context else 0
            pieces = tuple(self._tokenizer.convert_ids_to_tokens(list(ids[border:])))
        full = self._started(ids, bare=not context)
        first = border + len(full) - len(ids)
        # Nothing that all models share precedes the very first token, so nothing predicts it.
        lost = max(self._least(full, ids) - first, 0)
        return EncodedText(full, first + lost, pieces[lost:])

    def _least(self, full: tuple[int, ...], ids: tuple[int, ...]) -> int:
        """The first position that may be scored."""
        return len(full) - len(ids) + 1 if self._skips_first else 1

    def _started(self, ids: tuple[int, ...], *, bare: bool) -> tuple[int, ...]:
        wanted = self._start is not None and (self._adds_start or bare)
        if not wanted or self._start is None or ids[:1] == (self._start,):
            return ids
        return (self._start, *ids)

    def _common_prefix(self, context: str, ids: Sequence[int]) -> int:
        alone = self._tokenizer(context, add_special_tokens=False)["input_ids"]
        same = (a == b for a, b in zip(alone, ids, strict=False))
        return sum(1 for _ in itertools.takewhile(bool, same))


def _encode(tokenizer: Any, text: str, *, offsets: bool) -> Any:
    try:
        return tokenizer(text, add_special_tokens=False, return_offsets_mapping=offsets, verbose=False)
    except (TypeError, UnicodeError):
        return Failure("text is not valid Unicode")


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
