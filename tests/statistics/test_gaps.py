"""Largest minus smallest rate over groups, by pairs of groups, and its paired change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.statistics.gaps import GroupRates, gap, gap_change

REPEATS = 400


def drawn(rng, rates, per):
    groups = np.repeat([f"g{place}" for place in range(len(rates))], per)
    return (rng.random(len(groups)) < np.repeat(rates, per)).astype(float), {"group": groups}


def shares(rates, per, limit, repeats=REPEATS, seed=3):
    rng = np.random.default_rng(seed)
    fails = passes = 0
    for _ in range(repeats):
        values, groups = drawn(rng, rates, per)
        found = gap(GroupRates.complete(values), groups, level=0.9).interval
        fails, passes = fails + (found.lower > limit), passes + (found.upper <= limit)
    return fails / repeats, passes / repeats


@pytest.mark.parametrize(("groups", "per"), [(2, 30), (5, 30), (10, 100)])
def test_groups_without_a_gap_do_not_fail(groups, per):
    # Three Monte Carlo errors above 5 % at 100 sets; before, 56 to 100 % failed.
    assert shares([0.8] * groups, per, 0.05, repeats=100)[0] <= 0.05


def test_a_large_gap_is_found():
    fails, passes = shares([0.6, 0.8, 0.8, 0.8, 0.9], 100, 0.1, repeats=200)
    assert (fails > 0.6, passes) == (True, 0.0)


def test_value_and_limits_by_hand():
    values = np.array([1, 1, 0, 1, 1, 0, 0, 0, 0, 1], dtype=float)
    groups = {"group": np.array(list("aaaabbbccc"))}
    found = gap(GroupRates.complete(values), groups).interval
    assert found.value == pytest.approx(3 / 4 - 1 / 3)
    assert found.lower == 0.0
    assert 0.75 < found.upper <= 1.0
    assert "6 ordered pairs" in found.method


def test_two_groups_equal_the_square_and_add_interval():
    values = np.r_[np.ones(56), np.zeros(14), np.ones(48), np.zeros(32)]
    groups = {"group": np.repeat(["b", "a"], [70, 80])}
    signed = gap(GroupRates.complete(values), groups, signed=True).interval
    # Newcombe 1998, Statist. Med. 17:873, method 10, example (a): 56/70 against 48/80.
    assert (signed.value, signed.lower, signed.upper) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    unsigned = gap(GroupRates.complete(values), groups).interval
    assert unsigned.upper == pytest.approx(signed.upper)
    assert unsigned.lower < signed.lower


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), min_size=4, max_size=40))
def test_a_signed_change_turns_with_its_subjects(rows):
    groups = {"group": np.array([row[0] for row in rows])}
    old, new = (GroupRates.complete([float(row[place]) for row in rows]) for place in (1, 2))
    there, back = (gap_change(*pair, groups, signed=True).interval for pair in ((old, new), (new, old)))
    if len(set(groups["group"])) < 2:
        assert there.value is None
        return
    assert (there.value, there.lower, there.upper) == pytest.approx((-back.value, -back.upper, -back.lower))
    assert there.lower <= there.value <= there.upper
    assert there.p == pytest.approx(back.p, rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), min_size=2, max_size=40),
    st.randoms(use_true_random=False),
)
def test_order_of_rows_and_names_of_groups_do_not_matter(rows, random):
    moved = list(rows)
    random.shuffle(moved)

    def change(entries, names):
        groups = {"group": np.array([names[entry[0]] for entry in entries])}
        old, new = (GroupRates.complete([float(entry[place]) for entry in entries]) for place in (1, 2))
        found = gap_change(old, new, groups).interval
        return found.value, found.lower, found.upper, found.p

    one = change(rows, {name: name for name in "abcd"})
    other = change(moved, dict(zip("abcd", "zyxw", strict=True)))
    assert one == pytest.approx(other, nan_ok=True) or one == other


def test_one_missing_text_counts_as_one_text():
    rng = np.random.default_rng(2)
    values, groups = drawn(rng, [0.8] * 4, 100)
    whole = gap(GroupRates.complete(values), groups)
    given_values = np.where(np.arange(400) == 7, np.nan, values)
    low, high = (np.where(np.arange(400) == 7, end, values) for end in (0.0, 1.0))
    found = gap(GroupRates(given_values, low, high), groups)
    least, most, lower, upper = found.worst
    assert least <= whole.interval.value <= most
    assert most - least <= 0.011
    assert upper - whole.interval.upper < 0.02
    assert lower >= 0.0


def test_a_group_without_rows_takes_no_part_and_is_named():
    values = np.array([1, 1, 0, 1, 0, 0, np.nan, np.nan])
    groups = {"group": np.array(list("aaabbbcc"))}
    found = gap(GroupRates(values, values, values), groups)
    assert found.dropped == ("group=c",)
    assert found.interval.value == pytest.approx(1 / 3)
    assert "left out, without an answered row of the rate: group=c" in found.interval.method
    alone = gap(GroupRates(values, values, values), {"group": np.array(list("aaaaaacc"))})
    assert alone.interval.value is None
    assert "fewer than two groups" in alone.interval.reason
    assert "group=c" in alone.interval.reason


def test_of_several_columns_the_largest_gap_counts():
    values = np.array([1, 1, 0, 0], dtype=float)
    groups = {"group": np.array(list("abab")), "group_age": np.array(list("xxyy"))}
    found = gap(GroupRates.complete(values), groups)
    assert found.interval.value == 1.0
    assert "4 ordered pairs" in found.interval.method
    assert gap(GroupRates.complete(values), groups, signed=True).interval.value is None


def test_clusters_that_span_groups_narrow_and_clusters_within_widen():
    rng = np.random.default_rng(5)
    template = np.tile(np.arange(60), 2)
    effect = rng.random(60)
    values = (rng.random(120) < effect[template]).astype(float)
    groups = {"group": np.repeat(["a", "b"], 60)}
    apart = gap(GroupRates.complete(values), groups, signed=True).interval
    paired = gap(GroupRates.complete(values), groups, clusters={"template": template}, signed=True).interval
    assert paired.upper - paired.lower < apart.upper - apart.lower
    doubled = GroupRates.complete(np.repeat(values, 3))
    wide = gap(
        doubled, {"group": np.repeat(groups["group"], 3)}, clusters={"row": np.repeat(np.arange(120), 3)},
        signed=True,
    ).interval  # fmt: skip
    assert wide.upper - wide.lower == pytest.approx(apart.upper - apart.lower, abs=0.05)


def test_equal_subjects_have_an_interval_of_change_with_some_width():
    values, groups = drawn(np.random.default_rng(1), [0.8, 0.7, 0.9], 80)
    rates = GroupRates.complete(values)
    found = gap_change(rates, rates, groups).interval
    assert found.value == 0.0
    assert 0.01 < found.upper < 0.15
    assert found.lower == pytest.approx(-found.upper)
    assert found.p == 1.0


def test_a_gap_that_appears_and_one_that_goes_are_seen():
    rng = np.random.default_rng(4)
    none, groups = drawn(rng, [0.8] * 5, 200)
    wide, _ = drawn(rng, [0.4, 0.8, 0.8, 0.8, 0.9], 200)
    grew = gap_change(GroupRates.complete(none), GroupRates.complete(wide), groups)
    fell = gap_change(GroupRates.complete(wide), GroupRates.complete(none), groups)
    assert grew.interval.lower > 0 > fell.interval.upper
    assert grew.interval.p < 0.001
    assert grew.values == fell.values[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("agreement", [0.0, 0.9])
def test_a_gap_that_did_not_change_is_rarely_called_changed(agreement):
    rng = np.random.default_rng(8)
    misses = 0
    for _ in range(2000):
        old, groups = drawn(rng, [0.7, 0.8, 0.85], 60)
        fresh, _ = drawn(rng, [0.7, 0.8, 0.85], 60)
        new = np.where(rng.random(len(old)) < agreement, old, fresh)
        found = gap_change(GroupRates.complete(old), GroupRates.complete(new), groups, level=0.95).interval
        misses += found.lower > 0 or found.upper < 0
    assert misses / 2000 <= 0.06
