"""The contract of an engine, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fmaudit.requests import Request, RequestKind, Response

ENGINE_PROTOCOL = 2
"""How text becomes tokens, what of it is scored and what shares a batch; raised where scores change meaning.

2: control tokens in data are text, a token that straddles the first border is scored, and
rows share a batch only as the model allows.
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request with its place: ``item`` and ``index`` key the random numbers of a sample."""

    item: str
    index: int
    request: Request


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """``token_budget``: padded tokens a batch may hold. ``seed``: of every sampled token.

    ``stream``: name of the random numbers; subjects of one seed and stream are sampled on the same.
    """

    token_budget: int = 4096
    seed: int = 0
    stream: str = ""


@dataclass
class BackoffLog:
    """Batches that ran out of memory and were halved, and the budget that this left.

    ``token_budget``: padded tokens a batch may still hold; None while nothing was
    halved. Who continues a measurement sets it to what the earlier session had left.
    """

    events: list[dict[str, int | str]] = field(default_factory=list)
    token_budget: int | None = None


class Engine(Protocol):
    """Answers requests of one subject at a time."""

    @property
    def answers(self) -> frozenset[RequestKind]:
        """The request kinds this subject can answer."""
        ...

    @property
    def backoff(self) -> BackoffLog:
        """Out-of-memory events so far."""
        ...

    def length(self, request: Request) -> int:
        """Tokens one row of this request takes, the generated ones included."""
        ...

    def run(
        self, asks: Sequence[Ask], tick: Callable[[int], None] | None = None
    ) -> Iterator[tuple[int, Response]]:
        """Yield ``(position in asks, response)`` as batches finish, in plan order.

        ``tick`` is told how many requests each finished batch answered.
        """
        ...
