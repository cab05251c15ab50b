"""Closed-form intervals of proportions and of their paired differences.

Counts may be fractional: an effective sample size stands in for the number of rows.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import betaincinv, ndtri, stdtrit
from scipy.stats import binom


def critical(level: float, df: float = math.inf) -> float:
    """Two-sided critical value of Student's t; of the normal for infinite ``df``."""
    tail = (1 + level) / 2
    return float(ndtri(tail) if math.isinf(df) else stdtrit(max(df, 1.0), tail))


def wilson(events: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of ``events / n`` (Wilson 1927)."""
    z2, p = critical(level) ** 2, events / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p)


def clopper_pearson(events: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of ``events / n`` (Clopper and Pearson 1934)."""
    tail = (1 - level) / 2
    lower = 0.0 if events <= 0 else float(betaincinv(events, n - events + 1, tail))
    upper = 1.0 if events >= n else float(betaincinv(events + 1, n - events, 1 - tail))
    return lower, upper


def korn_graubard(p: float, n_eff: float, n: float, df: float, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a rate on its effective sample size (Korn and Graubard 1998).

    Args:
        p: Estimated rate in [0, 1].
        n_eff: Rows divided by the design effect.
        n: Rows; ``n - 1`` are the degrees of freedom of a simple random sample.
        df: Degrees of freedom of the design-based variance.
        level: Confidence level.

    Returns:
        Clopper-Pearson limits on ``n_eff * (t_{n-1} / t_df)^2`` rows.
    """
    adjusted = n_eff * (critical(level, n - 1) / critical(level, df)) ** 2
    return clopper_pearson(p * adjusted, adjusted, level)


def exact_mcnemar(n10: int, n01: int) -> float:
    """Exact two-sided p-value of equal discordant counts (binomial, one half)."""
    discordant = n10 + n01
    if not discordant:
        return 1.0
    return float(min(1.0, 2 * binom.cdf(min(n10, n01), discordant, 0.5)))


def tango(gained: float, lost: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a paired difference of proportions (Tango 1998).

    Args:
        gained: Pairs that went from 0 to 1 (may be fractional).
        lost: Pairs that went from 1 to 0.
        n: Pairs.
        level: Confidence level.

    Returns:
        Limits of ``(gained - lost) / n`` in [-1, 1].
    """
    z2, difference = critical(level) ** 2, (gained - lost) / n
    if gained + lost <= 1e-12 * n:
        return -z2 / (n + z2), z2 / (n + z2)

    if abs(difference) >= 1 - 1e-12:
        end = (n - z2) / (n + z2)
        return (end, 1.0) if difference > 0 else (-1.0, -end)

    def excess(delta: float) -> float:
        linear = (2 * n - gained + lost) * delta - gained - lost
        constant = -lost * delta * (1 - delta)
        q = (math.sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
        return n * (difference - delta) ** 2 - z2 * max(2 * q + delta * (1 - delta), 0.0)

    return float(brentq(excess, -1.0, difference)), float(brentq(excess, difference, 1.0))


def square_and_add(
    plus: tuple[float, float, float], minus: tuple[float, float, float]
) -> tuple[float, float]:
    """Limits of a difference from two separate intervals (Newcombe 1998, method 10 for rates).

    Args:
        plus: Value, lower and upper limit of the first estimate.
        minus: The same of the second, independent of the first.
    """
    (a, a_low, a_high), (b, b_low, b_high) = plus, minus
    lower = a - b - math.hypot(a - a_low, b_high - b)
    upper = a - b + math.hypot(a_high - a, b - b_low)
    return lower, upper
