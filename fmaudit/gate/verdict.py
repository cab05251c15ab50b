"""One number against one limit: pass, fail or inconclusive, never on the value alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fmaudit.schema import Numbers

Verdict = Literal["pass", "fail", "inconclusive"]
NEEDED_CLUSTERS = 30
_COMPLETE = 1 - 1e-12


@dataclass(frozen=True)
class Limit:
    """The allowed range; None leaves a side open."""

    min: float | None
    max: float | None

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


def read_number(number: Numbers, limit: Limit, *, partial: bool, min_n: int, confidence: float) -> Reading:
    """Hold a number against a limit.

    ``partial``: the run was cut short, so the number may fail and never pass.
    ``confidence`` is one-sided; an interval printed at a two-sided level L serves
    up to (1 + L) / 2.
    """
    obstacle = _obstacle(number, partial=partial, min_n=min_n, confidence=confidence)
    if obstacle is not None:
        return obstacle
    printed = (number.lower, number.upper)
    if printed[0] is None or printed[1] is None:
        return Reading("inconclusive", "it has no interval", "ask more items")
    low, high = number.worst_interval or (printed[0], printed[1])
    bounded = number.worst_interval is not None or number.coverage >= _COMPLETE
    counted = "" if number.coverage >= _COMPLETE else ", missing counted as defects,"
    shown = f"interval {low:.4g} to {high:.4g}{counted}"
    if limit.excludes(low, high):
        return Reading("fail", f"{shown} lies beyond {limit.text()}", "mitigate, or have the limit reviewed")
    if not limit.contains(low, high):
        return Reading("inconclusive", f"{shown} reaches across {limit.text()}", _more(number, limit))
    if not bounded:
        reason = f"coverage is {number.coverage:.1%} and the missing answers have no bounds"
        return Reading("inconclusive", reason, "make the missing answers readable")
    if partial:
        return Reading(
            "inconclusive", "the run was cut short (-L) and such a run never passes", "run all items"
        )
    return Reading("pass", f"{shown} lies within {limit.text()}")


def _obstacle(number: Numbers, *, partial: bool, min_n: int, confidence: float) -> Reading | None:
    if number.state != "measured" or number.value is None:
        return Reading(
            "inconclusive",
            f"{number.state}: {number.reason or 'no value'}",
            "measure it, then repeat the gate",
        )
    if number.n < min_n:
        return Reading(
            "inconclusive", f"{number.n} items were asked, {min_n} are needed", f"ask at least {min_n} items"
        )
    clusters = max(number.clusters.values(), default=number.n)
    cut_only = partial and min(clusters, number.n_eff) >= NEEDED_CLUSTERS
    if not number.conclusive and not cut_only:
        reason = number.reason or f"{clusters} clusters, {NEEDED_CLUSTERS} are needed"
        return Reading(
            "inconclusive", f"no conclusion from this number: {reason}", "ask more independent items"
        )
    if confidence > (1 + number.level) / 2 + 1e-12:
        reason = (
            f"its interval is at {number.level:.1%}, too low for a one-sided confidence of {confidence:.1%}"
        )
        return Reading("inconclusive", reason, "lower the policy's confidence or raise the run's level")
    return None


def _more(number: Numbers, limit: Limit) -> str:
    """How many items would decide, if the value stays where it is."""
    if number.value is None or number.lower is None or number.upper is None:
        return "ask more items"
    half = (number.upper - number.lower) / 2
    margin = min(
        (abs(number.value - side) for side in (limit.min, limit.max) if side is not None), default=0.0
    )
    if number.coverage < _COMPLETE:
        return "ask more items and make the missing answers readable"
    if margin <= 0 or half <= 0:
        return "the value lies on the limit: more items will hardly decide it"
    needed = int(number.n * (half / margin) ** 2) + 1
    return (
        f"about {needed:,} items would decide it if the value stays"
        if needed > number.n
        else "ask more items"
    )
