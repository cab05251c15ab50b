"""Numbers of items: published figures, statsmodels and simulated power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from fmaudit.statistics import (
    equivalence,
    exact_mcnemar,
    items_for_absence,
    items_for_change,
    items_for_equivalence,
    items_for_rate,
)


@pytest.mark.parametrize(("discordance", "expected"), [(0.1, 520), (0.2, 1040), (0.3, 1560)])
def test_equivalence_at_five_points_with_95_percent_power(discordance, expected):
    assert items_for_equivalence(discordance, 0.05) == expected
    doubled = items_for_equivalence(discordance, 0.05, design_effect=2)
    assert doubled == pytest.approx(2 * expected, abs=2)


def test_equivalence_has_its_power():
    n, discordance = items_for_equivalence(0.2, 0.1, power=0.8), 0.2
    rng = np.random.default_rng(0)
    claims = []
    for gained, lost, _ in rng.multinomial(n, [discordance / 2, discordance / 2, 1 - discordance], 400):
        base, adapted = np.zeros(n), np.zeros(n)
        adapted[:gained], base[gained : gained + lost] = 1, 1
        claims.append(equivalence(base, adapted, 0.1).equivalent)
    assert np.mean(claims) == pytest.approx(0.8, abs=0.06)


def test_change_has_its_power_in_exact_tests():
    n = items_for_change(0.2, 0.05)
    assert n == 626
    rng = np.random.default_rng(1)
    tables = rng.multinomial(n, [0.125, 0.075, 0.8], 3000)
    found = np.mean([exact_mcnemar(lost, gained) <= 0.05 for gained, lost, _ in tables])
    assert found == pytest.approx(0.8, abs=0.04)
    assert items_for_change(0.2, -0.05, design_effect=1.5) == pytest.approx(1.5 * n, abs=1)


@pytest.mark.parametrize(("p", "half_width"), [(0.5, 0.05), (0.1, 0.03), (0.0, 0.01), (0.3, 0.4)])
def test_rate_is_the_smallest_number_of_items(p, half_width):
    n = items_for_rate(p, half_width)

    def half(size):
        low, high = proportion_confint(p * size, size, method="wilson")
        return (high - low) / 2

    assert half(n) <= half_width + 1e-12
    assert n == 1 or half(n - 1) > half_width
    if p == 0.5 and half_width == 0.05:
        assert n == 381


def test_absence_is_the_inverse_of_the_exact_interval():
    n = items_for_absence(0.01)
    assert n == 368
    assert binom.cdf(0, n, 0.01) <= 0.025 < binom.cdf(0, n - 1, 0.01)
    # The rule of three is its one-sided form.
    assert items_for_absence(0.01, level=0.9) == pytest.approx(3 / 0.01, abs=2)


def test_impossible_plans_are_refused():
    for call in (
        lambda: items_for_equivalence(0.0, 0.05),
        lambda: items_for_equivalence(0.1, 0.0),
        lambda: items_for_change(0.1, 0.2),
        lambda: items_for_change(0.1, 0.0),
        lambda: items_for_rate(0.1, 0.6),
        lambda: items_for_absence(0.01, design_effect=0),
        lambda: items_for_equivalence(0.1, 0.05, power=1.0),
    ):
        with pytest.raises(ValueError, match=r"between|above|below|positive"):
            call()
