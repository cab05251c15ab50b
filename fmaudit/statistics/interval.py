"""What every estimator returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

MIN_CLUSTERS = 30
"""Effective clusters below which nothing is concluded beyond the items at hand."""


@dataclass(frozen=True)
class Interval:
    """An estimate with everything it may not travel without.

    Attributes:
        value: The estimate; None where it is undefined (``reason`` says why).
        lower: Lower confidence limit, never above ``value``; None where there is none.
        upper: Upper confidence limit, never below ``value``; None where there is none.
        level: Confidence level in (0, 1).
        method: How interval and p-value were computed.
        estimand: What the number estimates: how items weigh, which factors count
            as sampled and which as fixed.
        n: Rows with a positive weight.
        n_eff: Independent rows that would carry the same information.
        clusters: Levels of each factor; empty when every row is its own cluster.
        se: Standard error in the unit of ``value``.
        p: Two-sided p-value of "no difference"; None where there is no such test.
        draws: Bootstrap draws; None where nothing was resampled.
        seed: Seed of the resampling and of random permutations; None where unused.
        conclusive: Whether the interval may carry a verdict.
        reason: Why it is undefined, has no interval, or may not carry a verdict.
        approximate: Whether the interval holds only where the sample shows how far the
            values reach: that of a measure without a declared range.
    """

    value: float | None
    lower: float | None
    upper: float | None
    level: float
    method: str
    estimand: str
    n: int
    n_eff: float
    clusters: dict[str, int] = field(default_factory=dict)
    se: float | None = None
    p: float | None = None
    draws: int | None = None
    seed: int | None = None
    conclusive: bool = True
    reason: str = ""
    approximate: bool = False


def mde(se: float, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest true difference a two-sided test finds with the given power.

    Args:
        se: Standard error of the estimate, at least 0; the result has its unit.
        level: Confidence level of the test's interval.
        power: Probability of finding that difference, in (0, 1).

    Returns:
        ``(z_{1-alpha/2} + z_{power}) * se``; 2.80 standard errors by default.
    """
    from scipy.stats import norm

    return float((norm.ppf((1 + level) / 2) + norm.ppf(power)) * se)


def round_down(count: float) -> str:
    """A count of clusters for print, never rounded up over a threshold."""
    return f"{math.floor(count * 10 + 1e-9) / 10:g}"
