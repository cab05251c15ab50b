"""Measurements that were imported from another tool's log: what they declare, and what may be said of them.

No probe is installed for an imported task, so the declaration of its measures and metrics
stands in run.json. Neither how it was asked nor who descends from whom can be verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fmaudit.errors import ExecutionError
from fmaudit.inheritance.verdicts import Decision
from fmaudit.probe import Binary, Direction, Mean, Measure, Metric, Probe, Rate, Real, probe

IMPORTED: Final = "imported"
UNVERIFIED: Final = "imported from a log: neither how it was asked nor the lineage can be verified"
SHARED: Final = frozenset({"inherited", "coincident", "association"})
CAUSED: Final = frozenset({"amplified", "mitigated", "introduced", "repaired"})


class DeclaredMetric(BaseModel):
    """One metric of an imported task, and the measure of the same id that it is the mean of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    kind: Literal["rate", "mean"]
    direction: Direction
    ideal: float | None = None
    headline: bool = False
    low: float | None = None
    high: float | None = None


class Declaration(BaseModel):
    """What a probe would declare. ``outcome``: whether the rows hold the default binary measure too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    metrics: tuple[DeclaredMetric, ...]
    outcome: bool = False
    limits: tuple[str, ...] = ()

    def measures(self) -> tuple[Measure, ...]:
        """The columns of its rows, the outcome first."""
        own: list[Measure] = [
            Binary(metric.id, direction=metric.direction)
            if metric.kind == "rate"
            else Real(metric.id, low=metric.low, high=metric.high, direction=metric.direction)
            for metric in self.metrics
        ]
        return (Binary("outcome"), *own) if self.outcome else tuple(own)

    def rates_and_means(self) -> tuple[Metric, ...]:
        """Its metrics."""
        return tuple(
            (Rate if metric.kind == "rate" else Mean)(
                metric.id,
                of=metric.id,
                direction=metric.direction,
                ideal=metric.ideal,
                headline=metric.headline,
                title=metric.title,
            )
            for metric in self.metrics
        )


def is_imported(entry: Mapping[str, Any]) -> bool:
    """Whether a measurement record of run.json was imported."""
    return entry.get("assurance") == IMPORTED


def declared_probe(entry: Mapping[str, Any]) -> Probe:
    """The stand-in for the probe of one imported record. Raises ExecutionError for a broken declaration."""
    try:
        declaration = Declaration.model_validate(entry.get("declaration"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("declaration", *first["loc"]))
        raise ExecutionError(
            f"run.json, imported measurement {entry.get('key')}: {place}: {first['msg']}; import it again"
        ) from None

    @probe(entry["probe"], version=entry["version"], dataset=())
    class Imported(Probe):
        title = declaration.title
        limits = declaration.limits
        variants = {entry["variant"]: ()}
        measures = declaration.measures()
        metrics = declaration.rates_and_means()

    return Imported(entry["variant"])


def as_imported(found: Decision) -> Decision:
    """What may be said of imported rows at most: an association, or that the rate changed."""
    if found.word in SHARED:
        return Decision("association", (*found.flags, IMPORTED), UNVERIFIED)
    if found.word in CAUSED:
        reason = f"it would be {found.word}, but it was {UNVERIFIED}"
        return replace(found, word="changed, size unresolved", flags=(*found.flags, IMPORTED), reason=reason)
    return replace(found, flags=(*found.flags, IMPORTED))
