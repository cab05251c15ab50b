"""Retention: how much of the base's defects is kept, at whatever rate the child fails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.copy_fraction import MIN_ITEMS, MIN_SEPARATION
from fmaudit.inheritance.references import MAX_TIED, tied_at_cut
from fmaudit.inheritance.severity_cuts import Cut, binned, drawn_sums, exact_cut, loevinger, point_sums
from fmaudit.inheritance.slopes import as_factors, outcomes
from fmaudit.inheritance.variation import between_lineages
from fmaudit.statistics import Clusters
from fmaudit.statistics.design import Design, Floats, design


@dataclass(frozen=True)
class Retention:
    """``(H_A - H_ref) / (1 - H_ref)`` with a bootstrap interval.

    Attributes:
        value: 1 where every base defect is kept (or, at a lower rate, every child
            defect is one of the base's), 0 for a model like the references; None where undefined.
        lower: Lower limit, with the variation between lineages; None without a value.
        upper: Upper limit likewise.
        h_adapted: Loevinger's H of base and child.
        h_reference: Mean H over reference lineages, each cut at the child's rate.
        lineages: Number of reference lineages.
        level: Confidence level.
        method: How the interval was computed.
        n: Items with a positive weight.
        clusters: Levels of each cluster factor.
        draws: Bootstrap draws.
        seed: Seed of the draws.
        conclusive: Whether there are clusters enough for a verdict.
        reason: Why it is undefined or may not carry a verdict.
    """

    value: float | None
    lower: float | None
    upper: float | None
    h_adapted: float | None
    h_reference: float | None
    lineages: int
    level: float
    method: str
    n: int
    clusters: dict[str, int] = field(default_factory=dict)
    draws: int = 2000
    seed: int = 0
    conclusive: bool = True
    reason: str = ""


def retention(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    references: Mapping[str, npt.ArrayLike],
    severities: Mapping[str, npt.ArrayLike] | None,
    clusters: Clusters | npt.ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
    *,
    weights: npt.ArrayLike | None = None,
    lineages: Mapping[str, str] | None = None,
    draws: int = 2000,
) -> Retention:
    """Defects kept, beyond what unrelated models share at the child's own defect rate.

    ``H = cov / cov_max`` (Loevinger 1948) does not fall when a child that keeps
    every defect adds new ones, as a slope does. But H of unrelated models changes
    with their rate, so each reference is cut on its severity at the child's
    weighted rate, again in every bootstrap draw. Defects that a child adds
    without regard to severity pull the value down, never up.

    Args:
        base: Shape (n,), 0 or 1, 1 for a defect.
        adapted: Shape (n,), 0 or 1, of the same items.
        references: Name -> outcomes 0 or 1 of unrelated models, shape (n,).
        severities: Name -> severity of each outcome, shape (n,), larger is worse.
        clusters: Factor name -> labels, or one array of labels.
        level: Confidence level in (0, 1).
        seed: Seed of the bootstrap.
        weights: Shape (n,), at least 0; equal when None.
        lineages: Reference name -> lineage; references of one lineage count as one.
        draws: Bootstrap draws.

    Returns:
        The result; its ``value`` is None with a reason where an outcome is not 0 or
        1, a reference has no severity, one that does not order its outcomes or one that
        ties more than 5 % of the items where it is cut at the child's rate, base
        or child has fewer than 20 failing or passing items, or H_ref is too near 1.

    Raises:
        ValueError: A shape, a value or the level does not fit.
    """
    if not 0 < level < 1 or draws < 100:
        raise ValueError(f"level {level} with {draws} draws: pass a level in (0, 1) and at least 100 draws")
    b = outcomes(base, "the base")
    a = outcomes(adapted, "the adapted model", len(b))
    given = {name: outcomes(references[name], f"reference {name}", len(b)) for name in sorted(references)}
    scores = severities or {}
    z = {name: _severity(scores[name], name, len(b)) for name in given if name in scores}
    rows = design([b, a, *z.values()], weights, as_factors(clusters))
    count = len({(lineages or {}).get(name, name) for name in given})
    reason = _unfit(b[rows.kept], a[rows.kept], {k: y[rows.kept] for k, y in given.items()}, z, rows)
    if reason:
        return _undefined(reason, rows, count, (level, draws, seed))
    cuts = [exact_cut(z[name][rows.kept], (lineages or {}).get(name, name)) for name in given]
    return _estimate(rows, cuts, count, (level, draws, seed))


def _estimate(rows: Design, cuts: list[Cut], count: int, how: tuple[float, int, int]) -> Retention:
    level, draws, seed = how
    sums = point_sums(rows, cuts)
    (h_a,), by_lineage = loevinger(sums, cuts)
    h_ref = float(by_lineage.mean())
    joined = [binned(cut, rows, float(sums[0, 2] / sums[0, 0])) for cut in cuts]
    drawn = [loevinger(part, joined) for part in drawn_sums(rows, joined, draws, seed)]
    own = np.concatenate([child for child, _ in drawn])
    unrelated = np.concatenate([lineages.mean(axis=0) for _, lineages in drawn])
    tail = (1 - level) / 2
    gap = np.where(np.isfinite(unrelated), 1 - unrelated, -np.inf)
    nearest = float(np.quantile(gap, tail))
    if not nearest > MIN_SEPARATION:
        shown = f"1 - H_ref has lower limit {nearest:.3f}, above {MIN_SEPARATION:g} needed"
        return _undefined(f"{shown}: unrelated models already share these defects", rows, count, how)
    value = float((h_a - h_ref) / (1 - h_ref))
    kept = np.isfinite(own) & (gap > 0)
    values = (own[kept] - unrelated[kept]) / gap[kept]
    low, high = np.quantile(values, [tail, 1 - tail], method="median_unbiased")
    half, source = between_lineages(by_lineage[:, 0], 1 - h_ref, level)
    unit = "cluster" if rows.active else "item"
    enough, why = rows.verdict()
    return Retention(
        value=value,
        lower=value - math.hypot(max(value - float(low), 0.0), half),
        upper=value + math.hypot(max(float(high) - value, 0.0), half),
        h_adapted=float(h_a),
        h_reference=float(h_ref),
        lineages=count,
        level=level,
        method=f"{unit} bootstrap percentile, references cut in every draw; {source}",
        n=rows.n,
        clusters=rows.levels,
        draws=draws,
        seed=seed,
        conclusive=enough,
        reason=why,
    )


def _severity(values: npt.ArrayLike, name: str, n: int) -> Floats:
    z = np.asarray(values, dtype=float)
    if z.shape != (n,) or not np.isfinite(z).all():
        raise ValueError(f"severities of reference {name} are not {n} finite values: pass one an item")
    return z


def _unfit(b: Floats, a: Floats, given: dict[str, Floats], z: dict[str, Floats], rows: Design) -> str:
    if not given:
        return "no reference: without unrelated models a shared difficulty of items looks like retention"
    if not all(np.isin(y, (0.0, 1.0)).all() for y in (b, a, *given.values())):
        return "retention needs outcomes of 0 and 1, not means of samples"
    for who, y in (("base", b), ("child", a)):
        if min(y.sum(), (1 - y).sum()) < MIN_ITEMS:
            shown = f"the {who} has {y.sum():g} failing and {(1 - y).sum():g} passing items"
            return f"{shown}, {MIN_ITEMS} of each needed"
    rate = float(rows.weights @ a / rows.weights.sum())
    for name, y in given.items():
        if name not in z:
            return f"reference {name} has no severity to cut at the child's rate"
        severity = z[name][rows.kept]
        if severity[y == 1].min(initial=np.inf) < severity[y == 0].max(initial=-np.inf):
            return f"severity is not comparable: it does not order the outcomes of reference {name}"
        tied = tied_at_cut(severity, rate, rows.weights)
        if tied > MAX_TIED:
            shown = f"{tied:.0%} of the items are tied where it is cut, {MAX_TIED:.0%} allowed"
            return f"severity of reference {name} is too coarse to cut at the child's rate: {shown}"
    return ""


def _undefined(reason: str, rows: Design, count: int, how: tuple[float, int, int]) -> Retention:
    level, draws, seed = how
    return Retention(
        value=None,
        lower=None,
        upper=None,
        h_adapted=None,
        h_reference=None,
        lineages=count,
        level=level,
        method="",
        n=rows.n,
        clusters=rows.levels,
        draws=draws,
        seed=seed,
        conclusive=False,
        reason=reason,
    )
