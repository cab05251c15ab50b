"""Change of severity between base and adapted model, against the base's own retest noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.moments import Resampled, resample, to_interval
from fmaudit.statistics.changes import mean_change
from fmaudit.statistics.design import Bools, Clusters, Design, Floats, design, subset
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import no_rows, rate
from fmaudit.statistics.resampling import resampled_weights

NOISE_QUANTILE = 1.96
NOISE_SHARE = 0.025
"""Share beyond tau on either side that normal noise alone brings about."""
NO_RETEST = "no retest: noise not known"


@dataclass(frozen=True)
class Scored:
    """One model's outcomes and severities.

    Attributes:
        outcome: Shape (n,), 0 or 1, 1 = defect.
        severity: Shape (n,), real, on a scale comparable across the two models.
        retest: Shape (n,), severities of the same model under another seed, paraphrase
            or dtype; None when the model was asked once.
    """

    outcome: npt.ArrayLike
    severity: npt.ArrayLike
    retest: npt.ArrayLike | None = None


@dataclass(frozen=True)
class SeverityChange:
    """How severe persistent defects became.

    Attributes:
        persistent: Items both models fail.
        change: Mean of adapted minus base severity over them; positive = more severe.
        tau: 1.96 standard deviations of the base's retest difference on them, in the
            unit of severity.
        amplified: Share of them with a change above ``tau``; noise alone gives ``NOISE_SHARE``.
        mitigated: Share with a change below ``-tau``; noise alone gives ``NOISE_SHARE``.
        unchanged: Share within.
        attenuation: Deming slope of adapted on base severity over all items: 1 = kept,
            0 = washed out. Scatter is taken for measurement error of both models.
        error_ratio: Variance of the adapted model's error over that of the base's used for
            the slope: from retests of both models, else 1; None where a retest was exact.
    """

    persistent: int
    change: Interval
    tau: Interval
    amplified: Interval
    mitigated: Interval
    unchanged: Interval
    attenuation: Interval
    error_ratio: float | None


def severity_change(
    base: Scored,
    adapted: Scored,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> SeverityChange:
    """Severity change on persistent items beyond retest noise, and attenuation over all items.

    Limits of the shares are the wider of those at the estimated ``tau`` and of a
    bootstrap that estimates ``tau`` anew in every draw.

    Args:
        base: The base; its ``retest`` gives the noise.
        adapted: The adapted model on the same items; its ``retest`` only serves the slope.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: An outcome is not 0 or 1, or shapes, values or weights do not fit.
    """
    both = _both_fail(base, adapted)
    z_b, z_a = np.asarray(base.severity, float), np.asarray(adapted.severity, float)
    again_b = z_b if base.retest is None else np.asarray(base.retest, float)
    again_a = z_a if adapted.retest is None else np.asarray(adapted.retest, float)
    rows = design([both, z_b, z_a, again_b, again_a], weights, clusters)
    kept = subset(rows, rows.columns[0] == 1)
    before, after = kept.columns[1], kept.columns[2]
    labels = dict(kept.codes)
    change = mean_change(before, after, kept.weights, labels, level=level, draws=draws, seed=seed)
    if not kept.n:
        change = replace(change, reason="no item is failed by both models")
    tau = _tau(kept, base.retest is not None, level, draws, seed)
    found = _shares(kept, tau, draws, seed)
    retests = base.retest is not None and adapted.retest is not None
    slope, ratio = _attenuation(rows, retests, level, draws, seed)
    return SeverityChange(kept.n, change, tau, **found, attenuation=slope, error_ratio=ratio)


def _both_fail(base: Scored, adapted: Scored) -> Floats:
    b: Floats = np.asarray(base.outcome, float)
    a: Floats = np.asarray(adapted.outcome, float)
    if b.shape != a.shape or not np.isin(np.concatenate([b, a]), (0.0, 1.0)).all():
        raise ValueError("outcomes of base and adapted must be 0 or 1, one an item")
    both: Floats = b * a
    return both


def _tau(kept: Design, retested: bool, level: float, draws: int, seed: int) -> Interval:
    if not retested:
        return no_rows(kept, level, "retest noise", NO_RETEST)
    if kept.n < 2:
        return no_rows(kept, level, "retest noise", "fewer than two items are failed by both models")
    found = resample(kept, _retest_moments, _noise, draws, seed)
    if not found.value[0] > 0:
        exact = "the retest repeats every severity: retest with paraphrases, not with the same prompt"
        return no_rows(kept, level, "retest noise", exact)
    return to_interval(found, 0, "retest noise", level)


def _shares(kept: Design, tau: Interval, draws: int, seed: int) -> dict[str, Interval]:
    names = ("amplified", "mitigated", "unchanged")
    if tau.value is None:
        return {name: no_rows(kept, tau.level, f"share {name}", tau.reason) for name in names}
    moved, moments = kept.columns[2] - kept.columns[1], _retest_moments(kept.columns)

    def beyond(limit: Floats) -> tuple[Bools, ...]:
        return moved > limit, moved < -limit, np.abs(moved) <= limit

    drawn = []
    for weights in resampled_weights(kept, draws, seed):
        with np.errstate(divide="ignore", invalid="ignore"):
            total, limit = weights.sum(axis=1), _noise(weights @ moments)
            drawn.append(np.column_stack([(weights * s).sum(axis=1) / total for s in beyond(limit)]))
    value = np.array([kept.weights @ s / kept.weights.sum() for s in beyond(np.array(tau.value))])
    found = Resampled(kept, value, np.concatenate(drawn), seed)
    out = {}
    for place, (name, inside) in enumerate(zip(names, beyond(np.array(tau.value)), strict=True)):
        plain = rate(inside, kept.weights, dict(kept.codes), level=tau.level, draws=draws, seed=seed)
        out[name] = _wider(plain, to_interval(found, place, f"share {name}", tau.level))
    return out


def _wider(plain: Interval, resampled: Interval) -> Interval:
    """The envelope of two intervals of one share."""
    if plain.lower is None or plain.upper is None or resampled.lower is None or resampled.upper is None:
        return resampled
    return replace(
        plain,
        lower=min(plain.lower, resampled.lower),
        upper=max(plain.upper, resampled.upper),
        se=max(plain.se or 0.0, resampled.se or 0.0),
        method=f"wider of {plain.method} at the estimated noise and {resampled.method}",
        estimand=resampled.estimand,
        draws=resampled.draws,
        seed=resampled.seed,
    )


def _retest_moments(columns: tuple[Floats, ...]) -> Floats:
    difference = columns[3] - columns[1]
    return np.column_stack([np.ones(len(difference)), difference, difference**2])


def _noise(sums: Floats) -> Floats:
    total, first, second = sums.T
    variance = second / total - (first / total) ** 2
    tiny = 1e-14 * second / total
    deviation: Floats = NOISE_QUANTILE * np.sqrt(np.where(variance > tiny, variance, 0.0))
    return deviation[:, None]


def _attenuation(
    rows: Design, retests: bool, level: float, draws: int, seed: int
) -> tuple[Interval, float | None]:
    means = [float(rows.weights @ c / rows.weights.sum()) if rows.n else 0.0 for c in rows.columns]

    def moments(columns: tuple[Floats, ...]) -> Floats:
        # Centred before squaring: severities can be far from 0 against their spread.
        _, x, y, x2, y2 = (c - m for c, m in zip(columns, means, strict=True))
        dx, dy = columns[3] - columns[1], columns[4] - columns[2]
        del x2, y2
        return np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y, dx, dx * dx, dy, dy * dy])

    found = resample(rows, moments, lambda sums: _deming(sums, retests), draws, seed)
    flat = "the severities of the two models do not vary together: no slope"
    slope = to_interval(found, 0, "severity attenuation", level, flat)
    ratio = float(found.value[1])
    return slope, (ratio if np.isfinite(ratio) and ratio > 0 else None)


def _deming(sums: Floats, retests: bool) -> Floats:
    """Deming slope and ratio of error variances; the larger-denominator form of the root is used."""
    total = np.where(sums[:, 0] > 0, sums[:, 0], np.nan)
    _, x, y, xx, yy, xy, dx, dxx, dy, dyy = (sums / total[:, None]).T
    s_xx, s_yy, s_xy = xx - x * x, yy - y * y, xy - x * y
    v_x, v_y = np.ones_like(x), np.ones_like(x)
    if retests:
        v_x, v_y = np.maximum(dxx - dx * dx, 0.0), np.maximum(dyy - dy * dy, 0.0)
        exact = (v_x <= 1e-14 * s_xx) & (v_y <= 1e-14 * s_yy)
        v_x, v_y = np.where(exact, 1.0, v_x), np.where(exact, 1.0, v_y)
    gap = v_x * s_yy - v_y * s_xx
    root = np.sqrt(gap**2 + 4 * v_x * v_y * s_xy**2)
    steep = (gap + root) / np.where(s_xy == 0, np.nan, 2 * v_x * s_xy)
    level = 2 * v_y * s_xy / np.where(root - gap > 0, root - gap, np.nan)
    slope = np.where(gap >= 0, steep, level)
    together = np.abs(s_xy) > 1e-12 * np.sqrt(np.abs(s_xx * s_yy))
    return np.column_stack([np.where(together, slope, np.nan), v_y / np.where(v_x > 0, v_x, np.nan)])
