"""Reliability of profiles from random halves of the clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fmaudit.inheritance.moments import Features, Resampled, to_interval, unit_counts, unit_table
from fmaudit.statistics.design import Bools, Design, Floats, Ints
from fmaudit.statistics.interval import Interval

Profiles: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
"""Sums of shape (draws, terms) to the two profiles, each of shape (draws, slices)."""
Correlate: TypeAlias = Callable[[Floats, Floats], Floats]
SPLITS = 20
MOST_UNITS = 1000
"""Units beyond this many are drawn and split in so many groups of neighbours."""


@dataclass(frozen=True)
class SplitHalf:
    """Reliabilities of two profiles and their correlation without noise.

    Attributes:
        base: Spearman-Brown reliability of the first profile.
        adapted: The same of the second.
        disattenuated: Correlation across halves over the root of the halves' reliabilities.
    """

    base: Interval
    adapted: Interval
    disattenuated: Interval


def split_half(
    rows: Design,
    features: Features,
    profiles: Profiles,
    correlate: Correlate,
    strata: Ints,
    resampling: tuple[float, int, int],
) -> SplitHalf:
    """Correlations between profiles of seeded random halves, averaged over splits.

    A cluster is never in both halves, so the halves share no noise. With several
    factors a half holds the rows whose levels of every factor were drawn into it.

    Args:
        rows: Rows with columns that ``features`` understands.
        features: Terms of the sums.
        profiles: The two profiles from sums.
        correlate: Correlation of profiles along the last axis, NaN where undefined.
        strata: Shape (n,), codes; halves are balanced within them where a unit allows it.
        resampling: Confidence level in (0, 1), bootstrap draws, seed.
    """
    level, draws, seed = resampling
    rng = np.random.default_rng([seed, 11])
    table = unit_table(rows, features)
    if len(rows.active) > 1:
        first, second = _crossed_halves(rows, strata, rng)
    else:
        stratum = _unit_strata(rows, strata)
        if len(table) > MOST_UNITS:
            table, stratum = _pooled(table, stratum, rng)
        first = _halves(stratum, rng)
        second = ~first

    def correlations(counts: Floats) -> Floats:
        parts = np.empty((SPLITS, 3, len(counts)))
        for split in range(SPLITS):
            one, two = (profiles((counts * half[split]) @ table) for half in (first, second))
            across = (correlate(one[0], two[1]) + correlate(two[0], one[1])) / 2
            parts[split] = correlate(one[0], two[0]), correlate(one[1], two[1]), across
        return _corrected(parts)

    with np.errstate(divide="ignore", invalid="ignore"):
        value = correlations(np.ones((1, len(table))))[0]
        drawn = [correlations(counts) for counts in unit_counts(rows, len(table), draws, seed)]
    found = Resampled(rows, value, np.concatenate([np.empty((0, 3)), *drawn]), seed)
    undefined = "no split leaves both halves with profiles to correlate"
    names = ("reliability of the base profile", "reliability of the adapted profile")
    base, adapted = (to_interval(found, i, name, level, undefined) for i, name in enumerate(names))
    return SplitHalf(base, adapted, to_interval(found, 2, "disattenuated correlation", level, undefined))


def _corrected(parts: Floats) -> Floats:
    """Stepped-up reliabilities and disattenuated correlation of half-length ones; shape (draws, 3)."""
    known = ~np.isnan(parts)
    base, adapted, across = np.where(known, parts, 0.0).sum(axis=0) / np.where(known, 1, 0).sum(axis=0)
    product = np.where((base > 0) & (adapted > 0), base * adapted, np.nan)
    full = [np.where(r > -1, 2 * r / (1 + r), np.nan) for r in (base, adapted)]
    return np.column_stack([*full, np.clip(across / np.sqrt(product), -1.0, 1.0)])


def _halves(strata: Ints, rng: np.random.Generator) -> Bools:
    """Random halves balanced within strata; shape (splits, units)."""
    out = np.zeros((SPLITS, len(strata)), dtype=bool)
    _, size = np.unique(strata, return_counts=True)
    starts = np.repeat(np.cumsum(size) - size, size)
    for split in range(SPLITS):
        order = np.lexsort((rng.random(len(strata)), strata))
        odd = np.repeat(rng.integers(0, 2, len(size)), size)
        out[split, order] = (np.arange(len(strata)) - starts + odd) % 2 == 0
    return out


def _crossed_halves(rows: Design, strata: Ints, rng: np.random.Generator) -> tuple[Bools, Bools]:
    one = np.ones((SPLITS, rows.n), dtype=bool)
    two = one.copy()
    for factor in rows.active:
        level_strata = _majority(rows.codes[factor], strata, rows.weights)
        chosen = _halves(level_strata, rng)[:, rows.codes[factor]]
        one &= chosen
        two &= ~chosen
    return one, two


def _unit_strata(rows: Design, strata: Ints) -> Ints:
    codes, _ = rows.units()
    return _majority(codes, strata, rows.weights)


def _majority(codes: Ints, strata: Ints, weights: Floats) -> Ints:
    """Stratum that holds most weight of each unit."""
    width = int(strata.max(initial=0)) + 1
    cells, inverse = np.unique(codes * width + strata, return_inverse=True)
    held = np.bincount(inverse, weights, len(cells))
    order = np.lexsort((held, cells // width))
    last = np.flatnonzero(np.diff(cells[order] // width, append=-1))
    found: Ints = cells[order][last] % width
    return found


def _pooled(table: Floats, strata: Ints, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Units in random order within strata, summed into ``MOST_UNITS`` groups of neighbours."""
    order = np.lexsort((rng.random(len(strata)), strata))
    starts = np.arange(MOST_UNITS) * len(order) // MOST_UNITS
    return np.add.reduceat(table[order], starts, axis=0), strata[order][starts]
