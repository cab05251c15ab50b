"""How many positions a model has, read from the table that it looks them up in."""

from __future__ import annotations

import itertools
import logging
from typing import Any

_LOGGER = logging.getLogger(__name__)
_CHARACTERS = 128
_ASKED = 6
"""Tokens; as many rows of a table in a row are no coincidence."""


def position_rows(model: Any, device: Any) -> int | None:
    """Tokens that the position tables of a model reach, by watching one short forward pass.

    A table of positions is what is looked up at consecutive rows. It counts from the
    row that the first token gets: models of RoBERTa's kind leave the first rows to
    padding, others have rows that are never used. Nothing is taken from names, so an
    architecture nobody thought of is read alike.

    Args:
        model: Any transformers model, in evaluation mode.
        device: Where its inputs go.

    Returns:
        The reach of the smallest table; None where positions are not looked up
        (rotary, relative or recurrent models) or the model could not be asked.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    reach: list[int] = []

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, operator: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if operator is torch.ops.aten.embedding.default:
                reach.extend(_reach(args[0], args[1]))
            return operator(*args, **(kwargs or {}))

    ids = torch.tensor([_ids(model)], device=device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    try:
        with torch.inference_mode(), Watch():  # type: ignore[no-untyped-call]
            model(**inputs)
    except Exception as error:
        # The tables were looked up before; what is wrong with the model shows in preflight.
        _LOGGER.debug("a model could not be asked for its positions: %s", type(error).__name__)
    return min(reach, default=None)


def _reach(table: Any, rows: Any) -> list[int]:
    if rows.shape[-1] < _ASKED or rows.numel() != rows.shape[-1]:
        return []
    first = rows.flatten()[:_ASKED].tolist()
    if any(after - before != 1 for before, after in itertools.pairwise(first)):
        return []
    return [int(table.shape[0]) - int(first[0])]


def embedding_rows(model: Any) -> int:
    """Token ids that a model knows, from its embedding; a few where it reads characters without one."""
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError):
        return _CHARACTERS


def _ids(model: Any) -> list[int]:
    """Token ids that do not follow each other and are no padding."""
    rows = embedding_rows(model)
    padding = getattr(model.config, "pad_token_id", None)
    ordinary = [token for token in range(min(rows, 4 * _ASKED)) if token != padding]
    return [ordinary[(-3 * place) % len(ordinary)] for place in range(1, _ASKED + 1)]
