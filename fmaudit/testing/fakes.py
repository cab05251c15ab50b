"""Pseudo-random answers to any request: what a probe can be tried on without a model."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict

from fmaudit.canonical import canonical_bytes
from fmaudit.requests import (
    Classify,
    Fill,
    Generate,
    Generation,
    Generations,
    InstrumentScore,
    LabelScores,
    Request,
    Response,
    TokenScores,
)

INSTRUMENT = "fake_instrument"
_WORDS = ("the", "river", "is", "quiet", "in", "winter", "and", "boats", "wait", "7")


def fake_responses(
    requests: Sequence[Request], seed: int = 0, *, labels: Sequence[str] = ("0", "1"), scored: bool = True
) -> list[Response]:
    """One answer a request, of the kind and shape an engine gives.

    An answer is a function of ``seed``, its request and the labels: equal
    requests get equal answers wherever they stand.

    Args:
        requests: what is asked.
        seed: another seed, other answers.
        labels: what a classifier can say.
        scored: whether the instrument gave each generated text a value in [0, 1];
            otherwise it gives the reason why there is none.
    """
    return [_answer(request, seed, labels, scored) for request in requests]


def _answer(request: Request, seed: int, labels: Sequence[str], scored: bool) -> Response:
    random_ = random.Random(canonical_bytes([seed, type(request).__name__, asdict(request)]))
    if isinstance(request, Generate):
        return Generations(tuple(_generation(request, random_, scored) for _ in range(request.n)))
    if isinstance(request, Classify):
        return _label_scores(labels, random_)
    if isinstance(request, Fill):
        return _token_scores(request.text, random_, greedy=False, truncated=False)
    decoding = request.decoding
    truncated = decoding.top_k > 0 or decoding.top_p < 1
    return _token_scores(request.continuation, random_, greedy=decoding.temperature == 0, truncated=truncated)


def _token_scores(text: str, random_: random.Random, *, greedy: bool, truncated: bool) -> TokenScores:
    tokens = tuple(text.split()) or (text,) * bool(text)
    logprob = tuple(-random_.uniform(0.05, 6.0) for _ in tokens)
    is_argmax = tuple(value > -math.log(2) or random_.random() < 0.3 for value in logprob)
    if greedy:
        decoded = tuple(0.0 if best else -math.inf for best in is_argmax)
    elif truncated:
        decoded = tuple(-math.inf if random_.random() < 0.2 else value / 2 for value in logprob)
    else:
        decoded = logprob
    return TokenScores(
        tokens=tokens,
        logprob=logprob,
        mean=tuple(-random_.uniform(1.0, 5.0) for _ in tokens),
        variance=tuple(random_.uniform(0.5, 4.0) for _ in tokens),
        is_argmax=is_argmax,
        gap=tuple(random_.uniform(0.0, 2.0) for _ in tokens),
        decoded=decoded,
    )


def _generation(request: Generate, random_: random.Random, scored: bool) -> Generation:
    n_words = random_.randint(0, max(1, min(request.max_new_tokens, 12)))
    text = "".join(f" {random_.choice(_WORDS)}" for _ in range(n_words))
    score = InstrumentScore(random_.random()) if scored else InstrumentScore(None, "the instrument failed")
    full = n_words >= request.max_new_tokens
    return Generation(
        text, n_words, "length" if full else "eos", random_.uniform(0.0, 0.5), {INSTRUMENT: score}
    )


def _label_scores(labels: Sequence[str], random_: random.Random) -> LabelScores:
    parts = [random_.random() + 1e-6 for _ in labels]
    return LabelScores(tuple(labels), tuple(part / sum(parts) for part in parts))
