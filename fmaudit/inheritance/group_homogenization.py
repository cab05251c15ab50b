"""Homogenization over groups, and failures per item against independence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.homogenization import checked_outcomes
from fmaudit.inheritance.moments import Resampled, resample, to_interval
from fmaudit.statistics.design import Bools, Clusters, Design, Floats, design
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import rate

LEAST_EXPECTED = 5.0
"""Expected effective items below which a count of failures is shown but not tested."""


@dataclass(frozen=True)
class GroupHomogenization:
    """Homogenization of group failure rates (Bommasani et al. 2022); 1 = independence of the group.

    Attributes:
        average: Groups weighted by the product of their frequencies over the models.
        uniform: Groups weighted equally.
        worst: The group with the largest product of rates. A maximum is biased upwards and
            its interval never reaches the lower end: no evidence by itself.
        groups: Groups that count.
        excluded: Groups in which some model has no item; they count nowhere, neither here
            nor in the models' overall rates.
    """

    average: Interval
    uniform: Interval
    worst: Interval
    groups: tuple[str, ...]
    excluded: tuple[str, ...]


@dataclass(frozen=True)
class FailureHistogram:
    """Share of items that 0, 1, ... k models fail, against independent models.

    Attributes:
        observed: Shares, one a count of failing models from 0 to k.
        expected: Poisson-binomial shares of the models' rates.
        excess: Observed minus expected.
        band: Simultaneous limits of ``excess`` at the level; None where fewer than
            ``LEAST_EXPECTED`` effective items are expected or no band can be had.
        largest: Largest ``|excess|`` in standard errors over the counts with a band.
        critical: Its critical value, from the bootstrap of the same maximum.
        p: Bootstrap p-value of independence of all models.
        reason: Why there is no test.
    """

    observed: tuple[Interval, ...]
    expected: tuple[Interval, ...]
    excess: tuple[Interval, ...]
    band: tuple[tuple[float, float] | None, ...]
    largest: float | None
    critical: float | None
    p: float | None
    reason: str = ""


def group_homogenization(
    outcomes: npt.ArrayLike,
    groups: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    declared: Sequence[str] = (),
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> GroupHomogenization:
    """Group forms of the homogenization ratio; models may have answered different items.

    Args:
        outcomes: Shape (n, models), 0 or 1, 1 = defect; NaN where an item is not part of
            the model's task.
        groups: Shape (n,), group labels shared by all tasks.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        declared: Groups expected beyond those with items, named when empty.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: Outcomes, shapes or weights do not fit.
    """
    given = np.asarray(outcomes, dtype=float)
    known = ~np.isnan(given)
    fails, _ = checked_outcomes(np.where(known, given, 0.0), None)
    found_labels, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    labels = [str(label) for label in found_labels]
    rows = design([codes, *fails.T, *known.astype(float).T], weights, clusters)
    shape = (2, len(labels), fails.shape[1])

    def terms(columns: tuple[Floats, ...]) -> Floats:
        member: Bools = columns[0][:, None] == np.arange(len(labels))
        models = np.column_stack(columns[1:]).reshape(len(columns[0]), 2, 1, shape[2])
        cells: Floats = (member[:, None, :, None] * models).reshape(len(columns[0]), -1)
        return cells

    found = resample(rows, terms, lambda sums: _group_forms(sums.reshape(-1, *shape)), draws, seed)
    held = (rows.weights @ terms(rows.columns)).reshape(shape)[1].min(axis=1) > 0
    missing = {str(g) for g in declared} - set(labels)
    undefined = (
        "a model never fails in the groups that count" if held.any() else "no group has items of all models"
    )
    average, uniform, worst = (
        to_interval(found, place, f"group homogenization ratio ({name})", level, undefined)
        for place, name in enumerate(("average", "uniform", "worst"))
    )
    return GroupHomogenization(
        average,
        uniform,
        worst,
        groups=tuple(g for g, ok in zip(labels, held, strict=True) if ok),
        excluded=tuple(sorted(missing | {g for g, ok in zip(labels, held, strict=True) if not ok})),
    )


def _group_forms(sums: Floats) -> Floats:
    """Average, uniform and worst form from sums of shape (draws, failed or answered, groups, models)."""
    held: Bools = np.all(sums[:, 1] > 0, axis=2)
    failed, answered = np.moveaxis(sums * held[:, None, :, None], 1, 0)
    per_model = answered.sum(axis=1)
    overall = (failed.sum(axis=1) / np.where(per_model > 0, per_model, np.nan)).prod(axis=1)
    overall = np.where(overall > 0, overall, np.nan)
    together = (failed / np.where(answered > 0, answered, 1.0)).prod(axis=2)
    frequency = (answered / np.where(per_model > 0, per_model, np.nan)[:, None]).prod(axis=2)
    average = (frequency * together).sum(axis=1) / frequency.sum(axis=1)
    counted = held.sum(axis=1)
    uniform = together.sum(axis=1) / np.where(counted > 0, counted, np.nan)
    worst = np.where(counted > 0, together.max(axis=1, initial=0.0), np.nan)
    return np.column_stack([average, uniform, worst]) / overall[:, None]


def poisson_binomial(rates: npt.ArrayLike) -> Floats:
    """Distribution of the number of independent events, by convolution.

    Args:
        rates: Shape (..., k), probabilities.

    Returns:
        Shape (..., k + 1), the probability of 0 to k events.
    """
    p = np.asarray(rates, dtype=float)
    mass = np.zeros((*p.shape[:-1], p.shape[-1] + 1))
    mass[..., 0] = 1.0
    for j in range(p.shape[-1]):
        event = p[..., j : j + 1]
        shifted = np.concatenate([np.zeros_like(event), mass[..., :-1]], axis=-1)
        mass = mass * (1 - event) + shifted * event
    return mass


def failure_histogram(
    outcomes: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> FailureHistogram:
    """Failures per item against the Poisson-binomial of independent models (Toups et al. 2023).

    Args:
        outcomes: Shape (n, models), 0 or 1, 1 = defect; at least two models.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: Outcomes, shapes or weights do not fit.
    """
    matrix, models = checked_outcomes(outcomes, None)
    rows = design(list(matrix.T), weights, clusters)
    counts = np.arange(len(models) + 1)

    def terms(columns: tuple[Floats, ...]) -> Floats:
        fails = np.column_stack(columns)
        return np.column_stack([np.ones(len(fails)), fails, fails.sum(axis=1)[:, None] == counts])

    def histogram(sums: Floats) -> Floats:
        shares = sums[:, 1:] / np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
        observed, expected = shares[:, len(models) :], poisson_binomial(shares[:, : len(models)])
        return np.hstack([expected, observed - expected])

    found = resample(rows, terms, histogram, draws, seed)
    failing = np.column_stack(rows.columns).sum(axis=1)
    observed = tuple(
        rate(failing == c, rows.weights, dict(rows.codes), level=level, draws=draws, seed=seed)
        for c in counts
    )
    places = range(len(counts))
    expected = tuple(to_interval(found, place, "expected share", level) for place in places)
    excess = tuple(
        to_interval(found, len(counts) + place, "excess over independence", level) for place in places
    )
    return _tested(rows, found, (observed, expected, excess), level)


_Triple = tuple[tuple[Interval, ...], tuple[Interval, ...], tuple[Interval, ...]]


def _tested(rows: Design, found: Resampled, shown: _Triple, level: float) -> FailureHistogram:
    """Simultaneous band by the bootstrap of the largest studentized deviation."""
    cells = len(shown[0])
    units = rows.effective_units() if rows.n else 0.0
    n_eff = np.array([share.n_eff for share in shown[0]])
    values = found.values[:, cells:]
    values = values[np.isfinite(values).all(axis=1)]
    expected, excess = found.value[:cells], found.value[cells:]
    enough = (expected * n_eff >= LEAST_EXPECTED) & (units >= 2) & (len(values) > 1)
    # A count that certain models always or never reach has nothing to test.
    usable = np.flatnonzero(enough & (expected < 1))
    if not len(usable):
        reason = f"fewer than {LEAST_EXPECTED:g} effective items expected at every count: no test"
        return FailureHistogram(
            *shown, band=(None,) * cells, largest=None, critical=None, p=None, reason=reason
        )
    spread = values.std(axis=0, ddof=1) * (units / (units - 1)) ** 0.5
    # Where few items fell, the draws vary too little: never below the error under independence.
    se = np.maximum(spread, np.sqrt(expected * (1 - expected) / np.maximum(n_eff, 1.0)))
    floor = np.where(se > 0, se, 1.0)
    null = (np.abs(values - excess) / floor)[:, usable].max(axis=1)
    largest = float((np.abs(excess) / floor)[usable].max())
    critical = float(np.quantile(null, level, method="median_unbiased"))
    limits = {
        int(c): (float(excess[c] - critical * se[c]), float(excess[c] + critical * se[c])) for c in usable
    }
    p = float((1 + (null >= largest).sum()) / (1 + len(null)))
    band = tuple(limits.get(c) for c in range(cells))
    conclusive, reason = rows.verdict()
    return FailureHistogram(
        *shown, band=band, largest=largest, critical=critical, p=p, reason="" if conclusive else reason
    )
