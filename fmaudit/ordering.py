"""The seeded random order of items: any head of it is an unbiased sample.

One cluster factor (documents, pairs): the clusters come in random order, each
kept together, its items in random order; then the whole sequence is turned
like a ring by a random number of places. Without the turn an item of a large
cluster would be in a short head less often than an item of a small one; with it
every item has the same chance, ``n / N``, whatever the cluster sizes.

Several crossed factors (templates x occupations): items come in random order
one by one, so that a head spreads evenly over the levels of every factor;
keeping one factor together would leave levels of it out altogether.

The order is a function of seed, cluster labels and ids; the order in which the
items arrive plays no part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fmaudit.canonical import canonical_bytes
from fmaudit.probe import Item


def random_order(items: Sequence[Item], seed: int) -> list[Item]:
    """All items in seeded random order; ids must be unique."""
    if not items:
        return []
    factors = {factor for item in items for factor in item.clusters}
    if len(factors) != 1:
        return sorted(items, key=lambda item: (_draw(seed, "item", item.id), item.id))
    factor = factors.pop()
    ordered = sorted(
        items,
        key=lambda item: (
            # An item outside the factor is a cluster of its own.
            _draw(seed, "cluster", *([item.clusters[factor]] if item.clusters else ["", item.id])),
            _draw(seed, "item", item.id),
            item.id,
        ),
    )
    turn = int.from_bytes(_draw(seed, "turn")) % len(ordered)
    return ordered[turn:] + ordered[:turn]


def head(items: Sequence[Item], n: int | None) -> list[Item]:
    """The first ``n`` items of a random order, all for None. Raises ValueError below 1."""
    if n is not None and n < 1:
        raise ValueError(f"a head has at least one item, got {n}")
    return list(items[:n])


def _draw(seed: int, *labels: str) -> bytes:
    return hashlib.sha256(canonical_bytes([seed, *labels])).digest()
