"""Numbers as ``audit.json`` holds them: a value and everything it may not travel without."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

State = Literal["measured", "unmeasured", "unmeasurable"]


class Record(BaseModel):
    """Frozen, and strict about its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(Record):
    """A number with its interval; ``reason`` says why it has none."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float = 0.95
    method: str = ""
    reason: str = ""


class HasInterval(Protocol):
    """What an estimator returned: a value with its limits."""

    @property
    def value(self) -> float | None:
        """The estimate; None where it is undefined."""
        ...

    @property
    def lower(self) -> float | None:
        """Lower limit."""
        ...

    @property
    def upper(self) -> float | None:
        """Upper limit."""
        ...

    @property
    def level(self) -> float:
        """Confidence level."""
        ...

    @property
    def method(self) -> str:
        """How it was computed."""
        ...

    @property
    def reason(self) -> str:
        """Why it is undefined or weak."""
        ...


def quantity(found: HasInterval) -> Quantity:
    """An estimate as the record that documents hold."""
    return Quantity(
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        level=found.level,
        method=found.method,
        reason=found.reason,
    )


class Resampling(Record):
    """How an interval was resampled."""

    draws: int
    seed: int


Direction = Literal["rose", "fell", "no change shown", "unknown"]
Reading = Literal["worse", "better", "higher", "lower", "not shown", "unclear", "inconclusive", "unmeasured"]


class Numbers(Record):
    """A value and everything it may not travel without.

    ``approximate``: its interval holds only where the sample shows how far the values reach,
    because its measure declares no range; nothing is decided from it.
    ``worst_p``: of a change with missing answers, the p-value with them counted the way that speaks least
    for a change; None where nothing is missing or the measure has no bounds.
    """

    state: State
    reason: str = ""
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float = 0.95
    adjusted_level: float | None = None
    adjusted_lower: float | None = None
    adjusted_upper: float | None = None
    method: str = ""
    resampling: Resampling | None = None
    estimand: str = ""
    n: int = 0
    n_eff: float = 0.0
    clusters: dict[str, int] = Field(default_factory=dict)
    samples_per_item: int = 1
    coverage: float = 0.0
    worst: tuple[float, float] | None = None
    worst_interval: tuple[float, float] | None = None
    mde: float | None = None
    conclusive: bool = True
    approximate: bool = False
    p: float | None = None
    worst_p: float | None = None
    p_adjusted: float | None = None


class Distance(Numbers):
    """Change of the distance to ``ideal``, ``|adapted - ideal| - |base - ideal|``; positive: further from it.

    Attributes:
        ideal: Where the number ought to be, in its own unit.
        base: The base's distance on the items of the change; None where it is undefined.
        adapted: The adapted subject's distance on the same items.
    """

    ideal: float
    base: float | None = None
    adapted: float | None = None
