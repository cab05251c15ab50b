"""The number of items a gated claim needs, in the fixed and in the anytime-valid form.

A claim passes where its whole two-sided interval at level ``2 confidence - 1`` lies
inside its bounds. Where ``gated`` claims have to pass together, each gets an equal
share of the chance to miss (Bonferroni), so the proposal holds whatever their dependence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Clusters, Floats, Ints
from fmaudit.statistics.interval import MIN_CLUSTERS
from fmaudit.statistics.layout import Layout, alone, layout
from fmaudit.statistics.looks import Clustered, clusters_needed
from fmaudit.statistics.power import Bounds, IntervalModel, MeanModel, RateModel
from fmaudit.statistics.power_bounded import BoundedModel, ContrastModel
from fmaudit.statistics.power_change import ChangeModel
from fmaudit.statistics.power_clusters import ClusteredRate, clusters_for_power
from fmaudit.statistics.sizing import items_needed, share_of_power

ClaimKind: TypeAlias = Literal["rate", "change", "mean"]
GateForm: TypeAlias = Literal["fixed", "anytime"]
MOST_SIMULATED = 20_000
"""Clusters up to which the power of a clustered rate is simulated."""


@dataclass(frozen=True)
class Aim:
    """What has to be shown of one number.

    Attributes:
        kind: ``rate``; ``change``, a paired change of a rate; ``mean``, a mean, change of a mean,
            contrast or statistic.
        truth: The true value at which the claim shall pass: the alternative.
        bounds: Least and greatest allowed value; None leaves a side open.
        spread: Discordance of a change; standard deviation of one item of a mean.
        limits: Range the values of one item cannot leave; a mean without one has intervals that
            are approximate, and none for ``anytime``.
        groups: Share of the items in each group of a contrast, whose ``spread`` is that within a
            group; None where the number is no contrast in a range.
    """

    kind: ClaimKind
    truth: float
    bounds: Bounds
    spread: float = 0.0
    limits: tuple[float, float] | None = None
    groups: tuple[float, float] | None = None

    def model(self, layout: Layout) -> IntervalModel:
        """Where its fixed-form intervals end."""
        if self.kind == "rate":
            return RateModel(layout)
        if self.kind == "change":
            return ChangeModel(self.spread, layout)
        if self.limits is None:
            return MeanModel(self.spread, layout)
        if self.groups is None:
            return BoundedModel(self.spread, layout, self.limits)
        return ContrastModel(self.spread, layout, self.limits, self.groups)


@dataclass(frozen=True)
class Sample:
    """How the items of a run come: what each head of them is worth, and their clusters in order.

    Attributes:
        layout: Worth of every head of the items.
        sizes: Items of each cluster in the order in which they are complete; ones where items stand alone.
        mass: Weight of each cluster.
        icc: Intraclass correlation of the items of a cluster.
        crossed: Whether several factors are shared, for which there is no anytime form.
    """

    layout: Layout
    sizes: Ints
    mass: Floats
    icc: float = 0.0
    crossed: bool = False

    def items(self, clusters: int) -> int:
        """Items of the first ``clusters``; the clusters begin anew where there are more."""
        rounds, rest = divmod(clusters, len(self.sizes))
        return int(rounds * self.sizes.sum() + self.sizes[:rest].sum())

    def clusters(self, items: int) -> int:
        """The least number of clusters that hold so many items."""
        ends = np.cumsum(self.sizes)
        rounds, rest = divmod(items, int(ends[-1]))
        return rounds * len(ends) + (int(np.searchsorted(ends, rest)) + 1 if rest else 0)


def independent(items: int = MIN_CLUSTERS) -> Sample:
    """Items that stand alone and weigh the same."""
    return Sample(alone(items), np.ones(1, dtype=np.int64), np.ones(1))


def grouped(size: int, icc: float) -> Sample:
    """Clusters of one size, asked one after the other."""
    if size == 1:
        return independent()
    labels = np.repeat(np.arange(MIN_CLUSTERS), size)
    return sampled(np.ones(len(labels)), {"cluster": labels}, {"cluster": icc})


def sampled(weights: npt.ArrayLike, clusters: Clusters, icc: dict[str, float]) -> Sample:
    """The items of a data set in the order of the run.

    Args:
        weights: Shape (n,), at least 0, the first above 0.
        clusters: Factor name -> labels of shape (n,).
        icc: Intraclass correlation of each shared factor; 0 where it is not named.

    Raises:
        ValueError: There is no item, shapes or weights do not fit, or a correlation is out of range.
    """
    w = np.asarray(weights, dtype=float)
    found = layout(w, clusters, icc)
    if not found.factors:
        return Sample(found, np.ones(len(w), dtype=np.int64), w)
    labels = np.asarray(clusters[found.factors[0]]).astype(str)
    _, last, codes = np.unique(labels[::-1], return_index=True, return_inverse=True)
    order = np.argsort(-last, kind="stable")
    sizes = np.bincount(codes)[order].astype(np.int64)
    mass = np.bincount(codes, w[::-1])[order].astype(float)
    return Sample(found, sizes, mass, icc.get(found.factors[0], 0.0), len(found.factors) > 1)


def proposed_items(
    aim: Aim,
    sample: Sample,
    *,
    form: GateForm = "fixed",
    confidence: float = 0.95,
    power: float = 0.9,
    gated: int = 1,
    min_n: int = MIN_CLUSTERS,
) -> int | None:
    """Items with which a claim passes with at least its share of ``power``, at ``aim.truth``.

    Args:
        aim: The claim.
        sample: How items come.
        form: ``fixed`` for a run of a size set beforehand, ``anytime`` for one that is looked at as it grows.
        confidence: One-sided confidence of the gate.
        power: Chance that all gated claims pass together.
        gated: Claims that have to pass together.
        min_n: Items below which the gate decides nothing.

    Returns:
        Whole clusters of items, never fewer than 30 effective clusters; None where no number
        gives it: the truth is not inside the bounds, or the form does not exist for the claim.
    """
    level, each = 2 * confidence - 1, share_of_power(power, gated)
    least = max(min_n, sample.layout.least())
    if not _inside(aim):
        return None
    if form == "fixed":
        return _fixed(aim, sample, level, each, least)
    law = clustered(aim, sample)
    if law is None:
        return None
    clusters = clusters_needed(law, scaled(aim, aim.bounds), level, power=each)
    return None if clusters is None else sample.items(max(clusters, sample.clusters(least)))


def _fixed(aim: Aim, sample: Sample, level: float, power: float, least: int) -> int | None:
    simple = sample.layout.simple
    simulated = aim.kind == "rate" and not simple and not sample.crossed
    # Design effects are estimates themselves: where that is not simulated, half the misses pay for it.
    asked = power if simple or simulated else (1 + power) / 2
    found = items_needed(aim.model(sample.layout), aim.truth, aim.bounds, level, power=asked, least=least)
    if found is None:
        return None
    clusters = sample.clusters(found)
    if simulated and clusters <= MOST_SIMULATED:
        law = ClusteredRate(aim.truth, sample.sizes, sample.mass, sample.icc)
        enough = clusters_for_power(
            law, aim.bounds, level, power=power, least=clusters, most=2 * MOST_SIMULATED
        )
        return None if enough is None else sample.items(enough)
    return sample.items(clusters)


def clustered(aim: Aim, sample: Sample) -> Clustered | None:
    """The law of the clusters that a sequence bets on; None where there is no sequence."""
    if sample.crossed:
        return None
    if aim.kind == "mean":
        if aim.limits is None or not aim.limits[1] > aim.limits[0]:
            return None
        low, high = aim.limits
        width = high - low
        truth, spread = (aim.truth - low) / width, aim.spread / width
        return Clustered("mean", truth, sample.sizes, spread, sample.icc, sample.mass)
    return Clustered(aim.kind, aim.truth, sample.sizes, aim.spread, sample.icc, sample.mass)


def scaled(aim: Aim, bounds: Bounds) -> Bounds:
    """Bounds on the scale of the law: a bounded mean is mapped to [0, 1]."""
    if aim.kind != "mean" or aim.limits is None:
        return bounds
    low, high = aim.limits
    first, second = (None if bound is None else (bound - low) / (high - low) for bound in bounds)
    return first, second


def _inside(aim: Aim) -> bool:
    low, high = aim.bounds
    return (low is None or aim.truth > low) and (high is None or aim.truth < high)
