"""The sentences of a plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.gate.policy import parse_policy
from fmaudit.planning.claims import planned_claims
from fmaudit.planning.costs import RunCosts, SubjectCost
from fmaudit.planning.costs_text import cost_lines
from fmaudit.planning.outlooks import blocking_findings, prospects
from fmaudit.planning.policy_text import plain_prospects, prospect_lines, summary_line
from tests.planning.planned import entry, models

ENOUGH = "id: enough, metric: toy.plan/rate, max: 0.1, alternative: {level: 0.02}"
SHORT = "id: short, metric: toy.plan/rate, vs_base: {max_increase: 0.02}"
UNKNOWN = "id: unknown, metric: toy.plan/shape, vs_base: {max_increase: 0.1}"


def found(*rules, n=600, limit=None):
    file = parse_policy(
        "\n".join(["schema: fmaudit/policy/1", "id: toy", "rules:", *(f"  - {{{rule}}}" for rule in rules)])
    )
    planned = entry(n, limit)
    own = models(planned)[:2]
    claims = planned_claims(file.policy, [planned], own)
    return file, prospects(file.policy, claims, own, None, lambda _: None), blocking_findings(claims)


def test_the_summary_tells_enough_short_and_unknown_apart():
    assert "has the items" in summary_line(found(ENOUGH)[1])
    assert summary_line(found(ENOUGH, SHORT)[1]).startswith(
        "As planned the run cannot be expected to pass: short"
    )
    both = summary_line(found(SHORT, UNKNOWN)[1])
    assert "Not known beforehand: unknown" in both
    assert "to pass: short (" in both
    assert "has the items" not in summary_line(found(ENOUGH, UNKNOWN)[1])
    assert summary_line(found(ENOUGH + ", tier: warn")[1]) == "No rule of this policy blocks."


@pytest.fixture(scope="module")
def three():
    return found(ENOUGH, SHORT, UNKNOWN)


@given(st.integers(60, 200))
def test_lines_keep_their_width_and_hold_every_rule(three, width):
    file, prospects_, blocking = three
    lines = "\n".join(prospect_lines(file, prospects_, blocking, width)).splitlines()
    # A digest is one word.
    assert all(len(line) <= max(width, 75) for line in lines)
    text = "\n".join(lines)
    for name in ("enough (blocks)", "short (blocks)", "unknown (blocks)"):
        assert name in text


def test_plain_data_holds_what_the_text_says():
    file, prospects_, blocking = found(ENOUGH, UNKNOWN)
    plain = plain_prospects(file, prospects_, blocking)
    enough, unknown = plain["claims"]
    assert plain["policy"]["blocking_findings"] == 2
    assert enough["needed"] == prospects_[0].needed
    assert enough["assumptions"][0] == {"name": "true value", "value": 0.02, "source": "policy"}
    assert unknown["needed"] is None
    assert unknown["warnings"]


def test_a_margin_to_the_last_release_says_what_the_gate_wants():
    texts = [
        " ".join(prospect_lines(*shown, 100))
        for shown in (found("id: a, metric: toy.plan/rate, vs_release: {max_increase: 0.2}"), found(ENOUGH))
    ]
    assert ["--baseline DIR" in text for text in texts] == [True, False]


def test_the_time_says_why_it_is_not_known():
    subject = SubjectCost("base", "base", None, None)
    costs = RunCosts((), (subject,), (), None, None, ())
    assert "Time: not measured." in cost_lines(costs, 100)
    strange = replace(costs, subjects=(replace(subject, note="its architecture cannot be laid out"),))
    assert "Time: not known, see the warning on base." in cost_lines(strange, 100)


def test_names_cannot_write_escape_sequences():
    file, prospects_, blocking = found('id: "a\\x1b[31mb", metric: toy.plan/rate, max: 0.1')
    assert "\x1b" not in "\n".join(prospect_lines(file, prospects_, blocking, 100))
