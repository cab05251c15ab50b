import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.ordering import head, random_order
from fmaudit.probe import Item

BLOCK = 8


def documents(sizes):
    return [
        Item(f"{document}-{number}", {}, clusters={"document": f"d{document}"})
        for document, size in enumerate(sizes)
        for number in range(size)
    ]


def crossed(n_templates, n_jobs):
    return [
        Item(f"{template}-{job}", {}, clusters={"template": f"t{template}", "job": f"j{job}"})
        for template in range(n_templates)
        for job in range(n_jobs)
    ]


def ids(items):
    return [item.id for item in items]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(0, 2**31), st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_is_a_permutation_that_ignores_the_input_order(sizes, seed, random):
    items = documents(sizes)
    ordered = ids(random_order(items, seed))
    random.shuffle(items)
    assert ids(random_order(items, seed)) == ordered
    assert sorted(ordered) == sorted(ids(items))


def test_another_seed_gives_another_order():
    items = [Item(str(number), {}) for number in range(50)]
    assert ids(random_order(items, 0)) != ids(random_order(items, 1))
    assert random_order([], 0) == []


def test_items_of_a_cluster_stay_together_around_the_ring():
    ordered = random_order(documents([3] * 10), 4)
    labels = [item.clusters["document"] for item in ordered]
    borders = sum(labels[index] != labels[index - 1] for index in range(len(labels)))
    assert borders == 10


def test_a_head_is_the_beginning():
    items = documents([2, 2])
    assert head(items, 3) == items[:3]
    assert head(items, None) == items
    assert head(items, 9) == items
    with pytest.raises(ValueError, match="at least one"):
        head(items, 0)


@pytest.mark.parametrize("items", [documents([1, 1, 2, 4, 16]), crossed(4, 6)], ids=["unequal", "crossed"])
def test_every_item_has_the_same_chance_to_be_in_a_short_head(items):
    n, draws = 5, 4000
    counts = dict.fromkeys(ids(items), 0)
    for seed in range(draws):
        for item in head(random_order(items, seed), n):
            counts[item.id] += 1
    expected = n / len(items)
    error = np.sqrt(expected * (1 - expected) / draws)
    assert max(abs(count / draws - expected) for count in counts.values()) < 4.5 * error


def test_a_head_of_crossed_items_touches_most_levels_of_every_factor():
    first = head(random_order(crossed(20, 20), 3), 60)
    for factor in ("template", "job"):
        assert len({item.clusters[factor] for item in first}) >= 16


def simulated():
    """Items whose outcome grows with their length, in documents of unequal size."""
    random = np.random.default_rng(0)
    sizes = random.integers(1, 6, 40)
    items = documents(sizes)
    length = {item.id: float(random.gamma(2.0, 10.0)) for item in items}
    outcome = {name: value + float(random.normal(0, 5)) for name, value in length.items()}
    return items, length, outcome


def deviation(order_of, n_seeds=600):
    """Mean deviation of an interrupted run's mean from the truth, in standard errors."""
    items, length, outcome = simulated()
    truth = np.mean(list(outcome.values()))
    found = []
    for seed in range(n_seeds):
        asked = order_of(items, length, seed)
        stop = BLOCK * (1 + seed % 3)
        found.append(np.mean([outcome[item.id] for item in asked[:stop]]) - truth)
    return float(np.mean(found) / (np.std(found, ddof=1) / np.sqrt(n_seeds)))


def blocks_sorted_by_length(items, length, seed):
    ordered = random_order(items, seed)
    blocks = [ordered[start : start + BLOCK] for start in range(0, len(ordered), BLOCK)]
    return [item for block in blocks for item in sorted(block, key=lambda item: length[item.id])]


def test_a_head_is_unbiased_for_an_outcome_that_depends_on_length():
    assert abs(deviation(lambda items, length, seed: random_order(items, seed))) < 3


def test_a_length_sorted_run_stopped_after_any_block_is_unbiased():
    assert abs(deviation(blocks_sorted_by_length)) < 3


def test_sorting_the_whole_run_by_length_would_be_biased():
    items, length, outcome = simulated()
    shortest = sorted(items, key=lambda item: length[item.id])[: 2 * BLOCK]
    values = np.array(list(outcome.values()))
    error = values.std(ddof=1) / np.sqrt(2 * BLOCK)
    assert np.mean([outcome[item.id] for item in shortest]) - values.mean() < -3 * error
