"""Anytime-valid sequences: validity under the worst law of clusters, width, order, edge cases."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.statistics import change_sequence, cluster_totals, confidence_sequence, evidence_against_margin
from fmaudit.statistics.anytime import _TRUNCATION, predictable_bets


def one_theta(sums, sizes, theta, level=0.95):
    """Whether the capital at one theta ever reaches the threshold; written out from the formula."""
    bets = predictable_bets(sums, sizes, level)
    up = down = 1.0
    for s, m, bet in zip(sums, sizes, bets, strict=True):
        up *= 1 + min(bet, _TRUNCATION / theta) * (s - theta * m)
        down *= 1 - min(bet, _TRUNCATION / (1 - theta)) * (s - theta * m)
        if max(up, down) >= 2 / (1 - level):
            return True
    return False


@pytest.mark.parametrize("theta", [0.03, 0.2, 0.5, 0.9])
def test_the_grid_is_the_capital_written_out_and_errs_outward(theta):
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 9, 120).astype(float)
    sums = rng.binomial(sizes.astype(int), 0.25).astype(float)
    lower, upper = confidence_sequence(sums, sizes, 8)
    assert one_theta(sums / 8, sizes / 8, theta) or lower[-1] <= theta <= upper[-1]
    edge = 0.002
    assert not one_theta(sums / 8, sizes / 8, (lower[-1] + upper[-1]) / 2)
    assert one_theta(sums / 8, sizes / 8, lower[-1] - edge)
    assert one_theta(sums / 8, sizes / 8, upper[-1] + edge)


def test_bets_never_see_the_cluster_they_bet_on():
    rng = np.random.default_rng(2)
    sums = rng.random(30)
    changed = sums.copy()
    changed[20:] = 1 - changed[20:]
    sizes = np.ones(30)
    assert (predictable_bets(sums, sizes, 0.95)[:21] == predictable_bets(changed, sizes, 0.95)[:21]).all()
    ahead = evidence_against_margin(sums - 0.5, 0.1)
    assert (ahead[:20] == evidence_against_margin(changed - 0.5, 0.1)[:20]).all()


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.99])
def test_misses_ever_at_most_the_declared_share(spread):
    """Beta-binomial clusters of unequal size; a look after every one of 300 clusters."""
    rng = np.random.default_rng(3)
    misses = 0
    for _ in range(150):
        sizes = rng.integers(1, 21, 300)
        a = 0.2 * (1 - spread) / spread
        chance = rng.beta(a, 4 * a, 300)
        lower, upper = confidence_sequence(rng.binomial(sizes, chance), sizes, 20)
        misses += bool((lower > 0.2).any() or (upper < 0.2).any())
    # Binomial(150, .05) exceeds 15 with probability .006.
    assert misses <= 15


def test_limits_narrow_to_the_truth_and_never_widen():
    rng = np.random.default_rng(4)
    sizes = rng.integers(1, 6, 3000)
    lower, upper = confidence_sequence(rng.binomial(sizes, 0.3), sizes, 5)
    assert (np.diff(lower) >= 0).all()
    assert (np.diff(upper) <= 0).all()
    assert lower[-1] < 0.3 < upper[-1]
    # Fixed-n Wald on 9,000 independent rows has width .019; a factor below 3 is the price of looking.
    assert upper[-1] - lower[-1] < 0.057


def test_change_is_the_cluster_weighted_mean_difference():
    rng = np.random.default_rng(5)
    differences = np.clip(0.1 + 0.2 * rng.normal(size=2000), -1, 1)
    lower, upper = change_sequence(differences)
    assert lower[-1] < 0.1 < upper[-1]
    assert upper[-1] - lower[-1] < 0.08
    mirrored = change_sequence(-differences)
    assert mirrored[0] == pytest.approx(-upper, abs=2e-3)


def test_evidence_is_fair_at_the_margin_and_grows_inside_it():
    rng = np.random.default_rng(6)
    ever, final = [], []
    for _ in range(1000):
        at_margin = np.where(rng.random(300) < 0.3, rng.choice([-1, 1], 300, p=[1 / 3, 2 / 3]), 0)
        capital = evidence_against_margin(at_margin, 0.1)
        ever.append(capital.max() >= 20)
        final.append(capital[-1])
    assert np.mean(ever) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5
    assert np.mean(final) <= 1 + 3 * np.std(final) / 1000**0.5
    inside = rng.choice([-1, 0, 1], 600, p=[0.1, 0.8, 0.1])
    assert evidence_against_margin(inside, 0.1)[-1] > 20
    assert evidence_against_margin(-inside, 0.1)[-1] > 20


def test_totals_follow_the_order_of_the_run():
    sums, sizes = cluster_totals([1, 0, 1, 1, 0], ["b", "b", "a", "c", "b"])
    assert sums.tolist() == [1, 1, 1]
    assert sizes.tolist() == [3, 1, 1]


def test_edges_and_refusals():
    lower, upper = confidence_sequence(np.zeros(200), np.ones(200), 1)
    assert lower[-1] == 0
    assert 0 < upper[-1] < 0.1
    lower, upper = confidence_sequence(np.ones(200), np.ones(200), 1)
    assert 0.9 < lower[-1] < 1
    assert upper[-1] == 1
    assert confidence_sequence([], [], 1)[0].shape == (0,)
    assert evidence_against_margin([], 0.1).shape == (0,)
    for call in (
        lambda: confidence_sequence([1], [2], 1),
        lambda: confidence_sequence([3], [2], 5),
        lambda: confidence_sequence([0], [0], 5),
        lambda: confidence_sequence([0], [1], 1, level=1),
        lambda: change_sequence([1.5]),
        lambda: evidence_against_margin([0.1], 1.0),
    ):
        with pytest.raises(ValueError, match=r"cluster|level|margin"):
            call()
