"""One forward pass that pays the vocabulary only at the positions that are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Large enough for full speed of the matrix product, small beside any model.
_HEAD_ELEMENTS = 1 << 24


class HeadRows:
    """Runs a language model and yields the logits of chosen positions.

    A vocabulary of 150,000 makes the logits of all positions larger than the model.
    A hook on the output layer keeps the chosen hidden states alone; where the model
    returns what that layer returned, their logits are made a chunk at a time. Models
    that alter logits afterwards (soft caps, scales) get all chosen rows in one pass
    through their own code.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._head = model.get_output_embeddings()
        self._unaltered = self._head is not None

    def chunks(self, keep: Any, **inputs: Any) -> Iterator[Any]:
        """Yield logits ``[rows, V]`` of the True positions of ``keep`` ``[B, T]``, in row-major order."""
        if not self._unaltered:
            yield self._all(keep, inputs)
            return
        step = max(1, _HEAD_ELEMENTS // int(self._head.weight.shape[0]))
        chosen: list[Any] = []
        made: list[Any] = []

        def take(_module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            hidden = arguments[0]
            if hidden.shape[:2] != keep.shape:
                return None
            chosen.append(hidden[keep])
            return (chosen[0][None, :step], *arguments[1:])

        def keep_output(_module: Any, _arguments: tuple[Any, ...], output: Any) -> None:
            made.append(output)

        hooks = [
            self._head.register_forward_pre_hook(take),
            self._head.register_forward_hook(keep_output),
        ]
        try:
            logits = self._model(**inputs).logits
        finally:
            for hook in hooks:
                hook.remove()
        if not chosen or logits is not made[0]:
            self._unaltered = False
            yield self._all(keep, inputs)
            return
        made.clear()
        yield logits[0]
        del logits
        for start in range(step, chosen[0].shape[0], step):
            yield self._head(chosen[0][None, start : start + step])[0]

    def last(self, **inputs: Any) -> Any:
        """The model's output with the logits of the last position only, ``[B, 1, V]``."""
        if self._head is None:
            return self._model(**inputs)

        def take(_module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            return (arguments[0][:, -1:], *arguments[1:])

        hook = self._head.register_forward_pre_hook(take)
        try:
            return self._model(**inputs)
        finally:
            hook.remove()

    def _all(self, keep: Any, inputs: dict[str, Any]) -> Any:
        if self._head is None:
            return self._model(**inputs).logits[keep]

        def take(_module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            hidden = arguments[0]
            return (hidden[keep][None], *arguments[1:]) if hidden.shape[:2] == keep.shape else None

        hook = self._head.register_forward_pre_hook(take)
        try:
            logits = self._model(**inputs).logits
        finally:
            hook.remove()
        return logits[keep] if logits.shape[:2] == keep.shape else logits[0]
