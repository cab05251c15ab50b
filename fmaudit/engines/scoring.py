"""From logits to token scores and to the distribution a decoding draws from. Pure tensor routines.

Everything is float32 whatever the model computes in: a log-softmax or a sum in
bfloat16 quantizes totals to half a nat and flips preferences.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmaudit.requests import TokenScores

if TYPE_CHECKING:
    import torch

    from fmaudit.requests import Decoding

_LOWEST_LOGPROB = -1e18
_ACCELERATOR_ELEMENTS = 1 << 26
# Rows that stay in the processor's cache are scored several times faster.
_CACHED_ELEMENTS = 1 << 19


@dataclass(frozen=True)
class ScoreColumns:
    """Scores of ``n`` positions; each field has shape ``[n]``. ``finite`` is False where logits were not."""

    logprob: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    is_argmax: torch.Tensor
    gap: torch.Tensor
    decoded: torch.Tensor
    finite: torch.Tensor


def rows_at_once(logits: torch.Tensor) -> int:
    """Rows of ``logits`` worth holding in float32 at once."""
    elements = _CACHED_ELEMENTS if logits.device.type == "cpu" else _ACCELERATOR_ELEMENTS
    return max(1, elements // max(1, logits.shape[-1]))


def score_rows(logits: torch.Tensor, targets: torch.Tensor, decoding: Decoding) -> ScoreColumns:
    """Score the token that was observed at each position.

    Args:
        logits: ``[n, V]`` raw logits in any floating type.
        targets: ``[n]`` observed token ids.
        decoding: Under which ``decoded`` is computed.

    Returns:
        Natural-log scores in float32; mean and (centred) variance of ``log p`` under ``p``.
    """
    import torch

    z = logits.float()
    column = targets[:, None]
    log_p = z.log_softmax(-1)
    p = log_p.exp()
    finite = torch.isfinite(p.sum(-1))
    logprob = log_p.gather(-1, column)[:, 0]
    is_argmax = log_p.argmax(-1) == targets
    top = log_p.topk(2, dim=-1).values
    gap = top[:, 0] - top[:, 1]
    decoded = _decoded_logprob(z, targets, is_argmax, logprob, decoding)
    mean = (p * log_p).sum(-1)
    if not bool(torch.isfinite(mean).all()):
        # A model may forbid tokens by -inf; they weigh nothing and must not turn 0 * inf into NaN.
        log_p = log_p.clamp(min=_LOWEST_LOGPROB)
        mean = (p * log_p).sum(-1)
    variance = (log_p - mean[:, None]).square_().mul_(p).sum(-1)
    return ScoreColumns(logprob, mean, variance, is_argmax, gap, decoded, finite)


def score_chunks(chunks: Iterable[torch.Tensor], targets: torch.Tensor, decoding: Decoding) -> ScoreColumns:
    """:func:`score_rows` over logits that arrive in pieces of rows, in the order of ``targets``."""
    import torch

    parts: list[ScoreColumns] = []
    done = 0
    for logits in chunks:
        step = rows_at_once(logits)
        for start in range(0, logits.shape[0], step):
            rows = logits[start : start + step]
            parts.append(score_rows(rows, targets[done : done + rows.shape[0]], decoding))
            done += rows.shape[0]
    names = ScoreColumns.__dataclass_fields__
    # One transfer for all columns: float64 holds float32 and booleans exactly.
    stacked = torch.stack([torch.cat([getattr(part, name) for part in parts]).float() for name in names])
    on_cpu = stacked.cpu().double()
    columns = dict(zip(names, on_cpu, strict=True))
    columns["is_argmax"] = columns["is_argmax"].bool()
    columns["finite"] = columns["finite"].bool()
    return ScoreColumns(**columns)


def _decoded_logprob(
    logits: torch.Tensor,
    targets: torch.Tensor,
    is_argmax: torch.Tensor,
    logprob: torch.Tensor,
    decoding: Decoding,
) -> torch.Tensor:
    import torch

    if decoding.temperature == 0:
        return torch.zeros_like(logprob).masked_fill_(~is_argmax, -math.inf)
    if decoding.temperature == 1 and decoding.top_k == 0 and decoding.top_p == 1:
        return logprob
    return decoding_logprobs(logits, decoding).gather(-1, targets[:, None])[:, 0]


def decoding_logprobs(logits: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The log-distribution that a decoding with a positive temperature draws from.

    Args:
        logits: ``[n, V]`` raw logits.
        decoding: Applied as temperature, then top-k (ties with the k-th stay), then
            top-p, each on what the one before left, as transformers does.

    Returns:
        ``[n, V]`` float32 log-probabilities; ``-inf`` for tokens that cannot be drawn.

    Raises:
        ValueError: The temperature is 0: greedy decoding has no distribution.
    """
    if decoding.temperature <= 0:
        raise ValueError("greedy decoding has no distribution to draw from")
    z = logits.float() / decoding.temperature
    if 0 < decoding.top_k < z.shape[-1]:
        kth = z.topk(decoding.top_k, dim=-1).values[:, -1:]
        z = z.masked_fill_(z < kth, -math.inf)
    log_p = z.log_softmax(-1)
    return _nucleus(log_p, decoding.top_p) if decoding.top_p < 1 else log_p


def _nucleus(log_p: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the smallest set of tokens whose mass reaches ``top_p``; lower ids win ties."""
    import torch

    p = log_p.exp()
    vocabulary = p.shape[-1]
    # All tokens at or below this level together weigh at most 1 - top_p: the sort can leave them out.
    candidates = int((p > (1 - top_p) / vocabulary).sum(-1).amax().clamp(min=1))
    if candidates < vocabulary:
        ids = p.topk(candidates, dim=-1).indices.sort(-1).values
        mass = p.gather(-1, ids)
        mass, order = mass.sort(dim=-1, descending=True, stable=True)
        ids = ids.gather(-1, order)
    else:
        mass, ids = p.sort(dim=-1, descending=True, stable=True)
    wide = mass.double()
    inside = wide.cumsum(-1) - wide < top_p
    keep = torch.zeros_like(p, dtype=torch.bool).scatter_(-1, ids, inside)
    kept: torch.Tensor = (wide * inside).sum(-1, keepdim=True).log().float()
    return (log_p - kept).masked_fill_(~keep, -math.inf)


def draw(
    logits: torch.Tensor, uniforms: torch.Tensor, decoding: Decoding
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose one token a row by inverse CDF in vocabulary order.

    Args:
        logits: ``[n, V]`` raw logits.
        uniforms: ``[n]`` float64 in [0, 1); unused when greedy.
        decoding: The distribution drawn from.

    Returns:
        Token ids, margins (distance of the uniform to the edge of the chosen interval;
        greedy: gap of the two largest log-probabilities) and whether the logits were finite.
    """
    import torch

    logits = logits.cpu() if logits.device.type == "mps" else logits
    finite = torch.isfinite(logits.float().logsumexp(-1))
    if decoding.temperature == 0:
        top = logits.topk(2, dim=-1).values.double()
        return logits.argmax(-1), top[:, 0] - top[:, 1], finite
    p = decoding_logprobs(logits, decoding).exp().double()
    p[~finite] = 1.0
    cdf = p.cumsum(-1)
    total = cdf[:, -1:].contiguous()
    target = uniforms.to(cdf.device)[:, None] * total
    last = torch.searchsorted(cdf, total)
    chosen = torch.searchsorted(cdf, target, right=True).minimum(last)
    high = cdf.gather(-1, chosen)
    low = high - p.gather(-1, chosen)
    margin = torch.minimum(target - low, high - target).clamp(min=0) / total
    return chosen[:, 0], margin[:, 0], finite


def token_scores(tokens: tuple[str, ...], columns: ScoreColumns, rows: slice) -> TokenScores:
    """The response for one text, from the rows of a scored batch that belong to it."""
    return TokenScores(
        tokens=tokens,
        logprob=tuple(columns.logprob[rows].tolist()),
        mean=tuple(columns.mean[rows].tolist()),
        variance=tuple(columns.variance[rows].tolist()),
        is_argmax=tuple(columns.is_argmax[rows].tolist()),
        gap=tuple(columns.gap[rows].tolist()),
        decoded=tuple(columns.decoded[rows].tolist()),
    )
