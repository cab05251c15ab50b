"""Anytime-valid intervals of a run's numbers: bets on whole clusters, in the order of their completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.numbers import COMPLETE, ItemValues
from fmaudit.analysis.tables import Answers

METHOD = "betting confidence sequence on whole clusters"
CROSSED = "crossed factors have no anytime form"
NO_CONTRAST = "a contrast has no anytime form"
NO_STATISTIC = "a statistic of all items has no anytime form"
NO_BOUNDS = "an unbounded measure has no anytime form"
NO_DESIGN = "this run was cut and does not record its clusters: run it anew for an anytime verdict"


@dataclass(frozen=True)
class Units:
    """Clusters of a measurement: the factor that makes them ("" where every item is one).

    ``largest``: total weight of the largest cluster of the whole data set, known before the
    run; a bet must not lose more than it has. ``cut``: clusters of which some items were not asked.
    ``order``: the clusters in the order in which their last row came in the whole run; a slice bets
    in that order too. Empty: the order within the rows at hand.
    """

    factor: str
    largest: float
    cut: frozenset[str] = frozenset()
    order: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(record: Mapping[str, Any], answers: Answers) -> Units | None:
        """As the run recorded them; from the answers where all items were asked; else None."""
        stated = record.get("clusters")
        if isinstance(stated, Mapping):
            factor = str(stated["factor"])
            cut = frozenset(stated["cut"])
            return Units(factor, float(stated["largest"]), cut, completion(factor, answers))
        if record["partial"] or len(answers.clusters) > 1:
            return None
        for factor, labels in answers.clusters.items():
            _, codes = np.unique(labels.astype(str), return_inverse=True)
            largest = float(np.bincount(codes, answers.weights).max())
            return Units(factor, largest, order=completion(factor, answers))
        return Units("", float(answers.weights.max(initial=0.0)), order=completion("", answers))


def completion(factor: str, answers: Answers) -> dict[str, int]:
    """Position of the last row of each cluster in the whole run; every item is one without a factor."""
    labels = answers.clusters.get(factor, answers.item_ids)
    return {str(label): place for place, label in enumerate(labels.tolist())}


def sequence_of_level(
    fields: dict[str, Any], found: ItemValues, answers: Answers, units: Units | None, level: float
) -> dict[str, Any]:
    """``fields`` of a rate or bounded mean with the limits of its sequence instead of its interval."""
    low, high = found.limits
    if low is None or high is None or not high > low:
        return without_sequence(fields, NO_BOUNDS)
    return _with_limits(
        fields, _Bounded(found.values, found.low, found.high, low, high), answers, units, level
    )


def sequence_of_change(
    fields: dict[str, Any],
    base: ItemValues,
    adapted: ItemValues,
    answers: Answers,
    units: Units | None,
    level: float,
) -> dict[str, Any]:
    """``fields`` of a paired change with the limits of its sequence, item-weighted as the change itself."""
    low, high = adapted.limits
    if low is None or high is None or not high > low or base.limits != adapted.limits:
        return without_sequence(fields, NO_BOUNDS)
    least = most = None
    if (
        adapted.low is not None
        and adapted.high is not None
        and base.low is not None
        and base.high is not None
    ):
        least, most = adapted.low - base.high, adapted.high - base.low
    width = high - low
    return _with_limits(
        fields, _Bounded(adapted.values - base.values, least, most, -width, width), answers, units, level
    )


def without_sequence(fields: dict[str, Any], reason: str) -> dict[str, Any]:
    """``fields`` without limits, so that nothing is concluded from them."""
    return fields | {
        "lower": None,
        "upper": None,
        "worst_interval": None,
        "conclusive": False,
        "reason": reason,
        "method": "none",
    }


@dataclass(frozen=True)
class _Bounded:
    """Values an item in [floor, ceiling], NaN where missing, and with the missing counted both ways."""

    values: np.ndarray
    least: np.ndarray | None
    most: np.ndarray | None
    floor: float
    ceiling: float


def _with_limits(
    fields: dict[str, Any], found: _Bounded, answers: Answers, units: Units | None, level: float
) -> dict[str, Any]:
    if len(answers.clusters) > 1:
        return without_sequence(fields, CROSSED)
    if units is None:
        return without_sequence(fields, NO_DESIGN)
    if fields["value"] is None:
        return fields
    seen = ~np.isnan(found.values)
    lower, upper = _limits(found.values, seen, found, answers, units, level)
    kept = {
        # Those of all looks together: they may leave out the value of the rows at hand.
        "lower": lower,
        "upper": upper,
        "level": level,
        "method": METHOD,
        "resampling": None,
        "p": None,
    }
    if fields["coverage"] >= COMPLETE:
        return fields | kept | {"worst_interval": (kept["lower"], kept["upper"])}
    if found.least is None or found.most is None:
        return fields | kept | {"worst_interval": None}
    every = np.ones(len(seen), dtype=bool)
    worst = (
        _limits(found.least, every, found, answers, units, level)[0],
        _limits(found.most, every, found, answers, units, level)[1],
    )
    return fields | kept | {"worst_interval": worst}


def _limits(
    values: np.ndarray, chosen: np.ndarray, found: _Bounded, answers: Answers, units: Units, level: float
) -> tuple[float, float]:
    width = found.ceiling - found.floor
    scaled = (values - found.floor) / width
    labels = answers.clusters.get(units.factor, answers.item_ids).astype(str)
    counted = chosen & ~np.isin(labels, list(units.cut))
    weights = np.where(counted, answers.weights, 0.0)
    if not weights.any():
        return found.floor, found.ceiling
    sums, sizes = _by_completion(np.where(counted, scaled, 0.0), weights, labels, units.order)
    lower, upper = statistics.confidence_sequence(sums, sizes, max(units.largest, sizes.max()), level)
    return found.floor + width * float(lower[-1]), found.floor + width * float(upper[-1])


def _by_completion(
    values: np.ndarray, weights: np.ndarray, labels: np.ndarray, order: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums and sizes of the clusters in the order in which their last row came.

    A cluster that lies at both ends of the run was incomplete at every look before the last:
    taking it first would change the bets that earlier looks were decided on. In a slice the
    last row of a cluster may have come before the last one that others had there.
    """
    names, codes = np.unique(labels, return_inverse=True)
    within = np.zeros(len(names), dtype=int)
    np.maximum.at(within, codes, np.arange(len(labels)))
    came = [order.get(name, place) for name, place in zip(names.tolist(), within.tolist(), strict=True)]
    turn = np.argsort(came, kind="stable")
    sums = np.bincount(codes, values * weights, len(names))[turn]
    sizes = np.bincount(codes, weights, len(names))[turn]
    return sums[sizes > 0], sizes[sizes > 0]
