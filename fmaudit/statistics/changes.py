"""Change between two subjects on the same items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from fmaudit.statistics.bounded import mean_limits
from fmaudit.statistics.design import Clusters, Design, Floats, Ints, design
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval
from fmaudit.statistics.levels import RARE, effective_rows, no_rows, ranged_mean, signed_mean
from fmaudit.statistics.proportions import critical, exact_mcnemar, tango
from fmaudit.statistics.ratios import STUDENTIZED_FROM, crossed_error, mean_terms, spread_at, variance_freedom
from fmaudit.statistics.resampling import sign_flip_p

ChangeKind: TypeAlias = Literal["rate", "mean"]
"""Which estimator a test belongs to: :func:`rate_change` or :func:`mean_change`."""


def paired_table(base: npt.ArrayLike, adapted: npt.ArrayLike) -> tuple[int, int, int, int]:
    """Counts (n11, n10, n01, n00) of pairs; the first digit is the base's outcome.

    Raises:
        ValueError: A value is not 0 or 1, or lengths differ.
    """
    b, a = np.asarray(base, dtype=float), np.asarray(adapted, dtype=float)
    if b.shape != a.shape or not np.isin(np.concatenate([b, a]), (0.0, 1.0)).all():
        raise ValueError("a paired table needs two arrays of 0 and 1 of one length")
    code = (2 * b + a).astype(int)
    n00, n01, n10, n11 = np.bincount(code, minlength=4)
    return int(n11), int(n10), int(n01), int(n00)


def rate_change(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Weighted mean of ``adapted - base`` for paired values in [0, 1].

    Equal weights, 0/1 values and one row a cluster: Tango's score interval and
    exact McNemar. Otherwise a cluster bootstrap-t with a cluster sign-flip test;
    where fewer than 10 clusters changed, or few make up the variance (its degrees
    of freedom are below 30), Tango's interval on the effective sample size, as Korn
    and Graubard do for a rate, within Gaffke's limits of the clusters' changes.
    Several factors: as in :func:`mean_change`.

    Args:
        base: Shape (n,), in [0, 1].
        adapted: Shape (n,), in [0, 1], of the same items.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of draws and sign flips.

    Returns:
        Value in [-1, 1], positive where the adapted subject's rate is higher.

    Raises:
        ValueError: A value lies outside [0, 1], or shapes or weights do not fit.
    """
    rows = change_rows(base, adapted, weights, clusters, "rate")
    b, a = rows.columns
    if not rows.n:
        return no_rows(rows, level, "change of rate")
    if _simple(rows):
        return _simple_change(rows, level)
    return _sparse_limits(rows, a - b, _change(rows, a - b, "change of rate", level, draws, seed))


def mean_change(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Weighted mean of ``adapted - base`` for paired real values.

    Interval as in :func:`fmaudit.statistics.mean`, of changes between ``low - high``
    and ``high - low``. p by sign flips of whole clusters: all patterns up to 12
    clusters that changed, else 4,999 random ones. Several factors: the largest p of
    every factor's sign flips and of the crossed bootstrap's t test, because flips of
    one factor ignore the others.

    Args:
        base: Shape (n,), finite.
        adapted: Shape (n,), of the same items.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        low: Least value the measure can take; None where it is not declared.
        high: Largest value the measure can take; None where it is not declared.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of draws and sign flips.

    Raises:
        ValueError: Values, shapes or weights do not fit, or a change breaks the range.
    """
    rows = change_rows(base, adapted, weights, clusters, "mean")
    if not rows.n:
        return no_rows(rows, level, "change of mean")
    b, a = rows.columns
    interval = ranged_mean(rows, a - b, "change of mean", change_span(low, high), level, draws, seed)
    return _tested(rows, a - b, interval, draws, seed)


def change_span(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """The range of a change of a measure between ``low`` and ``high``."""
    return (None, None) if low is None or high is None else (low - high, high - low)


def change_rows(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    clusters: Clusters | None,
    kind: ChangeKind,
) -> Design:
    """The paired rows of a change, with the base's values in the first column.

    Raises:
        ValueError: ``kind`` is unknown, a rate lies outside [0, 1], or shapes or weights do not fit.
    """
    if kind not in ("rate", "mean"):
        raise ValueError(f"a change of {kind!r} is unknown: use 'rate' or 'mean'")
    rows = design([base, adapted], weights, clusters)
    values = np.concatenate(rows.columns)
    if kind == "rate" and rows.n and (values.min() < 0 or values.max() > 1):
        raise ValueError("a rate has a value outside [0, 1]: use mean_change for a real measure")
    return rows


def limits_at(
    rows: Design, kind: ChangeKind, draws: int, seed: int
) -> tuple[str, Callable[[float], tuple[float, float] | None]]:
    """Method, and the limits of :func:`rate_change` or :func:`mean_change` at any level.

    All levels use the same draws. Only for at least one row; None where there is no interval.
    """
    if kind == "rate" and _simple(rows):
        _, n10, n01, _ = paired_table(*rows.columns)
        return "Tango score", lambda level: tango(n01, n10, rows.n, level)
    change = rows.columns[1] - rows.columns[0]
    spread = spread_at(rows, mean_terms(rows, change), draws, seed)
    found = spread(0.95)
    if kind == "rate" and _sparse(rows, change, found.se):
        return "Tango score on the effective sample size", _sparse_at(rows, change, found.se)

    def limits(level: float) -> tuple[float, float] | None:
        at = spread(level)
        return None if at.lower is None or at.upper is None else (at.lower, at.upper)

    return found.method, limits


def _simple(rows: Design) -> bool:
    return bool(
        not rows.active
        and np.isin(rows.columns, (0.0, 1.0)).all()
        and rows.weights.min() == rows.weights.max()
    )


def unit_sums(codes: Ints, products: Floats, units: int) -> Floats:
    """Sum of ``products`` in each unit."""
    return np.bincount(codes, products, units).astype(float)


def _change(rows: Design, change: Floats, what: str, level: float, draws: int, seed: int) -> Interval:
    interval = signed_mean(rows, mean_terms(rows, change), what, level, draws, seed)
    return _tested(rows, change, interval, draws, seed)


def _tested(rows: Design, change: Floats, interval: Interval, draws: int, seed: int) -> Interval:
    if len(rows.active) > 1:
        p = _crossed_p(rows, change, draws, seed)
        test = "largest p of sign flips by factor and of the bootstrap t test"
    else:
        codes, units = rows.units()
        p, exact = sign_flip_p(unit_sums(codes, rows.weights * change, units), seed)
        test = f"{'exact' if exact else 'random'} sign flips by {'cluster' if rows.active else 'item'}"
    return replace(interval, p=p, seed=seed, method=f"{interval.method}; {test}")


def _crossed_p(rows: Design, change: Floats, draws: int, seed: int) -> float:
    products = rows.weights * change
    flips = [sign_flip_p(unit_sums(rows.codes[f], products, rows.levels[f]), seed)[0] for f in rows.active]
    terms = mean_terms(rows, change)
    se, df = crossed_error(rows, terms, draws, seed)
    return max(*flips, error_p(terms.value(), se, df))


def error_p(value: float, se: float, df: float) -> float:
    """Two-sided p-value of ``value / se`` under Student's t; 1 where nothing varies."""
    return float(2 * t.sf(abs(value) / se, df)) if se > 0 else 1.0


def _simple_change(rows: Design, level: float) -> Interval:
    _, n10, n01, _ = paired_table(*rows.columns)
    value = (n01 - n10) / rows.n
    lower, upper = tango(n01, n10, rows.n, level)
    se = ((n01 + n10) / rows.n - value**2) ** 0.5 / rows.n**0.5
    conclusive, reason = rows.verdict()
    return Interval(
        value=value,
        lower=min(lower, value),
        upper=max(upper, value),
        level=level,
        method="Tango score; exact McNemar",
        estimand=rows.estimand("change of rate"),
        n=rows.n,
        n_eff=float(rows.n),
        clusters=rows.levels,
        se=se or (upper - lower) / (2 * critical(level)),
        p=exact_mcnemar(n10, n01),
        conclusive=conclusive,
        reason=reason,
    )


def _freedom(rows: Design, change: Floats) -> float:
    """Degrees of freedom of the variance of the change; of the scarcest factor."""
    terms = mean_terms(rows, change)
    if not rows.active:
        return variance_freedom(terms)
    return min(variance_freedom(terms.totals(rows.codes[f], rows.levels[f])) for f in rows.active)


def _sparse(rows: Design, change: Floats, se: float | None) -> bool:
    """Whether too few clusters changed, or too few make up the variance, to resample them."""
    changed = rows.weights * (change != 0)
    per_factor = [np.bincount(rows.codes[f], changed, rows.levels[f]) for f in rows.active] or [changed]
    moving = min(int((c > 0).sum()) for c in per_factor)
    return moving < STUDENTIZED_FROM or not se or _freedom(rows, change) < MIN_CLUSTERS


def _sparse_at(rows: Design, change: Floats, se: float | None) -> Callable[[float], tuple[float, float]]:
    """Tango's limits on the effective sample size, within Gaffke's, at any level.

    The tail of a score interval grows with the square of the normal deviate, that of a rare event with the
    logarithm of the level: at simultaneous levels Tango's is half as wide again without being safer.
    """
    total = rows.weights.sum()
    gained = float(rows.weights @ np.maximum(change, 0) / total)
    lost = float(rows.weights @ np.maximum(-change, 0) / total)
    n_eff = effective_rows(rows, mean_terms(rows, change), se)
    whole = max(rows.effective_units(), 2.0)
    units = whole - 1
    if se:
        fractional = not np.isin(change, (-1.0, 0.0, 1.0)).all() and (gained + lost) * rows.n >= RARE
        matched = (gained + lost - (gained - lost) ** 2) / se**2
        n_eff = matched if fractional else min(matched, float(rows.n))
        units = max(min(units, _freedom(rows, change)), 1.0)

    def limits(level: float) -> tuple[float, float]:
        own = n_eff * (critical(level) / critical(level, units)) ** 2
        # As if each cluster were a single pair: never wider than that, however few of them changed.
        single = min(n_eff, whole) * (critical(level) / critical(level, whole - 1)) ** 2
        adjusted = max(own, single)
        lower, upper = tango(gained * adjusted, lost * adjusted, adjusted, level)
        if len(rows.active) > 1:
            return lower, upper
        low, high = _unit_limits(rows, change, level)
        return max(lower, low), min(upper, high)

    return limits


def _unit_limits(rows: Design, change: Floats, level: float) -> tuple[float, float]:
    """Gaffke's limits of the mean change of the units, each between -1 and 1."""
    codes, units = rows.units()
    weights = unit_sums(codes, rows.weights, units)
    # Rounding must not carry a unit that changed wholly out of the range.
    halves = np.clip(unit_sums(codes, rows.weights * (change + 1) / 2, units), 0.0, weights)
    low, high = mean_limits(halves, weights, level)
    return 2 * low - 1, 2 * high - 1


def _sparse_limits(rows: Design, change: Floats, interval: Interval) -> Interval:
    if not _sparse(rows, change, interval.se):
        return interval
    terms = mean_terms(rows, change)
    lower, upper = _sparse_at(rows, change, interval.se)(interval.level)
    value = terms.value()
    conclusive, reason = rows.verdict()
    test = interval.method.partition("; ")[2]
    return replace(
        interval,
        lower=min(lower, value),
        upper=max(upper, value),
        method=f"Tango score on the effective sample size; {test}",
        n_eff=effective_rows(rows, terms, interval.se),
        se=interval.se or (upper - lower) / (2 * critical(interval.level)),
        draws=None,
        conclusive=conclusive,
        reason=reason,
    )
