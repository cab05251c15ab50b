"""The token that texts are scored from: one for all models of a run, by its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmaudit.engines.plain_text import PlainText
from fmaudit.requests import Failure

SECOND_TOKEN = ""


@dataclass(frozen=True, slots=True)
class Start:
    """What stands before a text.

    Attributes:
        token: Text of the token. Empty: no token that all models have, so that nothing
            is scored from one and scoring begins at the second token of a text.
        always: Whether it stands before every text, or only where nothing else
            precedes what is scored or generated.
    """

    token: str = SECOND_TOKEN
    always: bool = False

    def protocol(self) -> dict[str, str]:
        """As the protocol records it."""
        if self.token == SECOND_TOKEN:
            return {"token": "", "before": "nothing; scoring begins at the second token"}
        return {"token": self.token, "before": "every text" if self.always else "what nothing precedes"}


def own_start(tokenizer: Any) -> Start:
    """What one tokenizer asks for by itself; without a token of its own it lends its end of sequence.

    GPT-2 was trained so. With neither, scoring begins at the second token.
    """
    for token in (tokenizer.bos_token, tokenizer.eos_token):
        if token is not None and token_id(tokenizer, str(token)) is not None:
            own = str(token)
            return Start(own, always=prefix_id(tokenizer) == token_id(tokenizer, own))
    return Start()


def common_start(tokenizers: Sequence[Any]) -> Start:
    """The start of the first tokenizer, where all of them know its token; else no token at all."""
    if not tokenizers:
        return Start()
    first = own_start(tokenizers[0])
    known = all(token_id(tokenizer, first.token) is not None for tokenizer in tokenizers)
    return first if known else Start()


def token_id(tokenizer: Any, text: str) -> int | None:
    """Id of a control token by its text; None where the tokenizer has no such control token.

    A piece of ordinary text that happens to be spelt alike is not one: no model learnt
    to begin with it.
    """
    if not text or text not in {*tokenizer.all_special_tokens, *tokenizer.added_tokens_encoder}:
        return None
    number = tokenizer.convert_tokens_to_ids(text)
    if number is None or tokenizer.convert_ids_to_tokens(number) != text:
        return None
    return int(number)


def prefix_id(tokenizer: Any) -> int | None:
    """The beginning-of-sequence token that the tokenizer itself puts before every text, if it does."""
    bos = tokenizer.bos_token_id
    framed = PlainText(tokenizer).encode("a", frame=True)
    probe = tokenizer("")["input_ids"] if isinstance(framed, Failure) else framed["input_ids"]
    return int(bos) if bos is not None and len(probe) > 0 and probe[0] == bos else None
