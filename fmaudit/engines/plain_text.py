"""Data to token ids as text: no word of the data is a command to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmaudit.requests import Failure

_SHORTEST_CONTROL = 3
"""Characters; a line break or a letter that also serves as padding is text where a text holds it."""
_INTERRUPTIONS = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)


class PlainText:
    """Encodes text with a tokenizer, control tokens written in it as ordinary characters.

    ``</s>`` or ``[MASK]`` in a sentence is what somebody wrote, not the end of a text
    or a gap to fill. Where a tokenizer has such a token among its ordinary pieces and
    so cannot tell the two apart, and where it fails on a text at all, the text is
    refused with a reason; its neighbours are not touched.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._controls = control_tokens(tokenizer)
        self._unknown: int | None = tokenizer.unk_token_id

    def encode(
        self,
        text: str,
        pair: str = "",
        *,
        frame: bool = False,
        offsets: bool = False,
        longest: int | None = None,
    ) -> Any | Failure:
        """The tokenizer's encoding of ``text``.

        Args:
            text: What somebody wrote.
            pair: A second segment, if any.
            frame: Whether the tokenizer puts its own control tokens around the text; the
                encoding then tells them by ``special_tokens_mask``.
            offsets: Whether ``offset_mapping`` is wanted too.
            longest: Tokens after which the text is cut, the frame included.
        """
        try:
            encoded = self._tokenizer(
                text,
                pair or None,
                add_special_tokens=frame,
                return_special_tokens_mask=frame,
                return_offsets_mapping=offsets,
                split_special_tokens=True,
                truncation=longest is not None,
                max_length=longest,
                verbose=False,
            )
        except (TypeError, UnicodeError):
            return Failure("text is not valid Unicode")
        except _INTERRUPTIONS:
            raise
        except BaseException as error:  # a panic of the tokenizer's own library is no Exception
            return Failure(f"the tokenizer fails on this text ({_line(error)})")
        control = self._control_inside(encoded, text + pair)
        if control is not None:
            return Failure(
                f"text holds {control!r}, which this tokenizer reads as a control token, not as text"
            )
        return encoded

    def _control_inside(self, encoded: Any, text: str) -> str | None:
        ids = encoded["input_ids"]
        frame = encoded.get("special_tokens_mask") or [0] * len(ids)
        for token, framing in zip(ids, frame, strict=True):
            name = None if framing else self._controls.get(token)
            # What the vocabulary lacks also becomes the unknown token: only its name written out is control.
            if name is not None and (token != self._unknown or name in text):
                return name
        return None


def readable_text(tokenizer: Any, pieces: int = 24) -> str:
    """A text of a tokenizer's own pieces, for one that reads no sentence of ours (another script, no digits).

    Empty where it reads none of its own pieces alone.
    """
    plain = PlainText(tokenizer)
    controls = control_tokens(tokenizer)
    found: list[str] = []
    for number in sorted(tokenizer.get_vocab().values()):
        word = "" if number in controls else str(tokenizer.decode([number])).strip()
        encoded = plain.encode(word) if word else Failure("")
        if not isinstance(encoded, Failure) and encoded["input_ids"] and word not in found:
            found.append(word)
        if len(found) == pieces:
            break
    spaced = " ".join(found)
    return "".join(found) if isinstance(plain.encode(spaced), Failure) else spaced


def control_tokens(tokenizer: Any) -> Mapping[int, str]:
    """Name by id of the tokens that steer a model: ends, padding, masks, turns of a chat."""
    named = {int(number): str(name) for number, name in _special(tokenizer)}
    return {number: name for number, name in named.items() if len(name.strip()) >= _SHORTEST_CONTROL}


def _special(tokenizer: Any) -> list[tuple[int, str]]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    declared = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    return [(number, token.content) for number, token in added.items() if token.special] + list(declared)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
