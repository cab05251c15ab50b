"""Can the model still do its work? The guard that is read beside every other number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from fmaudit.probe import Binary, Item, Mean, Observation, Probe, Rate, Real, probe
from fmaudit.requests import GREEDY, Fill, Generate, Generations, Request, Response, Score, TokenScores
from fmaudit_probes.code_length import MOST_BITS, bits_per_byte

if TYPE_CHECKING:
    from fmaudit.data import Dataset

BITS_PER_BYTE = "bits_per_byte"
PSEUDO_BITS_PER_BYTE = "pseudo_bits_per_byte"
VALID_ANSWERS = "valid_answers"
NEUTRAL_TEXTS = "neutral_texts"
ANSWERABLE = "answerable"
ANSWER_TOKENS = 8


def first_option(answer: str, options: Sequence[str]) -> str | None:
    """The option that appears first in ``answer`` as whole words, whatever its case; None without one.

    Of two that begin at the same place the longer wins.
    """
    found = []
    for option in options:
        match = re.search(rf"(?<!\w){re.escape(option)}(?!\w)", answer, flags=re.IGNORECASE)
        if match:
            found.append((match.start(), -len(option), option))
    return min(found)[2] if found else None


def _text_measures(comparable: bool) -> tuple[Real, ...]:
    return (
        Real(
            "bits_per_byte",
            unit="bits/byte",
            low=0.0,
            high=MOST_BITS,
            direction="lower_is_better",
            comparable=comparable,
            description=f"negative log2 probability of the text over its bytes, {MOST_BITS:g} at most",
        ),
    )


_TEXT_METRICS = (
    Mean(
        "bits_per_byte",
        of="bits_per_byte",
        direction="lower_is_better",
        delta=0.1,
        headline=True,
        title="Bits per byte on neutral text, total bits over total bytes",
    ),
)
_ANSWER_MEASURES = (
    Binary("outcome", description="no stated option in the answer"),
    Binary("valid", direction="higher_is_better", description="a stated option appears in the answer"),
    Binary(
        "correct", direction="higher_is_better", description="the first option in the answer is the right one"
    ),
)
_ANSWER_METRICS = (
    Rate(
        "valid_answer_rate",
        of="valid",
        direction="higher_is_better",
        ideal=1.0,
        eps=0.05,
        delta=0.05,
        headline=True,
        title="Share of questions answered with a stated option",
    ),
    Rate(
        "accuracy",
        of="correct",
        direction="higher_is_better",
        ideal=1.0,
        delta=0.05,
        title="Share of valid answers that are right",
    ),
)


@probe("downstream.capability", version=3, dataset=(NEUTRAL_TEXTS, ANSWERABLE))
class Capability(Probe):
    """Has the model kept its language and its ability to answer?

    ``bits_per_byte``: cost of neutral passages under a causal model, total bits
    over total bytes (items weigh their bytes), lower is better, each passage at
    most 4 bits a byte (:data:`fmaudit_probes.code_length.MOST_BITS`).
    ``pseudo_bits_per_byte``: the same of the pseudo-log-likelihood of a masked
    model, later tokens of the same word masked too; no code length, and not
    comparable with the former. ``valid_answers``: greedy answers to two-option
    questions: ``outcome`` is 1 where no stated option appears in them, ``valid``
    is its complement, ``correct`` says whether the first option that appears is
    the right one and is invalid where none does.
    """

    title = "Capability guard: language modelling and valid answers"
    always = True
    variants = {
        BITS_PER_BYTE: ("score",),
        PSEUDO_BITS_PER_BYTE: ("fill",),
        VALID_ANSWERS: ("generate",),
    }
    limits = (
        "A guard against a model that has lost its language, not a benchmark: passages and questions are "
        "few, English and easy.",
        "It can take away a claim of improvement elsewhere; it supports none.",
        f"A passage counts {MOST_BITS:g} bits a byte at most, about what letter frequencies alone cost: of "
        "two models beyond that, neither is the better one here.",
        f"An answer is valid when a stated option is named in its first {ANSWER_TOKENS} tokens; a model that "
        "only repeats the question can pass.",
        "Questions are asked as plain text without a chat template.",
        "Accuracy counts valid answers only; its bounds count the others both ways.",
    )

    def __init__(self, variant: str = BITS_PER_BYTE) -> None:
        super().__init__(variant)
        if variant == VALID_ANSWERS:
            self.measures, self.metrics = _ANSWER_MEASURES, _ANSWER_METRICS
        else:
            self.measures, self.metrics = _text_measures(variant == BITS_PER_BYTE), _TEXT_METRICS

    @classmethod
    def datasets_of(cls, variant: str) -> tuple[str, ...]:
        """Questions for ``valid_answers``, passages for the others."""
        return (ANSWERABLE,) if variant == VALID_ANSWERS else (NEUTRAL_TEXTS,)

    def items(self, data: Dataset) -> Iterator[Item]:
        """One item a passage, weighted by its bytes, or one a question."""
        for row in data.rows:
            if self.variant == VALID_ANSWERS:
                names = ("question", "option_a", "option_b", "answer")
                yield Item(id=str(row["id"]), payload={name: row[name] for name in names})
            else:
                text = str(row["text"])
                yield Item(
                    id=str(row["id"]),
                    payload={"text": text},
                    weight=float(len(text.encode())),
                )

    def requests(self, item: Item) -> Sequence[Request]:
        """The passage scored from its beginning, or the question asked once, greedily."""
        payload = item.payload
        if self.variant == BITS_PER_BYTE:
            return (Score(str(payload["text"])),)
        if self.variant == PSEUDO_BITS_PER_BYTE:
            return (Fill(str(payload["text"]), scheme="within_word_l2r"),)
        prompt = (
            f"Question: {payload['question']}\n"
            f"Answer with one of these words: {payload['option_a']} or {payload['option_b']}.\n"
            "Answer:"
        )
        return (Generate(prompt, n=1, max_new_tokens=ANSWER_TOKENS, decoding=GREEDY),)

    def observe(self, item: Item, responses: Sequence[Response]) -> Observation:
        """Cost of the passage, or validity and correctness of the answer."""
        if self.variant == VALID_ANSWERS:
            return self._judge(item, cast(Generations, responses[0]).samples[0].text)
        scores = cast(TokenScores, responses[0])
        if not "".join(scores.tokens):
            return Observation({}, invalid={"bits_per_byte": "no token to score"})
        if not math.isfinite(scores.total):
            return Observation({}, invalid={"bits_per_byte": "the passage has no finite log-probability"})
        # A tokenizer without a start token leaves the first token unscored: its bytes cost nothing.
        return Observation({"bits_per_byte": bits_per_byte(scores.total, "".join(scores.tokens))})

    def _judge(self, item: Item, text: str) -> Observation:
        options = str(item.payload["option_a"]), str(item.payload["option_b"])
        chosen = first_option(text, options)
        if chosen is None:
            return Observation(
                {"outcome": 1, "valid": 0}, invalid={"correct": "no stated option in the answer"}
            )
        return Observation({"outcome": 0, "valid": 1, "correct": int(chosen == item.payload["answer"])})
