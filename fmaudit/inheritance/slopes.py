"""How strongly a model fails where the base fails: paired slopes, by model and by lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics import Clusters
from fmaudit.statistics.design import Floats

References: TypeAlias = Mapping[str, npt.ArrayLike | Sequence[npt.ArrayLike]]
"""Reference name -> outcomes of shape (n,), or several such arrays of one reference."""


def slope(base: npt.ArrayLike, other: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """Weighted ``cov(base, other) / var(base)``.

    For outcomes 0 and 1 this is P(other fails | base fails) - P(other fails |
    base passes): 1 for a copy, 0 for an independent model, and well above 0 for
    unrelated models wherever items differ in difficulty.

    Args:
        base: Shape (n,), in [0, 1], 1 for a defect.
        other: Shape (n,), in [0, 1], of the same items.
        weights: Shape (n,), at least 0; equal when None.

    Returns:
        Usually between -1 and 1; NaN where the base's outcomes do not vary.

    Raises:
        ValueError: Shapes differ or a value lies outside [0, 1].
    """
    b = outcomes(base, "the base")
    y = outcomes(other, "the other model", len(b))
    w = np.ones(len(b)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != b.shape:
        raise ValueError(f"weights of shape {w.shape} meet {len(b)} items: pass one weight an item")
    variance = covariance(w, b, b)
    return covariance(w, b, y) / variance if variance > 0 else float("nan")


def covariance(w: Floats, a: Floats, b: Floats) -> float:
    """Weighted population covariance."""
    total = w.sum()
    if not total > 0:
        return float("nan")
    return float(w @ ((a - w @ a / total) * (b - w @ b / total)) / total)


def outcomes(values: npt.ArrayLike, whose: str, n: int | None = None) -> Floats:
    """One outcome in [0, 1] an item, as floats.

    Raises:
        ValueError: Not one-dimensional, of another length, or outside [0, 1].
    """
    y = np.asarray(values, dtype=float)
    if y.ndim != 1 or (n is not None and len(y) != n):
        wanted = "(n,)" if n is None else f"({n},)"
        raise ValueError(f"outcomes of {whose} have shape {y.shape}, {wanted} needed: pass one value an item")
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError(f"outcomes of {whose} leave [0, 1] or are NaN: leave invalid items out everywhere")
    return y


@dataclass(frozen=True)
class Lineages:
    """Reference outcomes, averaged within each lineage.

    Attributes:
        models: Reference name -> mean outcomes, shape (n,), sorted by name.
        means: Lineage -> mean outcomes of its references, shape (n,), sorted by lineage.
    """

    models: dict[str, Floats]
    means: dict[str, Floats]

    def reference(self, n: int) -> Floats:
        """Mean outcome over lineages, shape (n,); zeros without a lineage."""
        return np.mean(list(self.means.values()), axis=0) if self.means else np.zeros(n)


def by_lineage(references: References, lineages: Mapping[str, str] | None, n: int) -> Lineages:
    """Check the references and average them within each lineage.

    Args:
        references: Outcomes by reference name.
        lineages: Lineage of a reference; one that is not named is its own lineage.
        n: Items.

    Raises:
        ValueError: A shape or value does not fit, or a lineage names no reference.
    """
    unknown = sorted(set(lineages or {}) - set(references))
    if unknown:
        raise ValueError(f"a lineage is given for {unknown[0]}, which is no reference: name references only")
    models: dict[str, Floats] = {}
    for name in sorted(references):
        several = np.asarray(references[name], dtype=float)
        stacked = several[None] if several.ndim == 1 else several
        if not len(stacked):
            raise ValueError(f"reference {name} has no outcomes: leave it out")
        models[name] = np.mean([outcomes(row, f"reference {name}", n) for row in stacked], axis=0)
    members: dict[str, list[Floats]] = {}
    for name, values in models.items():
        members.setdefault((lineages or {}).get(name, name), []).append(values)
    return Lineages(models, {label: np.mean(members[label], axis=0) for label in sorted(members)})


def as_factors(clusters: Clusters | npt.ArrayLike | None) -> Clusters | None:
    """Cluster factors by name; a single array of labels becomes the factor ``cluster``."""
    if clusters is None or isinstance(clusters, Mapping):
        return clusters
    return {"cluster": np.asarray(clusters)}
