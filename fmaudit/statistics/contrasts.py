"""One group of rows minus another, of one subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.changes import change_span, error_p, limits_at
from fmaudit.statistics.design import Bools, Clusters, Design, Floats, design, subset
from fmaudit.statistics.group_tests import FINEST, permutation_p, swap_p
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval, round_down
from fmaudit.statistics.levels import (
    APPROXIMATE,
    no_rows,
    ranged_mean,
    rate_spread,
    signed_mean,
    without_limits,
)
from fmaudit.statistics.proportions import critical, square_and_add
from fmaudit.statistics.ratios import (
    Terms,
    contrast_terms,
    crossed_error,
    jackknife_variance,
    mean_terms,
    variance_freedom,
)

Span: TypeAlias = tuple[float | None, float | None]
"""Declared range of the values; None where an end is not known."""


def contrast(
    values: npt.ArrayLike,
    plus: npt.ArrayLike,
    minus: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    finest: float = FINEST,
) -> Interval:
    """Weighted mean of the rows in ``plus`` minus that of the rows in ``minus``.

    Where no cluster has rows in both groups, the groups are independent: their
    own intervals are combined by Newcombe's square-and-add, and p permutes the
    group labels of whole clusters (studentized). Where clusters span both
    groups, they are resampled whole, joined with what square-and-add gives in a
    declared range, and p swaps the two groups within spanning clusters; where others
    lie in one group, it is the largest of that and of a t test over clusters.
    Several factors: crossed bootstrap error, joined likewise, and the largest p of
    each factor's own test and of the bootstrap's t test. Negated values with a
    negated range give the negated interval.

    Args:
        values: Shape (n,), finite.
        plus: Shape (n,), True in the first group.
        minus: Shape (n,), True in the second group; rows in neither are ignored.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        low: Least value the measure can take; None where it is not declared.
        high: Largest value the measure can take; without both the interval is approximate.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of draws, permutations and swaps.
        finest: The least p-value wanted; 5,000 random assignments end at 1 / 5000.

    Raises:
        ValueError: A row is in both groups, values, shapes or weights do not fit, or a
            value breaks the range.
    """
    v = np.asarray(values, float)
    return _contrast([v], (low, high), plus, minus, weights, clusters, (level, draws, seed, finest))


def contrast_of_changes(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    plus: npt.ArrayLike,
    minus: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    finest: float = FINEST,
) -> Interval:
    """:func:`contrast` of the paired changes ``adapted - base``.

    ``low`` and ``high`` are the range of the measure itself. Paired outcomes, each at
    an end of the range, take the interval of :func:`fmaudit.statistics.rate_change`
    in each group: Tango's, or that on the effective sample size.
    """
    b, a = np.asarray(base, float), np.asarray(adapted, float)
    return _contrast([b, a], (low, high), plus, minus, weights, clusters, (level, draws, seed, finest))


def _contrast(
    columns: Sequence[Floats],
    span: Span,
    plus: npt.ArrayLike,
    minus: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    clusters: Clusters | None,
    how: tuple[float, int, int, float],
) -> Interval:
    inside, outside = np.asarray(plus, bool), np.asarray(minus, bool)
    if (inside & outside).any():
        raise ValueError("a row is in both groups of a contrast: the groups must not overlap")
    used = inside | outside
    w = np.ones(len(used)) if weights is None else np.asarray(weights, float)
    labels = {name: np.asarray(c)[used] for name, c in (clusters or {}).items()}

    def oriented(sign: float) -> Interval:
        turned = [np.where(column[used] == 0, 0.0, sign * column[used]) for column in columns]
        rows = design([*turned, inside[used]], w[used], labels)
        ends = span if sign > 0 else (_negated(span[1]), _negated(span[0]))
        found = _estimated(_Asked(rows, ends, *how))
        return found if sign > 0 else _negative(found)

    # Draws and rounding depend on the order of the rows, hence on the sign: one orientation is taken.
    value = _exact_value(columns[-1] - columns[0] if len(columns) > 1 else columns[0], w, inside, outside)
    if value:
        return oriented(math.copysign(1.0, value))
    return _joined(oriented(1.0), oriented(-1.0))


def _exact_value(v: Floats, w: Floats, plus: Bools, minus: Bools) -> float:
    """The contrast from exactly rounded sums: it changes nothing but its sign with its values."""
    means = []
    for mask in (plus, minus):
        total = math.fsum(w[mask])
        means.append(math.fsum(w[mask] * v[mask]) / total if total > 0 else 0.0)
    return means[0] - means[1]


def _negated(end: float | None) -> float | None:
    return None if end is None else -end


def _negative(found: Interval) -> Interval:
    return replace(
        found, value=_negated(found.value), lower=_negated(found.upper), upper=_negated(found.lower)
    )


def _joined(first: Interval, second: Interval) -> Interval:
    """Both orientations of a contrast of 0, where neither sign comes first."""
    if first.lower is None or first.upper is None or second.lower is None or second.upper is None:
        return first
    lower, upper = min(first.lower, second.lower, 0.0), max(first.upper, second.upper, 0.0)
    p = None if first.p is None or second.p is None else max(first.p, second.p)
    return replace(first, value=0.0, lower=lower, upper=upper, p=p, se=max(first.se or 0, second.se or 0))


@dataclass(frozen=True)
class _Asked:
    """Rows whose last column is the first group's mask; one column of values, or base and adapted."""

    rows: Design
    span: Span
    level: float
    draws: int
    seed: int
    finest: float

    @property
    def group(self) -> Bools:
        return self.rows.columns[-1] > 0

    @property
    def paired(self) -> bool:
        return len(self.rows.columns) > 2

    @property
    def values(self) -> Floats:
        return self.rows.columns[1] - self.rows.columns[0] if self.paired else self.rows.columns[0]

    @property
    def bounded(self) -> bool:
        low, high = self.span
        return low is not None and high is not None and high > low


def _estimated(asked: _Asked) -> Interval:
    rows, group = asked.rows, asked.group
    if not rows.n or group.all() or not group.any():
        name = "second" if group.any() else "first"
        return no_rows(rows, asked.level, "contrast", f"no valid row in the {name} group: undefined")
    terms = contrast_terms(rows, asked.values, group)
    if len(rows.active) > 1:
        interval = signed_mean(rows, terms, "contrast", asked.level, asked.draws, asked.seed)
        p, test = _crossed_p(asked, terms)
        whole = True
    else:
        codes, units = rows.units()
        totals = terms.totals(codes, units)
        spanning = (totals.weights > 0).all(axis=1)
        whole = bool(spanning.any())
        interval = (
            signed_mean(rows, terms, "contrast", asked.level, asked.draws, asked.seed)
            if whole
            else without_limits(rows, terms, "contrast", asked.level)
        )
        p, exact = (swap_p if whole else permutation_p)(totals, asked.seed, asked.finest)
        kind = "swaps of the groups within clusters" if whole else f"permutation of {_unit(rows)} labels"
        test = f"{'exact' if exact else 'random'} {kind}"
        if whole and not spanning.all():
            p, test = max(p, _unit_t_p(totals)), f"largest p of {test} and of a t test"
    separate = _separate(asked, interval, test)
    if not whole:
        found = separate
    elif asked.bounded:
        found = _widest(interval, separate, test)
    else:
        found = replace(interval, seed=asked.seed, method=f"{interval.method}; {test}")
    if not asked.bounded:
        found = replace(found, approximate=True, method=f"{APPROXIMATE}{found.method}")
    return _judged(replace(found, p=p), rows, group)


def _unit_t_p(totals: Terms) -> float:
    """Two-sided p of the jackknife's t test: swaps leave units of one group where they are.

    With 40 documents in both groups and 160 of thrice the spread in one of them, swaps alone called a
    difference at 5 % in 10 % of null data sets.
    """
    variance = jackknife_variance(totals)
    if math.isnan(variance):
        return 1.0
    if not variance:
        # Nothing varies, so that nothing of it escapes the swaps: they decide.
        return 0.0
    freedom = min(variance_freedom(totals), len(totals.products) - 1)
    return error_p(totals.value(), math.sqrt(variance), freedom)


def _unit(rows: Design) -> str:
    return "cluster" if rows.active else "item"


def _widest(interval: Interval, separate: Interval, test: str) -> Interval:
    """Clusters in both groups: their joint interval, and no less than what each group alone leaves open."""
    if interval.lower is None or interval.upper is None or separate.lower is None or separate.upper is None:
        return separate
    return replace(
        separate,
        lower=min(interval.lower, separate.lower),
        upper=max(interval.upper, separate.upper),
        method=f"{interval.method}, joined with {separate.method.partition('; ')[0]}; {test}",
    )


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


def _crossed_p(asked: _Asked, terms: Terms) -> tuple[float, str]:
    rows = asked.rows
    se, df = crossed_error(rows, terms, asked.draws, asked.seed)
    p = 1.0 if math.isnan(se) else error_p(terms.value(), se, df)
    for factor in rows.active:
        totals = terms.totals(rows.codes[factor], rows.levels[factor])
        spans = bool((totals.weights > 0).all(axis=1).any())
        p = max(p, (swap_p if spans else permutation_p)(totals, asked.seed, asked.finest)[0])
    return p, "largest p of each factor's own test and of the bootstrap t test"


def _separate(asked: _Asked, interval: Interval, test: str) -> Interval:
    """The interval with the limits that the two groups' own intervals give."""
    ends: list[tuple[float, float, float]] = []
    methods: list[str] = []
    for mask in (asked.group, ~asked.group):
        value, lower, upper, method = _alone(asked, subset(asked.rows, mask))
        if value is None or lower is None or upper is None:
            reason = "a group has a single independent unit: no interval of the difference"
            without = replace(interval, lower=None, upper=None, seed=asked.seed)
            return replace(without, method=test, conclusive=False, reason=reason)
        ends.append((value, lower, upper))
        methods.append(method)
    lower, upper = square_and_add(ends[0], ends[1])
    conclusive, reason = asked.rows.verdict()
    half_width = (upper - lower) / 2
    if not half_width:
        conclusive, reason = False, interval.reason
    return replace(
        interval,
        lower=min(lower, interval.value or 0.0),
        upper=max(upper, interval.value or 0.0),
        se=interval.se or half_width / critical(interval.level) or interval.se,
        seed=asked.seed,
        method=f"square-and-add of {' and '.join(dict.fromkeys(methods))}; {test}",
        conclusive=conclusive,
        reason=reason,
    )


def _alone(asked: _Asked, part: Design) -> tuple[float | None, float | None, float | None, str]:
    """Value, limits and method of one group."""
    values = part.columns[1] - part.columns[0] if asked.paired else part.columns[0]
    low, high = asked.span
    if not asked.bounded or low is None or high is None:
        found = signed_mean(part, mean_terms(part, values), "mean", asked.level, asked.draws, asked.seed)
        return found.value, found.lower, found.upper, found.method
    outcomes = bool(np.isin(part.columns[:-1], (low, high)).all())
    width = high - low
    if outcomes and asked.paired:
        pairs = replace(part, columns=tuple((column - low) / width for column in part.columns[:2]))
        method, limits = limits_at(pairs, "rate", asked.draws, asked.seed)
        ends = limits(asked.level) or (None, None)
        lower, upper = (None if end is None else width * end for end in ends)
        return float(part.weights @ values / part.weights.sum()), lower, upper, method
    if outcomes and part.active:
        share = rate_spread(part, (values - low) / width, asked.level, asked.draws, asked.seed)
        value, lower, upper = (low + width * end for end in (share.value, share.lower, share.upper))
        return value, lower, upper, share.method
    span = change_span(low, high) if asked.paired else asked.span
    inside = ranged_mean(part, values, "mean", span, asked.level, asked.draws, asked.seed)
    return inside.value, inside.lower, inside.upper, inside.method
