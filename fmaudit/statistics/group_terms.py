"""Rates of groups with the limits and correlations that sums and differences of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Clusters, Floats
from fmaudit.statistics.levels import rate

if TYPE_CHECKING:
    from fmaudit.statistics.gaps import GroupRates

CHUNK = 1_000_000
"""Quadruples of groups computed at once."""


@dataclass(frozen=True)
class Ends:
    """Rates by subject and term with what was not answered counted as 0 (``low``) and 1 (``high``).

    ``below(level)`` and ``above(level)``: distance from ``low`` down to its lower limit and from
    ``high`` up to its upper limit, by subject and term.
    """

    low: tuple[Floats, ...]
    high: tuple[Floats, ...]
    below: Callable[[float], tuple[Floats, ...]]
    above: Callable[[float], tuple[Floats, ...]]


@dataclass(frozen=True)
class Terms:
    """The groups with an answered row under every subject.

    Attributes:
        columns: Slice column of each group.
        values: By subject, the rates, shape (groups,).
        plain: From answered rows alone; ``low`` equals ``high``.
        worst: With the missing counted both ways.
        apart: Correlation of the estimates of two terms, toward 0 by half a row, for differences; terms
            are groups of the first subject, then of the second.
        together: The same for sums.
        resampled: Whether limits come from a bootstrap.
    """

    columns: tuple[str, ...]
    values: tuple[Floats, ...]
    plain: Ends
    worst: Ends
    apart: Floats
    together: Floats
    resampled: bool


def terms_of(
    sides: Sequence[GroupRates],
    groups: Mapping[str, npt.NDArray[np.generic]],
    weights: Floats,
    clusters: Clusters,
    draws: int,
    seed: int,
) -> tuple[Terms, tuple[str, ...]]:
    """The terms of one or two subjects, and the groups that have none, as ``column=level``."""
    columns, masks, dropped = [], [], []
    for column in sorted(groups):
        labels = np.asarray(groups[column]).astype(str)
        for name in sorted(set(labels.tolist()) - {""}):
            inside = (labels == name) & (weights > 0)
            if all((inside & ~np.isnan(side.values)).any() for side in sides):
                columns.append(column)
                masks.append(inside)
            else:
                dropped.append(f"{column}={name}")
    answered = [[mask & ~np.isnan(side.values) for mask in masks] for side in sides]
    counted = [[mask & ~np.isnan(side.low) for mask in masks] for side in sides]
    values = tuple(
        np.array([np.average(side.values[mask], weights=weights[mask]) for mask in own])
        for side, own in zip(sides, answered, strict=True)
    )
    methods: set[bool] = set()

    def ends(names: tuple[str, str], chosen: list[list[npt.NDArray[np.bool_]]]) -> Ends:
        def reached(name: str, level: float, sign: int) -> tuple[Floats, ...]:
            found = []
            for side, own in zip(sides, chosen, strict=True):
                distances = []
                for mask in own:
                    at = rate(
                        getattr(side, name)[mask], weights[mask],
                        {factor: np.asarray(labels)[mask] for factor, labels in clusters.items()},
                        level=level, draws=draws, seed=seed,
                    )  # fmt: skip
                    assert at.value is not None
                    assert at.lower is not None
                    assert at.upper is not None
                    methods.add(at.draws is not None)
                    distances.append(at.value - at.lower if sign < 0 else at.upper - at.value)
                found.append(np.array(distances))
            return tuple(found)

        def mean(name: str) -> tuple[Floats, ...]:
            return tuple(
                np.array([np.average(getattr(side, name)[mask], weights=weights[mask]) for mask in own])
                for side, own in zip(sides, chosen, strict=True)
            )

        low, high = names
        return Ends(
            mean(low),
            mean(high),
            cache(lambda level: reached(low, level, -1)),
            cache(lambda level: reached(high, level, 1)),
        )

    plain, worst = ends(("values", "values"), answered), ends(("low", "high"), counted)
    if columns:
        plain.below(0.9)
    apart, together = _correlations(sides, answered, values, weights, clusters)
    found = Terms(tuple(columns), values, plain, worst, apart, together, True in methods)
    return found, tuple(dropped)


def _correlations(
    sides: Sequence[GroupRates],
    answered: Sequence[Sequence[npt.NDArray[np.bool_]]],
    values: Sequence[Floats],
    weights: Floats,
    clusters: Clusters,
) -> tuple[Floats, Floats]:
    """Correlations of the estimates through shared rows and clusters; of several factors the widest."""
    size = len(weights)
    factors = [
        np.unique(np.asarray(labels).astype(str), return_inverse=True)[1] for labels in clusters.values()
    ]
    units = factors or [np.arange(size)]
    total = sum(len(own) for own in answered)
    apart, together = np.full((total, total), np.inf), np.full((total, total), -np.inf)
    for codes in units:
        influence, largest = [], []
        for side, own, value in zip(sides, answered, values, strict=True):
            for mask, p in zip(own, value, strict=True):
                share = weights * mask / weights[mask].sum()
                deviation = np.where(mask, side.values - p, 0.0)
                influence.append(np.bincount(codes, share * deviation))
                largest.append(np.bincount(codes, share).max())
        if not influence:
            return np.zeros((0, 0)), np.zeros((0, 0))
        stacked, half = np.stack(influence), np.asarray(largest)
        covariance = stacked @ stacked.T
        step = np.outer(half, half) / 2
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        shrunk = np.sign(covariance) * np.maximum(np.abs(covariance) - step, 0.0)
        for target, numerator, pick in (
            (apart, np.where(covariance > 0, shrunk, covariance), np.minimum),
            (together, np.where(covariance < 0, shrunk, covariance), np.maximum),
        ):
            own_r = np.divide(numerator, scale, out=np.zeros_like(scale), where=scale > 0)
            target[:] = pick(target, np.clip(own_r, -1.0, 1.0))
    return apart, together


def lower_of_pairs(terms: Terms, pairs: npt.NDArray[np.int64], ends: Ends, level: float) -> Floats:
    """Lower limits of first minus second term of each pair, two-sided ``level``; shape (pairs,)."""
    i, j = pairs[:, 0], pairs[:, 1]
    down, up = ends.below(level)[0][i], ends.above(level)[0][j]
    square = down**2 + up**2 - 2 * terms.apart[i, j] * down * up
    limits: Floats = ends.low[0][i] - ends.high[0][j] - np.sqrt(np.maximum(square, 0.0))
    return limits


def lower_of_quadruples(
    terms: Terms,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    ends: Ends,
    level: float,
    *,
    new: int,
    matched: bool = False,
) -> Floats:
    """Lower limits of (i - j under subject ``new``) - (k - l under the other), ij of first, kl of second.

    Shape (first, second), or (first, 1) where ``matched``: each pair with its like.
    """
    if matched:
        return np.array([_quadruples(terms, pair[None], pair[None], ends, level, new)[0] for pair in first])
    rows = max(CHUNK // max(len(second), 1), 1)
    parts = [
        _quadruples(terms, first[at : at + rows], second, ends, level, new)
        for at in range(0, len(first), rows)
    ]
    return np.concatenate(parts)


def _quadruples(
    terms: Terms,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    ends: Ends,
    level: float,
    new: int,
) -> Floats:
    count, old = len(terms.columns), 1 - new
    below, above = ends.below(level), ends.above(level)
    i, j, k, m = first[:, 0, None], first[:, 1, None], second[None, :, 0], second[None, :, 1]
    plus = ((new, i), (old, m))
    minus = ((new, j), (old, k))
    value = sum(ends.low[side][at] for side, at in plus) - sum(ends.high[side][at] for side, at in minus)
    entries = [(1, side * count + at, below[side][at]) for side, at in plus]
    entries += [(-1, side * count + at, above[side][at]) for side, at in minus]
    square = sum((width**2 for _, _, width in entries), np.zeros(np.shape(value)))
    for place, (sign, at, width) in enumerate(entries):
        for other_sign, other, other_width in entries[place + 1 :]:
            agree = sign == other_sign
            r = (terms.together if agree else terms.apart)[at, other]
            square = square + 2 * (1 if agree else -1) * r * width * other_width
    limits: Floats = value - np.sqrt(np.maximum(square, 0.0))
    return limits
