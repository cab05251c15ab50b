"""Which models may stand for "a model of this kind that did not come from the base"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fmaudit.statistics.design import Floats

MIN_LINEAGES = 3
"""Comparable reference lineages below which the word is "association"."""
MAX_BITS_RATIO = 0.10
MAX_RATE_GAP = 0.10
MAX_RATE_SHARE = 0.5
"""Gap in defect rates as a share of the child's rate, or of what passes: near 0 ten points are everything."""
MATCHED_GAP = 0.01
"""Gap from which a reference with a severity is cut at the child's rate rather than taken as it is."""

MAX_TIED = 0.05
"""Share of the items tied at a cut above which the cut says nothing of which items would fail."""

State: TypeAlias = Literal["refuted", "verified", "unknown"]


@dataclass(frozen=True)
class Candidate:
    """A model offered as a reference.

    Attributes:
        name: Its name.
        lineage: Models of one lineage count as one reference.
        state: Whether descent from the base was refuted, verified, or is unknown.
        bits_per_byte: On the neutral text, above 0; None where not measured.
        rate: Its defect rate on the items in question, in [0, 1].
        severity: Whether its items carry a severity that can be cut at another threshold.
    """

    name: str
    lineage: str
    state: State
    bits_per_byte: float | None
    rate: float
    severity: bool = False


@dataclass(frozen=True)
class Selection:
    """References taken and refused.

    Attributes:
        accepted: Name -> how its defect rate fits: "rate", or "severity threshold"
            where its outcomes must first be cut by :func:`match_rate`.
        refused: Name -> reason, one line.
        lineages: Lineages among the accepted, sorted.
    """

    accepted: dict[str, Literal["rate", "severity threshold"]]
    refused: dict[str, str]
    lineages: tuple[str, ...]

    @property
    def sufficient(self) -> bool:
        """Whether the lineages can carry more than "association"."""
        return len(self.lineages) >= MIN_LINEAGES


def comparable_references(
    candidates: Iterable[Candidate], bits_per_byte: float | None, rate: float
) -> Selection:
    """Take the candidates that are as strong, as faulty and as unrelated as the child would be.

    A weaker reference shares less of the items' difficulty with the base, lowers
    ``s_ref`` and makes everything look inherited; one from the base's own lineage hides it.
    So does one that hardly ever fails: with a severity it is cut at the child's rate,
    without one its rate may differ by ten points and by half of the child's at most.

    Args:
        candidates: Models offered as references, names unique.
        bits_per_byte: The child's, on the same neutral text; None where not measured.
        rate: The child's defect rate, in [0, 1].

    Raises:
        ValueError: Two candidates share a name, or a rate or bits per byte is out of range.
    """
    offered = sorted(candidates, key=lambda c: c.name)
    names = [c.name for c in offered]
    twice = next((a for a, b in pairwise(names) if a == b), None)
    if twice is not None:
        raise ValueError(f"two references are named {twice}: give each its own name")
    for whose, r, bits in [("child", rate, bits_per_byte)] + [
        (c.name, c.rate, c.bits_per_byte) for c in offered
    ]:
        if not 0 <= r <= 1 or (bits is not None and not bits > 0):
            raise ValueError(f"{whose} has rate {r} and {bits} bits per byte: rates in [0, 1], bits above 0")
    accepted: dict[str, Literal["rate", "severity threshold"]] = {}
    refused: dict[str, str] = {}
    for c in offered:
        reason = _unfit(c, bits_per_byte, rate)
        if reason:
            refused[c.name] = reason
        else:
            cut = c.severity and abs(c.rate - rate) > MATCHED_GAP
            accepted[c.name] = "severity threshold" if cut else "rate"
    lineages = tuple(sorted({c.lineage for c in offered if c.name in accepted}))
    return Selection(accepted, refused, lineages)


def _unfit(c: Candidate, bits: float | None, rate: float) -> str:
    if c.state == "verified":
        return "it descends from the base, a reference must not"
    if c.state != "refuted":
        return "descent from the base is not refuted"
    if bits is None or c.bits_per_byte is None:
        whose = "the child" if bits is None else "it"
        return f"bits per byte of {whose} on the neutral text are unknown, so its strength is"
    if abs(c.bits_per_byte - bits) > MAX_BITS_RATIO * bits + 1e-9:
        kind = "weaker" if c.bits_per_byte > bits else "stronger"
        return f"{kind} than the child: {c.bits_per_byte:.3g} against {bits:.3g} bits per byte, 10 % allowed"
    allowed = min(MAX_RATE_GAP, MAX_RATE_SHARE * min(rate, 1 - rate))
    if abs(c.rate - rate) > allowed + 1e-9 and not c.severity:
        gap = f"defect rate {c.rate:.3f} against the child's {rate:.3f}"
        return f"{gap}, {100 * allowed:.3g} points allowed without a severity to match it by"
    return ""


def match_rate(severity: npt.ArrayLike, rate: float, weights: npt.ArrayLike | None = None) -> Floats:
    """Outcomes of the same model at the threshold where its weighted defect rate is ``rate``.

    Args:
        severity: Shape (n,), finite; larger is worse.
        rate: Wanted defect rate, in [0, 1].
        weights: Shape (n,), at least 0; equal when None.

    Returns:
        Shape (n,): 1 above the threshold, 0 below; items tied at it share the
        fraction that is left.

    Raises:
        ValueError: Shapes or values do not fit.
    """
    z = np.asarray(severity, dtype=float)
    w = np.ones(len(z)) if weights is None else np.asarray(weights, dtype=float)
    if z.ndim != 1 or w.shape != z.shape or not np.isfinite(z).all() or not 0 <= rate <= 1:
        raise ValueError("severities must be finite, with one weight each and a rate in [0, 1]")
    _, codes = np.unique(-z, return_inverse=True)
    mass = np.bincount(codes, w)
    before = np.cumsum(mass) - mass
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((rate * mass.sum() - before) / mass, 0.0, 1.0)
    filled: Floats = np.where(mass > 0, share, 0.0)[codes]
    return filled


def tied_at_cut(severity: npt.ArrayLike, rate: float, weights: npt.ArrayLike | None = None) -> float:
    """Share of the weight that is tied where a threshold at ``rate`` falls, in [0, 1].

    Items that share the rest of a cut evenly are as good as drawn by lot, and what was
    drawn by lot has little in common with anything: a coarse severity makes a reference
    look less like the base than it is. A threshold between two groups counts as falling
    into the larger, where another sample would have it.

    Args:
        severity: Shape (n,), finite; larger is worse.
        rate: Wanted defect rate, in [0, 1].
        weights: Shape (n,), at least 0; equal when None.
    """
    z = np.asarray(severity, dtype=float)
    w = np.ones(len(z)) if weights is None else np.asarray(weights, dtype=float)
    _, codes = np.unique(-z, return_inverse=True)
    mass = np.bincount(codes, w)
    if not mass.sum() > 0:
        return 0.0
    shares = mass / mass.sum()
    after = np.cumsum(shares)
    touched = (after - shares <= rate + 1e-9) & (after >= rate - 1e-9)
    return float(shares[touched].max(initial=0.0))
