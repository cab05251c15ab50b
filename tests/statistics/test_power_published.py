"""Sample sizes and correlations as they are published, and every number of items from the proposed one on."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.statistics.layout import alone, intraclass, layout
from fmaudit.statistics.power import MeanModel, RateModel
from fmaudit.statistics.power_change import ChangeModel
from fmaudit.statistics.sizing import chance_inside, items_needed

LONE = alone(30)


@pytest.mark.parametrize(
    ("limit", "level", "n"),
    [(0.1, 0.8, 22), (0.05, 0.9, 59), (0.02, 0.9, 149), (0.01, 0.9, 299), (0.01, 0.98, 459)],
)
def test_the_classical_sizes_of_a_flawless_sample(limit, level, n):
    """22 for 90 % confidence in 90 %, 59 for 95 % in 95 %, 299 for 95 % in 99 %, 459 for 99 % in 99 %."""
    assert items_needed(RateModel(LONE), 0.0, (None, limit), level, power=0.9) == n


@pytest.mark.parametrize(
    ("effect", "power", "n"), [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.95, 54)]
)
def test_published_sizes_of_one_mean(effect, power, n):
    """Two-sided one-sample t test at 5 % (Cohen 1988; Faul et al. 2007)."""
    assert items_needed(MeanModel(1.0, LONE), effect, (0.0, None), 0.95, power=power, least=2) == n


@pytest.mark.parametrize(
    ("size", "icc", "effect"), [(20, 0.05, 1.95), (10, 0.01, 1.09), (5, 0.1, 1.4), (30, 0.02, 1.58)]
)
def test_published_design_effects_hold_beyond_the_last_item(size, icc, effect):
    """``1 + (m - 1) icc`` (Kish 1965; Donner and Klar 2000); beyond N the items go on as they are."""
    found = layout(np.ones(size * 40), {"c": np.repeat(np.arange(40), size)}, {"c": icc})
    for n in (size * 40, size * 400):
        assert found.design_effect(n) == pytest.approx(effect)
        assert found.independent_units(n) == pytest.approx(n / size)


def test_the_published_intraclass_correlation():
    """Six targets of four judges (Shrout and Fleiss 1979): ICC(1,1) .17, 95 % interval up to .72."""
    judges = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    found = intraclass(judges.ravel(), np.repeat(np.arange(6), 4), confidence=0.975)
    assert found == pytest.approx((0.1657, 0.7226), abs=5e-4)


@pytest.mark.parametrize(
    ("model", "truth", "bound", "power"),
    [
        # Each has a dip that a coarse look at larger numbers steps over.
        (RateModel(LONE), 0.04, 0.05, 0.9),
        (RateModel(LONE), 0.29588, 0.3, 0.9),
        (ChangeModel(0.07889998924189505, LONE), 0.0, 0.05, 0.9),
        (ChangeModel(0.05108498850456574, LONE), 0.0, 0.05, 0.9667),
        (ChangeModel(0.02885995808226666, LONE), 0.0, 0.02, 0.8),
    ],
)
def test_no_number_beyond_the_needed_one_falls_below_the_power(model, truth, bound, power):
    n = items_needed(model, truth, (None, bound), 0.9, power=power, least=30)
    later = np.arange(n, n + (5000 if model.dense else 400))
    assert chance_inside(model, truth, later, (None, bound), 0.9).min() >= power
    assert chance_inside(model, truth, n - 1, (None, bound), 0.9)[0] < power
