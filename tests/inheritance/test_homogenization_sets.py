"""Homogenization against published figures, closed forms and independence."""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.inheritance.group_homogenization import (
    failure_histogram,
    group_homogenization,
    poisson_binomial,
)
from fmaudit.inheritance.homogenization import homogenization, homogenization_with_control
from fmaudit.inheritance.tables import pair_statistics


def outcomes():
    folder = os.environ.get("FMAUDIT_DATA")
    path = Path(folder or "") / "stereoset" / "item_outcomes_stereotype_preferred.csv"
    if not folder or not path.is_file():
        pytest.skip("set FMAUDIT_DATA to a folder with stereoset/item_outcomes_stereotype_preferred.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([r[name] for r in rows]) for name in rows[0]}


def matrix(table, names):
    return np.column_stack([table[name].astype(float) for name in names])


def copied(rng, n, k, kept):
    """Models that copy a shared outcome with probability ``kept``, else draw their own."""
    shared = rng.random(n) < 0.4
    own = rng.random((n, k)) < 0.4
    return np.where(rng.random((n, k)) < kept, shared[:, None], own).astype(float)


def test_published_ratio_of_the_three_gpt2_models():
    table = outcomes()
    trio = matrix(table, ["gpt2", "gpt2-medium", "gpt2-large"])
    found = homogenization(trio, None, {"target": table["target"]}).all_fail.ratio
    assert found.value == pytest.approx(2.13, abs=0.005)
    assert found.lower == pytest.approx(1.99, abs=0.04)
    assert found.upper == pytest.approx(2.29, abs=0.04)
    assert found.value == pytest.approx(trio.all(axis=1).mean() / trio.mean(axis=0).prod())


def test_two_models_have_the_ratio_of_the_paired_table():
    rng = np.random.default_rng(0)
    both, labels = copied(rng, 400, 2, 0.5), {"c": np.arange(400) // 4}
    found = homogenization(both, None, labels, draws=200).all_fail
    pair = pair_statistics(both[:, 0], both[:, 1], None, labels, draws=200)
    assert found.ratio.value == pytest.approx(pair.homogenization.value)
    assert found.normalised_excess.value == pytest.approx(pair.normalised_excess.value)
    assert found.ratio.lower == pytest.approx(pair.homogenization.lower)


def test_passing_is_failing_of_the_negated_outcome():
    fails = copied(np.random.default_rng(1), 300, 3, 0.4)
    found, negated = homogenization(fails, draws=100), homogenization(1 - fails, draws=100)
    assert found.all_pass.ratio.value == pytest.approx(negated.all_fail.ratio.value)
    assert found.all_pass.observed.value == pytest.approx(negated.all_fail.observed.value)


def test_a_model_that_never_fails_is_named():
    fails = copied(np.random.default_rng(2), 200, 3, 0.4)
    fails[:, 1] = 0
    found = homogenization(fails, names=["a", "b", "c"], draws=50)
    assert found.all_fail.ratio.value is None
    assert "model b never fails" in found.all_fail.ratio.reason
    assert found.all_fail.expected.value == 0
    assert found.all_pass.ratio.value is not None
    compared = homogenization_with_control(fails, copied(np.random.default_rng(3), 200, 3, 0), draws=50)
    assert compared.all_fail.value is None
    assert "family" in compared.all_fail.reason


def test_family_effect_is_seen_beside_its_control_and_absent_without_one():
    rng = np.random.default_rng(4)
    family, unrelated, other = (copied(rng, 1500, 4, kept) for kept in (0.6, 0.0, 0.0))
    found = homogenization_with_control(family, unrelated, draws=400)
    assert found.all_fail.value == pytest.approx(
        found.family.all_fail.ratio.value / found.unrelated.all_fail.ratio.value
    )
    assert found.all_fail.lower > 1
    assert found.all_pass.lower > 1
    none = homogenization_with_control(other, unrelated, draws=400)
    assert none.all_fail.lower < 1 < none.all_fail.upper


def test_a_set_against_itself_has_ratio_one_without_width():
    fails = copied(np.random.default_rng(5), 200, 3, 0.5)
    found = homogenization_with_control(fails, fails, draws=100).all_fail
    assert (found.value, found.lower, found.upper) == pytest.approx((1, 1, 1))


def test_sets_of_unequal_size_are_refused():
    fails = copied(np.random.default_rng(6), 50, 3, 0.5)
    with pytest.raises(ValueError, match="equal size"):
        homogenization_with_control(fails, fails[:, :2])
    with pytest.raises(ValueError, match="at least two models"):
        homogenization(fails[:, :1])
    with pytest.raises(ValueError, match="not 0 or 1"):
        homogenization(fails + 0.5)


def test_ratio_covers_its_truth():
    # Both copy a shared outcome with .5: P(both) = .4^2 + .5^2 * .24.
    truth, hits = (0.16 + 0.25 * 0.24) / 0.16, []
    for run in range(150):
        fails = copied(np.random.default_rng([7, run]), 300, 2, 0.5)
        found = homogenization(fails, draws=300, seed=run).all_fail.ratio
        hits.append(found.lower <= truth <= found.upper)
    assert np.mean(hits) >= 0.89


def group_forms(fails, groups):
    names = np.unique(groups)
    overall = fails.mean(axis=0).prod()
    product = np.array([fails[groups == g].mean(axis=0).prod() for g in names])
    frequency = np.array([np.mean(groups == g) for g in names]) ** fails.shape[1]
    return (
        frequency @ product / frequency.sum() / overall,
        product.mean() / overall,
        product.max() / overall,
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_group_forms_by_their_formulas(seed, k):
    rng = np.random.default_rng(seed)
    fails, groups = copied(rng, 200, k, 0.5), rng.integers(0, 4, 200)
    found = group_homogenization(fails, groups, draws=20)
    assert (found.average.value, found.uniform.value, found.worst.value) == pytest.approx(
        group_forms(fails, groups)
    )
    assert found.average.value <= found.worst.value + 1e-12


def test_empty_groups_are_left_out_and_named():
    rng = np.random.default_rng(9)
    fails, groups = copied(rng, 300, 2, 0.5), np.array(["a", "b", "c"])[rng.integers(0, 3, 300)]
    lacking = fails.copy()
    lacking[groups == "c", 1] = np.nan
    found = group_homogenization(lacking, groups, declared=["a", "d"], draws=50)
    assert found.groups == ("a", "b")
    assert found.excluded == ("c", "d")
    kept = groups != "c"
    assert (found.average.value, found.uniform.value, found.worst.value) == pytest.approx(
        group_forms(fails[kept], groups[kept])
    )


def test_different_tasks_share_only_their_groups():
    rng = np.random.default_rng(10)
    groups = np.tile(["a", "b"], 200)
    fails = np.full((400, 2), np.nan)
    first = np.arange(400) < 200
    chance = np.where(groups == "a", 0.6, 0.2)
    fails[first, 0], fails[~first, 1] = (rng.random(200) < chance[:200]), (rng.random(200) < chance[200:])
    found = group_homogenization(fails, groups, draws=300)
    # Equal groups: (.36 + .04) / 2 over .4 squared.
    assert found.uniform.lower < 0.2 / 0.16 < found.uniform.upper
    assert found.uniform.value == pytest.approx(found.average.value)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_poisson_binomial_against_enumeration(rates):
    expected = np.zeros(len(rates) + 1)
    for pattern in itertools.product((0, 1), repeat=len(rates)):
        expected[sum(pattern)] += np.prod(
            [p if one else 1 - p for p, one in zip(rates, pattern, strict=True)]
        )
    assert poisson_binomial(rates) == pytest.approx(expected, abs=1e-12)


def test_poisson_binomial_of_equal_rates_is_binomial():
    from scipy.stats import binom

    assert poisson_binomial(np.full((2, 9), 0.3))[1] == pytest.approx(binom.pmf(np.arange(10), 9, 0.3))


def test_histogram_adds_up_and_finds_shared_failures():
    fails = copied(np.random.default_rng(11), 800, 4, 0.6)
    found = failure_histogram(fails, draws=400)
    for shares in (found.observed, found.expected):
        assert sum(s.value for s in shares) == pytest.approx(1)
    assert sum(s.value for s in found.excess) == pytest.approx(0, abs=1e-12)
    assert found.p < 0.01
    assert found.band[0][0] > 0
    assert found.band[4][0] > 0
    assert found.band[2][1] < 0
    counts = fails.sum(axis=1)
    assert [s.value for s in found.observed] == pytest.approx([np.mean(counts == c) for c in range(5)])


@pytest.mark.parametrize(("clusters", "rate"), [(None, 0.4), (80, 0.4), (None, 0.06)])
def test_histogram_of_independent_models_raises_few_alarms(clusters, rate):
    alarms = []
    for run in range(150):
        rng = np.random.default_rng([12, run])
        fails = (rng.random((400, 4)) < rate).astype(float)
        labels = None if clusters is None else {"c": np.arange(400) % clusters}
        alarms.append(failure_histogram(fails, None, labels, draws=300, seed=run).p <= 0.05)
    assert np.mean(alarms) <= 0.10


def test_histogram_without_enough_items_has_no_test():
    found = failure_histogram(np.array([[0, 1], [1, 1], [0, 0]]), draws=50)
    assert found.p is None
    assert "no test" in found.reason
