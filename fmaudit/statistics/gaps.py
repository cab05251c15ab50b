"""Largest minus smallest rate over groups, decided by pairs of groups.

The largest of many noisy differences lies above 0 even where no group differs, so its own
sampling distribution is no evidence. What is evidence is a pair: a gap above L needs one
ordered pair whose difference is shown to exceed L, among all that were looked at; a gap of
at most L needs every pair to be shown inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Clusters, Design, Floats, design
from fmaudit.statistics.group_terms import Ends, Terms, lower_of_pairs, lower_of_quadruples, terms_of
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import no_rows
from fmaudit.statistics.proportions import critical

P_STEPS = 14
TOO_FEW = "fewer than two groups have a row to take the rate of"
_METHOD = "pairs of groups, square-and-add; each lower limit corrected for {} ordered pairs"
_SIGNED = "second group minus first, square-and-add"


@dataclass(frozen=True)
class GroupRates:
    """What one subject showed on the rows that count.

    Attributes:
        values: Shape (n,), in [0, 1]; NaN where a row does not count or was not answered.
        low: The same with what was not answered counted as 0, NaN where a row does not count.
        high: The same, counted as 1.
    """

    values: Floats
    low: Floats
    high: Floats

    @staticmethod
    def complete(values: npt.ArrayLike) -> GroupRates:
        """Rows of which nothing is missing."""
        given = np.asarray(values, dtype=float)
        return GroupRates(given, given, given)

    def complements(self) -> GroupRates:
        """One minus every value."""
        return GroupRates(1 - self.values, 1 - self.high, 1 - self.low)


@dataclass(frozen=True)
class GapResult:
    """A gap or its change.

    Attributes:
        interval: The number, from the answered rows.
        worst: Interval from the bounds, least value and limit with greatest value and limit
            ``(low, high, lower, upper)``; None where there is no number.
        dropped: Groups without an answered row, as ``column=level``; they take no part.
        values: Gap of the base and of the adapted subject; only of a change.
    """

    interval: Interval
    worst: tuple[float, float, float, float] | None
    dropped: tuple[str, ...]
    values: tuple[float, float] | None = None


def gap(
    rates: GroupRates,
    groups: Mapping[str, npt.NDArray[np.generic]],
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    signed: bool = False,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> GapResult:
    """Largest minus smallest weighted rate over the groups of one column; of several columns the largest.

    Lower limit: the greatest lower limit of all M ordered pairs of groups, each at level
    ``1 - (1 - level) / M``, or 0. Upper limit: the greatest upper limit of the pairs at ``level``.
    The limits of a pair come from those of its two rates (Zou and Donner 2008), with the
    correlation that shared clusters give them.

    Args:
        rates: One subject's rows, each array of shape (n,).
        groups: Column name -> level of each row, shape (n,); pairs are formed within a column.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        signed: The second of exactly two groups (sorted) minus the first, in [-1, 1].
        level: Two-sided level; the chance that a limit fails is half of its complement.
        draws: Bootstrap draws where several factors cross.
        seed: Seed of the draws.

    Returns:
        Value in [0, 1] (``signed``: [-1, 1]); undefined with a reason below two groups.
    """
    rows, weight = _rows([rates], groups, weights, clusters)
    terms, dropped = terms_of([rates], groups, weight, clusters or {}, draws, seed)
    what = "difference between two groups" if signed else "largest gap between groups"
    pairs = _ordered_pairs(terms, signed)
    if not len(pairs):
        reason = "there are not exactly two groups" if signed else TOO_FEW
        return GapResult(no_rows(rows, level, what, _named(reason, dropped)), None, dropped)
    own, bounds = (_gap_limits(terms, pairs, ends, level, signed) for ends in (terms.plain, terms.worst))
    method = _SIGNED if signed else _METHOD.format(len(pairs))
    interval = _interval(rows, what, own, level, method, dropped, draws if terms.resampled else None, seed)
    return GapResult(interval, bounds, dropped)


def gap_change(
    base: GroupRates,
    adapted: GroupRates,
    groups: Mapping[str, npt.NDArray[np.generic]],
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    signed: bool = False,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> GapResult:
    """Gap of ``adapted`` minus gap of ``base`` on the same rows.

    With d a difference of an ordered pair, the change is max d_adapted - max d_base. It is at most
    ``d_adapted(ij) - d_base(kl)`` for the pair ij that is widest under ``adapted`` and any pair kl: half
    of the error goes to kl = ij for every ij, half to the best kl of each ij, corrected for their
    number. The lower limit is the same with the two subjects exchanged. Base and adapted
    subject share their rows, and the limits use the correlation that this gives them.

    Args:
        base: The base's rows, each array of shape (n,).
        adapted: The adapted subject's, of the same items.
        groups: As in :func:`gap`.
        weights: As in :func:`gap`.
        clusters: As in :func:`gap`.
        signed: As in :func:`gap`.
        level: As in :func:`gap`.
        draws: As in :func:`gap`.
        seed: As in :func:`gap`.

    Returns:
        ``p``: least error at which the interval leaves out 0; None where several factors cross.
    """
    rows, weight = _rows([base, adapted], groups, weights, clusters)
    terms, dropped = terms_of([base, adapted], groups, weight, clusters or {}, draws, seed)
    what = "change of the difference between two groups" if signed else "change of the largest gap"
    pairs = _ordered_pairs(terms, signed)
    if not len(pairs):
        reason = "there are not exactly two groups" if signed else TOO_FEW
        return GapResult(no_rows(rows, level, what, _named(reason, dropped)), None, dropped)
    own, bounds = (_change_limits(terms, pairs, ends, level) for ends in (terms.plain, terms.worst))
    method = _SIGNED if signed else f"pairs of groups of both subjects, square-and-add, {len(pairs)} pairs"
    interval = _interval(rows, what, own, level, method, dropped, draws if terms.resampled else None, seed)
    if not terms.resampled:
        interval = replace(interval, p=_p(terms, pairs))
    old, new = (_largest(terms, pairs, side) for side in (0, 1))
    return GapResult(interval, bounds, dropped, (old, new))


def _rows(
    sides: Sequence[GroupRates],
    groups: Mapping[str, npt.NDArray[np.generic]],
    weights: npt.ArrayLike | None,
    clusters: Clusters | None,
) -> tuple[Design, Floats]:
    """The rows that were answered under every subject, and one weight a row."""
    size = len(sides[0].values)
    for array in (*(side.values for side in sides), *groups.values()):
        if np.shape(array) != (size,):
            raise ValueError(f"an array of shape {np.shape(array)} meets {size} rows: pass one entry a row")
    weight = np.ones(size) if weights is None else np.asarray(weights, dtype=float)
    counted = np.all([~np.isnan(side.values) for side in sides], axis=0)
    kept = {name: np.asarray(labels)[counted] for name, labels in (clusters or {}).items()}
    return design([], weight[counted], kept, n=int(counted.sum())), weight


def _ordered_pairs(terms: Terms, signed: bool) -> npt.NDArray[np.int64]:
    """Ordered pairs of terms of one column; of exactly two groups second and first where ``signed``."""
    columns = np.asarray(terms.columns)
    if signed:
        return np.array([[1, 0]] if len(columns) == 2 and len(set(columns)) == 1 else [], dtype=np.int64)
    i, j = np.nonzero((columns[:, None] == columns[None, :]) & ~np.eye(len(columns), dtype=bool))
    return np.stack([i, j], axis=1).astype(np.int64) if len(i) else np.array([], dtype=np.int64)


def _largest(terms: Terms, pairs: npt.NDArray[np.int64], side: int) -> float:
    value = terms.values[side]
    return float((value[pairs[:, 0]] - value[pairs[:, 1]]).max())


def _gap_limits(
    terms: Terms, pairs: npt.NDArray[np.int64], ends: Ends, level: float, signed: bool
) -> tuple[float, float, float, float]:
    """Least and greatest value, lower and upper limit."""
    narrow = 1 - (1 - level) / len(pairs)
    least = ends.low[0][pairs[:, 0]] - ends.high[0][pairs[:, 1]]
    most = ends.high[0][pairs[:, 0]] - ends.low[0][pairs[:, 1]]
    lower = lower_of_pairs(terms, pairs, ends, narrow).max()
    upper = -lower_of_pairs(terms, pairs[:, ::-1], ends, level).min()
    floor = -1.0 if signed else 0.0
    found = (least.max(), most.max(), lower, upper)
    low, high, down, up = (float(min(max(value, floor), 1.0)) for value in found)
    return low, high, min(down, low), max(up, high)


def _change_limits(
    terms: Terms, pairs: npt.NDArray[np.int64], ends: Ends, level: float
) -> tuple[float, float, float, float]:
    lower = _change_lower(terms, pairs, ends, level, new=1)
    upper = -_change_lower(terms, pairs, ends, level, new=0)

    def widest(side: int, plus: tuple[Floats, ...], minus: tuple[Floats, ...]) -> float:
        return float((plus[side][pairs[:, 0]] - minus[side][pairs[:, 1]]).max())

    least = widest(1, ends.low, ends.high) - widest(0, ends.high, ends.low)
    most = widest(1, ends.high, ends.low) - widest(0, ends.low, ends.high)
    return least, most, max(min(lower, least), -2.0), min(max(upper, most), 2.0)


def _change_lower(terms: Terms, pairs: npt.NDArray[np.int64], ends: Ends, level: float, *, new: int) -> float:
    """Lower limit of ``max d_new - max d_old``."""
    if len(pairs) == 1:
        return float(lower_of_quadruples(terms, pairs, pairs, ends, level, new=new)[0, 0])
    half = 1 - (1 - level) / 2
    # For the pair kl that is widest under the old subject: d_new(kl) - d_old(kl), whichever kl it is.
    same = lower_of_quadruples(terms, pairs, pairs, ends, half, new=new, matched=True).min()
    narrow = 1 - (1 - half) / len(pairs)
    best = lower_of_quadruples(terms, pairs, pairs, ends, narrow, new=new).max(axis=0).min()
    return float(max(same, best))


def _p(terms: Terms, pairs: npt.NDArray[np.int64]) -> float:
    """Least ``1 - level`` at which the interval of the change leaves out 0, by bisection of its logarithm."""

    def excludes(error: float) -> bool:
        _, _, lower, upper = _change_limits(terms, pairs, terms.plain, 1 - error)
        return lower > 0 or upper < 0

    if not excludes(1 - 1e-6):
        return 1.0
    low, high = np.log(1e-9), 0.0
    if excludes(float(np.exp(low))):
        return float(np.exp(low))
    for _ in range(P_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(float(min(np.exp(middle), 1 - 1e-6))) else (middle, high)
    return float(np.exp(high))


def _interval(
    rows: Design,
    what: str,
    limits: tuple[float, float, float, float],
    level: float,
    method: str,
    dropped: Sequence[str],
    draws: int | None,
    seed: int,
) -> Interval:
    value, _, lower, upper = limits
    conclusive, reason = rows.verdict()
    return Interval(
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        method=_named(method, dropped),
        estimand=rows.estimand(what),
        n=rows.n,
        n_eff=rows.effective_units(),
        clusters=rows.levels,
        se=(upper - lower) / (2 * critical(level)),
        draws=draws,
        seed=None if draws is None else seed,
        conclusive=conclusive,
        reason=reason,
    )


def _named(text: str, dropped: Sequence[str]) -> str:
    return f"{text}; left out, without an answered row of the rate: {', '.join(dropped)}" if dropped else text
