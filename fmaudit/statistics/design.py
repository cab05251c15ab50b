"""Weights and cluster factors of a set of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.interval import MIN_CLUSTERS, round_down

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Clusters: TypeAlias = Mapping[str, npt.NDArray[np.generic]]
"""Factor name -> labels, one a row; empty when every row is its own cluster."""


def kish(weights: npt.ArrayLike) -> float:
    """Kish's effective sample size ``(sum w)^2 / sum w^2``; 0 when no weight is positive."""
    w = np.asarray(weights, dtype=float)
    largest = w.max(initial=0.0)
    if largest <= 0:
        return 0.0
    scaled = w / largest
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def effective_clusters(weights: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Kish's effective size over the weight totals of the clusters.

    Args:
        weights: One non-negative weight a row.
        labels: One cluster label a row, any dtype.

    Returns:
        Between 1 and the number of clusters; 0 without rows.
    """
    codes, levels = _codes(np.asarray(labels))
    return kish(np.bincount(codes, weights=np.asarray(weights, dtype=float), minlength=levels))


@dataclass(frozen=True)
class Design:
    """Rows with a positive weight and the factors that make them dependent.

    Attributes:
        columns: The row values, each of shape (n,), in an order that does not
            depend on the order of the input unless ``keep_order`` was asked.
        weights: Shape (n,), positive, largest 1.
        codes: Integer levels of each factor, numbered in sorted order of labels.
        levels: Number of levels of each factor.
        effective: Kish-effective levels of each factor.
        active: Factors to resample: more than one level, not nested in another.
        kept: Indices of the rows with a positive weight in the input order.
    """

    columns: tuple[Floats, ...]
    weights: Floats
    codes: dict[str, Ints]
    levels: dict[str, int]
    effective: dict[str, float]
    active: tuple[str, ...]
    kept: Ints

    @property
    def n(self) -> int:
        """Number of rows with a positive weight."""
        return len(self.weights)

    def units(self) -> tuple[Ints, int]:
        """Codes and number of the independent units; only for at most one active factor."""
        if self.active:
            return self.codes[self.active[0]], self.levels[self.active[0]]
        return np.arange(self.n), self.n

    def effective_units(self) -> float:
        """Effective independent units: of the scarcest factor that counts as sampled."""
        if not self.active:
            return kish(self.weights)
        sampled = [self.effective[f] for f in self.active if self.effective[f] >= MIN_CLUSTERS]
        return min(sampled or [self.effective[f] for f in self.active])

    def estimand(self, what: str) -> str:
        """``what`` with the factors that count as sampled and as fixed."""
        if not self.levels:
            state = "sampled" if kish(self.weights) >= MIN_CLUSTERS else "fixed"
            return f"item-weighted {what}; items {state}"
        sampled = sorted(f for f, k in self.effective.items() if k >= MIN_CLUSTERS)
        fixed = sorted(f for f, k in self.effective.items() if k < MIN_CLUSTERS)
        named = ((sampled, "sampled"), (fixed, "fixed"))
        parts = "; ".join(f"{', '.join(factors)} {state}" for factors, state in named if factors)
        return f"item-weighted {what}; {parts}"

    def verdict(self) -> tuple[bool, str]:
        """Whether enough clusters were sampled to conclude anything, else the reason."""
        if not self.levels:
            effective, unit = kish(self.weights), "effective items"
        else:
            name, effective = max(self.effective.items(), key=lambda pair: (pair[1], pair[0]))
            unit = f"effective clusters of {name}"
        if effective >= MIN_CLUSTERS:
            return True, ""
        shown = f"{round_down(effective)} {unit}, {MIN_CLUSTERS} needed"
        return False, f"{shown}: nothing can be concluded beyond these items"


def design(
    columns: Sequence[npt.ArrayLike],
    weights: npt.ArrayLike | None,
    clusters: Clusters | None,
    *,
    n: int | None = None,
    keep_order: bool = False,
) -> Design:
    """Check the rows, drop those without weight and number the cluster levels.

    Args:
        columns: Row values, each of shape (n,), finite.
        weights: Shape (n,), non-negative and finite; equal when None.
        clusters: Factor name -> labels of shape (n,).
        n: Number of rows when there are no columns.
        keep_order: Keep the rows in input order, for callers bound to it.

    Raises:
        ValueError: A shape, a weight or a value does not fit.
    """
    values = [np.asarray(c, dtype=float) for c in columns]
    size = len(values[0]) if values else int(n or 0)
    w = np.ones(size) if weights is None else np.asarray(weights, dtype=float)
    _check(values, w, clusters or {}, size)
    kept = np.flatnonzero(w > 0)
    w = w[kept] / w.max(initial=1.0 if not len(kept) else 0.0)
    values = [v[kept] for v in values]
    codes: dict[str, Ints] = {}
    levels: dict[str, int] = {}
    for name in sorted(clusters or {}):
        codes[name], levels[name] = _codes(np.asarray((clusters or {})[name])[kept])
    if not keep_order:
        order = np.lexsort([*values, w, *codes.values()])
        w, kept, values = w[order], kept[order], [v[order] for v in values]
        codes = {name: c[order] for name, c in codes.items()}
    effective = {f: kish(np.bincount(c, weights=w, minlength=levels[f])) for f, c in codes.items()}
    return Design(tuple(values), w, codes, levels, effective, _active(codes, levels), kept)


def subset(rows: Design, mask: Bools) -> Design:
    """The rows where ``mask`` holds, with their own levels, in the same order."""
    codes: dict[str, Ints] = {}
    levels: dict[str, int] = {}
    for name, c in rows.codes.items():
        present, renumbered = np.unique(c[mask], return_inverse=True)
        codes[name], levels[name] = renumbered, len(present)
    w = rows.weights[mask]
    effective = {f: kish(np.bincount(c, weights=w, minlength=levels[f])) for f, c in codes.items()}
    columns = tuple(v[mask] for v in rows.columns)
    return Design(columns, w, codes, levels, effective, _active(codes, levels), rows.kept[mask])


def _check(values: Sequence[Floats], w: Floats, clusters: Clusters, size: int) -> None:
    for array in (*values, w, *clusters.values()):
        if np.shape(array) != (size,):
            raise ValueError(f"an array of shape {np.shape(array)} meets {size} rows: pass one entry a row")
    if not all(np.isfinite(v).all() for v in values):
        raise ValueError("a value is NaN or infinite: leave invalid rows out and report the coverage")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("a weight is negative, NaN or infinite: weights must be at least 0")


def _codes(labels: npt.NDArray[np.generic]) -> tuple[Ints, int]:
    # Sorting every row's text is slow: only the distinct ones are sorted.
    if labels.dtype.kind in "biu":
        distinct, first = np.unique(labels, return_inverse=True)
        texts = distinct.astype(str)
    else:
        index: dict[str, int] = {}
        rows = labels.astype(str).tolist()
        first = np.fromiter((index.setdefault(text, len(index)) for text in rows), np.int64, len(rows))
        texts = np.array(list(index), dtype=str)
    levels, rank = np.unique(texts, return_inverse=True)
    return rank[first].astype(np.int64), len(levels)


def _active(codes: Mapping[str, Ints], levels: Mapping[str, int]) -> tuple[str, ...]:
    """Factors with several levels and shared ones, without those nested in (or equal to) another."""
    rows = max((len(c) for c in codes.values()), default=0)
    coarse_first = sorted((f for f in codes if 1 < levels[f] < rows), key=lambda f: (levels[f], f))
    active: list[str] = []
    for name in coarse_first:
        if not any(_nested(codes[name], codes[outer], levels[outer]) for outer in active):
            active.append(name)
    return tuple(sorted(active))


def _nested(inner: Ints, outer: Ints, outer_levels: int) -> bool:
    return len(np.unique(inner * outer_levels + outer)) == len(np.unique(inner))
