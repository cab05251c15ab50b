"""Corrections for many tests, and intervals for the members that were selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Bools, Floats


def holm(ps: Sequence[float | None] | npt.ArrayLike) -> Floats:
    """Adjusted p-values that keep the chance of any false claim (Holm 1979), under any dependence.

    Args:
        ps: p-values in [0, 1]; None and NaN (no test) count as 1, so that the family keeps its size.

    Returns:
        Shape (n,), each at least the p-value itself.

    Raises:
        ValueError: A p-value lies outside [0, 1].
    """
    values = _p_values(ps)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return _in_place(steps, order)


def benjamini_hochberg(ps: Sequence[float | None] | npt.ArrayLike) -> Floats:
    """Adjusted p-values that keep the false discovery rate (Benjamini and Hochberg 1995).

    Valid for independent or positively dependent tests.

    Args:
        ps: p-values in [0, 1]; None and NaN (no test) count as 1.

    Raises:
        ValueError: A p-value lies outside [0, 1].
    """
    values = _p_values(ps)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _in_place(np.minimum.accumulate(scaled[::-1])[::-1], order)


def e_bh(es: Sequence[float | None] | npt.ArrayLike, alpha: float) -> Bools:
    """Rejections of e-values that keep the false discovery rate under any dependence (Wang and Ramdas 2022).

    Rejects the k* largest, ``k* = max{k : e_[k] >= K / (k alpha)}`` of ``K`` e-values.

    Args:
        es: e-values, at least 0; None and NaN count as 0.
        alpha: False discovery rate, in (0, 1).

    Returns:
        Shape (K,), True where rejected.

    Raises:
        ValueError: An e-value is negative or alpha is out of range.
    """
    values = _numbers(es, 0.0)
    if (values < 0).any() or not 0 < alpha < 1:
        raise ValueError("e-values must be at least 0 and alpha between 0 and 1")
    rejected = np.zeros(len(values), dtype=bool)
    order = np.argsort(-values, kind="stable")
    rank = np.arange(1, len(values) + 1)
    passing = np.flatnonzero(values[order] >= len(values) / (rank * alpha))
    rejected[order[: passing.max(initial=-1) + 1]] = True
    return rejected


def simultaneous_level(level: float, members: int) -> float:
    """Level of each of ``members`` intervals that hold together at ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(members, 1)


def false_coverage_level(level: float, selected: int, members: int) -> float:
    """Level of the intervals of ``selected`` members out of ``members`` (Benjamini and Yekutieli 2005).

    At that level the expected share of selected intervals that miss is at most ``1 - level``.

    Raises:
        ValueError: More are selected than there are, or none.
    """
    if not 1 <= selected <= members:
        raise ValueError(f"{selected} of {members} members selected: at least one, at most all")
    return 1 - (1 - level) * selected / members


def claims_at_fdr(
    claim: Callable[[int, float], bool], members: int, level: float
) -> tuple[frozenset[int], float]:
    """Members that make a claim from their interval at the false-coverage level of the selection itself.

    The largest ``R`` such that ``R`` members claim at level ``1 - (1 - level) R / members``.
    Inverted into p-values this is the step-up rule of Benjamini and Hochberg
    (1995); claims and intervals agree as in Benjamini and Yekutieli (2005).

    Args:
        claim: Whether a member claims at a level; whoever claims at a level claims at every lower one.
        members: Size of the family.
        level: Confidence level of the family.

    Returns:
        The members that claim and the level of their intervals; with no claim,
        the level at which a single one would have been made.
    """
    selected = frozenset(range(members))
    while selected:
        adjusted = false_coverage_level(level, len(selected), members)
        remaining = frozenset(i for i in selected if claim(i, adjusted))
        if len(remaining) == len(selected):
            return selected, adjusted
        selected = remaining
    return frozenset(), simultaneous_level(level, members)


def _numbers(values: Sequence[float | None] | npt.ArrayLike, missing: float) -> Floats:
    numbers = np.asarray(values, dtype=float)
    filled: Floats = np.where(np.isnan(numbers), missing, numbers)
    return filled


def _p_values(ps: Sequence[float | None] | npt.ArrayLike) -> Floats:
    values = _numbers(ps, 1.0)
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise ValueError("a p-value lies outside [0, 1]")
    return values


def _in_place(adjusted: Floats, order: npt.NDArray[np.intp]) -> Floats:
    found = np.empty(len(order))
    found[order] = np.minimum(adjusted, 1.0)
    return found
