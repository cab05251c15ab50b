"""Loevinger's H against references that are cut at the child's own rate in every bootstrap draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fmaudit.statistics.design import Design, Floats, Ints
from fmaudit.statistics.resampling import bootstrap_counts, chunks, resampled_weights

_BINS = 96
_REACH = 6.0


@dataclass(frozen=True)
class Cut:
    """Rows of one reference in groups from most to least severe.

    Attributes:
        labels: Group of each row, shape (n,), 0 for the most severe.
        groups: Number of groups.
        lineage: The reference's lineage.
    """

    labels: Ints
    groups: int
    lineage: str


def exact_cut(severity: Floats, lineage: str) -> Cut:
    """One group for each distinct severity."""
    levels, labels = np.unique(-severity, return_inverse=True)
    return Cut(labels.astype(np.int64), len(levels), lineage)


def binned(cut: Cut, rows: Design, rate: float) -> Cut:
    """Groups joined where no draw's threshold will fall, so that draws cost a few columns.

    Thresholds of draws spread around the child's rate by at most ``sqrt(.5 / n_eff)``;
    the bins within 6 of these are a fraction of one wide, beyond it lie two large groups.
    """
    mass = np.cumsum(np.bincount(cut.labels, rows.weights, cut.groups)) / rows.weights.sum()
    reach = _REACH * (0.5 / max(rows.effective_units(), 1.0)) ** 0.5
    wanted = np.clip(rate + reach * np.linspace(-1, 1, _BINS), 0.0, 1.0)
    edges = np.unique(np.searchsorted(mass, wanted))
    joined = np.searchsorted(edges, np.arange(cut.groups))
    return Cut(joined[cut.labels], int(joined[-1]) + 1, cut.lineage)


def point_sums(rows: Design, cuts: list[Cut]) -> Floats:
    """The sums that :func:`loevinger` reads for the rows themselves, shape (1, columns)."""
    b, a = rows.columns[0], rows.columns[1]
    w = rows.weights
    parts = [np.array([w.sum(), w @ b, w @ a, w @ (a * b)])]
    for cut in cuts:
        parts += [np.bincount(cut.labels, w * y, cut.groups) for y in (np.ones(rows.n), b)]
    return np.concatenate(parts)[None]


def drawn_sums(rows: Design, cuts: list[Cut], draws: int, seed: int) -> Iterator[Floats]:
    """The same sums for bootstrap draws of rows, clusters or crossed factors."""
    b, a = rows.columns[0], rows.columns[1]
    crossed = len(rows.active) > 1
    codes, units = (np.arange(rows.n), rows.n) if crossed else rows.units()
    w = np.ones(rows.n) if crossed else rows.weights
    parts = [np.bincount(codes, w * y, units)[:, None] for y in (np.ones(rows.n), b, a, a * b)]
    for cut in cuts:
        place = codes * cut.groups + cut.labels
        for y in (np.ones(rows.n), b):
            parts.append(np.bincount(place, w * y, units * cut.groups).reshape(units, cut.groups))
    table = np.hstack(parts)
    if crossed:
        for weights in resampled_weights(rows, draws, seed):
            yield weights @ table
        return
    rng = np.random.default_rng([seed, 0])
    for portion in chunks(draws, units):
        yield bootstrap_counts(rng, portion, units) @ table


def loevinger(sums: Floats, cuts: list[Cut]) -> tuple[Floats, Floats]:
    """H of the child, (sets,), and of each lineage, (lineages, sets), for sums of shape (sets, columns)."""
    total = sums[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        p_b, p_a, p_ab = (sums[:, 1:4] / total[:, None]).T
        largest = np.minimum(p_a, p_b) - p_a * p_b
        child = (p_ab - p_a * p_b) / largest
        members: dict[str, list[Floats]] = {}
        start = 4
        for cut in cuts:
            mass, failing = sums[:, start:][:, : cut.groups], sums[:, start + cut.groups :][:, : cut.groups]
            both = _most_severe(np.cumsum(mass, axis=1), np.cumsum(failing, axis=1), p_a * total) / total
            members.setdefault(cut.lineage, []).append((both - p_a * p_b) / largest)
            start += 2 * cut.groups
        lineages = [np.mean(members[label], axis=0) for label in sorted(members)]
    return child, np.stack(lineages)


def _most_severe(mass: Floats, failing: Floats, wanted: Floats) -> Floats:
    """Weight of base defects among the most severe rows of total weight ``wanted``, shape (sets,).

    The group that straddles the threshold counts in proportion.
    """
    sets, last = np.arange(len(mass)), mass.shape[1] - 1
    place = np.minimum((mass < (wanted * (1 - 1e-12))[:, None]).sum(axis=1), last)
    prior = np.maximum(place - 1, 0)
    below = np.where(place > 0, mass[sets, prior], 0.0)
    inside = np.where(place > 0, failing[sets, prior], 0.0)
    group = np.maximum(mass[sets, place] - below, 1e-300)
    share = np.clip((wanted - below) / group, 0.0, 1.0)
    found: Floats = inside + share * (failing[sets, place] - inside)
    return found
