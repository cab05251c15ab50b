import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.engines.batching import plan_batches, split_rows

ITEMS = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 6)), max_size=40)


@settings(deadline=None)
@given(items=ITEMS, budget=st.integers(1, 300))
def test_every_index_once_and_no_batch_of_several_above_the_budget(items, budget):
    lengths = [length for length, _ in items]
    rows = [count for _, count in items]
    batches = plan_batches(lengths, budget, rows)
    assert sorted(i for batch in batches for i in batch) == list(range(len(items)))
    for batch in batches:
        padded = max(lengths[i] for i in batch) * sum(rows[i] for i in batch)
        assert padded <= budget or len(batch) == 1
    order = [lengths[i] for batch in batches for i in batch]
    assert order == sorted(order)


def test_equal_lengths_keep_their_order_and_the_plan_is_repeatable():
    assert plan_batches([3, 2, 3, 2], 6) == [(1, 3), (0, 2)]
    assert plan_batches([3, 2, 3, 2], 6) == plan_batches([3, 2, 3, 2], 6)


def test_an_item_above_the_budget_is_alone():
    assert plan_batches([2, 100, 2], 10) == [(0, 2), (1,)]


def test_rows_count_towards_the_budget():
    assert plan_batches([4, 4], 16, rows=[3, 1]) == [(0, 1)]
    assert plan_batches([4, 4], 16, rows=[4, 1]) == [(0,), (1,)]


def test_a_budget_below_one_is_refused():
    with pytest.raises(ValueError, match="token budget 0"):
        plan_batches([1], 0)


def test_row_counts_of_another_length_are_refused():
    with pytest.raises(ValueError, match="1 row counts for 2 lengths"):
        plan_batches([1, 2], 8, rows=[1])


@given(lengths=st.lists(st.integers(1, 40), max_size=30), budget=st.integers(1, 200))
def test_split_rows_covers_every_row_in_order(lengths, budget):
    runs = split_rows(lengths, budget)
    assert [i for run in runs for i in range(run.start, run.stop)] == list(range(len(lengths)))
    for run in runs:
        part = lengths[run]
        assert len(part) == 1 or len(part) * max(part) <= budget
