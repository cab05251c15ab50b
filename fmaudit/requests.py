"""What an engine can be asked, and what it answers: frozen, hashable data.

A request holds text, never tokens: subjects with different tokenizers get the
same question. Every decoding parameter is explicit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a distribution over the next token becomes a choice.

    The logits are divided by ``temperature``, then cut to the ``top_k`` largest
    (0 keeps all), then to the smallest set whose mass reaches ``top_p`` (1 keeps
    all). ``temperature`` 0 is greedy.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no decoding."""
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"not a decoding: {self!r}")


GREEDY = Decoding(temperature=0.0)
ANCESTRAL = Decoding()


@dataclass(frozen=True, slots=True)
class Score:
    """Log-probability of ``continuation`` after ``context`` under a causal model.

    ``context`` and ``continuation`` are tokenized as one text; a token that
    straddles their border counts to the continuation. With an empty context the
    text is scored from the beginning-of-sequence token.
    """

    continuation: str
    context: str = ""
    decoding: Decoding = ANCESTRAL


@dataclass(frozen=True, slots=True)
class Generate:
    """``n`` continuations of ``prompt``, each to end-of-sequence, a ``stop`` text or ``max_new_tokens``."""

    prompt: str
    n: int = 1
    max_new_tokens: int = 20
    decoding: Decoding = ANCESTRAL
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fill:
    """Pseudo-log-likelihood of the tokens of ``text`` under a masked model.

    Each scored token is masked in a copy of its own. ``spans`` limits the scored
    tokens to those that overlap one of these character ranges; ``shared_with``
    limits them to the tokens that ``text`` shares with another text (longest
    matching blocks over token ids, as Nangia et al. 2020). ``scheme``
    ``within_word_l2r`` also masks the later tokens of the same word (Kauf and
    Ivanova 2023).
    """

    text: str
    spans: tuple[Span, ...] = ()
    shared_with: str = ""
    scheme: Literal["single", "within_word_l2r"] = "single"


@dataclass(frozen=True, slots=True)
class Classify:
    """Label probabilities of ``text`` (with an optional second segment) under a sequence classifier."""

    text: str
    pair: str = ""


Request: TypeAlias = Score | Generate | Fill | Classify
RequestKind: TypeAlias = type[Score] | type[Generate] | type[Fill] | type[Classify]
REQUEST_KINDS: Mapping[str, RequestKind] = {
    "score": Score,
    "generate": Generate,
    "fill": Fill,
    "classify": Classify,
}


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Answer to ``Score`` and ``Fill``: one entry a scored token, in text order.

    ``logprob``: natural log-probability of the token, float32 log-softmax of the
    raw logits. ``mean`` and ``variance``: of the log-probability under the model's
    own distribution at that position. ``is_argmax``: the token is the most likely
    one. ``gap``: difference of the two largest log-probabilities. ``decoded``: its
    log-probability under the request's decoding; ``-inf`` where that decoding
    cannot produce it. ``Fill`` leaves ``decoded`` equal to ``logprob``.
    """

    tokens: tuple[str, ...]
    logprob: tuple[float, ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    is_argmax: tuple[bool, ...]
    gap: tuple[float, ...]
    decoded: tuple[float, ...]

    @property
    def total(self) -> float:
        """Summed log-probability in nats."""
        return math.fsum(self.logprob)

    @property
    def decoded_total(self) -> float:
        """Summed log-probability under the stated decoding, in nats; may be ``-inf``."""
        return float(sum(self.decoded))

    @property
    def greedy_match(self) -> bool:
        """Whether greedy decoding reproduces every scored token."""
        return all(self.is_argmax)


@dataclass(frozen=True, slots=True)
class InstrumentScore:
    """What an instrument said of one text: a value, or the reason why there is none."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """One sampled continuation.

    ``margin``: smallest distance, over its steps, of the uniform draw to the edge
    of the chosen token's probability interval (greedy: gap of the two largest
    log-probabilities): how near it came to being another text. ``scores``: by
    instrument id.
    """

    text: str
    n_tokens: int
    finish: Literal["eos", "stop", "length"]
    margin: float
    scores: Mapping[str, InstrumentScore] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generations:
    """Answer to ``Generate``: ``n`` continuations in sample order."""

    samples: tuple[Generation, ...]


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Answer to ``Classify``: probability by label, in the model's label order."""

    labels: tuple[str, ...]
    probability: tuple[float, ...]

    @property
    def best(self) -> str:
        """The most probable label; the first of equals."""
        return self.labels[max(range(len(self.labels)), key=lambda i: self.probability[i])]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that could not be answered; ``reason`` is what the row will say."""

    reason: str


Response: TypeAlias = TokenScores | Generations | LabelScores | Failure
