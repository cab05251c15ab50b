"""A policy spelled out on a plan: which items each claim is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.errors import UsageError
from fmaudit.gate.checks import check_names
from fmaudit.gate.policy import parse_policy
from fmaudit.planning.claims import planned_claims, planned_names
from fmaudit.planning.outlooks import blocking_findings
from fmaudit.plugins import DeclaredNames
from tests.planning.planned import entry, models, policy


def claims(rule, *entries, **defaults):
    return planned_claims(policy(rule, **defaults), list(entries), models(*entries))


def test_a_rule_covers_every_model_of_its_role():
    (claim,) = claims("id: a, metric: toy.plan/rate, max: 0.1", entry())
    assert claim.models == ("tuned", "other")
    assert (claim.kind, claim.asked, claim.available) == ("level", 400, 400)
    assert blocking_findings([claim]) == 2


def test_each_limit_of_a_rule_is_a_claim_of_its_own():
    margins = "vs_base: {max_increase: 0.02}, vs_release: {max_increase: 0.01}"
    rule = f"id: a, metric: toy.plan/rate, max: 0.1, {margins}"
    assert [claim.kind for claim in claims(rule, entry())] == ["level", "change", "release change"]
    assert [claim.limit.max for claim in claims(rule, entry())] == [0.1, 0.02, 0.01]


def test_a_slice_counts_its_items_alone():
    rule = "id: a, metric: toy.plan/rate, max: 0.1, slice: {group: '*'}"
    found = {claim.slice["group"]: claim for claim in claims(rule, entry(401, limit=101))}
    assert {name: (claim.asked, claim.available) for name, claim in found.items()} == {
        "member": (51, 201),
        "control": (50, 200),
    }


def test_a_rate_of_members_counts_members_and_a_contrast_both_groups():
    (members,) = claims("id: a, metric: toy.plan/member_rate, max: 0.1", entry(100))
    assert members.asked == 50
    (gap,) = claims("id: a, metric: toy.plan/rate, contrast: gap, max: 0.1", entry(100))
    assert (gap.kind, gap.asked) == ("contrast", 100)


@given(st.integers(1, 60), st.integers(1, 30))
def test_the_items_of_a_run_hold_exactly_the_items_that_are_needed(n, needed):
    (claim,) = claims("id: a, metric: toy.plan/member_rate, max: 0.1", entry(n))
    found = claim.run_items(needed)
    if needed > claim.available:
        assert found is None
    else:
        assert claim.counted[:found].sum() == needed
        assert claim.counted[: found - 1].sum() == needed - 1


def test_what_is_not_measured_says_what_to_do():
    cases = {
        "id: a, metric: toy.other/rate, max: 0.1": "choose it with --probes",
        "id: a, metric: toy.plan/rate, dataset: elsewhere, max: 0.1": "choose it with --datasets or --data",
        "id: a, metric: toy.plan/rate, subject: reference, max: 0.1": "the run has no reference model",
    }
    for rule, words in cases.items():
        (claim,) = claims(rule, entry(10))
        assert words in claim.reason
        assert claim.entry is None
        assert claim.asked == claim.available == 0


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("slice: {category: '*'}", "unknown slice"),
        ("slice: {group: nobody}", "unknown slice"),
        ("slice: {group: '*', other: '*'}", "unknown slice"),
        ("contrast: gulf", "unknown contrast"),
        ("variant: pll", "unknown variant"),
        ("dataset: elsewhere", "unknown dataset"),
        ("subject: nobody", "unknown subject"),
    ],
)
def test_names_that_the_gate_will_refuse_are_refused_beforehand(rule, words):
    lines = [
        "schema: fmaudit/policy/1",
        "id: a",
        "rules:",
        f"  - {{id: a, metric: toy.plan/rate, max: 1, {rule}}}",
    ]
    planned = [entry(20)]
    with pytest.raises(UsageError, match=rf"line 4.*{words}"):
        check_names(parse_policy("\n".join(lines)), planned_names(planned, models(*planned)))


def test_names_that_the_run_has_or_a_probe_declares_are_accepted():
    planned = [entry(20)]
    known = planned_names(planned, models(*planned))
    rule = "  - {id: a, metric: toy.plan/rate, max: 1, RULE}"
    for own in ("slice: {group: '*'}", "contrast: gap", "dataset: toy", "subject: other"):
        lines = ["schema: fmaudit/policy/1", "id: a", "rules:", rule.replace("RULE", own)]
        check_names(parse_policy("\n".join(lines)), known)
    names = DeclaredNames(
        frozenset({"pll"}), frozenset({"elsewhere"}), {"toy.plan/rate": frozenset({"unasked"})}
    )
    declared = known.joined({"toy.plan": names})
    for own in ("variant: pll", "dataset: elsewhere", "contrast: unasked", "contrast: gap", "dataset: toy"):
        lines = ["schema: fmaudit/policy/1", "id: a", "rules:", rule.replace("RULE", own)]
        check_names(parse_policy("\n".join(lines)), declared)
