"""From the samples of an item to one number an item."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Bools, Floats

How: TypeAlias = Literal["mean", "any", "max"]


def reduce_samples(matrix: npt.ArrayLike, how: How, k: int = 0) -> Floats:
    """One value an item.

    Args:
        matrix: Shape (n_items, m), one column a sample, NaN where it is invalid.
        how: ``mean`` of the valid samples; ``any``: chance that at least one of
            ``k`` samples drawn without replacement is 1, ``1 - C(n-e,k)/C(n,k)``
            for ``e`` ones among ``n`` valid samples; ``max``: expected maximum of
            ``k`` such samples (U-statistic).
        k: Draws; 0 takes all ``m`` samples. Ignored by ``mean``.

    Returns:
        Shape (n_items,), NaN where fewer than ``k`` (for ``mean``: no) samples are valid.

    Raises:
        ValueError: ``how`` is unknown, ``k`` is negative, or ``any`` meets a value other than 0 and 1.
    """
    samples = _matrix(matrix)
    valid = ~np.isnan(samples)
    usable = _usable(valid, how, k)
    counts = valid.sum(axis=1)
    out = np.full(len(samples), np.nan)
    if how == "mean":
        out[usable] = np.where(valid, samples, 0.0).sum(axis=1)[usable] / counts[usable]
        return out
    draws = k or samples.shape[1]
    if how == "any":
        if not np.isin(samples[valid], (0.0, 1.0)).all():
            raise ValueError("'any' needs samples of 0 or 1: reduce a real measure by 'mean' or 'max'")
        out[usable] = _chance_of_any(np.nansum(samples, axis=1)[usable], counts[usable], draws)
        return out
    for count in np.unique(counts[usable]):
        rows = usable & (counts == count)
        ordered = np.sort(samples[rows], axis=1)[:, :count]
        out[rows] = ordered @ _maximum_weights(int(count), draws)
    return out


def without_spares(matrix: npt.ArrayLike, spare: npt.ArrayLike, k: int) -> Floats:
    """The first ``k`` samples of each item that are not spare.

    Args:
        matrix: Shape (n_items, m), NaN where a sample is invalid.
        spare: Same shape, true where another sample may stand in for this one.
        k: Samples to take, at most m.

    Returns:
        Shape (n_items, k), NaN where fewer than ``k`` are left: those are missing.
    """
    samples, marked = _matrix(matrix), np.asarray(spare, dtype=bool)
    order = np.argsort(marked, axis=1, kind="stable")[:, :k]
    taken: Floats = np.take_along_axis(np.where(marked, np.nan, samples), order, axis=1)
    return taken


def bounds(
    matrix: npt.ArrayLike, how: How, k: int, weights: npt.ArrayLike | None, low: float, high: float
) -> tuple[Floats, Floats]:
    """The values of the items with every missing sample counted as ``low``, and as ``high``.

    Args:
        matrix: Shape (n_items, m), NaN where a sample is missing.
        how: As in :func:`reduce_samples`.
        k: As in :func:`reduce_samples`.
        weights: One a row, or None; only checked to fit, the values stay one an item.
        low: Least possible value of a sample.
        high: Greatest possible value of a sample.

    Returns:
        Two arrays of shape (n_items,) without NaN. An item with fewer than ``k``
        samples in all could have any value: it counts as ``low`` and as ``high``.
    """
    samples = _matrix(matrix)
    _weights(weights, len(samples))
    missing = np.isnan(samples)
    ends = []
    for end in (low, high):
        reduced = reduce_samples(np.where(missing, end, samples), how, k)
        ends.append(np.where(np.isnan(reduced), end, reduced))
    return ends[0], ends[1]


def sample_coverage(matrix: npt.ArrayLike, how: How, k: int, weights: npt.ArrayLike | None = None) -> float:
    """Weighted share of the answers that enter the estimate, in [0, 1].

    Every item counts with its weight, spread evenly over its samples. The valid
    samples of an item that :func:`reduce_samples` cannot reduce are not used.
    NaN without rows.
    """
    samples = _matrix(matrix)
    w = _weights(weights, len(samples))
    if not w.sum() or not samples.shape[1]:
        return float("nan")
    valid = ~np.isnan(samples)
    share = np.where(_usable(valid, how, k), valid.mean(axis=1), 0.0)
    return float(min(share @ w / w.sum(), 1.0))


def _matrix(matrix: npt.ArrayLike) -> Floats:
    samples = np.asarray(matrix, dtype=float)
    if samples.ndim != 2:
        raise ValueError(f"samples have shape {samples.shape}: pass (n_items, samples)")
    return samples


def _weights(weights: npt.ArrayLike | None, n: int) -> Floats:
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (n,):
        raise ValueError(f"weights have shape {w.shape} for {n} items: pass one an item")
    return w


def _usable(valid: Bools, how: How, k: int) -> Bools:
    if how not in ("mean", "any", "max") or k < 0:
        raise ValueError(f"cannot reduce samples by {how!r} with k={k}: use mean, any or max and k >= 0")
    counts = valid.sum(axis=1)
    needed = 1 if how == "mean" else max(k or valid.shape[1], 1)
    usable: Bools = counts >= needed
    return usable


def _chance_of_any(events: Floats, counts: npt.NDArray[np.int64], k: int) -> Floats:
    none = np.ones(len(events))
    for drawn in range(k):
        none *= np.maximum(counts - events - drawn, 0.0) / (counts - drawn)
    return 1.0 - none


def _maximum_weights(n: int, k: int) -> Floats:
    """``C(i-1, k-1) / C(n, k)`` for the order statistics i = 1..n, by recurrence from the top."""
    weights = np.zeros(n)
    weights[n - 1] = k / n
    for i in range(n - 1, k - 1, -1):
        weights[i - 1] = weights[i] * (i + 1 - k) / i
    return weights
