"""A child that repeats its base on all but a few items: the interval stays an interval."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fmaudit.inheritance import copy_fraction

ITEMS, SIZE = 1000, 4


def models(rng, spread=1.0):
    """A base and three unrelated models; difficulty is shared within clusters of four."""
    shared = np.repeat(rng.normal(size=ITEMS // SIZE), SIZE) * spread
    chance = 1 / (1 + np.exp(-(shared - 0.3)))
    return (rng.random((5, ITEMS)) < chance).astype(float)


def audited(rng, flips, level, seed=0, draws=2000):
    base, other, *references = models(rng)
    child = base.copy()
    chosen = rng.choice(ITEMS, flips, replace=False)
    child[chosen] = 1 - child[chosen]
    named = {f"r{place}": outcome for place, outcome in enumerate(references)}
    clusters = np.repeat(np.arange(ITEMS // SIZE), SIZE)
    return copy_fraction(base, child, named, clusters=clusters, level=level, seed=seed, draws=draws)


@pytest.mark.parametrize("flips", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("level", [0.95, 0.99, 0.999])
def test_a_few_flips_give_a_narrow_interval_at_any_level(flips, level):
    found = audited(np.random.default_rng(flips), flips, level)
    lower, upper = found.conditional
    assert lower < found.value < upper
    # The exact upper limit of so few events, as if each took a whole unit of the copy fraction's scale.
    assert lower > 1 - 12 * (flips + 5 + 4 * flips**0.5) / ITEMS
    assert upper < 1.2
    assert found.verdict_interval[0] > 0


def test_wider_levels_hold_narrower_ones():
    for flips in (1, 3, 6, 20):
        ends = [
            audited(np.random.default_rng(9), flips, level).conditional for level in (0.9, 0.95, 0.99, 0.999)
        ]
        assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("units", [1, 2, 3, 4, 6, 9, 14])
@pytest.mark.parametrize("seed", range(4))
def test_flips_of_whole_clusters_too(units, seed):
    rng = np.random.default_rng([units, seed])
    sizes = rng.integers(1, 7, size=300)
    clusters = np.repeat(np.arange(300), sizes)
    base, *references = (rng.random((4, 300)) < 0.4).astype(float)
    child = base.copy()
    chosen = rng.choice(np.flatnonzero(base == 1), units, replace=False)
    child[chosen] = 0.0
    named = {f"r{place}": outcome[clusters] for place, outcome in enumerate(references)}
    found = copy_fraction(base[clusters], child[clusters], named, clusters=clusters, level=0.999)
    lower, upper = found.conditional
    assert 1 - 12 * (units + 5 + 4 * units**0.5) / 300 < lower < found.value < upper < 1.3


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0.985, 0.995, 0.999])
def test_the_interval_covers_a_child_that_almost_copies(kept):
    covered = []
    for run in range(600):
        rng = np.random.default_rng([7, round(1000 * kept), run])
        base, other, *references = models(rng)
        child = np.where(rng.random(ITEMS) < kept, base, other)
        named = {f"r{place}": outcome for place, outcome in enumerate(references)}
        clusters = np.repeat(np.arange(ITEMS // SIZE), SIZE)
        lower, upper = copy_fraction(base, child, named, clusters=clusters, seed=run, draws=400).conditional
        covered.append(lower <= kept <= upper)
    assert np.mean(covered) > 0.93
