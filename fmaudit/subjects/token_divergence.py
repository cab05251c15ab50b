"""How far a model's next-token distributions have moved from another's."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fmaudit.statistics import Interval, mean
from fmaudit.subjects.next_tokens import (
    BATCH_TOKENS,
    CausalPassage,
    causal_batches,
    causal_passages,
    vocabulary_digest,
)
from fmaudit.subjects.subject import LoadedSubject

MAX_STORED = 1 << 28
"""Log-probabilities of the base that are kept on disk at most (1 GiB)."""


def token_divergence(
    base: LoadedSubject,
    adapted: LoadedSubject,
    texts: Sequence[str],
    *,
    token_budget: int = BATCH_TOKENS,
    max_stored: int = MAX_STORED,
) -> Interval:
    """Mean KL(base || adapted) of the next-token distribution, in bits a token; 0 where nothing changed.

    Log-softmax in float32; one model in memory at a time, the base's distributions in
    a temporary file. With more positions than fit, evenly spaced ones are used.
    Passages are the clusters of the interval. ``value`` is None, with the reason,
    for models that are not both causal or have different vocabularies.

    Args:
        base: The distribution that divergence is counted from.
        adapted: The other one.
        texts: Passages, teacher-forced.
        token_budget: Padded tokens a forward pass.
        max_stored: Log-probabilities that may be stored.
    """
    if base.kind != "causal" or adapted.kind != "causal":
        return _undefined("next-token distributions are compared between causal models only")
    if vocabulary_digest(base.tokenizer) != vocabulary_digest(adapted.tokenizer):
        return _undefined("the two models have different vocabularies")
    passages = causal_passages(base, texts)
    if [p.ids for p in passages] != [p.ids for p in causal_passages(adapted, texts)]:
        return _undefined("the two tokenizers cut the same text at other places")
    width = max(base.tokenizer.get_vocab().values()) + 1
    every = max(1, math.ceil(sum(len(p.offsets) for p in passages) * width / max_stored))
    rows = sum(_kept(passage, every) for passage in passages)
    if not rows:
        return _undefined("no passage has a token to predict")
    with tempfile.TemporaryDirectory() as folder:
        shape = (rows, width)
        stored = np.memmap(Path(folder) / "logprobs", dtype=np.float32, mode="w+", shape=shape)
        start = 0
        for _, logprobs in _logprobs(base, passages, every, token_budget, width):
            stored[start : start + len(logprobs)] = logprobs.numpy()
            start += len(logprobs)
        bits, clusters = _divergences(adapted, passages, every, token_budget, stored)
        del stored
    return replace(mean(bits, clusters={"passage": clusters}), estimand="KL(base || adapted), bits a token")


def _divergences(
    adapted: LoadedSubject, passages: Sequence[CausalPassage], every: int, token_budget: int, stored: Any
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import torch

    found, clusters = [], []
    start = 0
    for members, logprobs in _logprobs(adapted, passages, every, token_budget, stored.shape[1]):
        reference = torch.from_numpy(np.array(stored[start : start + len(logprobs)]))
        terms = reference.exp() * (reference - logprobs)
        # A token of probability 0 under the base adds nothing, whatever the other model says.
        found.append(torch.where(reference.isneginf(), 0.0, terms).sum(-1, dtype=torch.float64).numpy())
        clusters.append(members)
        start += len(logprobs)
    return np.concatenate(found) / math.log(2), np.concatenate(clusters)


def _logprobs(
    subject: LoadedSubject, passages: Sequence[CausalPassage], every: int, token_budget: int, width: int
) -> Iterator[tuple[np.ndarray[Any, Any], Any]]:
    """Yield (passage of each row, float32 log-probabilities on the CPU), in one order for all subjects."""
    import torch

    from fmaudit.engines.forward import HeadRows

    with subject.active() as model:
        head = HeadRows(model)
        for members, inputs, keep in causal_batches(subject, passages, token_budget):
            for row in range(len(members)):
                places = keep[row].nonzero()[:, 0]
                keep[row, places[torch.arange(len(places), device=places.device) % every != 0]] = False
            owner = np.repeat(members, keep.sum(1).tolist())
            start = 0
            with torch.inference_mode():
                for logits in head.chunks(keep, **inputs):
                    # Rows of the embedding beyond the vocabulary are no tokens.
                    rows = torch.log_softmax(logits[:, :width].float(), -1).cpu()
                    yield owner[start : start + len(rows)], rows
                    start += len(rows)


def _kept(passage: CausalPassage, every: int) -> int:
    return math.ceil(len(passage.offsets) / every)


def _undefined(reason: str) -> Interval:
    return Interval(
        value=None,
        lower=None,
        upper=None,
        level=0.95,
        method="none",
        estimand="KL(base || adapted), bits a token",
        n=0,
        n_eff=0.0,
        conclusive=False,
        reason=reason,
    )
