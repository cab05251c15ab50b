from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmaudit.errors import UsageError
from fmaudit.gate.checks import check_policy
from fmaudit.gate.log import log_lines
from fmaudit.gate.outcome import Circumstances, outcome, write_outcome
from fmaudit.gate.policy import STARTERS, load_policy
from fmaudit.plugins import metric_directions

SMALL = {"n": 29, "n_eff": 29.0, "clusters": {"item": 29}}


@pytest.mark.parametrize(
    ("level", "rule", "verdict", "exit_code"),
    [
        ({}, "max: 0.2", "pass", 0),
        ({}, "max: 0.05", "fail", 1),
        ({}, "max: 0.11", "inconclusive", 3),
        ({}, "min: 0.05, direction: target", "pass", 0),
        ({}, "min: 0.2, direction: target", "fail", 1),
        ({}, "min: 0.05, max: 0.2", "pass", 0),
        # Exactly on the limit still counts as inside.
        ({"lower": 0.05, "upper": 0.2, "worst_interval": [0.05, 0.2]}, "max: 0.2", "pass", 0),
        # The value passes, the missing answers may not.
        ({"coverage": 0.7, "worst_interval": [0.06, 0.4]}, "max: 0.2", "inconclusive", 3),
        ({"coverage": 0.7, "worst": None, "worst_interval": None}, "max: 0.2", "inconclusive", 3),
        ({"coverage": 0.7, "worst_interval": [0.3, 0.4]}, "max: 0.2", "fail", 1),
        # Too few, unmeasured, without a verdict of its own.
        (SMALL, "max: 0.2", "inconclusive", 3),
        (SMALL, "max: 0.01", "inconclusive", 3),
        ({"n": 400, "clusters": {"template": 5}, "conclusive": False}, "max: 0.01", "inconclusive", 3),
        ({"state": "unmeasured", "value": None, "reason": "all empty"}, "max: 0.2", "inconclusive", 3),
        ({"lower": None, "upper": None, "worst_interval": None}, "max: 0.2", "inconclusive", 3),
    ],
)
def test_truth_table(hold, make_audit, make_policy, level, rule, verdict, exit_code):
    result = hold(make_audit(level=level), make_policy(rule))
    assert [finding.verdict for finding in result.findings] == [verdict]
    assert result.exit_code == exit_code
    if verdict != "pass":
        assert result.findings[0].reason
        assert result.findings[0].action


def test_two_items_never_pass_and_never_fail(hold, make_audit, make_policy):
    two = {"n": 2, "n_eff": 2.0, "clusters": {"item": 2}, "conclusive": False}
    for rule in ("max: 1", "max: 0"):
        for partial in (True, False):
            result = hold(make_audit(level=two, partial=partial), make_policy(rule, defaults="{min_n: 1}"))
            assert result.exit_code == 3


def test_a_partial_run_may_fail_but_never_pass(hold, make_audit, make_policy):
    cut = make_audit(partial=True, level={"conclusive": False, "reason": "partial"})
    assert hold(cut, make_policy("max: 0.05")).exit_code == 1
    assert hold(cut, make_policy("max: 0.2")).exit_code == 3


@pytest.mark.parametrize(
    ("limit", "exit_code"),
    [
        ("max_increase: 0.1", 0),
        ("max_increase: 0.01", 1),
        ("max_increase: 0.05", 3),
        ("max_decrease: 0.0", 0),
    ],
)
def test_change_against_base(hold, make_audit, make_policy, limit, exit_code):
    assert hold(make_audit(), make_policy(f"vs_base: {{{limit}}}")).exit_code == exit_code


def test_a_fallen_number_fails_max_decrease(hold, make_audit, make_policy):
    fallen = {"value": -0.3, "lower": -0.4, "upper": -0.2, "worst_interval": [-0.4, -0.2]}
    assert hold(make_audit(change=fallen), make_policy("vs_base: {max_decrease: 0.1}")).exit_code == 1


def test_change_without_bounds_does_not_pass_when_answers_are_missing(hold, make_audit, make_policy):
    change = {"coverage": 0.9, "worst_interval": None}
    assert hold(make_audit(change=change), make_policy("vs_base: {max_increase: 0.1}")).exit_code == 3


def test_contrast_by_its_short_name(hold, make_audit, make_policy):
    assert hold(make_audit(), make_policy("contrast: gap, max: 0.3")).exit_code == 0
    assert hold(make_audit(), make_policy("contrast: gap, max: 0.1")).exit_code == 1
    # No difference in differences was measured.
    assert hold(make_audit(), make_policy("contrast: gap, vs_base: {max_increase: 0.5}")).exit_code == 3


def test_slice(hold, make_audit, make_policy):
    result = hold(make_audit(), make_policy("slice: {group: a}, max: 0.2"))
    assert result.exit_code == 1
    assert result.findings[0].number.value == 0.3


@pytest.mark.parametrize("state", ["unmeasured", "unmeasurable"])
def test_what_was_not_measured_is_never_passed(hold, make_audit, make_policy, state):
    result = hold(make_audit(state=state), make_policy("max: 1"))
    assert [finding.verdict for finding in result.findings] == ["inconclusive"]
    assert result.exit_code == 5


def test_a_known_metric_that_was_not_asked_is_inconclusive(hold, make_audit, make_policy):
    policy = make_policy("max: 1")
    other = policy.policy.model_copy(
        update={"rules": [policy.policy.rules[0].model_copy(update={"metric": "other.probe/rate"})]}
    )
    absent = type(policy)(other, policy.name, policy.digest, policy.lines)
    check_policy(absent, {"other.probe/rate": "lower_is_better"})
    assert hold(make_audit(), absent).exit_code == 3
    with pytest.raises(UsageError, match=r"policy.yaml, line 4: rule 'r0': unknown metric"):
        check_policy(absent, {"toy.probe/rate": "lower_is_better"})


def test_nothing_evaluated(hold, make_audit, make_policy):
    assert hold(make_audit(measured=False), make_policy("max: 1")).exit_code == 5
    assert hold(make_audit(measured=False), make_policy("max: 1, tier: warn")).exit_code == 5


def test_only_blocking_rules_decide_the_exit_code(hold, make_audit, make_policy):
    assert hold(make_audit(), make_policy("max: 0.01, tier: warn", "max: 0.2")).exit_code == 0
    assert hold(make_audit(), make_policy("max: 0.01, tier: monitor", "max: 0.11")).exit_code == 3
    assert hold(make_audit(), make_policy("max: 0.11", "max: 0.01", "max: 0.2")).exit_code == 1


def test_the_interval_is_the_one_of_the_policys_confidence(hold, make_audit, make_policy):
    (finding,) = hold(make_audit(), make_policy("max: 0.117")).findings
    assert (finding.verdict, finding.number.level) == ("pass", pytest.approx(0.9))
    (finding,) = hold(make_audit(), make_policy("max: 0.117", defaults="{confidence: 0.975}")).findings
    assert (finding.verdict, finding.number.level) == ("inconclusive", pytest.approx(0.95))
    assert finding.number.upper == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("max: 1, subject: nobody", "unknown subject 'nobody'"),
        ("max: 1, slice: {group: zzz}", "unknown slice"),
        ("max: 1, variant: pll", "unknown variant 'pll'"),
        ("max: 1, dataset: other", "unknown dataset 'other'"),
        ("max: 1, contrast: other", "unknown contrast 'other'"),
    ],
)
def test_unknown_names_are_errors_with_their_line(hold, make_audit, make_policy, rule, problem):
    with pytest.raises(UsageError, match=rf"policy.yaml, line 5: rule 'r1': {problem}"):
        hold(make_audit(), make_policy("max: 1", rule))


@pytest.mark.parametrize("name", STARTERS)
def test_starter_policies_are_valid_and_block_the_unmeasured(hold, make_audit, name):
    policy = load_policy(Path(name))
    check_policy(policy, metric_directions())
    result = hold(make_audit(), policy)
    assert result.exit_code in ((3, 1) if name == "strict" else (3, 0))
    assert {finding.verdict for finding in result.findings} <= {"inconclusive", "fail"}


def test_outcome_file_is_canonical_and_repeatable(hold, make_audit, make_policy, tmp_path):
    result = hold(make_audit(), make_policy("max: 0.11"))
    record = outcome(make_audit(), result, Circumstances(looks=2, locked=True))
    path = write_outcome(tmp_path, record, result)
    assert path.parent.name == "gate"
    assert path.stem == result.policy_digest.removeprefix("sha256:")
    written = path.read_bytes()
    assert json.loads(written) == json.loads(json.dumps(record))
    assert (record["looks"], record["policy"]["locked_before_run"], record["exit_code"]) == (2, True, 3)
    assert record["findings"][0]["number"]["value"] == 0.1
    assert write_outcome(tmp_path, record, result).read_bytes() == written


def test_log_states_number_interval_reason_and_action(hold, make_audit, make_policy):
    line, verdict = log_lines(hold(make_audit(level={"reason": "\x1b[31m"}), make_policy("max: 0.11")))
    assert line.startswith(
        "OPEN r0: toy.probe/rate level (adapted plain toy): 0.1 (90% two-sided interval 0.08322 to 0.1168"
    )
    assert "reaches across at most 0.11" in line
    assert "564 items would decide" in line
    assert verdict.startswith("gate inconclusive (exit code 3)")
    assert not any("\x1b" in text for text in (line, verdict))
