"""Simulated rows with known truth, and the limits that the gate decides on, by the real estimators."""

from __future__ import annotations

import numpy as np

from fmaudit.analysis.decisive import decisive_change, decisive_rate
from fmaudit.statistics import rate, rate_change

LEVEL = 0.9
"""Two-sided level of the gate at one-sided confidence .95."""


def _fields(interval):
    names = ("value", "lower", "upper", "level", "method", "n", "n_eff")
    return {name: getattr(interval, name) for name in names} | {
        "worst_interval": (interval.lower, interval.upper)
    }


def rate_limits(values, weights=None, labels=None, level=LEVEL):
    """Lower and upper limit of a rate as the gate decides on it."""
    clusters = None if labels is None else {"cluster": labels}
    found = decisive_rate(_fields(rate(values, weights, clusters, level=level)))
    return found["lower"], found["upper"]


def change_limits(base, adapted, labels=None, level=LEVEL, draws=400, seed=0):
    """Lower and upper limit of a paired change as the gate decides on it."""
    clusters = None if labels is None else {"cluster": labels}
    interval = rate_change(base, adapted, None, clusters, level=level, draws=draws, seed=seed)
    found = decisive_change(_fields(interval))
    return found["lower"], found["upper"]


def categories(shares, sizes, icc, rng):
    """Category of each row; shares vary between clusters (Dirichlet) with that intraclass correlation."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    own = np.tile(np.asarray(shares, dtype=float), (len(sizes), 1))
    if icc:
        drawn = rng.gamma(np.maximum(shares, 1e-12) * (1 - icc) / icc, size=own.shape)
        total = drawn.sum(axis=1, keepdims=True)
        own = np.where(total > 0, drawn / np.where(total > 0, total, 1), own)
    found = (rng.random(len(labels))[:, None] >= np.cumsum(own, axis=1)[:, :-1][labels]).sum(axis=1)
    return found, labels


def rate_rows(truth, sizes, icc, rng):
    """0/1 outcomes and cluster labels."""
    found, labels = categories([truth, 1 - truth], sizes, icc, rng)
    return (found == 0).astype(float), labels


def change_rows(truth, discordance, sizes, icc, rng):
    """Outcomes of base and adapted model, and cluster labels."""
    shares = np.array([(discordance + truth) / 2, (discordance - truth) / 2, 1 - discordance])
    found, labels = categories(shares, sizes, icc, rng)
    return (found == 1).astype(float), (found == 0).astype(float), labels
