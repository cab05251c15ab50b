"""Copy fraction: the share of the base's item outcomes that the adapted model repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.copy_draws import Limits, Parts, ratio_limits
from fmaudit.inheritance.slopes import Lineages, References, as_factors, by_lineage, covariance, outcomes
from fmaudit.inheritance.variation import Placebo, between_lineages, leave_one_out, placebo
from fmaudit.statistics import Clusters
from fmaudit.statistics.design import Bools, Design, Floats, design, subset

MIN_ITEMS = 20
"""Failing, and passing, items of the base below which nothing can be said to be copied."""
MIN_SEPARATION = 0.05
"""What the lower limit of ``s_self - s_ref`` must exceed for the ratio to be defined."""


@dataclass(frozen=True)
class CopyFraction:
    """``(s_A - s_ref) / (s_self - s_ref)`` with its two intervals.

    Attributes:
        value: 0 for a model like the unrelated references, 1 for a copy of the
            base; may leave [0, 1] by chance; None where undefined.
        conditional: Interval over items, these references fixed; None without a value.
        verdict_interval: The same plus the variation between unrelated lineages;
            only this one may carry the word "inherited".
        verdict_source: Where that variation was taken from.
        slope_adapted: Slope of the adapted model on the base; on its retest where there is
            one, as are all slopes.
        slope_self: Slope of the base on its retest; 1 where scoring is deterministic.
        slope_reference: Mean slope over reference lineages.
        separation_lower: Lower limit of ``slope_self - slope_reference``.
        reference_slopes: Slope of each reference.
        lineages: Number of reference lineages, R.
        leave_one_out: Smallest and largest value with one lineage left out; None below two.
        placebo: Rank of the value among lineages treated as if adapted; None below two.
        level: Confidence level of both intervals.
        method: How the conditional interval was computed.
        estimand: How items weigh, which factors count as sampled and which as fixed.
        n: Items with a positive weight.
        clusters: Levels of each cluster factor.
        draws: Bootstrap draws.
        seed: Seed of the draws.
        conclusive: Whether there are clusters enough for a verdict.
        reason: Why the value is undefined or may not carry a verdict.
    """

    value: float | None
    conditional: tuple[float, float] | None
    verdict_interval: tuple[float, float] | None
    verdict_source: str
    slope_adapted: float | None
    slope_self: float | None
    slope_reference: float | None
    separation_lower: float | None
    reference_slopes: dict[str, float]
    lineages: int
    leave_one_out: tuple[float, float] | None
    placebo: Placebo | None
    level: float
    method: str
    estimand: str
    n: int
    clusters: dict[str, int] = field(default_factory=dict)
    draws: int = 2000
    seed: int = 0
    conclusive: bool = True
    reason: str = ""


def copy_fraction(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    references: References,
    base_retest: npt.ArrayLike | None = None,
    clusters: Clusters | npt.ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
    *,
    weights: npt.ArrayLike | None = None,
    lineages: Mapping[str, str] | None = None,
    draws: int = 2000,
) -> CopyFraction:
    """Share of the base's item outcomes that the adapted model repeats, beyond unrelated models.

    Identified under the mixture "with probability rho the adapted model answers
    as the base, else as a model unrelated to it", whatever the defect rates:
    ``rho = (s_A - s_ref) / (s_self - s_ref)``, every slope being a covariance
    with the base over the base's variance. Where the base B1 was sampled, child and
    references may have been sampled on the same random numbers, and what they share
    through these is no copying. So every covariance is one with the retest B2, which
    shares them with nobody: ``rho = C(B2, A - M) / (C(B2, B1) - C(B2, M))``, M being
    the mean reference. A further run of the base, and the base's very texts, both
    have expectation 1.

    Args:
        base: Shape (n,), in [0, 1], 1 for a defect; means of samples are allowed. May
            share random numbers with ``adapted`` and ``references``.
        adapted: Shape (n,), of the same items.
        references: Name -> outcomes of models unrelated to the base, to the
            adapted model and to each other, of comparable strength.
        base_retest: Shape (n,), a replicate of the base that shares no random numbers
            with any other argument; None where scoring is deterministic.
        clusters: Factor name -> labels, or one array of labels.
        level: Confidence level in (0, 1).
        seed: Seed of the bootstrap.
        weights: Shape (n,), at least 0; equal when None.
        lineages: Reference name -> lineage; references of one lineage count as one.
        draws: Bootstrap draws.

    Returns:
        The result; its ``value`` is None with a reason where the base has fewer
        than 20 failing or passing items, there is no reference, or the lower limit
        of ``s_self - s_ref`` is at most .05.

    Raises:
        ValueError: A shape, a value, the level or a lineage does not fit.
    """
    n = np.size(np.asarray(base))
    everything = {"": np.ones(n, dtype=bool)}
    return copy_fractions(
        base,
        adapted,
        references,
        everything,
        base_retest,
        clusters,
        level,
        seed,
        weights=weights,
        lineages=lineages,
        draws=draws,
    )[""]


def copy_fractions(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    references: References,
    slices: Mapping[str, npt.ArrayLike],
    base_retest: npt.ArrayLike | None = None,
    clusters: Clusters | npt.ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
    *,
    weights: npt.ArrayLike | None = None,
    lineages: Mapping[str, str] | None = None,
    draws: int = 2000,
) -> dict[str, CopyFraction]:
    """:func:`copy_fraction` of many slices, with the rows checked and coded once.

    Args:
        base: As in :func:`copy_fraction`, as are all other arguments.
        adapted: Shape (n,).
        references: Outcomes by reference name.
        slices: Slice name -> mask of shape (n,), True where an item belongs to it.
        base_retest: Shape (n,) or None.
        clusters: Factor name -> labels, or one array of labels.
        level: Confidence level in (0, 1).
        seed: Seed of the bootstrap.
        weights: Shape (n,) or None.
        lineages: Reference name -> lineage.
        draws: Bootstrap draws of each slice.

    Raises:
        ValueError: A shape, a value, the level, a lineage or a mask does not fit.
    """
    if not 0 < level < 1 or draws < 100:
        raise ValueError(f"level {level} with {draws} draws: pass a level in (0, 1) and at least 100 draws")
    b1 = outcomes(base, "the base")
    n = len(b1)
    b2 = None if base_retest is None else outcomes(base_retest, "the base's retest", n)
    a = outcomes(adapted, "the adapted model", n)
    unrelated = by_lineage(references, lineages, n)
    m = unrelated.reference(n)
    rows = design([b1, b1 if b2 is None else b2, a, m], weights, as_factors(clusters))
    found = {}
    for name, mask in slices.items():
        inside = np.asarray(mask)
        if inside.shape != (n,) or inside.dtype != bool:
            raise ValueError(f"the mask of slice {name!r} is no boolean array of {n} items: pass one")
        part = subset(rows, _in_order(rows, inside))
        found[name] = _one(part, unrelated, b2 is not None, (level, draws, seed))
    return found


def carries_inheritance(result: CopyFraction) -> bool:
    """Whether the copy fraction may carry "inherited": its verdict interval lies above 0.

    Needs, beside it, at least three comparable lineages and a verified child.
    """
    return result.conclusive and result.verdict_interval is not None and result.verdict_interval[0] > 0


def _in_order(rows: Design, mask: Bools) -> Bools:
    inside: Bools = mask[rows.kept]
    return inside


def _one(rows: Design, unrelated: Lineages, retested: bool, how: tuple[float, int, int]) -> CopyFraction:
    level, draws, seed = how
    b1, b2, a, m = rows.columns
    w = rows.weights
    variance = covariance(w, b2, b2)

    def against_base(y: Floats) -> float:
        return covariance(w, b2, y) / variance if variance > 0 else float("nan")

    models = {name: against_base(y[rows.kept]) for name, y in unrelated.models.items()}
    slopes = {label: against_base(y[rows.kept]) for label, y in unrelated.means.items()}
    own = against_base(b1) if retested and variance > 0 else 1.0
    adapted = against_base(a)
    reference = float(np.mean(list(slopes.values()))) if slopes else None
    reason = _too_little(b1, b2, len(slopes))
    limits = None
    if not reason:
        apart = own - (reference or 0.0)
        if apart > MIN_SEPARATION:
            limits = ratio_limits(rows, Parts(b2, a - m, b1 - m), level, draws, seed)
            apart = limits.separation
        if not apart > MIN_SEPARATION:
            shown = f"s_self - s_ref has lower limit {apart:.3f} or less, above {MIN_SEPARATION:g} needed"
            reason = f"{shown}: the base does not differ enough from unrelated models"
    defined = limits is not None and not reason
    enough, why = rows.verdict()
    conditional = verdict = None
    source = ""
    if limits is not None and defined and reference is not None:
        conditional = _conditional(rows, limits, own - reference, level)
        half, source = between_lineages(list(slopes.values()), own - reference, level)
        verdict = _wider(limits.value, conditional, half)
    value = limits.value if limits is not None and defined else None
    return CopyFraction(
        value=value,
        conditional=conditional,
        verdict_interval=verdict,
        verdict_source=source,
        slope_adapted=_finite(adapted),
        slope_self=own,
        slope_reference=_finite(reference),
        separation_lower=_finite(limits.separation) if limits else None,
        reference_slopes={name: s for name, s in models.items() if math.isfinite(s)},
        lineages=len(slopes),
        leave_one_out=leave_one_out(adapted, own, list(slopes.values())) if defined else None,
        placebo=placebo(value, own, slopes) if value is not None else None,
        level=level,
        method=limits.method if limits is not None and defined else "",
        estimand=rows.estimand("copy fraction"),
        n=rows.n,
        clusters=rows.levels,
        draws=draws,
        seed=seed,
        conclusive=defined and enough,
        reason=reason or why,
    )


def _too_little(b1: Floats, b2: Floats, lineages: int) -> str:
    if not lineages:
        return "no reference: without unrelated models a shared difficulty of items looks like copying"
    failing = min(b1.sum(), b2.sum())
    passing = min((1 - b1).sum(), (1 - b2).sum())
    if min(failing, passing) < MIN_ITEMS - 1e-9:
        shown = f"the base has {failing:g} failing and {passing:g} passing items"
        return f"{shown}, {MIN_ITEMS} of each needed"
    return ""


def _conditional(rows: Design, limits: Limits, separation: float, level: float) -> tuple[float, float]:
    """The bootstrap's limits; where no item was ever answered otherwise, the exact bound on such items."""
    if limits.upper - limits.lower > 1e-9:
        return limits.lower, limits.upper
    b = (rows.columns[0] + rows.columns[1]) / 2
    share, units, tail = float(rows.weights @ b / rows.weights.sum()), rows.effective_units(), (1 - level) / 2
    unseen = sum(1 - tail ** (1 / (units * s)) for s in (share, 1 - share))
    return limits.value - unseen / separation, limits.value


def _wider(value: float, conditional: tuple[float, float], half: float) -> tuple[float, float]:
    lower, upper = conditional
    return value - math.hypot(value - lower, half), value + math.hypot(upper - value, half)


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
