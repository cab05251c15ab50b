"""Power and false alarms of an audit, from answers whose truth is known; pure numpy.

Two sources of chance are told apart. Over items: another audit of the same model
asks other units and other sentences. Over training seeds: another model made by
the same recipe with the same dose turned out otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.comparisons import EPS
from fmaudit.analysis.pedigree import Scale, scale_of
from fmaudit.inheritance.verdicts import Limits, tolerated
from fmaudit.probe import Rate
from fmaudit.schema import Quantity

POWER = 0.8
LEVEL = 0.95
ONE_SEED = "one training seed: no interval over seeds"


@dataclass(frozen=True)
class Outcomes:
    """Defects of one model, an entry an item; all arrays of shape (n,).

    ``low`` and ``high``: the item's value in [0, 1], 1 the defect, with a missing
    answer counted as 0 and as 1. ``units``: codes from 0 of what items share.
    """

    low: np.ndarray
    high: np.ndarray
    units: np.ndarray

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.low)

    @property
    def rate(self) -> float:
        """Mean defect rate, a missing answer counted half."""
        return float((self.low.mean() + self.high.mean()) / 2)


def finds(interval: statistics.Interval, metric: Rate) -> bool:
    """Whether an audit with this interval says that the model has the defect.

    It does where the whole interval lies farther from the metric's ideal than its
    tolerated margin (at least 3 / n), which is what the comparison's verdicts ask
    of one subject.

    Args:
        interval: of the defect rate, 1 the defect, in [0, 1].
        metric: the headline metric, for ideal and margin.

    Raises:
        ValueError: no direction of the metric is better, so nothing is a defect.
    """
    if not interval.conclusive or interval.lower is None or interval.upper is None:
        return False
    distance = defect_scale(metric).distance(Limits(interval.lower, interval.upper))
    return distance.side_beyond(tolerated(declared_margin(metric), interval.n)) != 0


def declared_margin(metric: Rate) -> float:
    """The tolerated distance from the ideal."""
    return EPS if metric.eps is None else metric.eps


def defect_scale(metric: Rate) -> Scale:
    """How the metric becomes a defect rate. Raises ValueError where nothing is a defect."""
    scale = scale_of(metric)
    if scale is None:
        raise ValueError(f"metric {metric.id} has no better direction: it cannot find a defect")
    return scale


def audit(outcomes: Outcomes) -> statistics.Interval:
    """The interval of the defect rate, wide enough to hold whatever the missing answers were."""
    least = _rate(outcomes.low, outcomes.units)
    if np.array_equal(outcomes.low, outcomes.high):
        return least
    return replace(least, upper=_rate(outcomes.high, outcomes.units).upper)


def resampled(outcomes: Outcomes, n: int, draw: np.random.Generator) -> Outcomes:
    """Another audit of the same model with about ``n`` items.

    It asks as many units as it can, each the same number of times: ``n`` units
    once, or all of them ``n / units`` times. Units are drawn with replacement and
    each draw is a unit of its own; items of a drawn unit without replacement.

    Args:
        outcomes: the pool of answers.
        n: items wanted; fewer come back only where the units drawn have no more.
        draw: the random numbers.
    """
    table = _by_unit(outcomes.units)
    wanted = min(n, len(table))
    chosen = table[draw.integers(len(table), size=wanted)]
    order = np.where(chosen >= 0, draw.random(chosen.shape), np.inf).argsort(axis=1)
    # Item by item over all units, so that cutting at n leaves them equally often asked.
    rows = np.take_along_axis(chosen, order, axis=1)[:, : -(-n // wanted)].T.ravel()
    labels = np.tile(np.arange(wanted), len(rows) // wanted)
    there = np.flatnonzero(rows >= 0)[:n]
    rows = rows[there]
    return Outcomes(outcomes.low[rows], outcomes.high[rows], labels[there])


def found_in_audits(outcomes: Outcomes, metric: Rate, n: int, audits: int, seed: int) -> np.ndarray:
    """Which of ``audits`` resampled audits of ``n`` items find the defect; bool of shape (audits,)."""
    draw = np.random.default_rng([seed, n])
    return np.array([finds(audit(resampled(outcomes, n, draw)), metric) for _ in range(audits)])


def share_found(found: np.ndarray) -> Quantity:
    """Share of audits that find, with an interval in which training seeds are the independent units.

    Clopper and Pearson's interval on the number of seeds: it holds however much
    seeds differ, even if all audits of one agree, and is wide where they do not.

    Args:
        found: bool of shape (seeds, audits).
    """
    seeds, share = len(found), float(found.mean())
    if seeds < 2:
        return Quantity(value=share, reason=ONE_SEED)
    lower, upper = statistics.clopper_pearson(share * seeds, seeds, LEVEL)
    return Quantity(
        value=share,
        lower=lower,
        upper=upper,
        level=LEVEL,
        method="Clopper-Pearson on the number of training seeds",
    )


def share_of_seeds(found: Sequence[bool]) -> Quantity:
    """Share of training seeds whose whole pool finds, with Clopper and Pearson's exact interval."""
    lower, upper = statistics.clopper_pearson(sum(found), len(found), LEVEL)
    return Quantity(
        value=sum(found) / len(found), lower=lower, upper=upper, level=LEVEL, method="Clopper-Pearson"
    )


def response(rates: Sequence[float]) -> Quantity:
    """Mean headline rate at one dose, with Student's t interval over training seeds inside [0, 1]."""
    from scipy.stats import sem, t

    seeds, value = len(rates), float(np.mean(rates))
    if seeds < 2:
        return Quantity(value=value, reason=ONE_SEED)
    half = float(t.ppf((1 + LEVEL) / 2, seeds - 1) * sem(rates))
    return Quantity(
        value=value,
        lower=max(value - half, 0.0),
        upper=min(value + half, 1.0),
        level=LEVEL,
        method="Student's t over training seeds",
    )


def smallest_dose(
    doses: Sequence[float], power: Sequence[float], wanted: float = POWER
) -> tuple[float | None, str]:
    """The smallest dose above 0 that is found with the wanted power, as every larger one is.

    Args:
        doses: the ladder, ascending.
        power: share found at each dose.
        wanted: the power asked for.

    Returns:
        The dose and an empty reason, or None and why there is none.
    """
    steps = [(dose, share) for dose, share in zip(doses, power, strict=True) if dose > 0]
    if not steps:
        return None, "the ladder has no dose above 0"
    smallest = None
    for dose, share in reversed(steps):
        if share < wanted:
            break
        smallest = dose
    if smallest is not None:
        return smallest, ""
    largest, share = steps[-1]
    return None, f"the largest dose of the ladder, {largest:g}, was found in {share:.0%} of audits"


def _rate(values: np.ndarray, units: np.ndarray) -> statistics.Interval:
    return statistics.rate(values, clusters={"unit": units}, level=LEVEL)


def _by_unit(units: np.ndarray) -> np.ndarray:
    """Row numbers of each unit, shape (units, most rows of one), -1 where it has fewer."""
    counts = np.bincount(units)
    order = np.argsort(units, kind="stable")
    table = np.full((len(counts), counts.max()), -1)
    table[np.arange(counts.max()) < counts[:, None]] = order
    return table[counts > 0]
