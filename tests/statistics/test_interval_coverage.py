"""Simulated coverage and type I error; the long runs are marked slow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fmaudit.statistics import contrast, mean, rate, rate_change, statistic, wilson

TEMPLATE, OCCUPATION = np.repeat(np.arange(30), 40), np.tile(np.arange(40), 30)
CROSSED = {"template": TEMPLATE, "occupation": OCCUPATION}


def simulate(data_sets, generate, truth, estimate):
    """Share of intervals that contain the truth, and of p-values at or below .05."""
    hits, rejections = [], []
    for number in range(data_sets):
        found = estimate(generate(np.random.default_rng([91, number])), number)
        hits.append(found.lower <= truth <= found.upper)
        rejections.append(found.p is not None and found.p <= 0.05)
    return np.mean(hits), np.mean(rejections)


def crossed_outcomes(rng):
    latent = 0.6 * rng.normal(size=30)[TEMPLATE] + 0.6 * rng.normal(size=40)[OCCUPATION]
    return (rng.random(1200) < norm.cdf(latent)).astype(float)


def unequal_clusters(rng, clusters, scale=15):
    return np.repeat(
        np.arange(clusters), np.maximum(1, np.rint(scale * rng.lognormal(0, 0.8, clusters))).astype(int)
    )


def clustered_outcomes(rng, clusters, p):
    labels = unequal_clusters(rng, clusters)
    chance = norm.cdf(norm.ppf(p) * 1.36**0.5 + 0.6 * rng.normal(size=clusters))[labels]
    return (rng.random(len(labels)) < chance).astype(float), {"c": labels}


def null_change(rng, clusters):
    labels = unequal_clusters(rng, clusters, 8)
    shift = 0.1 * rng.choice([-1, 1], clusters) * rng.random(clusters)
    base = rng.random(len(labels)) < 0.2
    return base, rng.random(len(labels)) < (0.2 + shift)[labels], {"c": labels}


def null_crossed_change(rng):
    return crossed_outcomes(rng), crossed_outcomes(rng), CROSSED


def test_crossed_factors_cover_where_rows_or_one_factor_do_not():
    def cover(factors):
        chosen = {f: CROSSED[f] for f in factors}
        return simulate(200, crossed_outcomes, 0.5, lambda y, s: rate(y, None, chosen, draws=300, seed=s))[0]

    assert cover(("template", "occupation")) >= 0.93
    assert cover(()) < 0.75
    assert cover(("template",)) < 0.92
    assert cover(("occupation",)) < 0.92


@pytest.mark.slow
def test_crossed_factors_cover_in_a_thousand_data_sets():
    crossed_rate = simulate(
        1000, crossed_outcomes, 0.5, lambda y, s: rate(y, None, CROSSED, draws=500, seed=s)
    )
    crossed_mean = simulate(
        1000, crossed_outcomes, 0.5, lambda y, s: mean(y, None, CROSSED, draws=500, seed=s)
    )
    print("crossed rate", crossed_rate[0], "crossed mean", crossed_mean[0])
    assert crossed_rate[0] >= 0.93
    assert crossed_mean[0] >= 0.93


@pytest.mark.parametrize("clusters", [15, 40])
def test_clustered_rates_cover_where_wilson_does_not(clusters):
    found, _ = simulate(
        300, lambda rng: clustered_outcomes(rng, clusters, 0.3), 0.3, lambda d, s: rate(d[0], None, d[1])
    )
    assert found >= 0.92

    def naive(rng):
        return clustered_outcomes(rng, clusters, 0.3)[0]

    hits = [
        low <= 0.3 <= high
        for low, high in (
            wilson(y.sum(), len(y)) for y in (naive(np.random.default_rng([91, i])) for i in range(300))
        )
    ]
    assert np.mean(hits) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("clusters", [15, 30, 60])
def test_clustered_rates_cover_in_a_thousand_data_sets(clusters, p):
    found, _ = simulate(
        1000, lambda rng: clustered_outcomes(rng, clusters, p), p, lambda d, s: rate(d[0], None, d[1])
    )
    print("clustered rate", clusters, p, found)
    assert found >= 0.92


def test_means_of_fifteen_unequal_clusters_cover():
    def generate(rng):
        labels = unequal_clusters(rng, 15)
        return rng.normal(size=15)[labels] + rng.normal(size=len(labels)), {"c": labels}

    found, _ = simulate(300, generate, 0.0, lambda d, s: mean(d[0], None, d[1], draws=400, seed=s))
    assert 0.92 <= found <= 0.985


def test_paired_change_of_clusters_keeps_level_and_type_one_error():
    cover, rejected = simulate(
        300,
        lambda rng: null_change(rng, 30),
        0.0,
        lambda d, s: rate_change(*d[:2], None, d[2], draws=400, seed=s),
    )
    assert cover >= 0.93
    assert rejected <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [12, 30, 60])
def test_paired_change_in_a_thousand_data_sets(clusters):
    cover, rejected = simulate(
        1000,
        lambda rng: null_change(rng, clusters),
        0.0,
        lambda d, s: rate_change(*d[:2], None, d[2], draws=500, seed=s),
    )
    print("paired change", clusters, cover, rejected)
    assert cover >= 0.93
    assert rejected <= 0.065


@pytest.mark.slow
def test_crossed_change_in_a_thousand_data_sets():
    cover, rejected = simulate(
        1000, null_crossed_change, 0.0, lambda d, s: rate_change(*d[:2], None, d[2], draws=500, seed=s)
    )
    naive = simulate(200, null_crossed_change, 0.0, lambda d, s: rate_change(*d[:2]))[1]
    print("crossed change", cover, rejected, "exact McNemar on rows", naive)
    assert cover >= 0.93
    assert rejected <= 0.065
    assert naive > 0.15


def test_contrast_of_documents_keeps_level_and_type_one_error():
    def generate(rng):
        return clustered_outcomes(rng, 60, 0.3)

    def estimate(data, seed):
        plus = data[1]["c"] < 20
        return contrast(data[0], plus, ~plus, None, data[1], draws=200, seed=seed)

    cover, rejected = simulate(200, generate, 0.0, estimate)
    assert cover >= 0.92
    assert rejected <= 0.09


def test_statistics_of_the_whole_table_cover():
    def estimate(values, seed):
        return statistic(lambda w: float(np.sqrt(w @ values**2 / w.sum())), 60, draws=300, seed=seed)

    found, _ = simulate(200, lambda rng: rng.normal(size=60), 1.0, estimate)
    assert 0.91 <= found <= 0.99
