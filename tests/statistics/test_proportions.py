"""Closed forms against statsmodels, scipy and published figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from fmaudit.statistics import (
    clopper_pearson,
    exact_mcnemar,
    korn_graubard,
    mde,
    rate,
    square_and_add,
    tango,
    wilson,
)


@pytest.mark.parametrize(("events", "n"), [(0, 50), (1, 7), (2, 100), (37, 80), (80, 80)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_and_clopper_pearson_match_statsmodels(events, n, level):
    assert wilson(events, n, level) == pytest.approx(
        proportion_confint(events, n, 1 - level, "wilson"), abs=1e-12
    )
    assert clopper_pearson(events, n, level) == pytest.approx(
        proportion_confint(events, n, 1 - level, "beta"), abs=1e-12
    )


def test_clopper_pearson_of_two_in_a_hundred():
    assert clopper_pearson(2, 100) == pytest.approx((0.0024, 0.0704), abs=5e-5)


def test_korn_graubard_is_clopper_pearson_without_a_design_effect():
    assert korn_graubard(0.25, 80, 80, 79) == pytest.approx(clopper_pearson(20, 80))


def test_korn_graubard_widens_with_fewer_degrees_of_freedom_and_rows():
    full = np.ptp(korn_graubard(0.2, 200, 200, 199))
    assert np.ptp(korn_graubard(0.2, 200, 200, 9)) > full
    assert np.ptp(korn_graubard(0.2, 60, 200, 199)) > full


@pytest.mark.parametrize(("n10", "n01"), [(0, 0), (3, 3), (1, 9), (12, 4), (40, 71)])
def test_mcnemar_matches_statsmodels(n10, n01):
    reference = mcnemar([[50, n10], [n01, 60]], exact=True).pvalue if n10 + n01 else 1.0
    assert exact_mcnemar(n10, n01) == pytest.approx(reference)


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(0, 0, 40), (5, 0, 40), (3, 9, 50), (40, 0, 40), (0, 7, 7)]
)
def test_tango_limits_solve_the_score_equation(gained, lost, n):
    z = 1.959963984540054
    for delta in tango(gained, lost, n):
        if abs(delta) > 1 - 1e-9:
            continue
        q = _restricted_share_by_search(gained, lost, n, delta)
        score = ((gained - lost) / n - delta) / ((2 * q + delta - delta**2) / n) ** 0.5
        assert abs(score) == pytest.approx(z, abs=2e-3)


def _restricted_share_by_search(gained, lost, n, delta):
    q = np.linspace(max(0.0, -delta), (1 - delta) / 2, 400_001)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            np.where(gained, gained * np.log(q + delta), 0)
            + np.where(lost, lost * np.log(q), 0)
            + np.where(n - gained - lost, (n - gained - lost) * np.log(1 - 2 * q - delta), 0)
        )
    return q[np.nanargmax(likelihood)]


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 0.999))
@settings(max_examples=100, deadline=None)
def test_tango_is_antisymmetric_bounded_and_contains_the_difference(n, share, split, level):
    discordant = round(share * n)
    gained = round(split * discordant)
    lost = discordant - gained
    low, high = tango(gained, lost, n, level)
    assert -1 <= low <= (gained - lost) / n + 1e-12
    assert (gained - lost) / n - 1e-12 <= high <= 1
    assert tango(lost, gained, n, level) == pytest.approx((-high, -low), abs=1e-9)


def test_square_and_add_of_wilson_is_newcombe():
    plus, minus = (56 / 70, *wilson(56, 70)), (48 / 80, *wilson(48, 80))
    reference = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert square_and_add(plus, minus) == pytest.approx(reference, abs=1e-9)
    assert square_and_add(plus, minus) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_mde_is_2_8_standard_errors():
    assert mde(1.0) == pytest.approx(2.8016, abs=1e-3)
    assert mde(0.5, level=0.9, power=0.9) == pytest.approx((1.6449 + 1.2816) / 2, abs=1e-3)


@pytest.mark.parametrize(
    ("events", "n", "method"),
    [(9, 100, "Clopper-Pearson"), (10, 100, "Wilson"), (90, 100, "Wilson"), (91, 100, "Clopper-Pearson")],
)
def test_simple_rates_switch_to_exact_limits_below_ten_events(events, n, method):
    found = rate(np.arange(n) < events)
    assert found.method == method
    reference = {"Wilson": wilson, "Clopper-Pearson": clopper_pearson}[method](events, n)
    assert (found.lower, found.upper) == pytest.approx(reference)
