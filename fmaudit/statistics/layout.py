"""How much the first n items of a run are worth, before any of them is asked.

Items that share a level of a cluster factor resemble each other. With intraclass
correlation ``icc`` of a factor and item weights ``w`` the variance of a weighted
mean, in units of one item's variance, is

    ((1 - sum icc) sum w^2 + sum_f icc_f sum_c W_fc^2) / (sum w)^2

with ``W_fc`` the weight of cluster ``c`` of factor ``f`` (Kish 1965, unequal sizes
and several factors). One over it are the effective items; for clusters of ``m``
and equal weights the design effect is the familiar ``1 + (m - 1) icc``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Clusters, Floats, design
from fmaudit.statistics.interval import MIN_CLUSTERS


@dataclass(frozen=True)
class Layout:
    """What every head of the items is worth; arrays of shape (N,), entry ``n - 1`` for the first ``n``.

    Attributes:
        items: Number of items N.
        worth: Independent items that would carry the same information.
        units: Effective independent units, of the scarcest factor that counts as sampled.
        widest: Effective levels of the factor that has most; below 30 nothing is concluded.
        factors: Factors whose levels items share; empty where every item stands alone.
        simple: Whether items are independent and weigh the same, so that closed forms are exact.
    """

    items: int
    worth: Floats
    units: Floats
    widest: Floats
    factors: tuple[str, ...]
    simple: bool

    def effective(self, n: npt.ArrayLike) -> Floats:
        """Effective items of the first ``n``; beyond N the items go on as they are."""
        return self._at(self.worth, n)

    def independent_units(self, n: npt.ArrayLike) -> Floats:
        """Effective independent units of the first ``n``."""
        return self._at(self.units, n)

    def least(self) -> int:
        """Items from which on anything can be concluded: 30 effective clusters or items.

        Beyond N the items go on as they are.
        """
        # A large cluster at the end can take away effective clusters that were there before.
        few = np.flatnonzero(self.widest < MIN_CLUSTERS - 1e-9)
        if not len(few) or few[-1] + 1 < self.items:
            return int(few[-1]) + 2 if len(few) else 1
        return math.ceil(MIN_CLUSTERS * self.items / float(self.widest[-1]) - 1e-9)

    def design_effect(self, n: int) -> float:
        """Items for every effective one."""
        return float(n / self.effective(n))

    def _at(self, column: Floats, n: npt.ArrayLike) -> Floats:
        count = np.asarray(n, dtype=np.int64)
        found: Floats = column[np.clip(count, 1, self.items) - 1] * np.maximum(count / self.items, 1.0)
        return found


def alone(items: int) -> Layout:
    """Independent items of one weight."""
    count = np.arange(1, items + 1, dtype=float)
    return Layout(items, count, count, count, (), True)


def layout(weights: npt.ArrayLike, clusters: Clusters, icc: Mapping[str, float]) -> Layout:
    """The layout of items in the order of the run.

    Args:
        weights: Shape (n,), at least 0, the first above 0.
        clusters: Factor name -> labels of shape (n,).
        icc: Intraclass correlation of each factor that items share, in [0, 1]; 0 where it is not named.

    Raises:
        ValueError: There is no item, shapes or weights do not fit, or a correlation is out of range.
    """
    w = np.asarray(weights, dtype=float)
    if not len(w) or not w[0] > 0:
        raise ValueError("a layout needs items, the first with a positive weight")
    if any(not 0 <= value <= 1 for value in icc.values()):
        raise ValueError("an intraclass correlation lies outside [0, 1]")
    active = design([], w, clusters, n=len(w)).active
    total, squares = np.cumsum(w), np.cumsum(w**2)
    alone_units = total**2 / squares
    shared = {name: _cluster_squares(w, labels) for name, labels in clusters.items()}
    levels = {name: total**2 / column for name, column in shared.items()}
    correlations = {name: icc.get(name, 0.0) for name in active}
    scale = max(sum(correlations.values()), 1.0)
    variance = (1 - sum(correlations.values()) / scale) * squares
    for name, value in correlations.items():
        variance = variance + value / scale * shared[name]
    return Layout(
        items=len(w),
        worth=total**2 / variance,
        units=_scarcest([levels[name] for name in active]) if active else alone_units,
        widest=np.max(list(levels.values()), axis=0) if levels else alone_units,
        factors=active,
        simple=not active and bool((w == w[0]).all()),
    )


def _cluster_squares(w: Floats, labels: npt.NDArray[np.generic]) -> Floats:
    """Sum over clusters of their squared weight, for every head."""
    codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    inside = np.cumsum(w[order])
    first = np.r_[True, np.diff(codes[order]) != 0]
    start = np.maximum.accumulate(np.where(first, np.arange(len(w)), 0))
    before = np.empty(len(w))
    before[order] = inside - w[order] - (inside[start] - w[order][start])
    squares: Floats = np.cumsum(2 * before * w + w**2)
    return squares


def _scarcest(levels: list[Floats]) -> Floats:
    """The fewest levels among factors that count as sampled, or among all where none does."""
    stacked = np.stack(levels)
    sampled = np.where(stacked >= MIN_CLUSTERS, stacked, np.inf).min(axis=0)
    fewest: Floats = np.where(np.isfinite(sampled), sampled, stacked.min(axis=0))
    return fewest


def intraclass(
    values: npt.ArrayLike, labels: npt.ArrayLike, confidence: float = 0.8
) -> tuple[float, float] | None:
    """Intraclass correlation of clustered values, with a one-sided upper confidence limit.

    One-way analysis of variance with the mean cluster size of unequal clusters
    ``(N - sum m^2 / N) / (k - 1)``; the limit by F, as for equal sizes (Searle 1971).

    Args:
        values: Shape (n,), finite.
        labels: Shape (n,), the cluster of each value.
        confidence: Of the upper limit.

    Returns:
        Estimate and limit in [0, 1]; None without two clusters, a shared one, or any variation.
    """
    from scipy.stats import f

    y = np.asarray(values, dtype=float)
    codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)[1]
    sizes = np.bincount(codes)
    n, k = len(y), len(sizes)
    if k < 2 or k == n:
        return None
    means = np.bincount(codes, y) / sizes
    between = float(sizes @ (means - y.mean()) ** 2) / (k - 1)
    within = float(((y - means[codes]) ** 2).sum()) / (n - k)
    if not between + within > 0:
        return None
    m = (n - float((sizes**2).sum()) / n) / (k - 1)
    if not within > 0:
        return 1.0, 1.0
    ratio = between / within
    most = ratio / float(f.ppf(1 - confidence, k - 1, n - k))
    return _correlation(ratio, m), _correlation(most, m)


def _correlation(ratio: float, m: float) -> float:
    return min(max((ratio - 1) / (ratio + m - 1), 0.0), 1.0)
