"""Outcome homogenization: whether models fail on the same items or groups more than by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.moments import Resampled, resample, to_interval
from fmaudit.statistics.design import Clusters, Design, Floats, design
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import rate


@dataclass(frozen=True)
class Extreme:
    """All models failing (or all passing) the same item, observed and under independence.

    Attributes:
        observed: Share of items.
        expected: Product of the models' rates.
        ratio: ``observed / expected``; 1 = independence. Grows with the number of models,
            so it says something only beside an unrelated set of equal size.
        normalised_excess: ``(observed - expected) / (smallest rate - expected)``, at most 1.
    """

    observed: Interval
    expected: Interval
    ratio: Interval
    normalised_excess: Interval


@dataclass(frozen=True)
class Homogenization:
    """Homogenization of one set of models on the same items (Bommasani et al. 2022).

    Attributes:
        models: Names in column order.
        failure_rates: Rate of each model.
        all_fail: Systemic failures.
        all_pass: Systemic successes (Toups et al. 2023).
    """

    models: tuple[str, ...]
    failure_rates: tuple[Interval, ...]
    all_fail: Extreme
    all_pass: Extreme


@dataclass(frozen=True)
class ControlledHomogenization:
    """A family beside an unrelated set of equal size on the same items.

    Attributes:
        family: The set under audit.
        unrelated: The control.
        all_fail: Ratio of the two sets' ratios for systemic failures; 1 = no family effect.
        all_pass: The same for systemic successes.
    """

    family: Homogenization
    unrelated: Homogenization
    all_fail: Interval
    all_pass: Interval


def homogenization(
    outcomes: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Homogenization:
    """Observed and expected systemic failures and successes, with cluster-bootstrap intervals.

    Args:
        outcomes: Shape (n, models), 0 or 1, 1 = defect; at least two models.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        names: One name a model; its position when None.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The ratio is None with a reason when a model never fails (never passes).

    Raises:
        ValueError: Outcomes, names, shapes or weights do not fit.
    """
    matrix, models = checked_outcomes(outcomes, names)
    rows = design(list(matrix.T), weights, clusters)
    found = resample(rows, _extreme_terms, lambda sums: _extremes(sums, len(models)), draws, seed)
    fails = np.column_stack(rows.columns)
    settings = {"level": level, "draws": draws, "seed": seed}
    rates = tuple(_share(rows, fails[:, j], settings) for j in range(len(models)))
    no_fail = _lacking(fails.max(axis=0, initial=0), models, "fails")
    no_pass = _lacking((1 - fails).max(axis=0, initial=0), models, "passes")
    return Homogenization(
        models,
        rates,
        _extreme(found, 0, _share(rows, fails.min(axis=1), settings), no_fail, level),
        _extreme(found, 3, _share(rows, (1 - fails).min(axis=1), settings), no_pass, level),
    )


def homogenization_with_control(
    family: npt.ArrayLike,
    unrelated: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    names: tuple[Sequence[str], Sequence[str]] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> ControlledHomogenization:
    """Homogenization of a family beside the same of an unrelated set, and their ratio.

    Args:
        family: Shape (n, models), 0 or 1, 1 = defect.
        unrelated: Same shape, the same items; a model may be in both sets.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        names: Names of the family's and of the unrelated models.
        level: Confidence level in (0, 1).
        draws: Bootstrap draws, the same items drawn for both sets.
        seed: Seed of the draws.

    Raises:
        ValueError: The sets differ in size, or outcomes, shapes or weights do not fit.
    """
    named = names or (None, None)
    left, _ = checked_outcomes(family, named[0])
    right, _ = checked_outcomes(unrelated, named[1])
    if left.shape != right.shape:
        raise ValueError(
            f"a family of shape {left.shape} meets a control of shape {right.shape}: "
            "the ratio grows with the number of models, so pass sets of equal size on the same items"
        )
    k = left.shape[1]
    rows = design([*left.T, *right.T], weights, clusters)

    def terms(columns: tuple[Floats, ...]) -> Floats:
        return np.hstack([_extreme_terms(columns[:k]), _extreme_terms(columns[k:])])

    def ratios(sums: Floats) -> Floats:
        ours, theirs = (_extremes(part, k) for part in np.hsplit(sums, 2))
        return np.column_stack(
            [ours[:, c] / np.where(theirs[:, c] > 0, theirs[:, c], np.nan) for c in (1, 4)]
        )

    found = resample(rows, terms, ratios, draws, seed)
    ours, theirs = (
        homogenization(m, weights, clusters, names=who, level=level, draws=draws, seed=seed)
        for m, who in ((left, named[0]), (right, named[1]))
    )
    compared = [
        to_interval(found, place, f"ratio of homogenization ratios ({what})", level, _why(a, b, what))
        for place, what, a, b in (
            (0, "all fail", ours.all_fail, theirs.all_fail),
            (1, "all pass", ours.all_pass, theirs.all_pass),
        )
    ]
    return ControlledHomogenization(ours, theirs, *compared)


def checked_outcomes(outcomes: npt.ArrayLike, names: Sequence[str] | None) -> tuple[Floats, tuple[str, ...]]:
    """A matrix of 0 and 1 for at least two models, and one name a model."""
    matrix = np.asarray(outcomes, dtype=float)
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise ValueError(f"outcomes of shape {matrix.shape}: pass items x models with at least two models")
    if not np.isin(matrix, (0.0, 1.0)).all():
        raise ValueError("an outcome is not 0 or 1: leave items out that a model did not validly answer")
    models = tuple(str(place) for place in range(matrix.shape[1])) if names is None else tuple(names)
    if len(models) != matrix.shape[1]:
        raise ValueError(f"{len(models)} names meet {matrix.shape[1]} models: pass one name a column")
    return matrix, models


def _extreme_terms(columns: tuple[Floats, ...]) -> Floats:
    fails = np.column_stack(columns)
    return np.column_stack([np.ones(len(fails)), fails, fails.min(axis=1), (1 - fails).min(axis=1)])


def _extremes(sums: Floats, k: int) -> Floats:
    """Expected, ratio and normalised excess of all failing, then of all passing."""
    total = np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
    failing = sums[:, 1 : k + 1] / total
    out = []
    for rates, observed in ((failing, sums[:, k + 1]), (1 - failing, sums[:, k + 2])):
        expected, share = rates.prod(axis=1), observed / total[:, 0]
        room = rates.min(axis=1) - expected
        out += [
            expected,
            share / np.where(expected > 0, expected, np.nan),
            (share - expected) / np.where(room > 1e-12, room, np.nan),
        ]
    return np.column_stack(out)


def _share(rows: Design, values: Floats, settings: dict[str, float]) -> Interval:
    draws, seed = int(settings["draws"]), int(settings["seed"])
    return rate(values, rows.weights, dict(rows.codes), level=settings["level"], draws=draws, seed=seed)


def _extreme(found: Resampled, place: int, observed: Interval, lacking: str, level: float) -> Extreme:
    return Extreme(
        observed=observed,
        expected=to_interval(found, place, "expected share", level),
        ratio=to_interval(found, place + 1, "homogenization ratio", level, lacking),
        normalised_excess=to_interval(
            found,
            place + 2,
            "normalised excess",
            level,
            lacking or "the models' rates leave no room for excess",
        ),
    )


def _lacking(shown: Floats, models: tuple[str, ...], verb: str) -> str:
    silent = [name for name, any_item in zip(models, shown, strict=True) if not any_item]
    return f"model {', '.join(silent)} never {verb}: the ratio is undefined" if silent else ""


def _why(family: Extreme, unrelated: Extreme, what: str) -> str:
    reasons = [
        f"{who}: {e.ratio.reason}"
        for who, e in (("family", family), ("unrelated", unrelated))
        if e.ratio.value is None
    ]
    return "; ".join(reasons) or f"the unrelated models never {what}: no ratio to compare with"
