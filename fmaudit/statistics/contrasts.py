"""One group of rows minus another, of one subject."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from math import comb, isnan

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.changes import error_p
from fmaudit.statistics.design import Bools, Clusters, Design, Floats, design, subset
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval, round_down
from fmaudit.statistics.levels import no_rows, rate_spread, signed_mean
from fmaudit.statistics.proportions import critical, square_and_add
from fmaudit.statistics.ratios import (
    STUDENTIZED_FROM,
    Terms,
    contrast_terms,
    crossed_error,
    mean_terms,
    moving_units,
)
from fmaudit.statistics.resampling import ENUMERATED_CLUSTERS, RANDOM_FLIPS, TIE, chunks, signs, tail_share


def contrast(
    values: npt.ArrayLike,
    plus: npt.ArrayLike,
    minus: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Weighted mean of the rows in ``plus`` minus that of the rows in ``minus``.

    Where no cluster has rows in both groups, the groups are independent: their
    own intervals are combined by Newcombe's square-and-add, and p permutes the
    group labels of whole clusters (studentized). Where clusters span both
    groups, they are resampled whole, and p swaps the two groups within clusters.
    Several factors: crossed bootstrap error, and the largest p of each factor's
    own test and of the bootstrap's t test.

    Args:
        values: Shape (n,), finite.
        plus: Shape (n,), True in the first group.
        minus: Shape (n,), True in the second group; rows in neither are ignored.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of draws, permutations and swaps.

    Raises:
        ValueError: A row is in both groups, or values, shapes or weights do not fit.
    """
    v, inside, outside = np.asarray(values, float), np.asarray(plus, bool), np.asarray(minus, bool)
    if (inside & outside).any():
        raise ValueError("a row is in both groups of a contrast: the groups must not overlap")
    used = inside | outside
    w = np.ones(len(v)) if weights is None else np.asarray(weights, float)
    labels = {name: np.asarray(c)[used] for name, c in (clusters or {}).items()}
    rows = design([v[used], inside[used]], w[used], labels)
    group = rows.columns[1] > 0
    if group.all() or not group.any():
        name = "second" if group.any() else "first"
        return no_rows(rows, level, "contrast", f"no valid row in the {name} group: undefined")
    if len(rows.active) > 1:
        interval = _crossed(rows, group, level, draws, seed)
    elif _spanning(rows, group):
        interval = _within(rows, group, level, draws, seed)
    else:
        interval = _between(rows, group, level, draws, seed)
    return _judged(interval, rows, group)


def _judged(interval: Interval, rows: Design, group: Bools) -> Interval:
    """Both groups need enough clusters for a verdict."""
    if interval.reason and not interval.conclusive:
        return interval
    for name, mask in (("first", group), ("second", ~group)):
        part = subset(rows, mask)
        conclusive, _ = part.verdict()
        if not conclusive:
            effective = max(part.effective.values(), default=part.effective_units())
            shown = f"{round_down(effective)} effective clusters in the {name} group, {MIN_CLUSTERS} needed"
            reason = f"{shown}: nothing can be concluded beyond these items"
            return replace(interval, conclusive=False, reason=reason)
    return interval


def _spanning(rows: Design, group: Bools) -> bool:
    codes, units = rows.units()
    both = (np.bincount(codes, group, units) > 0) & (np.bincount(codes, ~group, units) > 0)
    return bool(both.any())


def _between(rows: Design, group: Bools, level: float, draws: int, seed: int) -> Interval:
    terms = contrast_terms(rows, rows.columns[0], group)
    codes, units = rows.units()
    p, exact = permutation_p(terms.totals(codes, units), seed)
    test = f"{'exact' if exact else 'random'} permutation of {'cluster' if rows.active else 'item'} labels"
    interval = signed_mean(rows, terms, "contrast", level, draws, seed)
    return replace(_separate(interval, rows, group, draws, seed, test), p=p)


def _within(rows: Design, group: Bools, level: float, draws: int, seed: int) -> Interval:
    terms = contrast_terms(rows, rows.columns[0], group)
    codes, units = rows.units()
    totals = terms.totals(codes, units)
    p, exact = swap_p(totals, seed)
    test = f"{'exact' if exact else 'random'} swaps of the groups within clusters"
    interval = signed_mean(rows, terms, "contrast", level, draws, seed)
    if _bounded(rows.columns[0]) and moving_units(totals) < STUDENTIZED_FROM:
        return replace(_separate(interval, rows, group, draws, seed, test), p=p)
    return replace(interval, p=p, seed=seed, method=f"{interval.method}; {test}")


def _crossed(rows: Design, group: Bools, level: float, draws: int, seed: int) -> Interval:
    terms = contrast_terms(rows, rows.columns[0], group)
    interval = signed_mean(rows, terms, "contrast", level, draws, seed)
    test = "largest p of each factor's own test and of the bootstrap t test"
    se, df = crossed_error(rows, terms, draws, seed)
    p = 1.0 if isnan(se) else error_p(terms.value(), se, df)
    for factor in rows.active:
        totals = terms.totals(rows.codes[factor], rows.levels[factor])
        spans = bool((totals.weights > 0).all(axis=1).any())
        p = max(p, (swap_p if spans else permutation_p)(totals, seed)[0])
    if _bounded(rows.columns[0]) and not se > 0:
        return replace(_separate(interval, rows, group, draws, seed, test), p=p)
    return replace(interval, p=p, seed=seed, method=f"{interval.method}; {test}")


def _bounded(values: Floats) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


def _separate(interval: Interval, rows: Design, group: Bools, draws: int, seed: int, test: str) -> Interval:
    """The interval with the limits that the two groups' own intervals give."""
    ends: list[tuple[float, float, float]] = []
    methods: list[str] = []
    for mask in (group, ~group):
        part = subset(rows, mask)
        values = part.columns[0]
        if _bounded(rows.columns[0]):
            share = rate_spread(part, values, interval.level, draws, seed)
            ends.append((share.value, share.lower, share.upper))
            methods.append(share.method)
            continue
        found = signed_mean(part, mean_terms(part, values), "mean", interval.level, draws, seed)
        if found.value is None or found.lower is None or found.upper is None:
            reason = "a group has a single independent unit: no interval of the difference"
            without = replace(interval, lower=None, upper=None, seed=seed)
            return replace(without, method=test, conclusive=False, reason=reason)
        ends.append((found.value, found.lower, found.upper))
        methods.append(found.method)
    lower, upper = square_and_add(ends[0], ends[1])
    conclusive, reason = rows.verdict()
    half_width = (upper - lower) / 2
    return replace(
        interval,
        lower=min(lower, interval.value or 0.0),
        upper=max(upper, interval.value or 0.0),
        se=interval.se or half_width / critical(interval.level) or interval.se,
        seed=seed,
        method=f"square-and-add of {' and '.join(dict.fromkeys(methods))}; {test}",
        conclusive=conclusive,
        reason=reason if half_width else interval.reason,
    )


def permutation_p(totals: Terms, seed: int) -> tuple[float, bool]:
    """Studentized permutation test of group labels over units that lie in one group each.

    Returns:
        Two-sided p-value, and whether all assignments were enumerated.
    """
    sums, weights = totals.products.sum(axis=1), totals.weights.sum(axis=1)
    first = totals.weights[:, 0] > 0
    mean = sums.sum() / weights.sum()
    centred = np.column_stack([sums - mean * weights, weights])
    observed = abs(_studentized(first[None, :].astype(float), centred)[0]) * (1 - TIE)
    exact = comb(len(first), int(first.sum())) <= RANDOM_FLIPS
    null = [np.abs(_studentized(portion, centred)) for portion in _assignments(first, exact, seed)]
    return tail_share(np.concatenate(null), observed, exact=exact), exact


def _assignments(first: Bools, exact: bool, seed: int) -> Iterator[Floats]:
    units, chosen = len(first), int(first.sum())
    if exact:
        table = np.zeros((comb(units, chosen), units))
        for row, members in enumerate(combinations(range(units), chosen)):
            table[row, list(members)] = 1.0
        yield table
        return
    rng = np.random.default_rng([seed, 8])
    for portion in chunks(RANDOM_FLIPS, units):
        yield rng.permuted(np.broadcast_to(first.astype(float), (portion, units)), axis=1)


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


def swap_p(totals: Terms, seed: int) -> tuple[float, bool]:
    """Test that swaps the two groups inside each unit.

    Returns:
        Two-sided p-value, and whether all swaps were enumerated.
    """
    mean = totals.products.sum() / totals.weights.sum()
    s, w = totals.products - mean * totals.weights, totals.weights
    null = []
    for flips in signs(len(s), seed):
        kept = (flips + 1) / 2
        first_s, first_w = kept @ s[:, 0] + (1 - kept) @ s[:, 1], kept @ w[:, 0] + (1 - kept) @ w[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            null.append(np.abs(first_s / first_w - (s.sum() - first_s) / (w.sum() - first_w)))
    exact = len(s) <= ENUMERATED_CLUSTERS
    return tail_share(np.concatenate(null), abs(totals.value()) * (1 - TIE), exact=exact), exact
