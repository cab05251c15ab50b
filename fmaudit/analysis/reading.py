"""What a change or a gap is shown to be: which way it went, and whether that is worse.

The one place that decides it. Every reader (report, site, exports, comparison of releases) prints what
stands here, so that no two documents can call one number by two words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from fmaudit.analysis.numbers import COMPLETE
from fmaudit.schema import Direction, Reading

SHOWN: Final[frozenset[Reading]] = frozenset({"worse", "better", "higher", "lower"})
"""The readings that say that a number differs from 0."""


class Directed(Protocol):
    """A metric, or the record of one: which side of it is better."""

    @property
    def direction(self) -> str:
        """``lower_is_better``, ``higher_is_better``, ``target`` or ``none``."""
        ...


@dataclass(frozen=True)
class Sense:
    """What is worse: a rise (``sign`` 1), a fall (-1), more distance from a target, or neither (0).

    ``distance``: the number is held by its distance from an ideal, whatever its sign.
    """

    sign: int = 0
    distance: bool = False


NEITHER: Final = Sense()
_SIGNS = {"lower_is_better": 1, "higher_is_better": -1}


def sense_of_change(metric: Directed | None) -> Sense:
    """What is worse of a metric's change."""
    if metric is None:
        return NEITHER
    return Sense(_SIGNS.get(metric.direction, 0), metric.direction == "target")


def sense_of_gap(metric: Directed | None) -> Sense:
    """What is worse of a contrast of a metric.

    A probe puts the group with the defect first: members before controls, so that what is above the other
    group is the defect, also of a metric without a direction. Of a metric with a target neither group
    should lie apart: the gap's ideal is 0.
    """
    if metric is not None and metric.direction == "target":
        return Sense(0, True)
    return Sense(-1 if metric is not None and metric.direction == "higher_is_better" else 1)


def limits(fields: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval that may be spoken of: with missing answers that of the bounds; None without one."""
    if fields["lower"] is None or fields["upper"] is None:
        return None
    if fields["coverage"] >= COMPLETE:
        return fields["lower"], fields["upper"]
    worst = fields.get("worst_interval")
    return None if worst is None else (worst[0], worst[1])


def tested_p(fields: Mapping[str, Any]) -> float | None:
    """The p-value that enters a family: with missing answers that of their worst case; None counts as 1."""
    if fields["state"] != "measured" or fields.get("p") is None:
        return None
    p = fields["p"] if fields["coverage"] >= COMPLETE else fields.get("worst_p")
    return None if p is None else float(p)


def direction_of(fields: Mapping[str, Any], p_adjusted: float | None, alpha: float) -> Direction:
    """Which way a number is shown to have gone; ``unknown`` where nothing may be concluded."""
    found = limits(fields)
    if fields["state"] != "measured" or not fields["conclusive"] or found is None:
        return "unknown"
    lower, upper = found
    if p_adjusted is None or p_adjusted >= alpha or lower <= 0 <= upper:
        return "no change shown"
    return "rose" if lower > 0 else "fell"


def _excludes_zero(fields: Mapping[str, Any]) -> bool:
    found = limits(fields)
    return found is not None and not found[0] <= 0 <= found[1]


def reading_of(
    fields: Mapping[str, Any],
    p_adjusted: float | None,
    sense: Sense,
    alpha: float,
    away: tuple[float, float] | None = None,
    *,
    within: bool = False,
) -> Reading:
    """How a number reads after the correction for many.

    Args:
        fields: The number fields of a change or a contrast.
        p_adjusted: Its p-value corrected within its family; None where there is no test.
        sense: What is worse.
        alpha: What a corrected p-value has to be below, in (0, 1).
        away: Interval of the change of the distance from the target; None where it is not known.
        within: A gap within one subject, not a change: away from its target it is a defect on any side.
    """
    if fields["state"] != "measured" or fields["value"] is None:
        return "unmeasured"
    if not fields["conclusive"]:
        return "inconclusive"
    if limits(fields) is None:
        return "unclear" if fields["lower"] is not None else "inconclusive"
    direction = direction_of(fields, p_adjusted, alpha)
    if direction == "no change shown":
        return "not shown" if p_adjusted is not None or not _excludes_zero(fields) else "unclear"
    rose = direction == "rose"
    if sense.distance:
        if within or (away is not None and away[0] > 0):
            return "worse"
        if away is not None and away[1] < 0:
            return "better"
    elif sense.sign:
        if rose == (sense.sign > 0):
            return "worse"
        if not within:
            return "better"
    return "higher" if rose else "lower"
