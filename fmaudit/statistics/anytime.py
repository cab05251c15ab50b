"""Intervals and evidence that stay valid however often one looks.

The unit of a bet is a whole cluster: its rows depend on each other, so betting
row by row counts the same evidence many times. Clusters must come in an order
that does not depend on their outcomes (a seeded random one): then a cluster,
given those before it, is expected to be like any other. How its rows lie, in one
block or spread over the run, does not matter as long as a cluster enters once it
is complete and in that order.

Betting on bounded means with predictable, truncated bets: Waudby-Smith and
Ramdas (2024), "Estimating means of bounded random variables by betting", here
for a ratio of totals.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Floats

_TRUNCATION = 0.75
"""Largest share of the capital a bet may lose."""
_GRID = 1000


def confidence_sequence(
    cluster_sums: npt.ArrayLike, cluster_sizes: npt.ArrayLike, largest: float, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Intervals of a rate or bounded mean, after every cluster, that miss at any time with ``1 - level``.

    Estimand: ``theta = E(sum of a cluster) / E(size of a cluster)``, item-weighted. Each
    cluster pays ``(sum - theta size) / largest``, which has mean 0 at the true value
    only. Both one-sided capitals are monotone in theta, so what neither rejects is an
    interval; it is widened outward to the grid.

    Args:
        cluster_sums: Shape (k,), sums of values in [0, 1] of each cluster, in the order of the run.
        cluster_sizes: Shape (k,), rows (or total weight) of each cluster, positive.
        largest: Largest size a cluster can have, known before the run.
        level: Confidence level in (0, 1).

    Returns:
        Lower and upper limits, each of shape (k,): the intersection of all looks so far.
        Never widens; an empty one (a sign of broken assumptions) is kept as its last point.

    Raises:
        ValueError: Sums or sizes do not fit, or a cluster is larger than ``largest``.
    """
    sums, sizes = _clusters(cluster_sums, cluster_sizes, largest, level)
    bets = predictable_bets(sums, sizes, level)
    theta = (1 - np.cos(np.pi * np.arange(_GRID + 1) / _GRID)) / 2
    with np.errstate(divide="ignore"):
        most_up, most_down = _TRUNCATION / theta, _TRUNCATION / (1 - theta)
    threshold = math.log(2 / (1 - level))
    lower, upper = np.empty(len(sums)), np.empty(len(sums))
    up, down = np.zeros(len(theta)), np.zeros(len(theta))
    first, last = 0, _GRID
    for k, (s, m, bet) in enumerate(zip(sums, sizes, bets, strict=True)):
        pay = s - theta * m
        up += np.log1p(np.minimum(bet, most_up) * pay)
        down += np.log1p(-np.minimum(bet, most_down) * pay)
        too_low, too_high = up >= threshold, down >= threshold
        first = max(first, int(np.flatnonzero(too_low).max(initial=0)))
        last = min(last, int(np.flatnonzero(too_high).min(initial=_GRID)))
        last = max(last, first)
        lower[k], upper[k] = theta[first], theta[last]
    return lower, upper


def change_sequence(cluster_differences: npt.ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Intervals of a paired change, after every cluster, that miss at any time with ``1 - level``.

    Estimand: the mean over clusters of the mean difference inside a cluster. It is
    cluster-weighted: every cluster counts alike, however many rows it has.

    Args:
        cluster_differences: Shape (k,), mean of ``adapted - base`` of each cluster, in [-1, 1].
        level: Confidence level in (0, 1).

    Returns:
        Lower and upper limits in [-1, 1], each of shape (k,).

    Raises:
        ValueError: A difference lies outside [-1, 1].
    """
    differences = _differences(cluster_differences)
    lower, upper = confidence_sequence((differences + 1) / 2, np.ones(len(differences)), 1.0, level)
    return 2 * lower - 1, 2 * upper - 1


def evidence_against_margin(cluster_differences: npt.ArrayLike, margin: float) -> Floats:
    """Running e-process against "the change is at least ``margin``".

    Evidence that the adapted subject is not worse by the margin where a rise is
    harm. Against "at most ``-margin``" pass the negated differences; the smaller of
    the two is evidence of equivalence. At a change of at least ``margin`` it ever
    reaches ``1 / alpha`` with probability at most ``alpha`` (Ville's inequality), and
    its last value is an e-value for :func:`fmaudit.statistics.e_bh`.

    Args:
        cluster_differences: Shape (k,), mean of ``adapted - base`` of each cluster, in [-1, 1].
        margin: Tested change, in (-1, 1).

    Returns:
        Shape (k,), the capital after every cluster, positive.

    Raises:
        ValueError: A difference lies outside [-1, 1], or the margin outside (-1, 1).
    """
    differences = _differences(cluster_differences)
    if not -1 < margin < 1:
        raise ValueError(f"margin {margin} is not between -1 and 1")
    pay = margin - differences
    # Growth-rate adaptive bet from the clusters before: mean over second moment, with a pair of prior rows.
    before = np.concatenate([[0.0], np.cumsum(pay)[:-1]]) if len(pay) else pay
    squares = np.concatenate([[0.0], np.cumsum(pay**2)[:-1]]) if len(pay) else pay
    bets = np.clip((before + margin) / (squares + 1.0), 0.0, _TRUNCATION / (1 - margin))
    capital: Floats = np.exp(np.cumsum(np.log1p(bets * pay)))
    return capital


def cluster_totals(values: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Sums and sizes of the clusters, in the order in which they first appear.

    Args:
        values: Shape (n,).
        labels: Shape (n,), one cluster a row, with each cluster complete.
    """
    column = np.asarray(values, dtype=float)
    _, first, codes = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    place = np.argsort(first, kind="stable")
    sums = np.bincount(codes, column, len(first))[place]
    sizes = np.bincount(codes, minlength=len(first))[place]
    return sums.astype(float), sizes.astype(float)


def predictable_bets(sums: Floats, sizes: Floats, level: float) -> Floats:
    """Bets on sums and sizes in units of the largest size, which shrink with the spread seen before."""
    k = len(sums)
    # Half a cluster of each outcome stands in before the first.
    means = (0.5 + np.cumsum(sums)) / (1 + np.cumsum(sizes))
    residuals = (sums - means * sizes) ** 2
    seen = np.arange(1, k + 1)
    variance = (0.25 + np.concatenate([[0.0], np.cumsum(residuals)[:-1]])) / seen if k else residuals
    bets: Floats = np.sqrt(2 * math.log(2 / (1 - level)) / (variance * seen * np.log1p(seen)))
    return bets


def _clusters(
    cluster_sums: npt.ArrayLike, cluster_sizes: npt.ArrayLike, largest: float, level: float
) -> tuple[Floats, Floats]:
    sums, sizes = np.asarray(cluster_sums, dtype=float), np.asarray(cluster_sizes, dtype=float)
    if sums.shape != sizes.shape or sums.ndim != 1:
        raise ValueError(f"sums of shape {sums.shape} meet sizes of shape {sizes.shape}: pass one a cluster")
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    if not (np.isfinite(sums).all() and np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError("a cluster has no rows, or a sum or size that is not finite")
    if len(sizes) and not sizes.max() <= largest:
        raise ValueError(f"a cluster of size {sizes.max():g} exceeds the largest declared, {largest:g}")
    if (sums < -1e-9).any() or (sums > sizes * (1 + 1e-9)).any():
        raise ValueError("a cluster's sum lies outside [0, size]: values must be in [0, 1]")
    scaled = np.clip(sums, 0.0, sizes)
    return scaled / largest, sizes / largest


def _differences(cluster_differences: npt.ArrayLike) -> Floats:
    differences = np.asarray(cluster_differences, dtype=float)
    if differences.ndim != 1 or not (np.abs(differences) <= 1).all():
        raise ValueError("a cluster's mean difference lies outside [-1, 1]")
    return differences
