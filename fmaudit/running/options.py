"""What a caller can choose about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class RunOptions:
    """Choices of one run; the defaults measure everything at hand, whole.

    Attributes:
        probes: Families, ids or patterns; empty for every installed probe.
        datasets: Only these data sets; None for all that are at hand.
        data: Data set id to file, folder or ``hub``.
        limit: Items a measurement asks at most; makes it partial.
        samples: Draws an item of generating probes; None for the probe's own number.
        instrument: What scores generated text: ``profanity`` or ``detoxify:PATH``; None for the default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        token_budget: Padded tokens a batch may hold; None chooses by device.
        seed: Of the item order and of every sampled token.
        allow_pickle: Read pickled weights.
        allow_remote_code: Run code that comes with a model.
        allow_identical: Go on with an adapted model that changes nothing.
        allow_mixed: Continue a run that other versions or another machine began.
        policy: A policy file whose digest is recorded before anything is measured.
        context: A context file for the audit card, recorded before anything is measured.
    """

    probes: Sequence[str] = ()
    datasets: Sequence[str] | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    samples: int | None = None
    instrument: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    token_budget: int | None = None
    seed: int = 0
    allow_pickle: bool = False
    allow_remote_code: bool = False
    allow_identical: bool = False
    allow_mixed: bool = False
    policy: Path | None = None
    context: Path | None = None


def token_budget_of(device: str) -> int:
    """Padded tokens a batch may hold on a device where nobody chose."""
    return {"cuda": 65536, "cpu": 2048}[device.partition(":")[0]]


class Progress(Protocol):
    """Told what is going on, so that a person can see rate and time left."""

    def say(self, line: str) -> None:
        """One line of prose."""
        ...

    def start(self, label: str, total: int) -> None:
        """A stretch of work of ``total`` steps begins."""
        ...

    def advance(self, steps: int) -> None:
        """``steps`` more are done."""
        ...

    def finish(self) -> None:
        """The stretch of work has ended."""
        ...


class Silent:
    """Progress that nobody watches."""

    def say(self, line: str) -> None:
        """Ignore."""

    def start(self, label: str, total: int) -> None:
        """Ignore."""

    def advance(self, steps: int) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
