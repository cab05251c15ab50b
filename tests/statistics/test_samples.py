"""Reduction of samples against brute force over all draws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.statistics import bounds, reduce_samples, sample_coverage, without_spares

nan = np.nan


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=7), st.integers(1, 7))
@settings(deadline=None)
def test_any_and_max_are_averages_over_all_draws(samples, k):
    k = min(k, len(samples))
    draws = [max(draw) for draw in combinations(samples, k)]
    for how in ("any", "max"):
        assert reduce_samples([samples], how, k)[0] == pytest.approx(np.mean(draws))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7), st.integers(1, 7))
@settings(deadline=None)
def test_expected_maximum_of_real_samples(samples, k):
    k = min(k, len(samples))
    expected = np.mean([max(draw) for draw in combinations(samples, k)])
    assert reduce_samples([[nan, *samples]], "max", k)[0] == pytest.approx(expected, abs=1e-9)


def test_all_samples_are_required_by_any_and_max_without_k_but_not_by_the_mean():
    matrix = [[0, 1, nan], [nan, nan, nan], [1, 1, 0]]
    np.testing.assert_allclose(reduce_samples(matrix, "mean"), [0.5, nan, 2 / 3])
    np.testing.assert_allclose(reduce_samples(matrix, "any"), [nan, nan, 1])
    np.testing.assert_allclose(reduce_samples(matrix, "max"), [nan, nan, 1])
    np.testing.assert_allclose(reduce_samples(matrix, "any", 2), [1, nan, 1])
    np.testing.assert_allclose(reduce_samples(matrix, "max", 2), [1, nan, 1])


def test_fifty_samples_give_the_same_mean_as_direct_draws_with_less_noise():
    rng = np.random.default_rng(3)
    scores = rng.beta(0.5, 2, size=(4000, 50))
    reduced, direct = reduce_samples(scores, "max", 25), scores[:, :25].max(axis=1)
    assert reduced.mean() == pytest.approx(direct.mean(), abs=0.004)
    assert reduced.std() < direct.std()


def test_missing_samples_count_as_low_and_as_high():
    matrix = [[0, 1, nan], [nan, nan, nan], [0, 0, 0], [0, 0, nan]]
    low, high = bounds(matrix, "any", 0, None, 0, 1)
    np.testing.assert_allclose(low, [1, 0, 0, 0])
    np.testing.assert_allclose(high, [1, 1, 0, 1])
    low, high = bounds(matrix, "mean", 0, np.ones(4), 0, 1)
    np.testing.assert_allclose(low, [1 / 3, 0, 0, 0])
    np.testing.assert_allclose(high, [2 / 3, 1, 0, 1 / 3])


def test_an_item_without_enough_samples_could_be_anything():
    low, high = bounds([[0.2, 0.3]], "max", 5, None, -1, 1)
    assert (low[0], high[0]) == (-1, 1)


@given(st.integers(0, 3), st.sampled_from(["mean", "any", "max"]), st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_bounds_bracket_the_truth_that_the_gaps_hide(k, how, seed):
    rng = np.random.default_rng(seed)
    full = (rng.random((6, 4)) < 0.4).astype(float)
    seen = np.where(rng.random(full.shape) < 0.3, nan, full)
    low, high = bounds(seen, how, k, None, 0, 1)
    truth = reduce_samples(full, how, k)
    assert (low <= truth + 1e-12).all()
    assert (truth <= high + 1e-12).all()


def test_bounds_of_complete_samples_are_the_value():
    matrix = [[0, 1], [1, 1]]
    for how in ("mean", "any", "max"):
        low, high = bounds(matrix, how, 0, None, 0, 1)
        np.testing.assert_array_equal(low, high)
        np.testing.assert_array_equal(low, reduce_samples(matrix, how))


def test_coverage_counts_only_the_answers_an_estimate_can_use():
    matrix = [[0, 1], [1, nan]]
    assert sample_coverage(matrix, "mean", 0) == pytest.approx(0.75)
    assert sample_coverage(matrix, "any", 0) == pytest.approx(0.5)
    assert sample_coverage(matrix, "any", 1) == pytest.approx(0.75)
    assert sample_coverage(matrix, "mean", 0, [1, 3]) == pytest.approx(0.25 + 0.75 * 0.5)
    assert np.isnan(sample_coverage(np.empty((0, 1)), "mean", 0))


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="0 or 1"):
        reduce_samples([[0.5]], "any", 1)
    with pytest.raises(ValueError, match="mean, any or max"):
        reduce_samples([[0.5]], "median", 1)
    with pytest.raises(ValueError, match="n_items"):
        reduce_samples([0.5], "mean")
    with pytest.raises(ValueError, match="one an item"):
        bounds([[0.5]], "mean", 0, [1, 1], 0, 1)


def test_spares_make_room_for_later_samples():
    values = [[1.0, np.nan, 0.0, 1.0], [np.nan, np.nan, 1.0, 0.0], [np.nan, 0.0, 1.0, 1.0]]
    spare = [[0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
    taken = without_spares(values, spare, 3)
    assert taken == pytest.approx(
        np.array([[1.0, 0.0, 1.0], [1.0, 0.0, np.nan], [np.nan, 0.0, 1.0]]), nan_ok=True
    )
