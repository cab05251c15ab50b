"""Copy fraction where base, child and references were sampled on the same random numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.inheritance import carries_inheritance, copy_fraction

N = 1000


class Sampled:
    """Models of shared difficulty, sampled k times an item; ``coupled``: share of items on common numbers."""

    def __init__(self, seed, k):
        self.rng, self.k = np.random.default_rng(seed), k
        self.shared = self.rng.normal(size=N)
        self.common = self.rng.random((N, k))
        self.chance = self.model()
        self.base = self.on(self.chance, 1.0)
        self.retest = self.on(self.chance, 0.0)

    def model(self):
        return 1 / (1 + np.exp(0.5 - 1.1 * (self.shared + self.rng.normal(size=N))))

    def on(self, chance, coupled):
        own = self.rng.random((N, self.k))
        numbers = np.where(self.rng.random((N, 1)) < coupled, self.common, own)
        return (numbers < chance[:, None]).mean(axis=1)

    def references(self, coupled):
        return {name: self.on(self.model(), coupled) for name in "xyz"}


@pytest.mark.parametrize("k", [1, 5, 25])
def test_the_bases_very_texts_are_one_whole_copy(k):
    world = Sampled(1, k)
    found = copy_fraction(world.base, world.base, world.references(1.0), world.retest, draws=200)
    assert found.value == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("coupled", [0.0, 0.8])
@pytest.mark.parametrize(("k", "tolerance"), [(5, 0.06), (25, 0.03)])
def test_a_further_run_of_the_base_is_one_whole_copy(k, tolerance, coupled):
    values = []
    for seed in range(12):
        world = Sampled(seed, k)
        again = world.on(world.chance, coupled)
        found = copy_fraction(world.base, again, world.references(coupled), world.retest, draws=100)
        values.append(found.value)
    assert np.mean(values) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("references", [0.0, 0.8])
@pytest.mark.parametrize("k", [5, 25])
def test_common_random_numbers_are_no_copying(k, references):
    values, words = [], 0
    for seed in range(20):
        world = Sampled(seed, k)
        child = world.on(world.model(), 0.8)
        found = copy_fraction(world.base, child, world.references(references), world.retest, draws=100)
        values.append(found.value)
        words += carries_inheritance(found)
    assert words == 0
    assert abs(np.mean(values)) < 0.06


@pytest.mark.parametrize("k", [1, 5, 25])
def test_a_part_is_printed_as_that_part_whatever_is_shared(k):
    values = []
    for seed in range(30):
        world = Sampled(seed, k)
        chance = np.where(world.rng.random(N) < 0.6, world.chance, world.model())
        child = world.on(chance, 0.8)
        found = copy_fraction(world.base, child, world.references(0.8), world.retest, draws=100)
        values += [] if found.value is None else [found.value]
    assert len(values) >= 27
    assert np.mean(values) == pytest.approx(0.6, abs=3 * np.std(values) / len(values) ** 0.5 + 0.01)
