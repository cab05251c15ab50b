"""One number against one limit: pass, fail or inconclusive, never on the value alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fmaudit.schema import Numbers

Verdict = Literal["pass", "fail", "inconclusive"]
NEEDED_CLUSTERS = 30
COMPLETE = 1 - 1e-12


@dataclass(frozen=True)
class Limit:
    """The allowed range; None leaves a side open."""

    min: float | None
    max: float | None

    @property
    def sides(self) -> int:
        """How many one-sided claims it makes."""
        return (self.min is not None) + (self.max is not None)

    def contains(self, low: float, high: float) -> bool:
        """Whether [low, high] lies inside."""
        return (self.min is None or low >= self.min) and (self.max is None or high <= self.max)

    def excludes(self, low: float, high: float) -> bool:
        """Whether [low, high] lies wholly outside, on one side."""
        return (self.max is not None and low > self.max) or (self.min is not None and high < self.min)

    def text(self) -> str:
        """The limit in words."""
        sides = [("at least", self.min), ("at most", self.max)]
        return " and ".join(f"{word} {value:g}" for word, value in sides if value is not None)


@dataclass(frozen=True)
class Reading:
    """A verdict, why, and what to do about it."""

    verdict: Verdict
    reason: str
    action: str = ""


@dataclass(frozen=True)
class Requirements:
    """What a number needs before anything is decided from it."""

    min_n: int
    min_coverage: float = 0.0
    partial: bool = False


def two_sided(confidence: float) -> float:
    """The level of the two-sided interval whose each limit holds with a one-sided confidence."""
    return round(2 * confidence - 1, 12)


def obstacle(number: Numbers, needs: Requirements) -> Reading | None:
    """Why nothing can be decided from a number; None where something can."""
    if number.state != "measured" or number.value is None or not math.isfinite(number.value):
        reason = f"{number.state}: {number.reason or 'no value'}"
        return Reading("inconclusive", reason, "measure it, then repeat the gate")
    if number.n < needs.min_n:
        reason = f"{number.n} items were asked, {needs.min_n} are needed"
        return Reading("inconclusive", reason, f"ask at least {needs.min_n} items")
    if number.coverage < needs.min_coverage:
        reason = f"coverage is {number.coverage:.1%}, {needs.min_coverage:.1%} are needed"
        return Reading("inconclusive", reason, "make the missing answers readable")
    if not _finite(number.lower) or not _finite(number.upper):
        reason = f"it has no interval: {number.reason or 'too few items'}"
        return Reading("inconclusive", reason, "ask more items, or gate it with form: fixed")
    if unbounded(number):
        return unbounded_reading(number)
    clusters = max(number.clusters.values(), default=number.n)
    cut_only = needs.partial and min(clusters, number.n_eff) >= NEEDED_CLUSTERS
    if not number.conclusive and not cut_only:
        reason = number.reason or f"{clusters} clusters, {NEEDED_CLUSTERS} are needed"
        return Reading(
            "inconclusive", f"no conclusion from this number: {reason}", "ask more independent items"
        )
    return None


def unbounded(number: Numbers) -> bool:
    """Whether answers are missing and nothing bounds what they could have been."""
    return number.state == "measured" and number.coverage < COMPLETE and number.worst_interval is None


def unbounded_reading(number: Numbers) -> Reading:
    """What is said of a number that is :func:`unbounded`: what is missing could be anything."""
    reason = f"coverage is {number.coverage:.1%} and the missing answers have no bounds"
    return Reading("inconclusive", reason, "make the missing answers readable")


def span(number: Numbers) -> tuple[float, float]:
    """The interval with the missing answers counted as they hurt most; for a number not :func:`unbounded`."""
    if number.worst_interval is not None:
        return number.worst_interval
    assert number.lower is not None
    assert number.upper is not None
    return number.lower, number.upper


def beyond(number: Numbers, limit: Limit) -> bool:
    """Whether the whole interval lies outside the limit; for a number without :func:`obstacle`."""
    return limit.excludes(*span(number))


def fails(number: Numbers, limit: Limit, corrected_for: int) -> Reading:
    """The verdict on a number whose interval lies beyond its limit."""
    rules = f", corrected for {corrected_for} blocking findings" if corrected_for > 1 else ""
    reason = f"{_shown(number)} lies beyond {limit.text()}{rules}"
    return Reading("fail", reason, "mitigate, or have the limit reviewed")


def passes(number: Numbers, limit: Limit, needs: Requirements) -> Reading:
    """Whether a number without :func:`obstacle` that does not fail is shown to keep its limit."""
    low, high = span(number)
    if limit.excludes(low, high):
        reason = f"{_shown(number)} lies beyond {limit.text()}, but not after the correction for many rules"
        return Reading("inconclusive", reason, _more(number, limit))
    if not limit.contains(low, high):
        return Reading(
            "inconclusive", f"{_shown(number)} reaches across {limit.text()}", _more(number, limit)
        )
    if needs.partial:
        return Reading(
            "inconclusive", "the run was cut short (-L) and such a run never passes", "run all items"
        )
    return Reading("pass", f"{_shown(number)} lies within {limit.text()}")


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _shown(number: Numbers) -> str:
    low, high = span(number)
    counted = "" if number.coverage >= COMPLETE else ", missing counted as defects,"
    return f"interval {low:.4g} to {high:.4g}{counted}"


def _more(number: Numbers, limit: Limit) -> str:
    """How many items would decide, if the value stays where it is."""
    if number.value is None or number.lower is None or number.upper is None:
        return "ask more items"
    half = (number.upper - number.lower) / 2
    margin = min(
        (abs(number.value - side) for side in (limit.min, limit.max) if side is not None), default=0.0
    )
    if number.coverage < COMPLETE:
        return "ask more items and make the missing answers readable"
    if margin <= 0 or half <= 0:
        return "the value lies on the limit: more items will hardly decide it"
    needed = int(number.n * (half / margin) ** 2) + 1
    return (
        f"about {needed:,} items would decide it if the value stays"
        if needed > number.n
        else "ask more items"
    )
