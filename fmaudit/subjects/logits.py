"""Logits of a few fixed texts: enough to see whether two models are the same, or broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fmaudit.engines.plain_text import readable_text
from fmaudit.errors import SubjectError

TEXTS = (
    "The river was quiet that morning, and the boats stayed near the shore.",
    "My neighbour asked me to write down the address: 42 Mill Lane.",
    "Because the train was late, they",
)
_MAX_TOKENS = 32


def probe_logits(model: Any, tokenizer: Any, kind: str) -> Sequence[Any]:
    """Float32 logits on the CPU, one tensor a text, each text alone and without padding.

    A text that the tokenizer cannot read (a digit it has no token for) gets an empty tensor;
    one that reads none of them gets a text of its own pieces.

    Raises:
        SubjectError: it reads nothing.
    """
    import torch

    texts = TEXTS if any(_inputs(tokenizer, text, kind) for text in TEXTS) else (readable_text(tokenizer),)
    answers = []
    for text in texts:
        inputs = _inputs(tokenizer, text, kind)
        if inputs is None:
            answers.append(torch.empty(0))
            continue
        with torch.inference_mode():
            output = model(**{name: rows.to(model.device) for name, rows in inputs.items()})
        answers.append(output.logits.detach().float().cpu())
    if not any(answer.numel() for answer in answers):
        raise SubjectError("the tokenizer turns ordinary sentences into no tokens; it is not usable")
    return answers


def _inputs(tokenizer: Any, text: str, kind: str) -> dict[str, Any] | None:
    """Model inputs of the first tokens of a text, the tokenizer's own frame around them; None without any."""
    limit = min(_MAX_TOKENS, tokenizer.model_max_length)
    try:
        encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit)
    except Exception:  # tokenizers raise many types for a character that they do not know
        return None
    names = ("input_ids", "attention_mask") if kind == "causal" else tuple(encoded)
    inputs = {name: encoded[name] for name in names if name in encoded}
    return inputs if inputs["input_ids"].shape[1] else None


def same_logits(first: Sequence[Any], second: Sequence[Any], dtype: str) -> bool:
    """Whether two answers are equal; in float32 up to the rounding of a few operations."""
    import torch

    for one, other in zip(first, second, strict=True):
        if one.shape != other.shape:
            return False
        slack = 0.0
        if not one.numel():
            continue
        if dtype == "float32":
            slack = 8 * torch.finfo(torch.float32).eps * float(one.abs().max())
        if not bool(((one - other).abs() <= slack).all()):
            return False
    return True


def largest_change(first: Sequence[Any], second: Sequence[Any]) -> float:
    """Largest absolute difference of a logit."""
    pairs = zip(first, second, strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs if one.numel())


def bit_equal(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Whether two answers are equal to the last bit."""
    import torch

    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def are_finite(logits: Sequence[Any]) -> bool:
    """Whether no logit is NaN or infinite."""
    return all(bool(tensor.isfinite().all()) for tensor in logits)
