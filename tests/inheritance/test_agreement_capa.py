"""Error consistency and CAPA against their definitions, exact identities and lm-sim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.inheritance.agreement import capa, error_consistency, one_hot, padded
from fmaudit.inheritance.tables import pair_statistics


def ragged(rng, n, most=5, concentration=1.0):
    sizes = rng.integers(2, most + 1, n)
    first = [rng.dirichlet(np.full(k, concentration)) for k in sizes]
    second = [rng.dirichlet(np.full(k, concentration)) for k in sizes]
    return first, second, np.array([rng.integers(k) for k in sizes])


def by_definition(first, second, gold):
    observed = np.mean([p @ q for p, q in zip(first, second, strict=True)])
    right = [np.mean([p[g] for p, g in zip(model, gold, strict=True)]) for model in (first, second)]
    wrong = np.mean([1 / (len(p) - 1) for p in first])
    expected = right[0] * right[1] + (1 - right[0]) * (1 - right[1]) * wrong
    return (observed - expected) / (1 - expected), observed, expected


@pytest.mark.parametrize("seed", range(8))
def test_capa_equals_lm_sim_on_random_tables(seed):
    lmsim = pytest.importorskip("lmsim.metrics")
    first, second, gold = ragged(np.random.default_rng(seed), 200, concentration=0.3)
    found = capa(first, second, gold, draws=20).kappa.value
    assert found == pytest.approx(lmsim.CAPA().compute_k(first, second, list(gold)), abs=1e-9)
    hard = [[row[~np.isnan(row)] for row in one_hot(p)] for p in (first, second)]
    discrete = capa(*hard, gold, draws=20).kappa.value
    assert discrete == pytest.approx(lmsim.CAPA(prob=False).compute_k(*hard, list(gold)), abs=1e-9)
    fails = [
        np.array([np.argmax(p) != g for p, g in zip(m, gold, strict=True)], float) for m in (first, second)
    ]
    consistency = error_consistency(*fails, draws=20).value
    assert consistency == pytest.approx(lmsim.EC().compute_k(first, second, list(gold)), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60))
def test_capa_by_its_definition_ragged_or_padded(seed, n):
    first, second, gold = ragged(np.random.default_rng(seed), n)
    expected = by_definition(first, second, gold)
    for left, right in ((first, second), (padded(first), padded(second))):
        found = capa(left, right, gold, draws=10)
        values = (found.kappa.value, found.observed.value, found.expected.value)
        assert values == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_discrete_capa_of_two_options_is_error_consistency(seed):
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 2, 80)
    chosen = rng.integers(0, 2, (2, 80))
    labels, w = {"c": rng.integers(0, 35, 80)}, rng.integers(1, 4, 80)
    found = capa(np.eye(2)[chosen[0]], np.eye(2)[chosen[1]], gold, w, labels, draws=40, seed=2).kappa
    fails = (chosen != gold).astype(float)
    oracle = error_consistency(fails[0], fails[1], w, labels, draws=40, seed=2)
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (oracle.value, oracle.lower, oracle.upper)
    )


def test_a_model_agrees_fully_with_itself_only_where_it_is_certain():
    first, _, gold = ragged(np.random.default_rng(1), 60)
    assert capa(first, first, gold, draws=20).kappa.value < 0.9
    hard = one_hot(first)
    assert capa(hard, hard, gold, draws=20).kappa.value == pytest.approx(1)


def test_independent_errors_give_zero_and_the_interval_covers_it():
    hits, values = [], []
    for run in range(300):
        rng = np.random.default_rng([8, run])
        gold = rng.integers(0, 4, 300)
        # Right with .6 and .7, else evenly on the wrong options.
        chosen = [
            np.where(rng.random(300) < right, gold, (gold + rng.integers(1, 4, 300)) % 4)
            for right in (0.6, 0.7)
        ]
        found = capa(np.eye(4)[chosen[0]], np.eye(4)[chosen[1]], gold, draws=300, seed=run).kappa
        values.append(found.value)
        hits.append(found.lower <= 0 <= found.upper)
    assert abs(np.mean(values)) < 4 * np.std(values) / 300**0.5
    assert 0.91 <= np.mean(hits) <= 0.98


def test_error_consistency_is_the_one_of_the_paired_table():
    rng = np.random.default_rng(2)
    b, a = rng.integers(0, 2, (2, 90))
    labels = {"c": np.arange(90) // 2}
    found = error_consistency(b, a, None, labels, draws=60)
    assert found == pair_statistics(b, a, None, labels, draws=60).error_consistency


@pytest.mark.parametrize(
    ("first", "second", "gold", "message"),
    [
        ([[0.5, 0.5]], [[0.5, 0.25, 0.25]], [0], "options differ"),
        ([[1.0]], [[1.0]], [0], "fewer than two"),
        ([[0.5, 0.4]], [[0.5, 0.5]], [0], "sum to 1"),
        ([[0.5, 0.5]], [[1.5, -0.5]], [0], "negative"),
        ([[0.5, 0.5]], [[0.5, 0.5]], [2], "gold"),
        ([[0.5, 0.5]], [[0.5, 0.5]], [-1], "gold"),
        ([[0.5, 0.5]], [[0.5, 0.5]], [0, 1], "one entry an item"),
    ],
)
def test_what_does_not_fit_is_refused(first, second, gold, message):
    with pytest.raises(ValueError, match=message):
        capa(first, second, gold)


def test_two_perfect_models_have_no_kappa():
    found = capa(np.eye(3), np.eye(3), [0, 1, 2], draws=20)
    assert found.kappa.value is None
    assert "always right" in found.kappa.reason
    assert found.observed.value == 1
