"""Any statistic of weighted rows, resampled by cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from fmaudit.statistics.changes import error_p
from fmaudit.statistics.design import Clusters, Design, Floats, design
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import no_rows
from fmaudit.statistics.proportions import critical
from fmaudit.statistics.resampling import resampled_weights

WeightedStatistic: TypeAlias = Callable[[npt.NDArray[np.float64]], float]
MOST_UNDEFINED = 0.1
"""Share of undefined draws above which there is no interval."""


def statistic(
    fn: WeightedStatistic,
    weights: npt.ArrayLike,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Interval of a function of the row weights.

    Bias-corrected percentile interval of the cluster bootstrap (Efron 1987),
    its tails widened from normal to t quantiles for the number of clusters. No
    bootstrap is valid at the edge of a range: the largest gap between groups is
    biased upwards and its lower limit never reaches 0, so it is no evidence that
    there is a gap (a contrast of two groups is).

    Args:
        fn: Takes row weights of shape (n,), in input order, and returns the
            statistic, NaN where it is undefined. Must not depend on the scale
            of the weights and must ignore rows of weight 0.
        weights: Shape (n,), at least 0; or the number of equally weighted rows.
        clusters: Factor name -> labels of shape (n,). Without any, rows are
            drawn by position, so the draws depend on the order of the rows.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws, one call of ``fn`` each.
        seed: Seed of the draws.

    Returns:
        ``method`` tells the share of undefined draws; above a tenth there is no interval.
    """
    rows, scatter = _rows(weights, clusters)
    return _resample(rows, lambda w: float(fn(scatter(w))), "statistic", level, draws, seed)


def statistic_change(
    fn_base: WeightedStatistic,
    fn_adapted: WeightedStatistic,
    weights: npt.ArrayLike,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """``fn_adapted - fn_base`` on the same rows, both under the same resampled weights.

    Args:
        fn_base: As ``fn`` in :func:`statistic`, on the base's rows.
        fn_adapted: The same on the adapted subject's rows.
        weights: As in :func:`statistic`.
        clusters: As in :func:`statistic`.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        ``p`` is a t test of the value over its bootstrap standard error.
    """
    rows, scatter = _rows(weights, clusters)

    def change(w: Floats) -> float:
        row_weights = scatter(w)
        return float(fn_adapted(row_weights)) - float(fn_base(row_weights))

    return _resample(rows, change, "change of statistic", level, draws, seed, tested=True)


def _rows(weights: npt.ArrayLike, clusters: Clusters | None) -> tuple[Design, Callable[[Floats], Floats]]:
    given = np.asarray(weights, dtype=float)
    size = len(given) if given.ndim else int(given)
    rows = design([], given if given.ndim else np.ones(size), clusters, n=size, keep_order=True)
    largest = given.max(initial=0.0) if given.ndim else 1.0

    def scatter(w: Floats) -> Floats:
        full = np.zeros(size)
        full[rows.kept] = w * largest
        return full

    return rows, scatter


@dataclass(frozen=True)
class _Draws:
    values: Floats
    undefined: float


def _resample(
    rows: Design,
    fn: Callable[[Floats], float],
    what: str,
    level: float,
    draws: int,
    seed: int,
    tested: bool = False,
) -> Interval:
    if not rows.n:
        return no_rows(rows, level, what)
    value = fn(rows.weights)
    if not np.isfinite(value):
        return no_rows(rows, level, what, "undefined on these rows")
    drawn = _draw(rows, fn, draws, seed)
    share = f"{drawn.undefined:.1%} of {draws} draws undefined"
    method = f"bias-corrected bootstrap percentile, t-widened; {share}"
    conclusive, reason = rows.verdict()
    units = max(rows.effective_units(), 1.0)
    lower: float | None = None
    upper: float | None = None
    se: float | None = None
    p: float | None = None
    if units < 2:
        conclusive, reason = False, "one effective cluster: no variation to compute an interval from"
    elif drawn.undefined > MOST_UNDEFINED:
        conclusive, reason = False, f"undefined in {drawn.undefined:.0%} of the bootstrap draws: no interval"
    else:
        se = float(drawn.values.std(ddof=1)) * (units / (units - 1)) ** 0.5
        lower, upper = bootstrap_limits(drawn.values, value, units, level)
        p = error_p(value, se, units - 1) if tested else None
        method += "; t test on the bootstrap error" if tested else ""
        if not se:
            same = "every draw gives the same value: the interval has no width"
            reason = f"{reason}; {same}" if reason else same
    return Interval(
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        estimand=rows.estimand(what),
        n=rows.n,
        n_eff=rows.effective_units(),
        clusters=rows.levels,
        se=se,
        p=p,
        draws=draws,
        seed=seed,
        conclusive=conclusive,
        reason=reason,
    )


def _draw(rows: Design, fn: Callable[[Floats], float], draws: int, seed: int) -> _Draws:
    drawn = (w for portion in resampled_weights(rows, draws, seed) for w in portion)
    values = np.array([fn(w) if w.any() else np.nan for w in drawn])
    defined = values[np.isfinite(values)]
    return _Draws(defined, 1 - len(defined) / max(len(values), 1))


def bootstrap_limits(values: Floats, value: float, units: float, level: float) -> tuple[float, float]:
    """Bias-corrected percentile limits with tails widened for few clusters (Hesterberg 2015)."""
    tolerance = 1e-12 * max(float(np.abs(values).max()), abs(value))
    below = (values < value - tolerance).mean() + (np.abs(values - value) <= tolerance).mean() / 2
    edge = 1 / (len(values) + 1)
    shift = 2 * norm.ppf(min(max(below, edge), 1 - edge))
    width = (units / (units - 1)) ** 0.5 * critical(level, units - 1)
    tails = norm.cdf([shift - width, shift + width])
    lower, upper = np.quantile(values, tails, method="median_unbiased")
    return min(float(lower), value), max(float(upper), value)
