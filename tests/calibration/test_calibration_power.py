import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fmaudit import statistics
from fmaudit.calibration.power import (
    Outcomes,
    audit,
    finds,
    found_in_audits,
    resampled,
    response,
    share_found,
    share_of_seeds,
    smallest_dose,
)
from fmaudit.probe import Rate

DEFECT = Rate("defect_rate", eps=0.05, delta=0.05, headline=True)
TARGET = Rate("preference", direction="target", ideal=0.5, eps=0.05, delta=0.05, headline=True)


def pool(rate, units, each=1):
    values = (np.arange(units) < round(rate * units)).astype(float).repeat(each)
    return Outcomes(values, values, np.arange(units).repeat(each))


def exact_power(rate, n, eps):
    """Chance that a binomial count has a two-sided 95 % interval wholly above eps, by enumeration."""
    power = 0.0
    for events in range(n + 1):
        method = "beta" if min(events, n - events) < 10 else "wilson"
        lower, _ = proportion_confint(events, n, 0.05, method)
        power += stats.binom.pmf(events, n, rate) * (lower > max(eps, 3 / n))
    return power


@pytest.mark.parametrize(("rate", "n"), [(0.1, 100), (0.1, 300), (0.15, 100), (0.2, 60)])
def test_power_over_items_is_that_of_the_binomial(rate, n):
    found = found_in_audits(pool(rate, 400), DEFECT, n, 3000, 5)
    expected = exact_power(rate, n, 0.05)
    assert 0.02 < expected < 0.999
    assert abs(found.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 3000)


def test_a_model_exactly_at_the_margin_is_found_as_seldom_as_the_interval_errs():
    found = found_in_audits(pool(0.05, 400), DEFECT, 300, 3000, 5)
    expected = exact_power(0.05, 300, 0.05)
    assert expected < 0.03  # Wilson's lower limit errs a little more often than 2.5 % at small rates.
    assert abs(found.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 3000)


def test_more_items_of_the_same_units_do_not_help():
    """All items of a unit agree, so that the units alone count."""
    few, many = (found_in_audits(pool(0.12, 100, each=20), DEFECT, n, 1500, 1) for n in (100, 2000))
    assert 0.5 < few.mean() < 0.9
    assert many.mean() < few.mean() + 0.04
    assert found_in_audits(pool(0.12, 2000), DEFECT, 2000, 50, 1).mean() > 0.99


@pytest.mark.parametrize(
    ("n", "units", "most"), [(40, 40, 1), (100, 100, 1), (300, 150, 2), (900, 150, 6), (5000, 150, 6)]
)
def test_resampled_audit_asks_units_equally_often(n, units, most):
    outcomes = pool(0.3, 150, each=6)
    drawn = resampled(outcomes, n, np.random.default_rng(0))
    assert drawn.n == min(n, 900)
    assert len(np.unique(drawn.units)) == units
    assert np.bincount(drawn.units).max() == most


def test_items_of_a_drawn_unit_are_not_repeated_and_keep_their_values():
    values = np.random.default_rng(3).random(300)
    outcomes = Outcomes(values, values, np.tile(np.arange(100), 3))
    drawn = resampled(outcomes, 300, np.random.default_rng(0))
    for unit in range(100):
        mine = drawn.low[drawn.units == unit]
        assert len(np.unique(mine)) == 3
        source = np.flatnonzero(np.isin(values, mine)) % 100
        assert len(set(source)) == 1


def test_units_of_unequal_size_give_about_n_items():
    outcomes = Outcomes(np.zeros(250), np.zeros(250), np.repeat(np.arange(100), [3] * 50 + [2] * 50))
    sizes = [resampled(outcomes, 250, np.random.default_rng(seed)).n for seed in range(50)]
    assert max(sizes) <= 250
    assert np.mean(sizes) == pytest.approx(250, rel=0.03)


def interval(lower, upper, n=1000, conclusive=True):
    return statistics.Interval(0.5 * (lower + upper), lower, upper, 0.95, "", "", n, n, conclusive=conclusive)


@pytest.mark.parametrize(
    ("found", "metric", "expected"),
    [
        (interval(0.051, 0.2), DEFECT, True),
        (interval(0.05, 0.2), DEFECT, False),
        (interval(0.06, 0.2, n=40), DEFECT, False),
        (interval(0.08, 0.2, n=40), DEFECT, True),
        (interval(0.3, 0.4, conclusive=False), DEFECT, False),
        (interval(0.56, 0.6), TARGET, True),
        (interval(0.54, 0.6), TARGET, False),
        (interval(0.30, 0.44), TARGET, True),
        (interval(0.30, 0.46), TARGET, False),
        (interval(0.06, 0.2), Rate("undeclared"), True),
        (interval(0.04, 0.2), Rate("undeclared"), False),
    ],
)
def test_found_means_wholly_beyond_the_tolerated_margin(found, metric, expected):
    assert finds(found, metric) is expected


def test_a_metric_without_a_better_direction_finds_nothing_it_could_name():
    with pytest.raises(ValueError, match="no better direction"):
        finds(interval(0.2, 0.3), Rate("tie_rate", direction="none"))


def test_missing_answers_widen_the_audit():
    outcomes = pool(0.1, 200)
    whole = audit(outcomes)
    high = outcomes.high.copy()
    high[-40:] = 1.0
    partial = audit(Outcomes(outcomes.low, high, outcomes.units))
    assert partial.lower == whole.lower
    assert partial.upper > whole.upper + 0.1


def test_agreeing_audits_have_the_exact_interval_of_the_number_of_seeds():
    share = share_found(np.zeros((8, 200), dtype=bool))
    assert (share.lower, share.upper) == pytest.approx(proportion_confint(0, 8, 0.05, "beta"))
    assert share_found(np.ones((8, 200), dtype=bool)).lower == pytest.approx(0.025 ** (1 / 8))


@pytest.mark.parametrize("chances", [(1.0, 1.0), (0.05, 0.45), (0.02, 0.02)])
def test_interval_over_seeds_covers_where_one_over_audits_does_not(chances):
    """Each seed finds with a chance of its own; the truth is the mean of these chances."""
    draw = np.random.default_rng(2)
    truth = chances[0] / sum(chances)
    covered = {"seeds": 0, "audits": 0}
    for _ in range(2000):
        found = draw.random((12, 100)) < draw.beta(*chances, size=(12, 1))
        share = share_found(found)
        covered["seeds"] += share.lower <= truth <= share.upper
        lower, upper = proportion_confint(found.sum(), found.size, 0.05, "wilson")
        covered["audits"] += lower <= truth <= upper
    assert covered["seeds"] >= 0.95 * 2000
    assert covered["audits"] <= 0.6 * 2000


def test_one_false_alarm_claims_no_more_than_none():
    one = np.zeros((12, 200), dtype=bool)
    one[3, 7] = True
    assert share_found(one).upper > share_found(np.zeros((12, 200), dtype=bool)).upper


def test_one_training_seed_has_no_interval_over_seeds():
    assert share_found(np.ones((1, 50), dtype=bool)).lower is None
    assert response([0.3]).lower is None
    assert response([0.3]).value == 0.3


def test_share_of_seeds_is_exact():
    share = share_of_seeds([True, True, False, True])
    assert share.value == 0.75
    assert (share.lower, share.upper) == pytest.approx(proportion_confint(3, 4, 0.05, "beta"))


def test_response_has_a_t_interval_over_seeds():
    rates = [0.31, 0.28, 0.35, 0.30]
    found = response(rates)
    half = stats.t.ppf(0.975, 3) * np.std(rates, ddof=1) / 2
    assert (found.lower, found.upper) == pytest.approx((np.mean(rates) - half, np.mean(rates) + half))
    assert response([0.0, 0.0, 0.01, 0.0]).lower == 0.0
    assert response([0.0, 0.0, 0.0, 0.0]).upper == 0.0


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        ([0.0, 0.1, 0.8, 0.9], 0.2),
        ([0.0, 0.9, 0.9, 0.9], 0.1),
        ([0.9, 0.9, 0.5, 0.9], 0.4),
        ([0.0, 0.9, 0.9, 0.79], None),
        ([1.0, 0.0, 0.0, 0.0], None),
    ],
)
def test_smallest_dose_is_found_as_every_larger_one_is(power, expected):
    dose, reason = smallest_dose((0.0, 0.1, 0.2, 0.4), power)
    assert dose == expected
    assert bool(reason) is (expected is None)


def test_no_dose_found_says_how_often_the_largest_was():
    assert smallest_dose((0.0, 0.4), (0.0, 0.31))[1].endswith("0.4, was found in 31% of audits")
