"""Means of values that were all taken against the same sampled items, such as ranks among references.

The values look independent and are not: another draw of the references would move all of them
together. Leaving out one group of references at a time shows by how much (a delete-a-group
jackknife; for the share of references below a value it is the variance of DeLong et al. 1988).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from fmaudit.statistics.changes import error_p
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval


def shared_variance(without: npt.ArrayLike, strata: npt.ArrayLike) -> float:
    """Variance that the yardstick gives a mean.

    Args:
        without: Shape (groups,), the mean with one group of the yardstick left out.
        strata: Shape (groups,), the part of the yardstick a group belongs to; parts were drawn apart.

    Returns:
        Sum over strata of ``(G - 1) / G`` times the squared deviations of its G means; infinite
        where a stratum has one group.
    """
    means, parts = np.asarray(without, dtype=float), np.asarray(strata)
    total = 0.0
    for part in np.unique(parts):
        own = means[parts == part]
        if len(own) < 2:
            return float("inf")
        total += (len(own) - 1) / len(own) * float(((own - own.mean()) ** 2).sum())
    return total


def with_yardstick(
    interval: Interval,
    variance: float,
    size: int,
    low: float | None,
    high: float | None,
    *,
    tested: bool = False,
) -> Interval:
    """The interval of a mean, or of a paired change, with the variance of its yardstick.

    ``SE^2 = var(values) / n + variance`` with t on the smaller of units and yardstick items, less one.
    Where the range is known, also on the logit of the mean's place in it; the wider limit of both counts.
    Below 30 yardstick items nothing is concluded.

    Args:
        interval: Of the mean or change, as if the yardstick were fixed.
        variance: As :func:`shared_variance` gives it.
        size: Items of the yardstick.
        low: Least value the mean can have, or None.
        high: Greatest value, or None.
        tested: Whether to give the p-value of "no change".
    """
    if interval.value is None or interval.lower is None or interval.upper is None:
        return interval
    value, freedom = interval.value, min(interval.n_eff, size) - 1
    if not np.isfinite(variance) or freedom < 1:
        few = "too few references to compute an interval from"
        return replace(
            interval, lower=None, upper=None, se=None, p=None, conclusive=False, reason=few, method="none"
        )
    se = ((interval.se or 0.0) ** 2 + variance) ** 0.5
    half = float(t.ppf((1 + interval.level) / 2, freedom)) * se
    lower, upper = min(value - half, interval.lower), max(value + half, interval.upper)
    if low is not None and high is not None:
        place = (value - low) / (high - low)
        if 0 < place < 1:
            logit, step = np.log(place / (1 - place)), half / (high - low) / (place * (1 - place))
            ends = low + (high - low) / (1 + np.exp(-(logit + np.array([-step, step]))))
            lower, upper = min(lower, float(ends[0])), max(upper, float(ends[1]))
        lower, upper = max(lower, low), min(upper, high)
    conclusive, reason = interval.conclusive, interval.reason
    if size < MIN_CLUSTERS:
        conclusive, reason = False, f"{size} references, {MIN_CLUSTERS} needed"
    return replace(
        interval,
        lower=min(lower, value),
        upper=max(upper, value),
        se=se,
        p=error_p(value, se, freedom) if tested else interval.p,
        n_eff=min(interval.n_eff, float(size)),
        method=f"t on units and shared references together ({size} references)",
        draws=None,
        seed=None,
        conclusive=conclusive,
        reason=reason,
    )
