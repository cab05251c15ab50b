"""The 2x2 table of a base and an adapted model on the same items, and what is read from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.moments import Resampled, resample, to_interval
from fmaudit.statistics.changes import paired_table, rate_change
from fmaudit.statistics.design import Bools, Clusters, Design, Floats, design, subset
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import rate
from fmaudit.statistics.proportions import critical


@dataclass(frozen=True)
class PairStatistics:
    """Measures of one base and one adapted model; 1 is a defect, the base's digit comes first.

    All describe association: none alone tells that a defect was inherited.

    Attributes:
        n: Items with a positive weight.
        n11: Both fail.
        n10: Only the base fails.
        n01: Only the adapted model fails.
        n00: Neither fails.
        weighted: The four cells weighted and scaled to sum to ``n``, in the order above.
        base_rate: Share of items the base fails.
        adapted_rate: Share of items the adapted model fails.
        persistence: ``n11 / (n11 + n10)``.
        introduction: ``n01 / (n01 + n00)``.
        repair: ``n10 / (n11 + n10)``, one minus persistence.
        net_change: ``(n01 - n10) / n``, positive where the adapted model fails more.
        flips: ``(n10 + n01) / n`` (Dutta et al. 2024).
        negative_flips: ``n01 / n``, the negative flip rate (Yan et al. 2021).
        relative_negative_flips: Negative flip rate over its value under independence; 1 = independence.
        slope: Persistence minus introduction, ``cov / var_base``, in [-1, 1]; 0 = independence.
        error_consistency: Kappa of Geirhos et al. (2020), at most 1; 0 = independence.
        log_odds_ratio: With half an item added to every cell (Haldane), natural log.
        homogenization: ``P(both fail) / (P(base fails) P(adapted fails))``, 1 = independence;
            at most one over the larger rate.
        normalised_excess: ``(p11 - p_B p_A) / (min(p_B, p_A) - p_B p_A)``, at most 1: Loevinger's H.
    """

    n: int
    n11: int
    n10: int
    n01: int
    n00: int
    weighted: tuple[float, float, float, float]
    base_rate: Interval
    adapted_rate: Interval
    persistence: Interval
    introduction: Interval
    repair: Interval
    net_change: Interval
    flips: Interval
    negative_flips: Interval
    relative_negative_flips: Interval
    slope: Interval
    error_consistency: Interval
    log_odds_ratio: Interval
    homogenization: Interval
    normalised_excess: Interval

    @property
    def risk_difference(self) -> Interval:
        """Persistence minus introduction: the same number as ``slope``."""
        return self.slope


def pair_statistics(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> PairStatistics:
    """All measures of one paired table, each with its interval.

    Rates: :func:`fmaudit.statistics.rate` on the items they are about, clusters
    kept. Net change: :func:`fmaudit.statistics.rate_change`. Slope, kappa and
    the ratios: cluster bootstrap of the measure itself. Log odds ratio: Woolf on
    independent, equally weighted items, else the bootstrap.

    Args:
        base: Shape (n,), 0 or 1, 1 = defect.
        adapted: Shape (n,), of the same items.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        Measures whose denominator is zero have the value None and a reason.

    Raises:
        ValueError: An outcome is not 0 or 1, or shapes or weights do not fit.
    """
    rows = design([base, adapted], weights, clusters)
    n11, n10, n01, n00 = paired_table(*rows.columns)
    found = resample(rows, cell_columns, partial(_ratios, n=rows.n), draws, seed)
    cells = rows.weights @ cell_columns(rows.columns)
    scaled = cells * (rows.n / cells.sum()) if rows.n else cells
    measures = {
        name: to_interval(found, place, what, level, undefined)
        for place, (name, (what, undefined)) in enumerate(_RATIOS.items())
    }
    return PairStatistics(
        n=rows.n,
        n11=n11,
        n10=n10,
        n01=n01,
        n00=n00,
        weighted=(float(scaled[0]), float(scaled[1]), float(scaled[2]), float(scaled[3])),
        net_change=rate_change(base, adapted, weights, clusters, level=level, draws=draws, seed=seed),
        log_odds_ratio=_log_odds(found, scaled, level),
        **_rates(rows, level, draws, seed),
        **measures,
    )


def _rates(rows: Design, level: float, draws: int, seed: int) -> dict[str, Interval]:
    b, a = rows.columns
    share = partial(_rate, rows, level=level, draws=draws, seed=seed)
    no_fail = "the base fails no item: persistence is undefined"
    no_pass = "the base passes no item: the introduction rate is undefined"
    persistence = share(a, "persistence", b == 1, no_fail)
    return {
        "base_rate": share(b, "rate of the base"),
        "adapted_rate": share(a, "rate of the adapted model"),
        "persistence": persistence,
        "repair": mirrored(persistence, "persistence", "repair"),
        "introduction": share(a, "introduction", b == 0, no_pass),
        "flips": share(np.abs(a - b), "flips"),
        "negative_flips": share(a * (1 - b), "negative flip rate"),
    }


CONSTANT = "both models fail all items or both fail none: chance agreement is 1"
_RATIOS = {
    "slope": ("slope", "the base fails all items or none: the slope is undefined"),
    "error_consistency": ("error consistency", CONSTANT),
    "relative_negative_flips": (
        "relative negative flip rate",
        "the base passes no item or the adapted model fails none: nothing is expected under independence",
    ),
    "homogenization": ("homogenization ratio", "a model never fails: the ratio is undefined"),
    "normalised_excess": (
        "normalised excess",
        "a model fails all items or none: there is no room for excess",
    ),
}


def cell_columns(columns: tuple[Floats, ...]) -> Floats:
    """Membership in the cells 11, 10, 01, 00 of pairs of outcomes; shape (n, 4)."""
    b, a = columns
    return np.column_stack([b * a, b * (1 - a), (1 - b) * a, (1 - b) * (1 - a)])


def kappa(cells: Floats) -> Floats:
    """Error consistency of tables of shape (..., 4); NaN where chance agreement is 1.

    ``(p_o - p_e) / (1 - p_e)`` written with products of counts, which are exact at zero.
    """
    n11, n10, n01, n00 = np.moveaxis(cells, -1, 0)
    chance_disagreement = (n11 + n10) * (n10 + n00) + (n01 + n00) * (n11 + n01)
    ratio: Floats = 2 * (n11 * n00 - n10 * n01) / _nonzero(chance_disagreement)
    return ratio


def mirrored(interval: Interval, name: str, mirror: str) -> Interval:
    """One minus a rate, under the mirrored limits."""
    renamed = replace(
        interval,
        estimand=interval.estimand.replace(name, mirror),
        reason=interval.reason.replace(name, mirror),
    )
    if interval.value is None:
        return renamed
    lower, upper = interval.lower, interval.upper
    return replace(
        renamed,
        value=1 - interval.value,
        lower=None if upper is None else 1 - upper,
        upper=None if lower is None else 1 - lower,
    )


def _nonzero(denominator: Floats) -> Floats:
    return np.where(denominator > 0, denominator, np.nan)


def _ratios(cells: Floats, n: int) -> Floats:
    """Slope, kappa, relative negative flips, homogenization, normalised excess, log odds ratio."""
    n11, n10, n01, n00 = cells.T
    base, passed, adapted, kept = n11 + n10, n01 + n00, n11 + n01, n10 + n00
    total, determinant = base + passed, n11 * n00 - n10 * n01
    haldane = np.log(cells / _nonzero(total)[:, None] * n + 0.5)
    return np.column_stack(
        [
            n11 / _nonzero(base) - n01 / _nonzero(passed),
            kappa(cells),
            n01 * total / _nonzero(passed * adapted),
            n11 * total / _nonzero(base * adapted),
            determinant / _nonzero(np.minimum(base * kept, adapted * passed)),
            haldane @ np.array([1.0, -1.0, -1.0, 1.0]),
        ]
    )


def _rate(
    rows: Design,
    values: Floats,
    what: str,
    mask: Bools | None = None,
    undefined: str = "",
    *,
    level: float,
    draws: int,
    seed: int,
) -> Interval:
    chosen, kept = (rows, values) if mask is None else (subset(rows, mask), values[mask])
    found = rate(kept, chosen.weights, dict(chosen.codes), level=level, draws=draws, seed=seed)
    named = replace(found, estimand=found.estimand.replace("rate", what, 1))
    return replace(named, reason=undefined) if found.value is None and undefined else named


def _log_odds(found: Resampled, scaled: Floats, level: float) -> Interval:
    resampled = to_interval(found, 5, "log odds ratio", level)
    rows = found.rows
    if not rows.n or rows.active or np.ptp(rows.weights) > 0 or resampled.value is None:
        return resampled
    se = float(np.sqrt((1 / (scaled + 0.5)).sum()))
    half = critical(level) * se
    conclusive, reason = rows.verdict()
    return replace(
        resampled,
        lower=resampled.value - half,
        upper=resampled.value + half,
        se=se,
        method="Woolf with Haldane's correction",
        draws=None,
        seed=None,
        conclusive=conclusive,
        reason=reason,
    )
