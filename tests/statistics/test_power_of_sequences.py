"""Numbers of items of a growing run: their power in other draws, order and scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fmaudit.statistics import confidence_sequence
from fmaudit.statistics.looks import Clustered, clusters_needed, stopping_clusters
from fmaudit.statistics.outlook import Outlook
from fmaudit.statistics.proposals import Aim, clustered, grouped, independent, proposed_items, scaled
from tests.statistics.power_releases import LEVEL, change_rows, rate_rows

LAW, BOUNDS = Clustered("rate", 0.3, np.array([3, 5, 8]), icc=0.2), (None, 0.45)


def test_stopping_times_are_those_of_the_seed():
    first, again, other = (
        stopping_clusters(LAW, BOUNDS, 0.9, clusters=200, replicates=20, seed=s) for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_the_number_of_clusters_has_the_power_in_other_draws():
    needed = clusters_needed(LAW, BOUNDS, 0.9, power=0.9)
    stopped = stopping_clusters(LAW, BOUNDS, 0.9, clusters=needed, replicates=2000, seed=9)
    # Standard error .007; two are added on purpose.
    assert 0.89 <= (stopped <= needed).mean() <= 0.94
    assert clusters_needed(LAW, BOUNDS, 0.9, power=0.9, most=needed // 2) is None


@pytest.mark.parametrize("sample", [independent(), grouped(5, 0.1)], ids=["rows", "clusters"])
def test_a_proposal_grows_with_what_is_asked_of_a_sequence(sample):
    aim = Aim("rate", 0.02, (None, 0.08))

    def items(**kwargs):
        return proposed_items(aim, sample, form="anytime", **kwargs)

    assert items(power=0.8) < items(power=0.9) < items(power=0.95)
    assert items(confidence=0.9) < items(confidence=0.95) < items(confidence=0.99)
    assert items(gated=1) < items(gated=2) < items(gated=5)
    assert items() > proposed_items(aim, sample)


def test_a_bounded_mean_is_scaled_to_the_sequence():
    aim = Aim("mean", 2.0, (1.5, 2.3), 0.5, (0.0, 5.0))
    law = clustered(aim, independent())
    assert (law.truth, law.spread) == pytest.approx((0.4, 0.1))
    assert scaled(aim, aim.bounds) == pytest.approx((0.3, 0.46))
    wide = Aim("mean", 200.0, (150.0, 230.0), 50.0, (0.0, 500.0))
    found = [proposed_items(a, independent(), form="anytime") for a in (aim, wide)]
    assert found[0] == found[1] > 30


def test_an_incomplete_cluster_counts_for_nothing_in_the_outlook_of_a_sequence():
    aim = Aim("rate", 0.02, (None, 0.2))
    chances = [Outlook(aim, grouped(5, 0.1), n, "anytime").passes(0.9) for n in (4, 200, 204, 205)]
    assert chances[0] == 0
    assert chances[1] == chances[2]


def test_a_sequence_that_no_run_is_long_enough_for_is_given_up_early(monkeypatch):
    from fmaudit.statistics import looks

    asked, real = [], looks.stopping_clusters

    def counted(*args, clusters, replicates, **kwargs):
        asked.append(clusters * replicates)
        return real(*args, clusters=clusters, replicates=replicates, **kwargs)

    monkeypatch.setattr(looks, "stopping_clusters", counted)
    law = Clustered("rate", 0.0495, np.ones(1, dtype=np.int64))
    assert clusters_needed(law, (None, 0.05), LEVEL, power=0.9, most=30_000, replicates=500) is None
    assert max(asked) < 30_000 * 500


def test_a_number_found_after_a_few_runs_were_tried_first_has_its_power(monkeypatch):
    from fmaudit.statistics import looks

    monkeypatch.setattr(looks, "_LONG", 10)
    law, bounds = Clustered("rate", 0.3, np.ones(1, dtype=np.int64)), (None, 0.4)
    needed = clusters_needed(law, bounds, LEVEL, power=0.9)
    stopped = stopping_clusters(law, bounds, LEVEL, clusters=needed, replicates=1000, seed=9)
    # Standard error .010.
    assert 0.88 <= (stopped <= needed).mean() <= 0.95


def found_by_real_sequences(kind, truth, reference, clusters, size, icc, runs):
    """Share of runs whose sequence lies above the reference after its last cluster."""
    rng, found = np.random.default_rng([21, runs]), []
    sizes = np.full(clusters, size)
    for _ in range(runs):
        if kind == "rate":
            values, labels = rate_rows(truth, sizes, icc, rng)
            bound = reference
        else:
            base, adapted, labels = change_rows(truth, max(0.1, truth), sizes, icc, rng)
            values, bound = (adapted - base + 1) / 2, (reference + 1) / 2
        lower, _ = confidence_sequence(np.bincount(labels, values), sizes, float(size), LEVEL)
        found.append(lower[-1] > bound)
    return np.mean(found)


GRID = [
    ("rate", 0.05, 400, 1, 0.0),
    ("rate", 0.2, 100, 5, 0.1),
    ("change", 0.0, 400, 1, 0.0),
    ("change", 0.0, 120, 5, 0.2),
    ("rate", 0.5, 300, 1, 0.0),
    ("rate", 0.05, 200, 8, 0.3),
    ("change", 0.05, 600, 1, 0.0),
    ("change", 0.0, 300, 3, 0.1),
]


def detectable_within_ten_percent(kind, reference, clusters, size, icc, runs):
    aim = Aim(kind, reference, (None, reference), spread=0.1)
    n = clusters * size
    distance = Outlook(aim, grouped(size, icc), n, "anytime").detectable(reference, LEVEL)
    near, far = (
        found_by_real_sequences(kind, reference + factor * distance, reference, clusters, size, icc, runs)
        for factor in (0.9, 1.1)
    )
    # Two standard errors of the runs, and as many of the 500 simulated ones that the distance rests on.
    room = 2 * (0.16 / runs + 0.16 / 500) ** 0.5
    assert near <= 0.8 + room
    assert far >= 0.8 - room
    # The runs could tell a distance that is a fifth off.
    assert norm.ppf(far) - norm.ppf(near) > 0.2


@pytest.mark.parametrize(("kind", "reference", "clusters", "size", "icc"), GRID[:4])
def test_the_detectable_effect_of_a_growing_run_is_found_with_its_power(kind, reference, clusters, size, icc):
    detectable_within_ten_percent(kind, reference, clusters, size, icc, 150)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "reference", "clusters", "size", "icc"), GRID)
def test_detectable_effects_of_growing_runs_on_a_grid(kind, reference, clusters, size, icc):
    detectable_within_ten_percent(kind, reference, clusters, size, icc, 1000)
