"""Plans of rules on metrics with a target, and of data sets that were not given."""

from __future__ import annotations

import pytest

from fmaudit.gate.policy import parse_policy
from fmaudit.planning.claims import planned_claims
from fmaudit.planning.outlooks import prospects
from fmaudit.planning.policy_text import plain_prospects, prospect_lines
from fmaudit.probe import Rate
from tests.planning.planned import Toy, entry, models

HEAD = "schema: fmaudit/policy/1\nid: toy\nrules:\n"


class Targeted(Toy):
    """A rate without a target, the same with one, on two data sets."""

    metrics = (Rate("rate"), Rate("preference", of="outcome", direction="target", ideal=0.5))
    contrasts = ()
    datasets = ("toy", "larger")


def outlook(rule, n=4000):
    file = parse_policy(f"{HEAD}  - {{id: a, {rule}}}\n")
    planned = [entry(n, probe=Targeted())]
    claims = planned_claims(file.policy, planned, models(*planned))
    return file, prospects(file.policy, claims, models(*planned), None, lambda done: None)


def test_a_move_to_either_side_has_to_be_excluded():
    rule = "dataset: toy, vs_base: {max_increase: 0.05}"
    (plain,) = outlook(f"metric: toy.plan/rate, {rule}")[1]
    file, (away,) = outlook(f"metric: toy.plan/preference, {rule}")
    assert (plain.claim.ideal, away.claim.ideal) == (None, 0.5)
    # Two sides at half of the error each.
    assert plain.needed * 1.2 < away.needed < plain.needed * 1.8
    lines = " ".join(prospect_lines(file, [away], 1, 100))
    assert "change of the distance to 0.5 of toy.plan/preference (toy), at most 0.05" in lines
    assert plain_prospects(file, [away], 1)["claims"][0]["distance_to"] == 0.5


def test_within_bounds_both_sides_of_the_target():
    _, (found,) = outlook("metric: toy.plan/preference, dataset: toy, within: 0.1")
    assert (found.claim.kind, found.claim.limit.min, found.claim.limit.max) == ("level", 0.4, 0.6)
    assert found.assumptions[0].value == pytest.approx(0.5)
    assert found.chance > 0.99


def test_a_data_set_that_was_not_given_is_said():
    _, (given, absent) = outlook("metric: toy.plan/rate, max: 0.1")
    assert given.claim.entry is not None
    assert absent.claim.entry is None
    assert absent.warnings == (
        "data set larger was not given (--data larger=FILE), and the rule names no data set: "
        "the rule will be inconclusive",
    )
    assert len(outlook("metric: toy.plan/rate, dataset: toy, max: 0.1")[1]) == 1
