"""Limits of the mean of a measure with a declared range, which assume no shape of its distribution there.

Gaffke (2005) and Learned-Miller and Thomas (2019): the sample with one more observation
at the end of the range, under random weights uniform on the simplex (spacings of uniform
order statistics); the upper limit is a quantile of that weighted mean. For zeros and ones
it is Clopper and Pearson's limit, for smooth data close to a t limit. What was not seen
counts: of 40 zeros in [0, 1] the mean may still be .09. No claim from a spread that is
only small because the rare large value did not turn up. That they cover for every
distribution is conjectured, not proved: nobody has found one where they fail, and the
studies of the gate hold them to their level where the bootstrap fails.

Weights uniform on the simplex are exponential variables over their sum, so that

    P(sum E_i s_i / sum E_i w_i > u) = P(sum E_i (s_i - u w_i) > 0)

also for clusters with totals ``s_i`` and weights ``w_i``. The tail is a saddlepoint
approximation (Lugannani and Rice 1980; Barndorff-Nielsen 1986), not simulated: it has no
seed and holds at any level.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from fmaudit.statistics.design import Floats

_SOLVED = 1e-8
_END = 1e-7
"""Distance from the end of the range within which the limit is the end: the search rounds there."""
_CENTRE = 1e-4
"""Deviate below which the approximation is taken by its limit in the middle."""
_STEPS = 200


def mean_limits(sums: Floats, weights: Floats, level: float) -> tuple[float, float]:
    """Two-sided limits of ``sum sums / sum weights`` of units whose own means lie in [0, 1].

    Args:
        sums: Shape (units,), total of each independent unit, in [0, weight].
        weights: Shape (units,), positive.
        level: Confidence level in (0, 1); each limit errs in half of the rest.
    """
    upper = _upper(sums, weights, (1 - level) / 2)
    return 1 - _upper(weights - sums, weights, (1 - level) / 2), upper


def expected_upper(points: Floats, shares: Floats, units: float, tail: float) -> tuple[float, Floats]:
    """Upper limit of a sample that is spread just as its distribution, and what moves it.

    Args:
        points: Shape (k,), values in [0, 1] that stand for the distribution.
        shares: Shape (k,), probability of each, with the sum 1.
        units: Number of independent units of one weight; may be fractional.
        tail: Error of the limit, below 0.5.

    Returns:
        The limit, and its influence function at each point: over many samples the limit
        has the variance of the influence over ``units``, as the mean has that of the points.
    """
    s, counts = np.append(points, 1.0), np.append(units * shares, 1.0)
    u = _quantile(s, np.ones(len(s)), counts, float(points @ shares), tail)
    if u >= 1:
        return 1.0, np.zeros(len(points))
    a = s - u
    scale = float(np.abs(a).max())
    tilt = _deviate(a, 0.0, counts)[1] / scale
    influence = -np.log1p(-tilt * a[:-1]) / tilt
    return u, influence * units / float((counts / (1 - tilt * a)).sum())


def _upper(sums: Floats, weights: Floats, tail: float) -> float:
    # The unseen unit weighs as much as the unit that a row is found in.
    unseen = float(weights @ weights / weights.sum())
    s, w = np.append(sums, unseen), np.append(weights, unseen)
    return _quantile(s, w, np.ones(len(s)), float(sums.sum() / weights.sum()), tail)


def _quantile(s: Floats, w: Floats, counts: Floats, value: float, tail: float) -> float:
    """The u that the weighted mean of ``counts`` times each unit exceeds with probability ``tail``."""
    least = float((s / w).min())
    lower = max(value, least + _SOLVED * (1 - least))
    if lower >= 1 - _END:
        return 1.0
    quantile, start = float(ndtri(1 - tail)), [0.0]

    def excess(u: float) -> float:
        deviate, start[0] = _deviate(s - u * w, start[0], counts)
        return deviate - quantile

    high = 1 - _SOLVED * (1 - lower)
    if excess(high) <= 0:
        return 1.0
    if excess(lower) >= 0:
        return lower
    return float(brentq(excess, lower, high, xtol=_SOLVED))


def _deviate(shares: Floats, start: float, counts: Floats) -> tuple[float, float]:
    """Standard normal deviate z with ``P(sum E_i a_i > 0) = 1 - Phi(z)``, and the saddlepoint.

    ``a`` has both signs and holds ``counts`` units of each value, which are scaled to a
    largest of 1; ``start`` is where the search for the saddlepoint begins.
    """
    a = shares / float(np.abs(shares).max())
    t = _saddlepoint(a, start, counts)
    terms = 1 - t * a
    w = math.copysign(math.sqrt(max(2 * float(counts @ np.log(terms)), 0.0)), t)
    if abs(w) < _CENTRE:
        return w + float(counts @ a**3) / (3 * float(counts @ a**2) ** 1.5), t
    v = t * math.sqrt(float(counts @ (a / terms) ** 2))
    return w + math.log(v / w) / w, t


def _saddlepoint(a: Floats, start: float, counts: Floats) -> float:
    """Root of ``sum a / (1 - t a)``, which rises from minus to plus infinity between its poles."""
    low, high = 1 / float(a.min()), 1 / float(a.max())
    t = min(max(start or -float(counts @ a) / float(counts @ a**2), 0.9 * low), 0.9 * high)
    for _ in range(_STEPS):
        shares = a / (1 - t * a)
        slope, value = float(counts @ shares**2), float(counts @ shares)
        step = t - value / slope
        if abs(step - t) <= _SOLVED * min(abs(t), 1.0):
            return step
        low, high = (t, high) if value < 0 else (low, t)
        # Newton within what brackets the root; half of it where Newton leaves.
        t = step if low < step < high else (low + high) / 2
    return t
