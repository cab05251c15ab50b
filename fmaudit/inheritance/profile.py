"""Whether the adapted model's disparities between slices have the base's shape.

A like profile describes association; that it came from the base needs references.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fmaudit.inheritance.moments import resample, to_interval
from fmaudit.inheritance.split_half import SplitHalf, split_half
from fmaudit.statistics.design import Clusters, Floats, design
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import no_rows

MIN_SLICES = 4
MIN_RELIABILITY = 0.5
"""Split-half reliability of either profile below which the profiles are noise."""
_DIGITS = 12


@dataclass(frozen=True)
class ProfileInheritance:
    """Likeness of two profiles of slice disparities (after Ladhak et al. 2023).

    Attributes:
        slices: Slice labels in order.
        base: Disparity of each slice in the base: its rate minus the rate of the items outside.
        adapted: The same of the adapted model.
        spearman: Rank correlation of the two profiles, in [-1, 1], of these items: noise the
            models share through the items pulls it up, noise of their own pulls it down, so
            its interval misses the correlation without noise and concludes nothing.
        cosine: Cosine of the two profiles, in [-1, 1]; biased in the same way.
        reliability_base: Rank correlation of the base's profiles on two halves of the
            clusters, stepped up to full length (Spearman-Brown), mean over splits.
        reliability_adapted: The same of the adapted model.
        disattenuated: Rank correlation of base on one half with adapted on the other, over
            the root of both halves' reliabilities (Spearman 1904), cut to [-1, 1]. Free of
            shared noise; None with a reason where a profile is not reliable.
    """

    slices: tuple[str, ...]
    base: tuple[Interval, ...]
    adapted: tuple[Interval, ...]
    spearman: Interval
    cosine: Interval
    reliability_base: Interval
    reliability_adapted: Interval
    disattenuated: Interval


def profile_inheritance(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    slices: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> ProfileInheritance:
    """Correlation of the slice disparities of base and adapted model, slices taken as fixed.

    Args:
        base: Shape (n,), finite, usually 0 or 1.
        adapted: Shape (n,), of the same items.
        slices: Shape (n,), slice labels of one column.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of draws and splits.

    Returns:
        Correlations are None with a reason below ``MIN_SLICES`` slices, ``disattenuated``
        also below ``MIN_RELIABILITY``.
    """
    found_labels, codes = np.unique(np.asarray(slices).astype(str), return_inverse=True)
    rows = design([codes, base, adapted], weights, clusters)
    present = np.unique(rows.columns[0]) if rows.n else np.empty(0)
    labels = tuple(str(found_labels[int(code)]) for code in present)
    count = len(labels)
    features = partial(_slice_terms, present)
    disparities = partial(_disparities, slices=count)

    def kernel(sums: Floats) -> Floats:
        b, a = disparities(sums)
        return np.column_stack([rank_correlation(b, a), _cosine(b, a), b, a])

    found = resample(rows, features, kernel, draws, seed)
    get = partial(to_interval, found, level=level)
    shown = tuple(get(2 + place, "slice disparity") for place in range(2 * count))
    base_profile, adapted_profile = shown[:count], shown[count:]
    flat = "a profile is flat: all its disparities are equal"
    if count < MIN_SLICES:
        few = f"{count} slices, {MIN_SLICES} needed"
        rho, cosine, *parts = (no_rows(rows, level, name, few) for name in (*_LIKENESS, *_HALVES))
        return ProfileInheritance(labels, base_profile, adapted_profile, rho, cosine, *parts)
    rho, cosine = (_descriptive(get(place, name, undefined=flat)) for place, name in enumerate(_LIKENESS))
    strata = np.searchsorted(present, rows.columns[0])
    halves = split_half(rows, features, disparities, rank_correlation, strata, (level, draws, seed))
    noisy = _noise(halves)
    disattenuated = halves.disattenuated
    if noisy:
        disattenuated = no_rows(rows, level, _HALVES[2], noisy)
    return ProfileInheritance(
        labels, base_profile, adapted_profile, rho, cosine, halves.base, halves.adapted, disattenuated
    )


def _descriptive(interval: Interval) -> Interval:
    reasons = (interval.reason, "describes these items: noise biases it, see the disattenuated value")
    return replace(interval, conclusive=False, reason="; ".join(filter(None, reasons)))


_LIKENESS = ("Spearman correlation of slice disparities", "cosine of slice disparities")
_HALVES = (
    "reliability of the base profile",
    "reliability of the adapted profile",
    "disattenuated correlation",
)


def _slice_terms(present: Floats, columns: tuple[Floats, ...]) -> Floats:
    """Weight, base and adapted outcome in each slice; shape (n, 3 x slices)."""
    member = (columns[0][:, None] == present).astype(float)
    return np.hstack([member, member * columns[1][:, None], member * columns[2][:, None]])


def _disparities(sums: Floats, slices: int) -> tuple[Floats, Floats]:
    held, base, adapted = (sums[:, place * slices :][:, :slices] for place in range(3))
    return _disparity(held, base), _disparity(held, adapted)


def _disparity(held: Floats, failed: Floats) -> Floats:
    outside_held = held.sum(axis=1, keepdims=True) - held
    outside_failed = failed.sum(axis=1, keepdims=True) - failed
    inside = failed / np.where(held > 0, held, np.nan)
    found: Floats = inside - outside_failed / np.where(outside_held > 0, outside_held, np.nan)
    return found


def rank_correlation(first: Floats, second: Floats) -> Floats:
    """Spearman correlation along the last axis over the entries known in both.

    Returns:
        NaN below ``MIN_SLICES`` known entries or where a profile is flat.
    """
    unknown = np.isnan(first) | np.isnan(second)
    # Equal disparities may differ in their last digits, which must not break the tie.
    ranks = [
        rankdata(np.where(unknown, np.nan, np.round(x, _DIGITS)), axis=-1, nan_policy="omit")
        for x in (first, second)
    ]
    known = (~unknown).sum(axis=-1)
    centred = [np.where(unknown, 0.0, r - (known[..., None] + 1) / 2) for r in ranks]
    scale = np.sqrt((centred[0] ** 2).sum(axis=-1) * (centred[1] ** 2).sum(axis=-1))
    correlation: Floats = (centred[0] * centred[1]).sum(axis=-1) / np.where(scale > 0, scale, np.nan)
    return np.where(known >= MIN_SLICES, np.clip(correlation, -1.0, 1.0), np.nan)


def _cosine(first: Floats, second: Floats) -> Floats:
    unknown = np.isnan(first) | np.isnan(second)
    a, b = np.where(unknown, 0.0, first), np.where(unknown, 0.0, second)
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    cosine: Floats = (a * b).sum(axis=-1) / np.where(scale > 10.0**-_DIGITS, scale, np.nan)
    return np.where((~unknown).sum(axis=-1) >= MIN_SLICES, np.clip(cosine, -1.0, 1.0), np.nan)


def _noise(halves: SplitHalf) -> str:
    for who, found in (("base", halves.base), ("adapted", halves.adapted)):
        if found.value is None:
            return f"no reliability of the {who} profile: {found.reason}"
        if not found.value >= MIN_RELIABILITY:
            return (
                f"reliability {found.value:.2f} of the {who} profile, {MIN_RELIABILITY} needed: mostly noise"
            )
    return ""
