"""Tests of equal group means by giving whole units to the other group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import combinations, product
from math import comb

import numpy as np

from fmaudit.statistics.design import Bools, Floats
from fmaudit.statistics.ratios import Terms
from fmaudit.statistics.resampling import RANDOM_FLIPS, TIE, chunks, tail_share

_SHARED_CELLS = 30_000_000
FINEST = 1 / (RANDOM_FLIPS + 1)
"""The least p-value that the first random assignments can give."""


def permutation_p(totals: Terms, seed: int, finest: float = FINEST) -> tuple[float, bool]:
    """Studentized permutation test of group labels over units that lie in one group each.

    Args:
        totals: Both groups' terms by unit.
        seed: Seed of the random assignments.
        finest: The least p-value wanted: where no assignment reaches the value, so many more are drawn.

    Returns:
        Two-sided p-value, and whether all assignments were enumerated.
    """
    sums, weights = totals.products.sum(axis=1), totals.weights.sum(axis=1)
    first = totals.weights[:, 0] > 0
    mean = sums.sum() / weights.sum()
    centred = np.column_stack([sums - mean * weights, weights])
    observed = abs(_studentized(first[None, :].astype(float), centred)[0]) * (1 - TIE)
    exact = comb(len(first), int(first.sum())) <= RANDOM_FLIPS

    def null(portions: Iterable[Floats]) -> Floats:
        return np.concatenate([np.abs(_studentized(portion, centred)) for portion in portions])

    p = tail_share(null(_assignments(first, exact, seed)), observed, exact=exact)
    more = 0 if exact else _further(p, finest)
    return (_refined(null(_labels(first, seed, more)), observed), exact) if more else (p, exact)


def _further(p: float, finest: float) -> int:
    """How many more random assignments a p-value at the floor needs to go down to ``finest``; else none.

    A p-value from all of them is valid, and one that is not refined has been reached by a draw, so that the
    choice between them takes nothing away from either.
    """
    return math.ceil(1 / finest) - RANDOM_FLIPS - 1 if p <= FINEST * (1 + TIE) and finest < FINEST else 0


def _refined(null: Floats, observed: float) -> float:
    """The p-value from the first assignments, none of which reached ``observed``, and from further ones."""
    return (1 + int((~(null < observed)).sum())) / (RANDOM_FLIPS + len(null) + 1)


def _assignments(first: Bools, exact: bool, seed: int) -> Iterator[Floats]:
    units, chosen = len(first), int(first.sum())
    if exact:
        table = np.zeros((comb(units, chosen), units))
        for row, members in enumerate(combinations(range(units), chosen)):
            table[row, list(members)] = 1.0
        yield table
    else:
        yield from _labels(first, seed)


def _labels(first: Bools, seed: int, further: int = 0) -> Iterator[Floats]:
    """The first random assignments of the labels, or so many further ones."""
    shared = len(first) * (further or RANDOM_FLIPS) <= _SHARED_CELLS
    portions = (
        _shared_labels(first.tobytes(), seed, further) if shared else _random_labels(first, seed, further)
    )
    for portion in portions:
        yield portion.astype(float)


def _random_labels(first: Bools, seed: int, further: int) -> Iterator[Bools]:
    rng = np.random.default_rng([seed, 8, further] if further else [seed, 8])
    for portion in chunks(further or RANDOM_FLIPS, len(first)):
        yield rng.permuted(np.broadcast_to(first, (portion, len(first))), axis=1)


@lru_cache(maxsize=8)
def _shared_labels(first: bytes, seed: int, further: int) -> tuple[Bools, ...]:
    # Every subject of an audit asks the same contrast of the same groups: drawing takes most of its time.
    return tuple(_random_labels(np.frombuffer(first, dtype=bool), seed, further))


def _studentized(assigned: Floats, totals: Floats) -> Floats:
    """Difference of means over its error for each row of 0/1 assignments."""
    s, w = totals.T
    moments = np.column_stack([s, w, s * s, s * w, w * w])
    difference, variance = np.zeros(len(assigned)), np.zeros(len(assigned))
    for sign, chosen in ((1.0, assigned), (-1.0, 1.0 - assigned)):
        total_s, total_w, ss, sw, ww = (chosen @ moments).T
        ratio, count = total_s / total_w, chosen.sum(axis=1)
        square = np.maximum(ss - 2 * ratio * sw + ratio**2 * ww, 0.0)
        difference += sign * ratio
        variance += square / total_w**2 * count / np.maximum(count - 1, 1)
    floor = 1e-12 * float(np.abs(s).max(initial=0.0) / w.min())
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = difference / np.sqrt(np.where(variance <= floor**2, 0.0, variance))
    studentized: Floats = np.where(np.abs(difference) <= floor, 0.0, ratio)
    return studentized


def swap_p(totals: Terms, seed: int, finest: float = FINEST) -> tuple[float, bool]:
    """Test of equal means where some units have rows in both groups.

    Swaps the two groups inside the units that have both and permutes the labels of
    the others among themselves; studentized, so that unequal spreads and sizes of
    the groups do not count as a difference.

    Args:
        totals: Both groups' terms by unit.
        seed: Seed of the random swaps and assignments.
        finest: As in :func:`permutation_p`.

    Returns:
        Two-sided p-value, and whether all assignments were enumerated.
    """
    mean = totals.products.sum() / totals.weights.sum()
    s, w = totals.products - mean * totals.weights, totals.weights
    both: Bools = w.min(axis=1) > 0
    single: Bools = ~both & (w.max(axis=1) > 0)
    first = single & (w[:, 0] > 0)
    # Units of one group lie in their own column; turned, they lie in the other.
    own = np.where(both[:, None], s, np.column_stack([s.sum(axis=1), np.zeros(len(s))]))
    weight = np.where(both[:, None], w, np.column_stack([w.sum(axis=1), np.zeros(len(s))]))
    observed = abs(_regrouped((both | first)[None, :].astype(float), own, weight)[0]) * (1 - TIE)
    ways = comb(int(single.sum()), int(first.sum())) * 2 ** min(int(both.sum()), 60)
    exact = ways <= RANDOM_FLIPS

    def null(further: int) -> Floats:
        portions = _regroupings(both, single, first, exact, seed, further)
        return np.concatenate([np.abs(_regrouped(portion, own, weight)) for portion in portions])

    p = tail_share(null(0), observed, exact=exact)
    more = 0 if exact else _further(p, finest)
    return (_refined(null(more), observed), exact) if more else (p, exact)


def _regroupings(
    both: Bools, single: Bools, first: Bools, exact: bool, seed: int, further: int
) -> Iterator[Floats]:
    """Rows of 1 where a unit stays or lies in the first group, 0 where it is turned or in the second."""
    swapped, permuted = np.flatnonzero(both), np.flatnonzero(single)
    if exact:
        chosen = list(combinations(permuted.tolist(), int(first.sum())))
        table = np.zeros((len(chosen) * 2 ** len(swapped), len(both)))
        for row, (members, kept) in enumerate(product(chosen, product((0.0, 1.0), repeat=len(swapped)))):
            table[row, list(members)] = 1.0
            table[row, swapped] = kept
        yield table
        return
    rng = np.random.default_rng([seed, 9, further] if further else [seed, 9])
    for portion in chunks(further or RANDOM_FLIPS, len(both)):
        flags = np.zeros((portion, len(both)))
        flags[:, swapped] = rng.integers(0, 2, size=(portion, len(swapped)))
        labels = np.broadcast_to(first[permuted].astype(float), (portion, len(permuted)))
        flags[:, permuted] = rng.permuted(labels, axis=1)
        yield flags


def _regrouped(flags: Floats, s: Floats, w: Floats) -> Floats:
    """Difference of the groups' means over its error, for each row of flags; columns change places at 0."""
    here, there = _moments(s[:, 0], w[:, 0], s[:, 1], w[:, 1]), _moments(s[:, 1], w[:, 1], s[:, 0], w[:, 0])
    sums = flags @ here + (1 - flags) @ there
    s1, w1, s2, w2, ss1, sw1, ww1, ss2, sw2, ww2, s1s2, s1w2, w1s2, w1w2 = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        m1, m2 = s1 / w1, s2 / w2
        own = (ss1 - 2 * m1 * sw1 + m1**2 * ww1) / w1**2 + (ss2 - 2 * m2 * sw2 + m2**2 * ww2) / w2**2
        joint = (s1s2 - m2 * s1w2 - m1 * w1s2 + m1 * m2 * w1w2) / (w1 * w2)
        difference, variance = m1 - m2, own - 2 * joint
        floor = 1e-12 * float(np.abs(s).max(initial=0.0) / w[w > 0].min())
        ratio = difference / np.sqrt(np.where(variance <= floor**2, 0.0, variance))
    studentized: Floats = np.where(np.abs(difference) <= floor, 0.0, ratio)
    return studentized


def _moments(s1: Floats, w1: Floats, s2: Floats, w2: Floats) -> Floats:
    firsts = [s1, w1, s2, w2, s1 * s1, s1 * w1, w1 * w1, s2 * s2, s2 * w2, w2 * w2]
    return np.column_stack([*firsts, s1 * s2, s1 * w2, w1 * s2, w1 * w2])
