"""Out of memory: halve the rows, go on."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

from fmaudit.engines.base import BackoffLog
from fmaudit.engines.batching import split_rows
from fmaudit.memory import is_out_of_memory
from fmaudit.requests import Failure


class Backoff:
    """Computes rows in runs under a token budget that falls when memory runs out.

    The lower budget stays: later batches of the same padded size would fail again.
    """

    def __init__(self, token_budget: int) -> None:
        self.log = BackoffLog()
        self._budget = token_budget

    def compute(
        self, batch: int, rows: Sequence[Any], length: int, forward: Callable[[Sequence[Any]], list[Any]]
    ) -> list[Any]:
        """The answers of ``rows`` in order; a ``Failure`` for a row that does not fit alone.

        ``length`` is the padded tokens of one row, ``batch`` the number the log gets.
        """
        answers: list[Any] = []
        for run in split_rows([length] * len(rows), self._left()):
            answers.extend(self._halving(batch, rows[run], length, forward))
        return answers

    def _left(self) -> int:
        lowered = self.log.token_budget
        return self._budget if lowered is None else min(self._budget, lowered)

    def _halving(
        self, batch: int, rows: Sequence[Any], length: int, forward: Callable[[Sequence[Any]], list[Any]]
    ) -> list[Any]:
        try:
            return forward(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: the exception no longer keeps the frames that hold the tensors.
        _release()
        self.log.events.append({"batch": batch, "size": len(rows), "tokens": len(rows) * length})
        if len(rows) == 1:
            return [Failure(f"out of memory with one row of {length} tokens")]
        half = (len(rows) + 1) // 2
        self.log.token_budget = min(self._left(), half * length)
        first = self._halving(batch, rows[:half], length, forward)
        return first + self._halving(batch, rows[half:], length, forward)


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
