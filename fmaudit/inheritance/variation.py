"""What the choice of references does to a copy fraction: spread between lineages, placebo, one left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.proportions import critical

PRIOR_SD = 0.12
"""Standard deviation of the copy fraction of unrelated model pairs, measured on StereoSet."""
OWN_SD_FROM = 8
"""Lineages from which their own standard deviation alone stands for the variation between lineages."""


OWN_SD_LEVEL = 0.95
"""Confidence at which the sd of fewer lineages counts, however strict the level of a family is."""


def between_lineages(slopes: npt.ArrayLike, separation: float, level: float) -> tuple[float, str]:
    """Half-width that unrelated lineages add to the copy fraction, and its source.

    A new unrelated lineage deviates from the mean of R others with variance
    ``(1 + 1/R) sd^2``; t with R - 1 degrees of freedom covers the estimated sd.
    Below 8 lineages the prior stands beside it and the wider of the two is taken;
    their own sd then counts at 95 % at most, as the far tails of t with one or two
    degrees of freedom say nothing about lineages.

    Args:
        slopes: Slope of each lineage, shape (R,).
        separation: ``s_self - s_ref``, which turns slopes into copy fractions.
        level: Confidence level.
    """
    s = np.asarray(slopes, dtype=float)
    count = len(s)
    prior, own = critical(level) * PRIOR_SD, 0.0
    if count > 1:
        spread = float(s.std(ddof=1)) / separation * math.sqrt(1 + 1 / count)
        own = critical(level if count >= OWN_SD_FROM else min(level, OWN_SD_LEVEL), count - 1) * spread
    if count >= OWN_SD_FROM:
        return own, f"own sd of {count} lineages, t({count - 1})"
    if own > prior:
        return own, f"own sd of {count} lineages, t({count - 1}), wider than prior sd {PRIOR_SD:g}"
    return prior, f"prior sd {PRIOR_SD:g} ({count} lineage{'s' if count > 1 else ''})"


def leave_one_out(adapted: float, own: float, slopes: Sequence[float]) -> tuple[float, float] | None:
    """Smallest and largest copy fraction with each lineage's slope left out.

    None below two lineages, and where leaving one out makes it undefined.
    """
    if len(slopes) < 2:
        return None
    total, count = sum(slopes), len(slopes)
    means = [(total - s) / (count - 1) for s in slopes]
    values = [(adapted - m) / (own - m) for m in means if own > m]
    return (min(values), max(values)) if len(values) == len(means) else None


@dataclass(frozen=True)
class Placebo:
    """Each lineage in turn treated as if adapted, against the remaining ones.

    Attributes:
        p: ``(1 + #{placebo copy fractions >= the child's}) / (1 + R)``.
        floor: Smallest p that R lineages can give, ``1 / (R + 1)``.
        decisive: Whether there are lineages enough (39) for the p-value to decide.
        values: Placebo copy fraction of each lineage.
    """

    p: float
    floor: float
    decisive: bool
    values: dict[str, float]


DECISIVE_LINEAGES = 39


def placebo(value: float, own: float, slopes: Mapping[str, float]) -> Placebo | None:
    """Rank of the child's copy fraction among those of the unrelated lineages; None below two."""
    count, total = len(slopes), sum(slopes.values())
    if count < 2:
        return None
    values = {}
    for label, s in slopes.items():
        rest = (total - s) / (count - 1)
        values[label] = (s - rest) / (own - rest) if own > rest else float("inf")
    beyond = sum(v >= value for v in values.values())
    return Placebo((1 + beyond) / (1 + count), 1 / (1 + count), count >= DECISIVE_LINEAGES, values)
