"""Logits of a few fixed texts: enough to see whether two models are the same, or broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fmaudit.errors import SubjectError

TEXTS = (
    "The river was quiet that morning, and the boats stayed near the shore.",
    "My neighbour asked me to write down the address: 42 Mill Lane.",
    "Because the train was late, they",
)
_MAX_TOKENS = 32


def probe_logits(model: Any, tokenizer: Any, kind: str) -> Sequence[Any]:
    """Float32 logits on the CPU, one tensor a text, each text alone and without padding."""
    import torch

    answers = []
    for text in TEXTS:
        encoded = tokenizer(text, return_tensors="pt")
        names = ("input_ids", "attention_mask") if kind == "causal" else tuple(encoded)
        inputs = {name: encoded[name][:, :_MAX_TOKENS].to(model.device) for name in names if name in encoded}
        if inputs["input_ids"].shape[1] == 0:
            raise SubjectError("the tokenizer turns an ordinary sentence into no tokens; it is not usable")
        with torch.inference_mode():
            answers.append(model(**inputs).logits.detach().float().cpu())
    return answers


def same_logits(first: Sequence[Any], second: Sequence[Any], dtype: str) -> bool:
    """Whether two answers are equal; in float32 up to the rounding of a few operations."""
    import torch

    for one, other in zip(first, second, strict=True):
        if one.shape != other.shape:
            return False
        slack = 0.0
        if dtype == "float32":
            slack = 8 * torch.finfo(torch.float32).eps * float(one.abs().max())
        if not bool(((one - other).abs() <= slack).all()):
            return False
    return True


def largest_change(first: Sequence[Any], second: Sequence[Any]) -> float:
    """Largest absolute difference of a logit."""
    return max(float((one - other).abs().max()) for one, other in zip(first, second, strict=True))


def bit_equal(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Whether two answers are equal to the last bit."""
    import torch

    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def are_finite(logits: Sequence[Any]) -> bool:
    """Whether no logit is NaN or infinite."""
    return all(bool(tensor.isfinite().all()) for tensor in logits)
