"""Text to token ids, with the border between context and continuation and the text of each token."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.plain_text import PlainText
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
    the second token.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._plain = PlainText(tokenizer)
        bos = tokenizer.bos_token_id
        self._start: int | None = tokenizer.eos_token_id if bos is None else bos
        framed = self._plain.encode("a", frame=True)
        probe = tokenizer("")["input_ids"] if isinstance(framed, Failure) else framed["input_ids"]
        self._adds_start = bos is not None and len(probe) > 0 and probe[0] == bos

    def prompt(self, text: str) -> tuple[int, ...] | Failure:
        """The ids a continuation of ``text`` is generated from."""
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
        if first:
            return EncodedText(full, first, pieces)
        if context:
            return Failure("continuation begins within the first token, and nothing precedes that one")
        # Nothing precedes the very first token, so nothing predicts it.
        return EncodedText(full, 1, pieces[1:])

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
