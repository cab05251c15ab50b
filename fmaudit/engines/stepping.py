"""Texts that grow a token at a time: with the model's cache, or read again from their beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fmaudit.engines.forward import HeadRows
from fmaudit.engines.operation import LoadedModel, padded
from fmaudit.engines.traits import GenerationWay

Prompt = tuple[int, ...]


class Steps(Protocol):
    """Rows being continued; ``logits`` ``[rows, V]`` are those of their next tokens."""

    logits: Any

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; ``logits`` follow with the next :meth:`advance`."""
        ...

    def advance(self, tokens: Sequence[int]) -> None:
        """Append one token to each row."""
        ...


def begin(loaded: LoadedModel, head: HeadRows, way: GenerationWay, prompts: Sequence[Prompt]) -> Steps:
    """Start rows at their prompts, each distinct prompt computed once."""
    if way.cached:
        return CachedSteps(loaded, head, prompts, positions=way.positions)
    return WholeSteps(loaded, head, prompts)


class CachedSteps:
    """Continues prompts, padded on the left, by the key-value cache of the model."""

    def __init__(
        self, loaded: LoadedModel, head: HeadRows, prompts: Sequence[Prompt], *, positions: bool
    ) -> None:
        import torch

        self._device = loaded.device
        self._head = head
        self._positions = positions
        distinct = list(dict.fromkeys(prompts))
        place = {prompt: i for i, prompt in enumerate(distinct)}
        ids = padded(distinct, loaded.padding_id, self._device, left=True)
        mask = padded([[1] * len(prompt) for prompt in distinct], 0, self._device, left=True)
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": True}
        if positions:
            inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        output = head.last(**inputs)
        index = torch.tensor([place[prompt] for prompt in prompts], device=self._device)
        self._cache = output.past_key_values
        self._cache.batch_select_indices(index)
        self._mask = mask[index]
        self.logits = output.logits[index, -1]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows."""
        import torch

        index = torch.tensor(list(rows), device=self._device)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]

    def advance(self, tokens: Sequence[int]) -> None:
        """Append one token to each row."""
        import torch

        ids = torch.tensor(list(tokens), device=self._device)[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=-1)
        inputs = {
            "input_ids": ids,
            "attention_mask": self._mask,
            "past_key_values": self._cache,
            "use_cache": True,
        }
        if self._positions:
            inputs["position_ids"] = self._mask.sum(-1, keepdim=True) - 1
        output = self._head.last(**inputs)
        self._cache = output.past_key_values
        self.logits = output.logits[:, -1]


class WholeSteps:
    """Reads every text again for each token, padded on the right as for a score."""

    def __init__(self, loaded: LoadedModel, head: HeadRows, prompts: Sequence[Prompt]) -> None:
        self._loaded = loaded
        self._head = head
        self._rows = list(prompts)
        self.logits = self._next()

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows."""
        self._rows = [self._rows[row] for row in rows]

    def advance(self, tokens: Sequence[int]) -> None:
        """Append one token to each row."""
        self._rows = [(*row, token) for row, token in zip(self._rows, tokens, strict=True)]
        self.logits = self._next()

    def _next(self) -> Any:
        import torch

        device = self._loaded.device
        distinct = list(dict.fromkeys(self._rows))
        ids = padded(distinct, self._loaded.padding_id, device)
        mask = padded([[1] * len(row) for row in distinct], 0, device)
        keep = torch.zeros(ids.shape, dtype=torch.bool)
        keep[torch.arange(len(distinct)), torch.tensor([len(row) - 1 for row in distinct])] = True
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        logits = torch.cat(list(self._head.chunks(keep.to(device), **inputs)))
        place = {row: i for i, row in enumerate(distinct)}
        return logits[torch.tensor([place[row] for row in self._rows], device=device)]
