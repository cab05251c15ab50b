"""Draws of clusters: bootstrap counts, crossed weights, sign flips."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fmaudit.statistics.design import Design, Floats

ENUMERATED_CLUSTERS = 12
RANDOM_FLIPS = 4999
_CHUNK_CELLS = 2_000_000
TIE = 1e-9


def chunks(draws: int, width: int) -> Iterator[int]:
    """Split ``draws`` into portions whose ``portion x width`` matrix stays small."""
    step = max(1, _CHUNK_CELLS // max(width, 1))
    for start in range(0, draws, step):
        yield min(step, draws - start)


def bootstrap_counts(rng: np.random.Generator, draws: int, levels: int) -> Floats:
    """How often each of ``levels`` clusters is drawn; shape (draws, levels), rows sum to ``levels``."""
    drawn = rng.integers(0, levels, size=(draws, levels))
    drawn += levels * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=draws * levels)
    return counts.reshape(draws, levels).astype(float)


def resampled_weights(rows: Design, draws: int, seed: int) -> Iterator[Floats]:
    """Row weights of bootstrap draws, in portions of shape (portion, n).

    Every active factor draws its levels on its own; a row's weight is multiplied
    by the counts of all its levels. Without an active factor rows are drawn.
    """
    rngs = [np.random.default_rng([seed, place]) for place in range(max(1, len(rows.active)))]
    for portion in chunks(draws, rows.n):
        if not rows.active:
            yield np.multiply(bootstrap_counts(rngs[0], portion, rows.n), rows.weights)
            continue
        product = np.tile(rows.weights, (portion, 1))
        for rng, factor in zip(rngs, rows.active, strict=True):
            product *= bootstrap_counts(rng, portion, rows.levels[factor])[:, rows.codes[factor]]
        yield product


def signs(units: int, seed: int) -> Iterator[Floats]:
    """Portions of sign vectors: all of them up to 12 units, else 4,999 random ones."""
    if units <= ENUMERATED_CLUSTERS:
        patterns = np.arange(2**units)[:, None] >> np.arange(units)
        yield np.where(patterns & 1, -1.0, 1.0)
        return
    rng = np.random.default_rng([seed, 7])
    for portion in chunks(RANDOM_FLIPS, units):
        yield np.where(rng.integers(0, 2, size=(portion, units)), -1.0, 1.0)


def sign_flip_p(changes: Floats, seed: int) -> tuple[float, bool]:
    """Sign-flip test of the sum of independent changes, symmetric around zero under the null.

    Where no random flip reaches the sum, Hoeffding's bound on the share of all flips that do (1963,
    theorem 2) takes the place of 1 / 5000 if it is less: draws alone could show nothing among 250 claims.

    Returns:
        Two-sided p-value, and whether it is exact rather than ``(1 + #) / (4999 + 1)`` or that bound.
    """
    moved = changes[np.abs(changes) > TIE * np.abs(changes).max(initial=0.0)]
    exact = len(moved) <= ENUMERATED_CLUSTERS
    null = np.concatenate([np.abs(flips @ moved) for flips in signs(len(moved), seed)])
    observed = abs(moved.sum()) * (1 - TIE)
    p = tail_share(null, observed, exact=exact)
    if exact or p > 1 / len(null):
        return p, exact
    return min(p, 2 * math.exp(-(observed**2) / (2 * float(moved @ moved)))), exact


def tail_share(null: Floats, observed: float, *, exact: bool) -> float:
    """Share of the null distribution at or beyond ``observed``; undefined draws count as beyond."""
    beyond = int((~(null < observed)).sum())
    return beyond / len(null) if exact else (1 + beyond) / (len(null) + 1)
