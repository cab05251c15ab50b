"""A rate or a mean of one subject."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.bounded import mean_limits
from fmaudit.statistics.design import Clusters, Design, Floats, design, kish
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval
from fmaudit.statistics.proportions import clopper_pearson, critical, korn_graubard, wilson
from fmaudit.statistics.ratios import (
    Terms,
    crossed_error,
    jackknife_variance,
    mean_terms,
    spread,
    variance_freedom,
)

APPROXIMATE = "approximate: "
GAFFKE = "Gaffke's limits in the declared range"
RANGE_SLACK = 1e-6
"""Share of its width by which rounding may carry a value over the end of a declared range."""
RARE = 10.0
"""Expected events or non-events below which normal approximations are not used."""


def rate(
    values: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Weighted mean of values in [0, 1], with an interval inside [0, 1].

    Equal weights and one row a cluster: Wilson, or Clopper-Pearson below 10
    events or non-events. Otherwise Korn and Graubard's exact interval on the
    effective sample size, whose variance is a delete-one-cluster jackknife, or a
    crossed bootstrap for several factors. Its degrees of freedom are those of the
    clusters, or fewer where few clusters make up the variance (rare events).

    Args:
        values: Shape (n,), in [0, 1], usually 0 or 1; without NaN.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: A value lies outside [0, 1], or shapes or weights do not fit.
    """
    rows = design([values], weights, clusters)
    v = rows.columns[0]
    if len(v) and (v.min() < 0 or v.max() > 1):
        raise ValueError("a rate has a value outside [0, 1]: use mean for a real measure")
    if not rows.n:
        return no_rows(rows, level, "rate")
    found = rate_spread(rows, v, level, draws, seed)
    conclusive, reason = rows.verdict()
    return Interval(
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        level=level,
        method=found.method,
        estimand=rows.estimand("rate"),
        n=rows.n,
        n_eff=found.n_eff,
        clusters=rows.levels,
        se=found.se,
        draws=draws if found.resampled else None,
        seed=seed if found.resampled else None,
        conclusive=conclusive,
        reason=reason,
    )


def mean(
    values: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Weighted mean of real values.

    With a declared range: Gaffke's limits, which assume no distribution there;
    joined with the bootstrap's where rows share clusters or weigh differently.
    Without one: bootstrap-t over rows or clusters, a t interval on the jackknife
    error below 10 effective clusters, crossed bootstrap error for several factors;
    such an interval is ``approximate``, as no method holds for every unbounded
    measure (Bahadur and Savage 1956).

    Args:
        values: Shape (n,), finite.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        low: Least value the measure can take; None where it is not declared.
        high: Largest value the measure can take; None where it is not declared.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: Values, shapes or weights do not fit, or a value breaks the range.
    """
    rows = design([values], weights, clusters)
    if not rows.n:
        return no_rows(rows, level, "mean")
    return ranged_mean(rows, rows.columns[0], "mean", (low, high), level, draws, seed)


def ranged_mean(
    rows: Design,
    values: Floats,
    what: str,
    span: tuple[float | None, float | None],
    level: float,
    draws: int,
    seed: int,
) -> Interval:
    """Interval of a weighted mean whose values lie in ``span``; approximate where an end is not known.

    Raises ValueError where a value lies outside.
    """
    terms, (low, high) = mean_terms(rows, values), span
    if low is None or high is None or not high > low:
        found = signed_mean(rows, terms, what, level, draws, seed)
        return replace(found, approximate=True, method=f"{APPROXIMATE}{found.method}")
    slack = RANGE_SLACK * (high - low)
    if values.min() < low - slack or values.max() > high + slack:
        raise ValueError(f"a value lies outside the declared range {low:g} to {high:g}: mend the range")
    mapped = np.clip((values - low) / (high - low), 0.0, 1.0)
    ends = [_gaffke(rows, mapped, name, level) for name in _sampled(rows)]
    lower = low + (high - low) * min(end[0] for end in ends)
    upper = low + (high - low) * max(end[1] for end in ends)
    value, method = terms.value(), GAFFKE
    se, resampled = jackknife_variance(terms) ** 0.5, False
    if rows.active or rows.weights.min() < rows.weights.max():
        found_spread = spread(rows, terms, level, draws, seed)
        se, resampled = found_spread.se or 0.0, found_spread.resampled
        if found_spread.lower is not None and found_spread.upper is not None:
            lower = max(min(lower, found_spread.lower), low)
            upper = min(max(upper, found_spread.upper), high)
            method = f"{GAFFKE}, joined with {found_spread.method}"
    conclusive, reason = rows.verdict()
    lower, upper = min(lower, value), max(upper, value)
    se = se if se > 0 else _se_of_width(lower, upper, level)
    return Interval(
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        estimand=rows.estimand(what),
        n=rows.n,
        n_eff=effective_rows(rows, terms, se),
        clusters=rows.levels,
        se=se,
        draws=draws if resampled else None,
        seed=seed if resampled else None,
        conclusive=conclusive,
        reason=reason,
    )


def _sampled(rows: Design) -> list[str]:
    """Factors whose unseen levels count: those that are sampled, else the one with most levels."""
    factors = [name for name in rows.active if rows.effective[name] >= MIN_CLUSTERS]
    return factors or sorted(rows.active, key=lambda name: -rows.effective[name])[:1] or [""]


def _gaffke(rows: Design, mapped: Floats, factor: str, level: float) -> tuple[float, float]:
    if not factor:
        return mean_limits(rows.weights * mapped, rows.weights, level)
    codes, units = rows.codes[factor], rows.levels[factor]
    weights = np.bincount(codes, rows.weights, units).astype(float)
    sums = np.bincount(codes, rows.weights * mapped, units).astype(float)
    return mean_limits(np.minimum(sums, weights), weights, level)


def signed_mean(rows: Design, terms: Terms, what: str, level: float, draws: int, seed: int) -> Interval:
    """Interval of a weighted mean or of a difference of weighted means, without a p-value."""
    found = spread(rows, terms, level, draws, seed)
    conclusive, reason = rows.verdict()
    if found.lower is None:
        conclusive, reason = False, "too few independent units to compute an interval from"
    elif not found.se:
        constant = f"no variation among {rows.n} rows: the interval has no width"
        conclusive, reason = False, f"{reason}; {constant}" if reason else constant
    return Interval(
        value=terms.value(),
        lower=found.lower,
        upper=found.upper,
        level=level,
        method=found.method,
        estimand=rows.estimand(what),
        n=rows.n,
        n_eff=effective_rows(rows, terms, found.se),
        clusters=rows.levels,
        se=found.se,
        draws=draws if found.resampled else None,
        seed=seed if found.resampled else None,
        conclusive=conclusive,
        reason=reason,
    )


def without_limits(rows: Design, terms: Terms, what: str, level: float) -> Interval:
    """Value and jackknife error of a signed sum of means, for limits that come from elsewhere."""
    codes, units = rows.units()
    se = jackknife_variance(terms.totals(codes, units)) ** 0.5
    known = None if np.isnan(se) else se
    conclusive, reason = rows.verdict()
    return Interval(
        value=terms.value(),
        lower=None,
        upper=None,
        level=level,
        method="none",
        estimand=rows.estimand(what),
        n=rows.n,
        n_eff=effective_rows(rows, terms, known),
        clusters=rows.levels,
        se=known,
        conclusive=conclusive,
        reason=reason,
    )


def effective_rows(rows: Design, terms: Terms, se: float | None) -> float:
    """Rows divided by the design effect, at most n; the effective clusters without variation."""
    simple = simple_variance(terms)
    if not se or not simple > 0:
        return min(rows.effective_units(), kish(rows.weights))
    return float(min(rows.n * simple / se**2, rows.n))


def simple_variance(terms: Terms) -> float:
    """Variance the value would have on as many independent, equally weighted rows."""
    total = 0.0
    for g in range(len(terms.signs)):
        w = terms.weights[:, g]
        inside = w > 0
        deviations = terms.centred().products[inside, g] / w[inside]
        n = int(inside.sum())
        total += float((w[inside] * deviations**2).sum() / w.sum() / max(n - 1, 1))
    return total


def no_rows(rows: Design, level: float, what: str, reason: str = "no valid row: undefined") -> Interval:
    """The answer where nothing was measured."""
    return Interval(
        value=None,
        lower=None,
        upper=None,
        level=level,
        method="none",
        estimand=f"item-weighted {what}",
        n=rows.n,
        n_eff=0.0,
        clusters=rows.levels,
        conclusive=False,
        reason=reason,
    )


@dataclass(frozen=True)
class RateSpread:
    """A rate with its limits and the rows they rest on."""

    value: float
    lower: float
    upper: float
    se: float
    n_eff: float
    method: str
    resampled: bool


def rate_spread(rows: Design, values: Floats, level: float, draws: int, seed: int) -> RateSpread:
    """Interval of a weighted mean of values in [0, 1] under the design's factors."""
    p = min(max(float(rows.weights @ values / rows.weights.sum()), 0.0), 1.0)
    binary = bool(np.isin(values, (0.0, 1.0)).all())
    if not rows.active and binary and rows.weights.min() == rows.weights.max():
        return _simple_rate(p, rows.n, level)
    terms = mean_terms(rows, values)
    resampled = len(rows.active) > 1
    if resampled:
        se, df = crossed_error(rows, terms, draws, seed)
        variance = se**2
    else:
        codes, units = rows.units()
        totals = terms.totals(codes, units)
        variance = jackknife_variance(totals)
        df = min(rows.effective_units() - 1, variance_freedom(totals))
    least = min(rows.effective_units(), kish(rows.weights))
    source = "crossed-factor bootstrap" if resampled else "jackknife"
    method = f"Korn-Graubard ({source} variance)"
    if not variance > 0 or p in (0.0, 1.0):
        lower, upper = clopper_pearson(p * least, least, level)
        method = "Clopper-Pearson on the effective number of clusters (no variation seen)"
        return RateSpread(p, lower, upper, _se_of_width(lower, upper, level), least, method, False)
    n_eff = rows.n * p * (1 - p) / max(rows.n - 1, 1) / variance
    if binary or min(p, 1 - p) * rows.n < RARE:
        n_eff = min(n_eff, float(rows.n))
    lower, upper = korn_graubard(p, n_eff, rows.n, df, level)
    # As if each cluster were a single row: never wider than that, however few of them show the event.
    low, high = korn_graubard(p, min(n_eff, least), rows.n, max(rows.effective_units() - 1, 1.0), level)
    lower, upper = max(lower, low), min(upper, high)
    return RateSpread(p, min(lower, p), max(upper, p), variance**0.5, n_eff, method, resampled)


def _simple_rate(p: float, n: int, level: float) -> RateSpread:
    events = round(p * n)
    exact = min(events, n - events) < RARE
    lower, upper = (clopper_pearson if exact else wilson)(events, n, level)
    se = (p * (1 - p) / n) ** 0.5 or _se_of_width(lower, upper, level)
    return RateSpread(events / n, lower, upper, se, float(n), "Clopper-Pearson" if exact else "Wilson", False)


def _se_of_width(lower: float, upper: float, level: float) -> float:
    return (upper - lower) / (2 * critical(level))
