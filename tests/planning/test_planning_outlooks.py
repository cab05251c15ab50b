"""What a plan promises, against the decisions the gate takes on simulated rows."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.analysis.decisive import decisive_change, decisive_rate
from fmaudit.analysis.numbers import number_fields
from fmaudit.planning.assumptions import DISCORDANCE, INTRACLASS
from fmaudit.planning.claims import planned_claims
from fmaudit.planning.outlooks import DETECTED, prospects
from fmaudit.statistics import mean_change, rate, rate_change
from tests.planning.planned import entry, models, policy

RUNS = 1500
"""Standard error of a share of .8: .010."""


def outlook(rule, planned, **defaults):
    whole = policy(rule, **defaults)
    found = models(planned)[:2]
    return prospects(whole, planned_claims(whole, [planned], found), found, None, lambda _: None)


def decided(fields, level):
    found = decisive_rate if fields["method"] in ("Wilson", "Clopper-Pearson") else decisive_change
    changed = found(fields | {"level": level})
    return changed["lower"], changed["upper"]


def rate_ends(n, truth, level, rng):
    """The gate's limits of the rate of every simulated run; equal counts have equal limits."""
    counts = rng.binomial(n, truth, RUNS)
    known = {}
    for count in np.unique(counts):
        values = np.r_[np.ones(count), np.zeros(n - count)]
        found = rate(values, np.ones(n), {}, level=level)
        known[count] = decided(number_fields(found, 1, 1.0), level)
    return np.array([known[count] for count in counts])


def change_ends(n, shares, level, rng):
    """The same of a paired change; ``shares``: base right, both wrong, broken, fixed."""
    tables = rng.multinomial(n, shares, RUNS)
    known = {}
    for table in {tuple(row) for row in tables.tolist()}:
        base = np.repeat([0.0, 1.0, 0.0, 1.0], table)
        adapted = np.repeat([0.0, 1.0, 1.0, 0.0], table)
        found = rate_change(base, adapted, np.ones(n), {}, level=level)
        known[table] = decided(number_fields(found, 1, 1.0), level)
    return np.array([known[tuple(row)] for row in tables.tolist()])


@pytest.mark.parametrize(("n", "limit"), [(200, 0.05), (500, 0.2)])
def test_the_smallest_detectable_rate_is_that_of_the_gate(n, limit):
    (found,) = outlook(f"id: a, metric: toy.plan/rate, max: {limit}", entry(n))
    rng = np.random.default_rng(1)
    for factor, low, high in ((0.9, 0.0, DETECTED + 0.02), (1.1, DETECTED - 0.02, 1.0)):
        ends = rate_ends(n, limit + factor * found.detectable, 0.9, rng)
        assert low <= (ends[:, 0] > limit).mean() <= high


def test_the_smallest_detectable_change_is_that_of_the_gate():
    n = 300
    (found,) = outlook("id: a, metric: toy.plan/rate, vs_base: {max_increase: 0.1}", entry(n))
    rng = np.random.default_rng(2)
    for factor, low, high in ((0.9, 0.0, DETECTED + 0.02), (1.1, DETECTED - 0.02, 1.0)):
        moved = factor * found.detectable
        shares = [0.5, 0.5 - DISCORDANCE, (DISCORDANCE + moved) / 2, (DISCORDANCE - moved) / 2]
        ends = change_ends(n, shares, 0.9, rng)
        assert low <= (ends[:, 0] > 0).mean() <= high


def test_the_chance_to_pass_and_the_value_to_fail_from_are_those_of_the_gate():
    n, limit = 300, 0.1
    rule = f"id: a, metric: toy.plan/rate, max: {limit}, alternative: {{level: 0.06}}"
    (found,) = outlook(rule, entry(n))
    rng = np.random.default_rng(3)
    passed = (rate_ends(n, 0.06, 0.9, rng)[:, 1] <= limit).mean()
    assert passed == pytest.approx(found.chance, abs=0.04)
    failed = (rate_ends(n, found.fails_from, 0.9, rng)[:, 0] > limit).mean()
    assert failed == pytest.approx(DETECTED, abs=0.04)
    passing = (rate_ends(n, found.passes_to, 0.9, rng)[:, 1] <= limit).mean()
    assert passing >= 0.9 - 0.02


def test_the_proposed_items_give_the_power_that_the_policy_asks():
    rule = "id: a, metric: toy.plan/rate, max: 0.05, alternative: {level: 0.02}"
    (found,) = outlook(rule, entry(2000))
    ends = rate_ends(found.needed, 0.02, 0.9, np.random.default_rng(4))
    assert (ends[:, 1] <= 0.05).mean() >= 0.9 - 0.02
    half = rate_ends(found.needed // 2, 0.02, 0.9, np.random.default_rng(5))
    assert (half[:, 1] <= 0.05).mean() < 0.85


def test_more_blocking_findings_need_more_items():
    one = "id: a, metric: toy.plan/rate, max: 0.05, alternative: {level: 0.02}"
    alone = outlook(one, entry(3000))[0]
    whole = policy(one, one.replace("id: a", "id: b"), one.replace("id: a", "id: c, tier: warn"))
    found = models(entry(3000))[:2]
    both = prospects(whole, planned_claims(whole, [entry(3000)], found), found, None, lambda _: None)
    assert both[0].needed > alone.needed
    assert both[0].fails_from > alone.fails_from
    assert both[2].needed == alone.needed


def test_clusters_need_more_items_and_are_stated():
    rule = "id: a, metric: toy.plan/rate, max: 0.05, alternative: {level: 0.02}"
    alone, shared = outlook(rule, entry(3000))[0], outlook(rule, entry(3000, cluster=5))[0]
    assert shared.needed > alone.needed
    assert shared.needed % 5 == 0
    stated = {one.name: (one.value, one.source) for one in shared.assumptions}
    assert stated["intraclass correlation by document"] == (INTRACLASS, "assumed")


def test_data_that_cannot_give_it_is_called_so_with_what_it_can_show():
    (found,) = outlook("id: a, metric: toy.plan/rate, max: 0.02, alternative: {level: 0.0}", entry(100))
    assert found.needed > 100
    assert found.run_items is None
    (warning,) = found.warnings
    assert f"100 items and {found.needed:,} are needed" in warning
    assert 0.02 < found.reachable < 0.05
    ends = rate_ends(100, 0.0, 0.9, np.random.default_rng(6))
    assert ends[0, 1] == pytest.approx(found.reachable, abs=0.001)


def test_a_cut_run_never_passes_and_says_so():
    (found,) = outlook("id: a, metric: toy.plan/rate, max: 0.2", entry(400, limit=50))
    assert any("never passes" in warning for warning in found.warnings)
    assert found.chance == 0
    assert found.passes_to is None
    assert found.fails_from is not None
    (few,) = outlook("id: a, metric: toy.plan/rate, max: 0.9", entry(20))
    assert (few.chance, few.passes_to) == (0, None)


def test_a_two_sided_margin_passes_inside_both_of_its_limits():
    rule = "id: a, metric: toy.plan/rate, direction: target, vs_base: {max_increase: M, max_decrease: M}"
    (wide,) = outlook(rule.replace("M", "0.2"), entry(400))
    assert 0 < wide.passes_to < 0.2
    (narrow,) = outlook(rule.replace("M", "0.05"), entry(400))
    assert narrow.passes_to is None
    assert narrow.chance < 0.9


def test_assumed_discordance_fits_the_assumed_level():
    rule = "id: a, metric: toy.plan/rate, max: 0.05, vs_base: {max_increase: 0.02}"
    change = outlook(rule, entry(400))[1]
    stated = {one.name: (one.value, one.source) for one in change.assumptions}
    assert stated["discordance"] == (0.05, "assumed from the level")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("id: a, metric: toy.plan/shape, vs_base: {max_increase: 0.1}", "give --pilot"),
        ("id: a, metric: toy.plan/shape, max: 1.0", "state alternative"),
        ("id: a, metric: toy.plan/rate, verdicts: {block: [inherited]}", "no number of items"),
    ],
)
def test_where_nothing_can_be_said_it_says_what_to_give(rule, words):
    (found,) = outlook(rule, entry(100))
    assert words in found.warnings[0]
    assert found.needed is None
    assert found.detectable is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("id: a, metric: toy.plan/rate, contrast: gap, vs_base: {max_increase: 0.1}", "a contrast has no"),
        ("id: a, metric: toy.plan/shape, vs_base: {max_increase: 0.1}", "a statistic of all items has no"),
        ("id: a, metric: toy.plan/nats, max: 1.0, alternative: {level: 0.5}", "give --pilot"),
    ],
)
def test_what_has_no_anytime_form_is_never_decided(rule, words):
    (found,) = outlook(rule, entry(100), form="anytime")
    assert words in found.warnings[0]


@pytest.mark.parametrize(
    "rule",
    [
        "vs_base: {max_increase: 0.1}",
        "max: 1.0, alternative: {level: 0.5}",
        "contrast: nats_gap, max: 1.0",
        "contrast: nats_gap, vs_base: {max_increase: 0.1}",
        "direction: target, within: 0.5",
    ],
)
def test_a_mean_without_a_range_never_passes_and_says_so(rule):
    for found in outlook(f"id: a, metric: toy.plan/nats, {rule}", entry(1000)):
        assert "approximate, never passes" in found.warnings[0]
        assert (found.known, found.needed, found.chance) == (True, None, None)


def test_a_mean_in_a_range_costs_its_range_and_a_contrast_more():
    level = "id: a, metric: toy.plan/score, max: 2.1, alternative: {level: 2.0}"
    (change,) = outlook("id: a, metric: toy.plan/score, vs_base: {max_increase: 0.1}", entry(4000))
    (gap,) = outlook(
        "id: a, metric: toy.plan/score, contrast: score_gap, vs_base: {max_increase: 0.1}", entry(4000)
    )
    for found, least in ((outlook(level, entry(4000))[0], 2), (change, 4), (gap, 8)):
        assert found.needed > -np.log(0.05) * least / 0.1
        assert found.chance > 0.9
    assert gap.needed > 2 * change.needed


def test_the_items_of_a_changed_mean_pass_the_gate_with_the_power_asked():
    (found,) = outlook("id: a, metric: toy.plan/score, vs_base: {max_increase: 0.2}", entry(2000))
    rng = np.random.default_rng(7)

    def passed(n):
        base = rng.uniform(1, 3, (300, n))
        after = base + rng.normal(0, 0.4, (300, n))
        ends = [mean_change(*pair, low=0, high=4, level=0.9).upper for pair in zip(base, after, strict=True)]
        return np.mean(np.array(ends) <= 0.2)

    assert passed(found.needed) >= 0.9 - 0.04
    assert passed(int(0.85 * found.needed)) < 0.9


def test_an_anytime_policy_needs_more_than_a_fixed_one():
    rule = "id: a, metric: toy.plan/rate, max: 0.1, alternative: {level: 0.02}"
    fixed, anytime = (outlook(rule, entry(600), form=form)[0] for form in ("fixed", "anytime"))
    assert anytime.needed > fixed.needed


def test_bounded_means_and_lower_limits_have_an_outlook_too():
    (mean,) = outlook("id: a, metric: toy.plan/score, max: 2.0, alternative: {level: 1.5}", entry(400))
    assert 1.5 < mean.passes_to < 2.0 < mean.fails_from
    (least,) = outlook("id: a, metric: toy.plan/rate, min: 0.5, alternative: {level: 0.7}", entry(400))
    assert least.fails_from < 0.5 < least.passes_to < 0.7
    assert 0 < least.detectable < 0.2
