"""How a model has to be asked, so that an answer depends on the text alone.

The traits are data; :mod:`fmaudit.engines.asking` finds them out by asking the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ModelKind: TypeAlias = Literal["causal", "masked", "classifier"]
Batching: TypeAlias = Literal["padded", "equal_length", "alone"]
"""What may share a forward pass: any rows, padded; rows of one length; nothing."""


def looks_ahead_line(name: str) -> str:
    """Why a model that looks ahead is not audited, and what to do."""
    return (
        f"model {name!r} looks ahead: a later token changes what it says before it, so it would be scored "
        "on words that it has seen; name a causal model (an encoder trained as a decoder needs is_decoder "
        "in its config.json)"
    )


@dataclass(frozen=True, slots=True)
class GenerationWay:
    """How texts are continued.

    Attributes:
        cached: By the model's cache; otherwise every step reads the whole text again.
        positions: Whether the model is told the positions of its tokens.
        batching: What may share a batch.
    """

    cached: bool = True
    positions: bool = True
    batching: Batching = "padded"


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What was learnt of one model by asking it.

    Attributes:
        batching: What may share a batch when texts are scored, filled or classified.
        generating: How texts are continued; None for a model that continues none.
        looks_ahead: A causal model whose answers change with later tokens.
        notes: What the report has to say about it.
    """

    batching: Batching = "padded"
    generating: GenerationWay | None = None
    looks_ahead: bool = False
    notes: tuple[str, ...] = ()
