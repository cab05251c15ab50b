"""Cluster bootstrap of statistics that are functions of weighted sums.

Almost every measure of a pair or a family of models is a function of a few sums
over the items. One draw then costs a product of cluster counts and cluster
sums, not a pass over the rows, so thousands of draws are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fmaudit.statistics.design import Design, Floats
from fmaudit.statistics.functionals import MOST_UNDEFINED, bootstrap_limits
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import no_rows
from fmaudit.statistics.resampling import bootstrap_counts, chunks, resampled_weights

Features: TypeAlias = Callable[[tuple[Floats, ...]], Floats]
"""Row columns, each of shape (m,), to the unweighted terms of the sums, shape (m, terms)."""
Kernel: TypeAlias = Callable[[Floats], Floats]
"""Sums of shape (draws, terms) to statistics of shape (draws, statistics), NaN where undefined."""
_WORTH_POOLING = 4


@dataclass(frozen=True)
class Resampled:
    """Statistics on the rows and on bootstrap draws of them.

    Attributes:
        rows: The rows.
        value: Shape (statistics,).
        values: Shape (draws, statistics).
        seed: Seed of the draws.
    """

    rows: Design
    value: Floats
    values: Floats
    seed: int


def resample(rows: Design, features: Features, kernel: Kernel, draws: int, seed: int) -> Resampled:
    """Statistics of weighted sums with their cluster-bootstrap draws.

    Args:
        rows: Checked rows; their active factors are drawn.
        features: Terms of the sums, from the columns of ``rows``.
        kernel: Statistics from the sums; must not depend on the scale of the weights.
        draws: Bootstrap draws.
        seed: Seed of the draws.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = kernel(rows.weights[None] @ features(rows.columns))
        parts = [kernel(sums) for sums in _drawn_sums(rows, features, draws, seed)] if rows.n else []
    return Resampled(rows, value[0], np.concatenate([np.empty((0, value.shape[1])), *parts]), seed)


def unit_table(rows: Design, features: Features) -> Floats:
    """Weighted terms summed into what is drawn: clusters of one factor, else rows; shape (units, terms)."""
    weighted = features(rows.columns) * rows.weights[:, None]
    if len(rows.active) != 1:
        return weighted
    codes, units = rows.units()
    columns = [np.bincount(codes, column, units) for column in weighted.T]
    return np.column_stack(columns).astype(float)


def unit_counts(rows: Design, units: int, draws: int, seed: int) -> Iterator[Floats]:
    """How often each unit of :func:`unit_table` is drawn, in portions of shape (portion, units)."""
    if len(rows.active) > 1:
        for weights in resampled_weights(rows, draws, seed):
            yield weights / rows.weights
        return
    rng = np.random.default_rng([seed, 0])
    for portion in chunks(draws, units):
        yield bootstrap_counts(rng, portion, units)


def _drawn_sums(rows: Design, features: Features, draws: int, seed: int) -> Iterator[Floats]:
    if rows.active:
        table = unit_table(rows, features)
        for counts in unit_counts(rows, len(table), draws, seed):
            yield counts @ table
        return
    keys = np.column_stack([*rows.columns, rows.weights])
    patterns, times = np.unique(keys, axis=0, return_counts=True)
    if _WORTH_POOLING * len(patterns) > rows.n:
        patterns, times = keys, np.ones(rows.n, dtype=np.int64)
    table = features(tuple(patterns[:, :-1].T)) * patterns[:, -1:]
    rng = np.random.default_rng([seed, 0])
    for portion in chunks(draws, len(table)):
        if len(table) == rows.n:
            yield bootstrap_counts(rng, portion, rows.n) @ table
        else:
            # Equal rows are exchangeable, so drawing how many of each kind is the same bootstrap.
            yield rng.multinomial(rows.n, times / rows.n, size=portion) @ table


def to_interval(found: Resampled, place: int, what: str, level: float, undefined: str = "") -> Interval:
    """Bias-corrected percentile interval (Efron 1987) of one resampled statistic, t-widened.

    Args:
        found: Result of :func:`resample`.
        place: Which statistic.
        what: Its name, for the estimand.
        level: Confidence level in (0, 1).
        undefined: Why it is undefined where its value is NaN.
    """
    rows, value = found.rows, float(found.value[place])
    if not rows.n:
        return no_rows(rows, level, what)
    if not np.isfinite(value):
        return no_rows(rows, level, what, undefined or "undefined on these rows")
    drawn = found.values[:, place]
    defined = drawn[np.isfinite(drawn)]
    missing = 1 - len(defined) / max(len(drawn), 1)
    conclusive, reason = rows.verdict()
    units = max(rows.effective_units(), 1.0)
    lower: float | None = None
    upper: float | None = None
    se: float | None = None
    if units < 2 or len(defined) < 2:
        conclusive, reason = False, "one effective cluster: no variation to compute an interval from"
    elif missing > MOST_UNDEFINED:
        conclusive, reason = False, f"undefined in {missing:.0%} of the bootstrap draws: no interval"
    else:
        se = float(defined.std(ddof=1)) * (units / (units - 1)) ** 0.5
        lower, upper = bootstrap_limits(defined, value, units, level)
        if not se:
            same = "every draw gives the same value: the interval has no width"
            reason = f"{reason}; {same}" if reason else same
    share = f"{missing:.1%} of {len(drawn)} draws undefined"
    return Interval(
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        method=f"bias-corrected bootstrap percentile, t-widened; {share}",
        estimand=rows.estimand(what),
        n=rows.n,
        n_eff=rows.effective_units(),
        clusters=rows.levels,
        se=se,
        draws=len(drawn),
        seed=found.seed,
        conclusive=conclusive,
        reason=reason,
    )
