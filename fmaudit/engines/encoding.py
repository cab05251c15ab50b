"""Text to token ids, with the border between context and continuation and the text of each token."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.requests import Failure, Span


@dataclass(frozen=True, slots=True)
class EncodedText:
    """``ids`` of a text; ``pieces``: the text of each id from ``first`` on; those are to be scored."""

    ids: tuple[int, ...]
    first: int
    pieces: tuple[str, ...]


class CausalEncoder:
    """Encodes text for a causal model as its tokenizer would, with one beginning-of-sequence token at most.

    The token is put in front where the tokenizer itself does so, and where nothing
    else precedes the text to predict. A tokenizer without one lends its
    end-of-sequence token, as GPT-2 was trained; with neither, scoring begins at
    the second token. A text that already begins with it does not get another.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        bos = tokenizer.bos_token_id
        self._start: int | None = tokenizer.eos_token_id if bos is None else bos
        probe = tokenizer("a")["input_ids"]
        self._adds_start = bos is not None and len(probe) > 0 and probe[0] == bos

    def prompt(self, text: str) -> tuple[int, ...] | Failure:
        """The ids a continuation of ``text`` is generated from."""
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
        # Nothing precedes the very first token, so nothing predicts it.
        return EncodedText(full, first, pieces) if first else EncodedText(full, 1, pieces[1:])

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
