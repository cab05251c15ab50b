"""Agreement of two models beyond what their accuracies bring about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.moments import resample, to_interval
from fmaudit.inheritance.tables import CONSTANT, cell_columns, kappa
from fmaudit.statistics.changes import paired_table
from fmaudit.statistics.design import Bools, Clusters, Floats, Ints, design
from fmaudit.statistics.interval import Interval

SUM_TOLERANCE = 1e-6
"""How far the probabilities of an item may be from summing to 1."""


def error_consistency(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Kappa of two models' failures (Geirhos et al. 2020): agreement beyond equal independent rates.

    Args:
        first: Shape (n,), 0 or 1, 1 = fails.
        second: Shape (n,), of the same items.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        Value of at most 1; 0 under independence. Symmetric in the models.

    Raises:
        ValueError: An outcome is not 0 or 1, or shapes or weights do not fit.
    """
    rows = design([first, second], weights, clusters)
    paired_table(*rows.columns)
    found = resample(rows, cell_columns, lambda cells: kappa(cells)[:, None], draws, seed)
    return to_interval(found, 0, "error consistency", level, CONSTANT)


@dataclass(frozen=True)
class Capa:
    """Chance-adjusted probabilistic agreement (Goel et al. 2025).

    Attributes:
        kappa: ``(observed - expected) / (1 - expected)``, at most 1; 0 under independent
            errors. A model against itself reaches 1 only with one-hot answers.
        observed: Mean over items of the chance that both choose the same option.
        expected: The same for independent models of these accuracies whose errors
            fall evenly on the wrong options.
        gold_first: Mean probability of the first model on the correct option.
        gold_second: The same of the second model.
    """

    kappa: Interval
    observed: Interval
    expected: Interval
    gold_first: Interval
    gold_second: Interval


def capa(
    first: npt.ArrayLike | Sequence[npt.ArrayLike],
    second: npt.ArrayLike | Sequence[npt.ArrayLike],
    gold: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Capa:
    """CAPA of two models on multiple-choice items (Goel et al. 2025, the metric kappa_p).

    Pass :func:`one_hot` answers for the discrete form, which with two options
    everywhere equals :func:`error_consistency`.

    Args:
        first: One array of option probabilities an item, or shape (n, most options)
            padded with NaN.
        second: The same of the other model, with the same options.
        gold: Shape (n,), position of the correct option.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: Options, probabilities or gold positions do not fit.
    """
    columns = _item_terms(padded(first), padded(second), np.asarray(gold))
    rows = design(columns, weights, clusters)
    found = resample(rows, _with_count, _capa, draws, seed)
    names = ("CAPA", "observed agreement", "expected agreement", "gold probability", "gold probability")
    undefined = "both models are always right, or both always wrong between two options"
    kappa_p, *parts = (to_interval(found, i, name, level, undefined) for i, name in enumerate(names))
    return Capa(kappa_p, *parts)


def one_hot(probabilities: npt.ArrayLike | Sequence[npt.ArrayLike]) -> Floats:
    """The most probable option of each item as 1, the others 0; the first one of equals.

    Returns:
        Shape (n, most options), NaN where an item has no such option.
    """
    p = padded(probabilities)
    chosen = np.argmax(np.where(np.isnan(p), -np.inf, p), axis=1)
    out = np.where(np.isnan(p), np.nan, 0.0)
    out[np.arange(len(p)), chosen] = 1.0
    return out


def padded(probabilities: npt.ArrayLike | Sequence[npt.ArrayLike]) -> Floats:
    """Items with differing numbers of options as one matrix, padded with NaN."""
    if isinstance(probabilities, np.ndarray) and probabilities.ndim == 2:
        return probabilities.astype(float)
    items: list[Floats] = [np.asarray(p, dtype=float).ravel() for p in probabilities]  # type: ignore[union-attr]
    sizes = np.array([len(p) for p in items], dtype=np.int64)
    out = np.full((len(items), int(sizes.max(initial=0))), np.nan)
    if len(items):
        out[np.arange(out.shape[1]) < sizes[:, None]] = np.concatenate(items)
    return out


def _item_terms(a: Floats, b: Floats, gold: npt.NDArray[np.generic]) -> tuple[Floats, ...]:
    """Agreement, gold probabilities and chance of an equal wrong option of each item."""
    if len(a) != len(b) or gold.shape != (len(a),):
        raise ValueError(f"{len(a)}, {len(b)} items and gold of shape {gold.shape}: pass one entry an item")
    width = max(a.shape[1], b.shape[1])
    a, b = (np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=np.nan) for p in (a, b))
    known = ~np.isnan(a)
    differ: Bools = np.any(np.not_equal(known, ~np.isnan(b)), axis=1)
    _refuse(differ, "its options differ between the models")
    options: Ints = known.sum(axis=1)
    few: Bools = np.less(options, 2)
    _refuse(few, "it has fewer than two options")
    for p in (a, b):
        negative: Bools = np.any(np.less(p, 0), axis=1)
        _refuse(negative, "a probability is negative")
        _refuse(~(np.abs(np.nansum(p, axis=1) - 1) <= SUM_TOLERANCE), "its probabilities do not sum to 1")
    if not len(a):
        return (np.empty(0),) * 4
    rows, place = np.arange(len(a)), np.clip(gold.astype(np.int64), 0, width - 1)
    _refuse(np.asarray((place != gold) | ~known[rows, place], dtype=bool), "gold is not one of its options")
    return np.nansum(a * b, axis=1), a[rows, place], b[rows, place], 1 / (options - 1)


def _refuse(wrong: Bools, why: str) -> None:
    if wrong.any():
        raise ValueError(f"item {int(np.flatnonzero(wrong)[0])}: {why}; leave it out or repair it")


def _with_count(columns: tuple[Floats, ...]) -> Floats:
    return np.column_stack([np.ones(len(columns[0])), *columns])


def _capa(sums: Floats) -> Floats:
    total, *parts = sums.T
    observed, gold_a, gold_b, chance = (part / np.where(total > 0, total, np.nan) for part in parts)
    expected = gold_a * gold_b + chance * (1 - gold_a) * (1 - gold_b)
    room = np.where(1 - expected > 1e-12, 1 - expected, np.nan)
    return np.column_stack([(observed - expected) / room, observed, expected, gold_a, gold_b])
