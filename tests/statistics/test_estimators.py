"""Properties every estimator keeps, goldens and edge cases."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS

from fmaudit.statistics import (
    contrast,
    effective_clusters,
    exact_mcnemar,
    holm,
    kish,
    mean,
    mean_change,
    paired_table,
    rate,
    rate_change,
    statistic,
    statistic_change,
)

DRAWS = 200


def crossed(templates=30, occupations=40):
    return {
        "template": np.repeat(np.arange(templates), occupations),
        "occupation": np.tile(np.arange(occupations), templates),
    }


@st.composite
def tables(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(2, 60))
    factors = draw(st.integers(0, 2))
    clusters = {f"f{i}": rng.integers(0, draw(st.integers(1, 40)), n) for i in range(factors)}
    weights = rng.integers(1, 5, n).astype(float) if draw(st.booleans()) else np.ones(n)
    p = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    base, adapted = (rng.random((2, n)) < p).astype(float)
    return base, adapted, weights, clusters, rng


def estimates(base, adapted, weights, clusters, level=0.95):
    group = np.arange(len(base)) % 2 == 0
    options = {"level": level, "draws": DRAWS}
    return [
        rate(base, weights, clusters, **options),
        rate((base + adapted) / 2, weights, clusters, **options),
        mean(base + adapted, weights, clusters, **options),
        rate_change(base, adapted, weights, clusters, **options),
        mean_change(base, 2 * adapted, weights, clusters, **options),
        contrast(base, group, ~group, weights, clusters, **options),
        contrast(base + 2 * adapted, group, ~group, weights, clusters, **options),
        statistic(lambda w: float(w @ base / w.sum()), weights, clusters, **options),
    ]


@given(tables())
@settings(max_examples=60, deadline=None)
def test_intervals_contain_the_value_and_stay_in_range(table):
    base, adapted, weights, clusters, _ = table
    found = estimates(base, adapted, weights, clusters)
    for interval in found:
        assert interval.value is not None
        assert 0 < interval.n_eff <= interval.n + 1e-9 or interval is found[1]
        assert interval.p is None or 0 <= interval.p <= 1
        if interval.lower is None:
            assert interval.upper is None
            assert interval.reason
            assert not interval.conclusive
        else:
            assert interval.lower <= interval.value <= interval.upper
            assert np.isfinite([interval.lower, interval.upper]).all()
    for interval in found[:2]:
        assert 0 <= interval.lower < interval.upper <= 1
    assert -1 <= found[3].lower < found[3].upper <= 1 or found[3].method.startswith(
        ("cluster", "item", "crossed")
    )


@given(tables())
@settings(max_examples=30, deadline=None)
def test_a_higher_level_never_narrows(table):
    base, adapted, weights, clusters, _ = table
    narrow, wide = (estimates(base, adapted, weights, clusters, level) for level in (0.8, 0.95))
    for a, b in zip(narrow, wide, strict=True):
        if a.lower is not None and a.method == b.method:
            assert b.lower <= a.lower + 1e-9
            assert b.upper >= a.upper - 1e-9


@given(tables())
@settings(max_examples=30, deadline=None)
def test_row_order_changes_nothing(table):
    base, adapted, weights, clusters, rng = table
    order = rng.permutation(len(base))
    shuffled = {f: labels[order] for f, labels in clusters.items()}
    for make in (
        lambda b, a, w, c: rate(b, w, c, draws=DRAWS),
        lambda b, a, w, c: mean(b + a, w, c, draws=DRAWS),
        lambda b, a, w, c: rate_change(b, a, w, c, draws=DRAWS),
        lambda b, a, w, c: contrast(b, a > 0, a == 0, w, c, draws=DRAWS),
    ):
        assert make(base, adapted, weights, clusters) == make(
            base[order], adapted[order], weights[order], shuffled
        )


@given(tables(), st.sampled_from([0.25, 8.0, 1024.0]))
@settings(max_examples=30, deadline=None)
def test_the_scale_of_the_weights_changes_nothing(table, scale):
    base, adapted, weights, clusters, _ = table
    assert estimates(base, adapted, weights, clusters) == estimates(base, adapted, weights * scale, clusters)


def test_same_seed_same_result_and_another_seed_another():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    assert mean(values, seed=1) == mean(values, seed=1)
    assert mean(values, seed=1).lower != mean(values, seed=2).lower


def test_rows_without_weight_are_not_there():
    values = np.array([0.0, 1, 1, 0, 1])
    assert rate(values, [1, 1, 1, 1, 0]) == rate(values[:4])


def test_labels_of_any_type_name_the_same_clusters():
    values = np.random.default_rng(1).normal(size=60)
    numbers = np.repeat(np.arange(6), 10)
    assert mean(values, None, {"c": numbers}) == mean(values, None, {"c": numbers.astype(str)})


def test_kish():
    assert kish([1, 1, 1, 1]) == 4
    assert kish([3, 1]) == pytest.approx(16 / 10)
    assert kish([]) == 0
    assert effective_clusters([1, 1, 1, 3], ["a", "a", "b", "c"]) == pytest.approx(36 / (4 + 1 + 9))


def test_paired_table():
    assert paired_table([1, 1, 0, 0, 0], [1, 0, 1, 1, 0]) == (1, 1, 2, 1)
    with pytest.raises(ValueError, match="0 and 1"):
        paired_table([0.5], [1])


def test_unclustered_rate_change_is_tango_with_exact_mcnemar():
    base = np.r_[np.ones(20), np.zeros(80)]
    adapted = np.r_[np.ones(15), np.zeros(5), np.ones(14), np.zeros(66)]
    found = rate_change(base, adapted)
    assert found.value == pytest.approx(0.09)
    assert found.p == pytest.approx(exact_mcnemar(5, 14))
    assert found.method == "Tango score; exact McNemar"


def test_clusters_of_one_row_are_no_clusters():
    values = np.random.default_rng(2).random(90) < 0.3
    plain, singles = rate(values), rate(values, None, {"item": np.arange(90)})
    assert (plain.lower, plain.upper, plain.method) == (singles.lower, singles.upper, singles.method)


def test_korn_graubard_of_equal_clusters_without_correlation_reduces_to_clopper_pearson():
    # Every cluster is one row written twice: half as many independent rows.
    values = np.random.default_rng(2).random(80) < 0.3
    doubled = rate(np.repeat(values, 2), None, {"c": np.repeat(np.arange(80), 2)})
    assert doubled.n_eff == pytest.approx(80, rel=0.02)
    reference = stats.binomtest(int(values.sum()), 80).proportion_ci(method="exact")
    assert (doubled.lower, doubled.upper) == pytest.approx((reference.low, reference.high), abs=0.002)


def test_clustered_error_agrees_with_cluster_robust_regression():
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(50), 12)
    values = rng.normal(size=50)[labels] + rng.normal(size=600)
    robust = OLS(values, np.ones(600)).fit(cov_type="cluster", cov_kwds={"groups": labels})
    assert mean(values, None, {"c": labels}).se == pytest.approx(float(robust.bse[0]), rel=0.002)


def test_unclustered_mean_is_close_to_students_t():
    values = np.random.default_rng(5).normal(size=400)
    found = mean(values, draws=4000)
    reference = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.lower, found.upper) == pytest.approx((reference.low, reference.high), abs=0.01)
    assert found.se == pytest.approx(stats.sem(values))


def test_few_rows_fall_back_to_students_t_exactly():
    values = np.array([1.0, 2.0, 4.0, 7.0])
    reference = stats.ttest_1samp(values, 0).confidence_interval()
    found = mean(values)
    assert (found.lower, found.upper) == pytest.approx((reference.low, reference.high))


def test_exact_sign_flips_match_scipy():
    change = np.array([0.4, 1.2, -0.3, 0.9, 0.8, 0.2, 1.1])
    reference = stats.permutation_test(
        (change, np.zeros(7)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    assert mean_change(np.zeros(7), change).p == pytest.approx(reference.pvalue)


@given(st.integers(20, 400), st.floats(0.5, 1.0), st.integers(0, 3))
def test_p_of_random_sign_flips_is_never_less_than_the_exact_binomial(units: int, share: float, seed: int):
    """Units of one size: the number of rises is binomial, so the exact p is known; draws err by chance."""
    rises = round(share * units)
    change = np.repeat([1.0, -1.0], [rises, units - rises])
    exact = min(1.0, 2 * stats.binom.sf(max(rises, units - rises) - 1, units, 0.5))
    found = mean_change(np.zeros(units), change, seed=seed).p
    drawn = 1 + 4999 * exact - 5 * (4999 * exact) ** 0.5
    assert found >= exact if found < 1 / 5000 else found >= drawn / 5000 - 1e-12


def test_a_plain_change_is_shown_among_thousands_of_claims():
    """5,000 draws alone end at a p of 1 / 5000, which no family of 250 claims or more would show."""
    change = np.r_[np.ones(70), np.zeros(130)]
    found = mean_change(np.zeros(200), change)
    assert found.p == pytest.approx(2 * np.exp(-35), rel=1e-6)
    assert holm([found.p, *[None] * 9999])[0] < 0.05


def test_permutation_of_documents_keeps_them_whole():
    labels = np.repeat(np.arange(6), 50)
    values = np.repeat([0.0, 0.1, 0.2, 1.0, 1.1, 1.2], 50)
    plus = labels >= 3
    assert contrast(values, plus, ~plus).p < 0.001
    assert contrast(values, plus, ~plus, None, {"document": labels}).p == pytest.approx(2 / 20)


def test_nested_factors_leave_only_the_outer_one_to_resample():
    rng = np.random.default_rng(7)
    document = np.repeat(np.arange(40), 10)
    sentence = np.arange(400) // 2
    values = rng.normal(size=40)[document] + rng.normal(size=400)
    outer, both = mean(values, None, {"d": document}), mean(values, None, {"d": document, "s": sentence})
    assert (outer.lower, outer.upper) == pytest.approx((both.lower, both.upper))
    assert both.clusters == {"d": 40, "s": 200}


def test_crossed_factors_are_never_narrower_than_either_alone():
    rng = np.random.default_rng(8)
    both = crossed()
    values = (
        rng.normal(size=30)[both["template"]]
        + rng.normal(size=40)[both["occupation"]]
        + rng.normal(size=1200)
    )
    wide = mean(values, None, both)
    for factor, labels in both.items():
        assert mean(values, None, {factor: labels}).se < wide.se


@pytest.mark.parametrize("clusters", [{}, {"t": np.repeat(np.arange(5), 10)}])
def test_nothing_seen_is_not_certainty(clusters):
    none = rate(np.zeros(50), None, clusters)
    assert none.value == none.lower == 0
    assert none.upper == pytest.approx(stats.beta.ppf(0.975, 1, 5 if clusters else 50))
    assert none.se > 0
    unchanged = rate_change(np.ones(50), np.ones(50), None, clusters)
    assert unchanged.lower < 0 < unchanged.upper
    assert unchanged.p == 1
    group = np.arange(50) % 2 == 0
    same = contrast(np.zeros(50), group, ~group, None, clusters, low=0, high=1)
    assert same.lower < 0 < same.upper
    assert same.p == 1


def test_verdicts_need_thirty_effective_clusters():
    values = np.random.default_rng(9).random(1200) < 0.2
    few = rate(values, None, {"template": np.repeat(np.arange(12), 100)})
    assert not few.conclusive
    assert (
        few.reason
        == "12 effective clusters of template, 30 needed: nothing can be concluded beyond these items"
    )
    assert rate(values, None, {"template": np.repeat(np.arange(30), 40)}).conclusive
    assert not rate(values[:29]).conclusive
    assert rate(values[:30]).conclusive
    unequal = np.repeat(np.arange(40), np.r_[[561], [16] * 37, [23] * 2][:40])
    skewed = rate(values[: len(unequal)], None, {"template": unequal})
    assert skewed.clusters["template"] == 40
    assert not skewed.conclusive


def test_a_scarce_factor_is_named_as_fixed_but_still_widens():
    values = np.random.default_rng(10).random(480) < 0.2
    labels = crossed(12, 40)
    found = rate(values, None, labels)
    assert found.conclusive
    assert found.estimand == "item-weighted rate; occupation sampled; template fixed"
    alone = rate(values, None, {"occupation": labels["occupation"]})
    assert found.upper - found.lower >= alone.upper - alone.lower
    assert not rate(values[:200], None, {f: c[:200] for f, c in crossed(20, 10).items()}).conclusive


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows_give_reasons_instead_of_numbers(n):
    values = np.zeros(n)
    for found in (mean(values), mean_change(values, values), statistic(lambda w: 1.0, n)):
        assert found.lower is None
        assert found.upper is None
        assert found.reason
        assert not found.conclusive
    assert (rate(values).value is None) == (n == 0)
    if n:
        assert rate(values).upper == pytest.approx(0.975)
        assert rate_change(values, values + 1).lower < 0.2


def test_a_constant_mean_says_that_it_has_no_width():
    found = mean(np.full(40, 3.3))
    assert found.lower == found.value == found.upper
    assert "no variation" in found.reason


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="outside"):
        rate([0, 2])
    with pytest.raises(ValueError, match="outside"):
        rate_change([0, 2], [0, 1])
    with pytest.raises(ValueError, match="NaN"):
        mean([np.nan])
    with pytest.raises(ValueError, match="weight"):
        mean([1.0], [-1.0])
    with pytest.raises(ValueError, match="one entry a row"):
        mean([1.0, 2.0], None, {"c": np.zeros(3)})


def test_statistic_of_the_weighted_mean_agrees_with_the_mean():
    rng = np.random.default_rng(11)
    values, labels = rng.normal(size=400), {"c": np.repeat(np.arange(50), 8)}
    free = statistic(lambda w: float(w @ values / w.sum()), 400, labels, draws=2000)
    direct = mean(values, None, labels)
    assert free.value == pytest.approx(direct.value)
    assert free.se == pytest.approx(direct.se, rel=0.08)
    assert (free.lower, free.upper) == pytest.approx((direct.lower, direct.upper), abs=0.04)


def test_statistic_passes_input_order_and_zero_weights():
    seen = []
    statistic(lambda w: seen.append(w) or 1.0, [2.0, 0.0, 1.0], draws=3)
    np.testing.assert_allclose(seen[0] / seen[0].sum(), [2 / 3, 0, 1 / 3])
    assert all(w.shape == (3,) and w[1] == 0 for w in seen)


def test_undefined_statistics_say_so():
    assert statistic(lambda w: float("nan"), 50).reason == "undefined on these rows"
    rare = np.arange(50) == 0
    found = statistic(lambda w: 1.0 if w[rare].sum() else float("nan"), 50)
    assert found.value == 1
    assert found.lower is None
    assert "undefined in 3" in found.reason


def test_statistic_change_shares_its_draws():
    rng = np.random.default_rng(12)
    base = 10 * rng.normal(size=100)
    found = statistic_change(
        lambda w: float(w @ base / w.sum()), lambda w: float(w @ (base + 1) / w.sum()), 100
    )
    assert found.lower == pytest.approx(1)
    assert found.upper == pytest.approx(1)
    noisy = base + rng.normal(size=100)
    null = statistic_change(lambda w: float(w @ base / w.sum()), lambda w: float(w @ noisy / w.sum()), 100)
    assert null.p == pytest.approx(mean_change(base, noisy).p, abs=0.05)


def test_two_thousand_crossed_draws_are_fast():
    values = (np.random.default_rng(13).random(1500) < 0.2).astype(float)
    labels = crossed(30, 50)
    rate(values, None, labels)
    started = time.perf_counter()
    rate(values, None, labels, draws=2000)
    assert time.perf_counter() - started < 2.0
