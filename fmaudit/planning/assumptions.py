"""What is taken for granted about the rows of a run that has not begun, and on whose word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fmaudit.planning.claims import PlannedClaim
from fmaudit.planning.pilot import SAFETY, PilotFacts
from fmaudit.probe import Binary, Item, Mean, Rate, Real
from fmaudit.statistics.proposals import Aim, Sample, sampled

DISCORDANCE = 0.2
INTRACLASS = 0.1
SHARE_OF_RANGE = 0.25
SHARE_OF_RANGE_CHANGED = 0.1
DEVIATION = "standard deviation of one item"
_NEEDS_PILOT = "give --pilot RUN: a finished run of this probe, for instance of -L 100, tells how it varies"
_CHANGES = ("change", "release change", "contrast change")


@dataclass(frozen=True)
class Assumption:
    """One figure that a plan rests on; ``source``: ``policy``, ``pilot NAME`` or ``assumed``."""

    name: str
    value: float
    source: str


@dataclass(frozen=True)
class Basis:
    """An aim and how its items come, with every assumption behind them."""

    aim: Aim
    sample: Sample
    assumptions: tuple[Assumption, ...]


def approximate(claim: PlannedClaim) -> bool:
    """Whether the number's interval is approximate, so that no gate decides on it: a mean without a range."""
    return isinstance(claim.metric, Mean) and _limits(claim, False) is None


def basis(claim: PlannedClaim, facts: PilotFacts | None, pilot: str) -> Basis | str:
    """What is known of a claim's rows beforehand, or what to give where nothing can be said."""
    source = f"pilot {pilot}"
    truth = _truth(claim, facts, source)
    if isinstance(truth, str):
        return truth
    bounds = (claim.limit.min, claim.limit.max)
    if claim.ideal is not None and claim.limit.max is not None:
        # On which side of the target the base lies is not known: a move to either side may lead away.
        bounds = (-claim.limit.max, claim.limit.max)
    change = claim.kind in _CHANGES
    if isinstance(claim.metric, Rate) and claim.contrast is None:
        sample, notes = _sample(claim, facts, source)
        if not change:
            return Basis(Aim("rate", truth.value, bounds), sample, (truth, *notes))
        discordance = _discordance(claim, facts, source)
        spread = max(discordance.value, abs(truth.value), 1e-9)
        return Basis(Aim("change", truth.value, bounds, spread), sample, (truth, discordance, *notes))
    deviation = _deviation(claim, facts, pilot, change)
    if isinstance(deviation, str):
        return deviation
    groups = _groups(claim)
    limits = _limits(claim, change)
    aim = Aim("mean", truth.value, bounds, deviation.value, limits)
    if groups is not None and limits is not None:
        aim = replace(aim, spread=deviation.value / _arms(groups), groups=groups)
    if deviation.source != "assumed":
        return Basis(aim, _sample_of_deviation(claim), (truth, deviation))
    sample, notes = _sample(claim, None, "")
    return Basis(aim, sample, (truth, deviation, *notes))


def _discordance(claim: PlannedClaim, facts: PilotFacts | None, source: str) -> Assumption:
    if facts is not None and facts.spread is not None:
        # The last release is not in a pilot: its base stands in for it.
        name = "discordance from base" if claim.kind == "release change" else "discordance"
        return Assumption(f"{name}, upper {SAFETY:.0%} limit", facts.spread, source)
    level = claim.rule.alternative.level
    if level is None and claim.rule.max is not None and claim.rule.min is None:
        level = claim.rule.max / 2
    if level is not None and claim.contrast is None and 2 * level < DISCORDANCE:
        # Two models with this rate cannot differ on more items.
        return Assumption("discordance", 2 * level, "assumed from the level")
    return Assumption("discordance", DISCORDANCE, "assumed")


def _truth(claim: PlannedClaim, facts: PilotFacts | None, source: str) -> Assumption | str:
    low, high = claim.limit.min, claim.limit.max
    if claim.kind in _CHANGES:
        return Assumption("true change", claim.rule.alternative.change, "policy")
    stated = claim.rule.alternative.level
    if stated is not None:
        return Assumption("true value", stated, "policy")
    value = facts.value if facts is not None else None
    if value is not None and (low is None or value > low) and (high is None or value < high):
        return Assumption("true value", value, source)
    if claim.contrast is not None and (low is None or low < 0) and (high is None or high > 0):
        return Assumption("true value", 0.0, "assumed")
    floor, ceiling = None, None
    if claim.contrast is None:
        floor, ceiling = _limits(claim, False) or (None, None)
    ends = (floor if low is None else low, ceiling if high is None else high)
    if ends[0] is None or ends[1] is None:
        return "state alternative: {level: …} in the rule, the value of a model that should pass"
    return Assumption("true value", (ends[0] + ends[1]) / 2, "assumed")


def _sample(claim: PlannedClaim, facts: PilotFacts | None, source: str) -> tuple[Sample, list[Assumption]]:
    items = [item for item, counts in zip(claim.every_item, claim.counted, strict=True) if counts]
    clusters, shared = _clusters(items)
    known = {} if facts is None else {factor: facts.icc[factor] for factor in shared if factor in facts.icc}
    notes = []
    for factor in shared:
        name = f"intraclass correlation by {factor}"
        if factor in known:
            notes.append(Assumption(f"{name}, upper {SAFETY:.0%} limit", known[factor], source))
        else:
            notes.append(Assumption(name, INTRACLASS, "assumed"))
    icc = {factor: known.get(factor, INTRACLASS) for factor in shared}
    return sampled(np.array([item.weight for item in items]), clusters, icc), notes


def _sample_of_deviation(claim: PlannedClaim) -> Sample:
    """Items whose deviation has weights and the likeness of clusters in it already."""
    items = [item for item, counts in zip(claim.every_item, claim.counted, strict=True) if counts]
    return sampled(np.ones(len(items)), _clusters(items)[0], {})


def _clusters(items: Sequence[Item]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Labels of every factor, and the factors whose levels items share."""
    factors = sorted({factor for item in items for factor in item.clusters})
    labels = {
        factor: np.array([item.clusters.get(factor, f"\0{item.id}") for item in items]) for factor in factors
    }
    return labels, [factor for factor in factors if len(set(labels[factor].tolist())) < len(items)]


def _deviation(claim: PlannedClaim, facts: PilotFacts | None, pilot: str, change: bool) -> Assumption | str:
    name = DEVIATION
    if facts is not None and facts.spread is not None:
        return Assumption(f"{name}, upper {SAFETY:.0%} limit", facts.spread, f"pilot {pilot}")
    arms = _arms(_groups(claim))
    if isinstance(claim.metric, Rate):
        own = DISCORDANCE**0.5 if change else 0.5
        return Assumption(name, own * arms, "assumed")
    limits = _limits(claim, False)
    if limits is None or not isinstance(claim.metric, Mean):
        return _NEEDS_PILOT if not pilot else f"pilot {pilot} has no usable number of it: give another one"
    share = SHARE_OF_RANGE_CHANGED if change else SHARE_OF_RANGE
    return Assumption(name, share * (limits[1] - limits[0]) * arms, "assumed")


def _groups(claim: PlannedClaim) -> tuple[float, float] | None:
    """Share of the items in each group of a contrast; None where there is none, or a group is empty."""
    if claim.contrast is None:
        return None
    levels = [item.slices.get(claim.contrast.column) for item in claim.every_item]
    plus, minus = levels.count(claim.contrast.plus), levels.count(claim.contrast.minus)
    return (plus / (plus + minus), minus / (plus + minus)) if plus and minus else None


def _arms(groups: tuple[float, float] | None) -> float:
    """What the difference of two groups varies more than one mean of all their items."""
    return 1.0 if groups is None else float(sum(1 / share for share in groups) ** 0.5)


def _limits(claim: PlannedClaim, change: bool) -> tuple[float, float] | None:
    """The range of one item's value, or of its change, where there is one."""
    metric = claim.metric
    low: float | None
    high: float | None
    if isinstance(metric, Rate):
        low, high = 0.0, 1.0
    elif isinstance(metric, Mean) and claim.entry is not None:
        measure = next((one for one in claim.entry.probe.measures if one.id == metric.of), None)
        if isinstance(measure, Binary):
            low, high = 0.0, 1.0
        elif isinstance(measure, Real) and measure.low is not None and measure.high is not None:
            low, high = measure.low, measure.high
            if metric.absolute:
                low, high = 0.0, max(abs(low), abs(high))
        else:
            return None
    else:
        return None
    width = high - low
    return (-width, width) if change else (low, high)
