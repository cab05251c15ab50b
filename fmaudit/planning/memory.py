"""What a model takes in memory, and what this machine has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fmaudit.planning.outline import Outline
from fmaudit.planning.timing import WIDTH
from fmaudit.planning.workload import Batch

_WORKING_VALUES = 16
"""Values of a token's width that are alive at once inside a layer: attention, gates, residual."""
_LOGITS = 4 * (1 << 24) * 4
"""Logits of one chunk of rows in float32, with what is made of them."""
_LIBRARIES = 700 << 20
"""Python, torch and transformers themselves, in the memory of the machine."""


def memory_needed(
    found: Outline, batches: Sequence[Batch], *, device: str, unpacked: bool = False, stored: int = 0
) -> int:
    """Bytes at the peak on the device: weights, the largest batch with its cache, and logits.

    Args:
        found: The architecture.
        batches: Everything that is asked.
        device: On a CPU the libraries and ``stored`` lie in the same memory.
        unpacked: The file holds quantized weights, which are unpacked beside the model.
        stored: Bytes that the lineage check keeps of the model it is done with.
    """
    width = WIDTH.get(found.dtype, 4)
    weights = found.parameters * width
    asked = max((activations(found, batch) for batch in batches), default=0)
    if device.startswith("cuda"):
        return weights + asked + _LOGITS
    # While it is loaded every weight is there twice: as it was unpacked, and in the model.
    return _LIBRARIES + max(weights + max(asked, stored) + _LOGITS, 2 * weights if unpacked else 0)


def activations(found: Outline, batch: Batch) -> int:
    """Bytes of one batch inside the model: a layer at work, and the cache of a generation."""
    width = WIDTH.get(found.dtype, 4)
    text = found.text
    hidden = int(getattr(text, "hidden_size", 0) or 0)
    wide = int(getattr(text, "intermediate_size", 0) or 4 * hidden)
    tokens = batch.rows * batch.length
    at_work = tokens * (_WORKING_VALUES * hidden + 2 * wide) * width
    if not batch.generated:
        return at_work
    heads = int(getattr(text, "num_attention_heads", 1) or 1)
    groups = int(getattr(text, "num_key_value_heads", heads) or heads)
    size = int(getattr(text, "head_dim", None) or hidden // heads)
    # A layer's cache is copied when it grows by a token.
    return at_work + 2 * tokens * (found.layers + 1) * groups * size * width


def memory_free(device: str) -> int | None:
    """Bytes that are free on a device; None where this system does not say."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else int(found) * 1024
