"""Numbers of items of a growing run: their power in other draws, order and scale."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.statistics.looks import Clustered, clusters_needed, stopping_clusters
from fmaudit.statistics.outlook import Outlook
from fmaudit.statistics.proposals import Aim, clustered, grouped, independent, proposed_items, scaled

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
