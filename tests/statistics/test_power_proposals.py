"""Proposed numbers of items: they have their power in real decisions, and behave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.statistics import confidence_sequence, items_for_equivalence
from fmaudit.statistics.interval import MIN_CLUSTERS
from fmaudit.statistics.layout import alone
from fmaudit.statistics.outlook import Outlook
from fmaudit.statistics.power import RateModel
from fmaudit.statistics.power_change import ChangeModel
from fmaudit.statistics.proposals import Aim, grouped, independent, proposed_items, sampled
from fmaudit.statistics.sizing import chance_inside
from tests.statistics.power_releases import LEVEL, change_limits, change_rows, rate_limits, rate_rows

RATE = Aim("rate", 0.02, (None, 0.05))
CHANGE = Aim("change", 0.0, (None, 0.05), spread=0.1)


def undecided_at_most(undecided, bound=0.1):
    """With two and a half Monte Carlo standard errors at the bound."""
    allowance = 2.5 * (bound * (1 - bound) / len(undecided)) ** 0.5
    assert np.mean(undecided) <= bound + allowance


def cluster_sizes(n, size):
    assert n % size == 0
    return np.full(n // size, size)


@pytest.mark.parametrize(("size", "icc"), [(1, 0), (5, 0.1), (4, 0.4)])
def test_rates_with_the_proposed_items_pass(size, icc):
    n = proposed_items(RATE, grouped(size, icc))
    sizes, rng, undecided = cluster_sizes(n, size), np.random.default_rng(1), []
    for _ in range(800):
        values, labels = rate_rows(RATE.truth, sizes, icc, rng)
        undecided.append(rate_limits(values, None, labels if icc else None)[1] > 0.05)
    undecided_at_most(undecided)
    # Nor far more items than it takes.
    assert np.mean(undecided) >= 0.03


@pytest.mark.parametrize(("size", "icc"), [(1, 0), (5, 0.1)])
@pytest.mark.parametrize("bounds", [(None, 0.05), (-0.05, 0.05)])
def test_changes_with_the_proposed_items_pass(size, icc, bounds):
    n = proposed_items(Aim("change", 0.0, bounds, spread=0.1), grouped(size, icc))
    sizes, rng, undecided = cluster_sizes(n, size), np.random.default_rng(2), []
    for number in range(300):
        base, adapted, labels = change_rows(0.0, 0.1, sizes, icc, rng)
        lower, upper = change_limits(base, adapted, labels if icc else None, seed=number)
        undecided.append(upper > 0.05 or (bounds[0] is not None and lower < bounds[0]))
    undecided_at_most(undecided)
    assert np.mean(undecided) >= 0.02


@pytest.mark.parametrize(("size", "icc"), [(1, 0.0), (5, 0.1)])
def test_growing_runs_with_the_proposed_items_pass(size, icc):
    n = proposed_items(Aim("rate", 0.02, (None, 0.08)), grouped(size, icc), form="anytime")
    sizes, rng, undecided = cluster_sizes(n, size), np.random.default_rng(3), []
    for _ in range(200):
        values, labels = rate_rows(0.02, sizes, icc, rng)
        sums = np.bincount(labels, values)
        upper = confidence_sequence(sums, sizes, float(size), LEVEL)[1][-1]
        undecided.append(upper > 0.08)
    undecided_at_most(undecided)


@pytest.mark.slow
@pytest.mark.parametrize("gated", [1, 3])
@pytest.mark.parametrize(
    ("aim", "size", "icc"),
    [(RATE, 5, 0.1), (RATE, 8, 0.3), (Aim("rate", 0.85, (0.8, None)), 5, 0.2), (RATE, 1, 0.0)],
)
def test_rates_with_the_proposed_items_pass_in_thousands_of_releases(aim, size, icc, gated):
    n = proposed_items(aim, grouped(size, icc), gated=gated)
    sizes, rng, undecided = cluster_sizes(n, size), np.random.default_rng(4), []
    low, high = aim.bounds
    for _ in range(3000):
        values, labels = rate_rows(aim.truth, sizes, icc, rng)
        lower, upper = rate_limits(values, None, labels if icc else None)
        undecided.append((high is not None and upper > high) or (low is not None and lower < low))
    undecided_at_most(undecided, 0.1 / gated)


@pytest.mark.parametrize(
    ("truth", "bounds"),
    [
        (0.02, (None, 0.05)),
        (0.04, (None, 0.05)),
        (0.045, (None, 0.05)),
        (0.0, (None, 0.01)),
        (0.8, (0.75, None)),
        (0.5, (0.4, 0.6)),
    ],
)
def test_a_rate_keeps_its_power_with_every_larger_number(truth, bounds):
    n = proposed_items(Aim("rate", truth, bounds), independent())
    model = RateModel(alone(MIN_CLUSTERS))
    later = chance_inside(model, truth, np.arange(n, 5 * n), bounds, LEVEL)
    assert later.min() >= 0.9
    assert n == MIN_CLUSTERS or chance_inside(model, truth, n - 1, bounds, LEVEL)[0] < 0.9


@pytest.mark.parametrize(("discordance", "margin"), [(0.03, 0.03), (0.1, 0.05), (0.3, 0.1)])
def test_a_change_keeps_its_power_with_every_larger_number(discordance, margin):
    n = proposed_items(Aim("change", 0.0, (None, margin), discordance), independent())
    model = ChangeModel(discordance, alone(MIN_CLUSTERS))
    assert chance_inside(model, 0.0, np.arange(n, n + 400), (None, margin), LEVEL).min() >= 0.9
    assert chance_inside(model, 0.0, n - 1, (None, margin), LEVEL)[0] < 0.9


def test_equivalence_takes_about_as_many_items_as_planning_says():
    # The gate's limits are widened by one answer for continuity, the formula's are not: n grows by about
    # 2 / margin items (Edwards 1948 and Tango 1998 against Schuirmann 1987).
    for discordance in (0.1, 0.2, 0.3):
        aim = Aim("change", 0.0, (-0.05, 0.05), discordance)
        n = proposed_items(aim, independent(), power=0.95)
        formula = items_for_equivalence(discordance, 0.05)
        assert formula <= n <= formula + 2 / 0.05 + 0.05 * formula


AIMS = st.sampled_from(
    [
        RATE,
        Aim("rate", 0.9, (0.8, None)),
        Aim("rate", 0.01, (None, 0.1)),
        CHANGE,
        Aim("change", 0.01, (-0.05, 0.08), spread=0.05),
        Aim("mean", 0.1, (None, 0.3), spread=0.8, limits=(-2.0, 2.0)),
    ]
)


@settings(max_examples=15, deadline=None)
@given(
    AIMS,
    st.sampled_from([(1, 0.0), (4, 0.2)]),
    st.floats(0.5, 0.97),
    st.floats(0.8, 0.98),
    st.integers(1, 12),
    st.integers(30, 3000),
)
def test_more_is_asked_only_with_more_items(aim, groups, power, confidence, gated, min_n):
    size = groups[0]
    sample = grouped(*groups)

    def items(**changed):
        asked = {"power": power, "confidence": confidence, "gated": gated, "min_n": min_n} | changed
        return proposed_items(aim, sample, **asked)

    n = items()
    assert n % size == 0
    assert n >= max(min_n, MIN_CLUSTERS * size)
    # Where a clustered rate is simulated its numbers come in steps of at least 4 %.
    slack = 0.92 if aim.kind == "rate" and size > 1 else 1.0
    assert items(power=power + 0.02) >= slack * n
    assert items(confidence=confidence + 0.015) >= slack * n
    assert items(gated=gated + 3) >= slack * n
    assert items(min_n=min_n + 500) >= slack * n


@pytest.mark.parametrize("form", ["fixed", "anytime"])
def test_whole_clusters_of_any_sizes(form):
    sizes = np.tile([3, 5, 8], 20)
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(str)
    sample = sampled(np.ones(len(labels)), {"cluster": labels}, {"cluster": 0.1})
    n = proposed_items(RATE, sample, form=form)
    ends = np.cumsum(np.tile(sizes, 60))
    assert n in ends.tolist()


def test_anytime_takes_more_than_fixed_and_is_monotone():
    aim = Aim("rate", 0.02, (None, 0.1))
    numbers = [proposed_items(aim, independent(), form="anytime", power=power) for power in (0.5, 0.8, 0.95)]
    assert numbers == sorted(numbers)
    assert proposed_items(aim, independent(), power=0.95) < numbers[-1]
    assert proposed_items(aim, independent(), form="anytime", gated=6) > numbers[1]


@pytest.mark.parametrize(
    "aim",
    [
        Aim("rate", 0.05, (None, 0.05)),
        Aim("rate", 0.2, (None, 0.05)),
        Aim("rate", 0.7, (0.8, None)),
        Aim("change", -0.06, (-0.05, 0.05), spread=0.1),
        Aim("mean", 1.0, (None, 1.0), spread=1.0, limits=(0.0, 2.0)),
    ],
)
@pytest.mark.parametrize("form", ["fixed", "anytime"])
def test_no_number_shows_what_is_not_true(aim, form):
    assert proposed_items(aim, independent(), form=form) is None
    assert proposed_items(aim, grouped(3, 0.1), form=form) is None


def test_forms_that_do_not_exist():
    factors = {"row": np.repeat(np.arange(40), 30), "column": np.tile(np.arange(30), 40)}
    crossed = sampled(np.ones(1200), factors, {"row": 0.1, "column": 0.1})
    assert proposed_items(RATE, crossed, form="anytime") is None
    assert not Outlook(RATE, crossed, 1200, "anytime").exists
    assert proposed_items(RATE, crossed) is not None
    unbounded = Aim("mean", 0.0, (None, 1.0), spread=1.0)
    assert proposed_items(unbounded, independent(), form="anytime") is None
    assert proposed_items(unbounded, independent()) is not None


def test_a_bound_beyond_the_range_is_kept_from_the_start():
    aim = Aim("mean", 0.3, (None, 0.9), spread=0.2, limits=(0.1, 0.7))
    assert proposed_items(aim, independent(), form="anytime") == MIN_CLUSTERS
    assert Outlook(aim, independent(), 50, "anytime").passes(LEVEL) == 1
    assert Outlook(aim, independent(), 50, "anytime").fails(0.5, LEVEL) == 0


@pytest.mark.parametrize("form", ["fixed", "anytime"])
@pytest.mark.parametrize("sample", [independent(), grouped(5, 0.1)], ids=["rows", "clusters"])
def test_an_outlook_and_a_proposal_agree(form, sample):
    aim = Aim("rate", 0.02, (None, 0.08))
    n = proposed_items(aim, sample, form=form)
    outlook = Outlook(aim, sample, n, form)
    # 500 simulated sequences or 1,000 simulated rates: three standard errors.
    assert 0.9 - 0.04 <= outlook.passes(LEVEL) <= 0.97
    assert Outlook(aim, sample, n // 2, form).passes(LEVEL) < 0.9
    assert outlook.room(0.08, LEVEL, power=0.9, upper=True) == pytest.approx(0.06, abs=0.006)
    assert outlook.nearest_bound(LEVEL, power=0.9, upper=True) == pytest.approx(0.08, abs=0.008)
    distance = outlook.detectable(0.08, LEVEL)
    assert outlook.fails(0.08 + distance, LEVEL) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("form", ["fixed", "anytime"])
@pytest.mark.parametrize("sample", [independent(), grouped(5, 0.1)], ids=["rows", "clusters"])
def test_outlooks_of_certain_models(form, sample):
    best = Outlook(Aim("rate", 1.0, (0.9, None)), sample, 400, form)
    assert best.passes(LEVEL) == 1
    assert best.fails(1.0, LEVEL) == 0
    assert best.fails(0.2, LEVEL) == pytest.approx(1)
    assert best.nearest_bound(LEVEL, power=0.9, upper=False) < 1
    assert Outlook(Aim("rate", 0.5, (None, 0.9)), sample, 400, form).fails(1.0, LEVEL) == pytest.approx(1)
