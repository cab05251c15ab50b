"""How many items a claim needs.

Every count is for independent items; a design effect (rows over effective rows,
``1 + (m - 1) ICC`` for clusters of ``m``) multiplies it.
"""

from __future__ import annotations

import math

from scipy.stats import norm

from fmaudit.statistics.proportions import wilson


def items_for_equivalence(
    discordance: float,
    margin: float,
    *,
    power: float = 0.95,
    alpha: float = 0.05,
    design_effect: float = 1.0,
) -> int:
    """Items for two one-sided tests to call two equal subjects equivalent.

    ``(z_{1-alpha} + z_{(1+power)/2})^2 discordance / margin^2`` for a true change of 0 (Schuirmann 1987).

    Args:
        discordance: Share of items whose outcome differs between the subjects, in (0, 1].
        margin: Largest change that does not matter, in (0, 1).
        power: Chance of the claim.
        alpha: Error of each of the two tests.
        design_effect: Variance over that of as many independent items, positive.

    Raises:
        ValueError: An argument is out of range.
    """
    _check(power=power, alpha=alpha, margin=margin)
    _check_variance(discordance, design_effect)
    z = _z(1 - alpha) + _z((1 + power) / 2)
    return _up(z**2 * discordance / margin**2 * design_effect)


def items_for_change(
    discordance: float,
    difference: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    design_effect: float = 1.0,
) -> int:
    """Items for a paired test to find a change of rate (Connor 1987).

    Args:
        discordance: Share of items whose outcome differs, at least ``|difference|``.
        difference: True change of rate, not 0.
        power: Chance of finding it.
        level: Level of the two-sided interval.
        design_effect: Variance over that of as many independent items, positive.

    Raises:
        ValueError: An argument is out of range.
    """
    _check(power=power, level=level, difference=abs(difference))
    _check_variance(discordance, design_effect)
    if discordance < abs(difference):
        raise ValueError(f"discordance {discordance} is below the difference {abs(difference)}: impossible")
    spread = max(discordance - difference**2, 0.0)
    root = _z((1 + level) / 2) * discordance**0.5 + _z(power) * spread**0.5
    return _up((root / difference) ** 2 * design_effect)


def items_for_rate(p: float, half_width: float, *, level: float = 0.95, design_effect: float = 1.0) -> int:
    """Items for Wilson's interval of a rate near ``p`` to reach a half width.

    Args:
        p: Expected rate in [0, 1]; .5 is the most demanding.
        half_width: Half the length of the interval, in (0, .5).
        level: Confidence level.
        design_effect: Variance over that of as many independent items, positive.

    Raises:
        ValueError: An argument is out of range.
    """
    _check(level=level, half_width=2 * half_width)
    _check_variance(max(p, 1e-300), design_effect)

    def wide(n: int) -> bool:
        lower, upper = wilson(p * n, n, level)
        return upper - lower > 2 * half_width

    high = 1
    while wide(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return _up(high * design_effect)


def items_for_absence(margin: float, *, level: float = 0.95, design_effect: float = 1.0) -> int:
    """Items that must all pass for the two-sided exact interval of the rate to end at or below ``margin``.

    ``log((1 - level) / 2) / log(1 - margin)``, inverted Clopper and Pearson (1934) for no event.

    Args:
        margin: Tolerated rate, in (0, 1).
        level: Confidence level.
        design_effect: Variance over that of as many independent items, positive.

    Raises:
        ValueError: An argument is out of range.
    """
    _check(level=level, margin=margin)
    _check_variance(1.0, design_effect)
    return _up(math.log((1 - level) / 2) / math.log1p(-margin) * design_effect)


def _z(quantile: float) -> float:
    return float(norm.ppf(quantile))


def _up(n: float) -> int:
    return max(math.ceil(n - 1e-9), 1)


def _check(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ValueError(f"{name} {share} is not between 0 and 1")


def _check_variance(share: float, design_effect: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"a share of {share} is not above 0 and at most 1")
    if not design_effect > 0:
        raise ValueError(f"design effect {design_effect} is not positive")
