"""What every operation of the transformers engine shares: jobs of rows, and the model behind them."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from fmaudit.engines.base import Ask
from fmaudit.requests import Failure, Response

NOT_FINITE = "model returned NaN or infinite logits"
RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Job(Generic[RowT]):
    """One request made ready: equal rows of ``length`` padded tokens.

    Jobs share a batch only within a ``group``. ``detail`` is what :meth:`Operation.finish` needs.
    """

    length: int
    rows: tuple[RowT, ...]
    group: Hashable = None
    detail: Any = None


class Operation(Protocol):
    """How one kind of request is answered. A row is the unit that out-of-memory splits to."""

    def prepare(self, ask: Ask) -> Job[Any] | Failure:
        """Tokenize; a request that cannot be asked becomes its reason."""
        ...

    def compute(self, rows: Sequence[Any]) -> list[Any]:
        """Answer rows of one group in one forward pass or generation; a ``Failure`` for a row that fails."""
        ...

    def finish(self, job: Job[Any], answers: Sequence[Any]) -> Response:
        """The response, from the answers of the job's rows in order, none of them a ``Failure``."""
        ...


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer, where it is, and the tokens it can hold."""

    model: Any
    tokenizer: Any
    device: Any
    context_length: int

    @property
    def padding_id(self) -> int:
        """A valid id for masked positions; its value never matters there."""
        for candidate in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if candidate is not None:
                return int(candidate)
        return 0

    def too_long(self, tokens: int, generated: int = 0) -> Failure | None:
        """The failure of a request that the context cannot hold."""
        if tokens + generated <= self.context_length:
            return None
        more = f" plus {generated} to generate" if generated else ""
        return Failure(f"text has {tokens} tokens{more}, context holds {self.context_length}")

    def takes(self, argument: str) -> bool:
        """Whether the model's forward pass accepts a named argument."""
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        return argument in inspect.signature(base.forward).parameters


def padded(rows: Sequence[Sequence[int]], fill: int, device: Any, *, left: bool = False) -> Any:
    """A ``[rows, longest]`` int64 tensor, padded on the right unless ``left``."""
    import torch

    width = max(len(row) for row in rows)
    table = []
    for row in rows:
        space = [fill] * (width - len(row))
        table.append([*space, *row] if left else [*row, *space])
    return torch.tensor(table, dtype=torch.long, device=device)
