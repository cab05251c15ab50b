"""Tests that a change between two subjects is too small to matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy.typing as npt

from fmaudit.statistics.changes import ChangeKind, change_rows, limits_at
from fmaudit.statistics.design import Clusters
from fmaudit.statistics.ratios import mean_terms

Better: TypeAlias = Literal["lower_is_better", "higher_is_better"]
_HALVINGS = 30


@dataclass(frozen=True)
class Equivalence:
    """A test against a margin, with the interval that decides it.

    Attributes:
        p: One-sided p-value: the smallest ``alpha`` at which the claim would be made.
        margin: Largest change that does not matter, positive, in the unit of the change.
        alpha: One-sided error allowed.
        lower: Lower limit of the change at level ``1 - 2 alpha``; None where there is no interval.
        upper: Upper limit of the change at level ``1 - 2 alpha``.
        equivalent: Whether the claim is made (of non-inferiority: not worse by the margin).
        method: How the interval was computed.
        conclusive: Whether enough independent clusters were seen for a verdict.
        reason: Why there is no interval, or no verdict.
    """

    p: float
    margin: float
    alpha: float
    lower: float | None
    upper: float | None
    equivalent: bool
    method: str
    conclusive: bool = True
    reason: str = ""


def equivalence(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    margin: float,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    alpha: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
    kind: ChangeKind = "rate",
) -> Equivalence:
    """Two one-sided tests that the change lies within ``-margin`` and ``margin`` (Schuirmann 1987).

    Equivalent where the ``1 - 2 alpha`` interval of :func:`rate_change` or
    :func:`mean_change` lies strictly inside the margin, so that the test and the
    printed interval cannot contradict each other. A metric with a target is
    tested on its distance to the target, formed by the caller.

    Args:
        base: Shape (n,); in [0, 1] for a rate.
        adapted: Shape (n,), of the same items.
        margin: Largest change that does not matter, declared before the data are seen.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        alpha: Error of each of the two tests, in (0, .5).
        draws: Bootstrap draws.
        seed: Seed of the draws.
        kind: ``rate`` or ``mean``.

    Raises:
        ValueError: Margin or alpha is out of range, or values, shapes or weights do not fit.
    """
    tested = _tested(base, adapted, margin, weights, clusters, alpha, (draws, seed, kind))
    p = max(tested.p_below(margin), tested.p_above(-margin))
    inside = tested.lower is not None and tested.upper is not None
    inside = inside and -margin < (tested.lower or 0.0) and (tested.upper or 0.0) < margin
    return _answer(tested, p, margin, alpha, inside)


def noninferiority(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    margin: float,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    direction: Better = "lower_is_better",
    alpha: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
    kind: ChangeKind = "rate",
) -> Equivalence:
    """One-sided test that the adapted subject is not worse than its base by ``margin``.

    Args:
        base: Shape (n,); in [0, 1] for a rate.
        adapted: Shape (n,), of the same items.
        margin: Largest harm that does not matter, declared before the data are seen.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        direction: ``lower_is_better`` where a rise is harm, else ``higher_is_better``.
        alpha: One-sided error, in (0, .5).
        draws: Bootstrap draws.
        seed: Seed of the draws.
        kind: ``rate`` or ``mean``.

    Returns:
        ``equivalent`` tells whether the ``1 - 2 alpha`` interval excludes harm of the margin or more.

    Raises:
        ValueError: As in :func:`equivalence`, or the direction is unknown.
    """
    if direction not in ("lower_is_better", "higher_is_better"):
        raise ValueError(f"direction {direction!r} is unknown: use 'lower_is_better' or 'higher_is_better'")
    tested = _tested(base, adapted, margin, weights, clusters, alpha, (draws, seed, kind))
    if direction == "lower_is_better":
        better = tested.upper is not None and tested.upper < margin
        return _answer(tested, tested.p_below(margin), margin, alpha, better)
    better = tested.lower is not None and tested.lower > -margin
    return _answer(tested, tested.p_above(-margin), margin, alpha, better)


@dataclass(frozen=True)
class _Tested:
    """Limits of a change at any level."""

    value: float
    limits: Callable[[float], tuple[float, float] | None]
    lower: float | None
    upper: float | None
    method: str
    conclusive: bool
    reason: str

    def p_below(self, bound: float) -> float:
        """One-sided p of "the change is at least ``bound``"."""
        if self.value < bound:
            return self._smallest_alpha(lambda ends: ends[1] < bound)
        return 1 - self._smallest_alpha(lambda ends: ends[0] > bound)

    def p_above(self, bound: float) -> float:
        """One-sided p of "the change is at most ``bound``"."""
        if self.value > bound:
            return self._smallest_alpha(lambda ends: ends[0] > bound)
        return 1 - self._smallest_alpha(lambda ends: ends[1] < bound)

    def _smallest_alpha(self, holds: Callable[[tuple[float, float]], bool]) -> float:
        """Smallest alpha whose interval excludes the bound; intervals are nested, so halving finds it."""
        low, high = 0.0, 0.5
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            ends = self.limits(1 - 2 * middle)
            if ends is not None and holds(ends):
                high = middle
            else:
                low = middle
        return high


def _tested(
    base: npt.ArrayLike,
    adapted: npt.ArrayLike,
    margin: float,
    weights: npt.ArrayLike | None,
    clusters: Clusters | None,
    alpha: float,
    how: tuple[int, int, ChangeKind],
) -> _Tested:
    if not margin > 0:
        raise ValueError(f"margin {margin} is not positive: declare the largest change that does not matter")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha {alpha} is not between 0 and 0.5")
    draws, seed, kind = how
    rows = change_rows(base, adapted, weights, clusters, kind)
    if not rows.n:
        return _Tested(0.0, lambda level: None, None, None, "none", False, "no valid row: undefined")
    method, limits = limits_at(rows, kind, draws, seed)
    value = mean_terms(rows, rows.columns[1] - rows.columns[0]).value()
    conclusive, reason = rows.verdict()
    ends = limits(1 - 2 * alpha)
    if ends is None:
        missing = "too few independent units to compute an interval from"
        return _Tested(value, limits, None, None, method, False, missing)
    lower, upper = min(ends[0], value), max(ends[1], value)
    return _Tested(value, limits, lower, upper, method, conclusive, reason)


def _answer(tested: _Tested, p: float, margin: float, alpha: float, holds: bool) -> Equivalence:
    return Equivalence(
        p=p if tested.lower is not None else 1.0,
        margin=margin,
        alpha=alpha,
        lower=tested.lower,
        upper=tested.upper,
        equivalent=holds,
        method=tested.method,
        conclusive=tested.conclusive,
        reason=tested.reason,
    )
