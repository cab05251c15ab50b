from __future__ import annotations

import json

import pytest

from fmaudit.errors import UsageError
from fmaudit.gate.evaluate import evaluate
from fmaudit.gate.outcome import log_lines, outcome, write_outcome
from fmaudit.gate.policy import load_policy
from fmaudit.resources import shipped_folder

SMALL = {"n": 29, "n_eff": 29.0, "clusters": {"item": 29}}


@pytest.mark.parametrize(
    ("level", "rule", "verdict", "exit_code"),
    [
        ({}, "max: 0.2", "pass", 0),
        ({}, "max: 0.05", "fail", 1),
        ({}, "max: 0.11", "inconclusive", 3),
        ({}, "min: 0.05", "pass", 0),
        ({}, "min: 0.2", "fail", 1),
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
def test_truth_table(make_audit, make_policy, level, rule, verdict, exit_code):
    result = evaluate(make_audit(level=level), make_policy(rule))
    assert [finding.verdict for finding in result.findings] == [verdict]
    assert result.exit_code == exit_code
    if verdict != "pass":
        assert result.findings[0].reason
        assert result.findings[0].action


def test_two_items_never_pass_and_never_fail(make_audit, make_policy):
    two = {"n": 2, "n_eff": 2.0, "clusters": {"item": 2}, "conclusive": False}
    for rule in ("max: 1", "max: 0"):
        for partial in (True, False):
            result = evaluate(
                make_audit(level=two, partial=partial), make_policy(rule, defaults="{min_n: 1}")
            )
            assert result.exit_code == 3


def test_a_partial_run_may_fail_but_never_pass(make_audit, make_policy):
    cut = make_audit(partial=True, level={"conclusive": False, "reason": "partial"})
    assert evaluate(cut, make_policy("max: 0.05")).exit_code == 1
    assert evaluate(cut, make_policy("max: 0.2")).exit_code == 3


@pytest.mark.parametrize(
    ("limit", "exit_code"),
    [
        ("max_increase: 0.1", 0),
        ("max_increase: 0.01", 1),
        ("max_increase: 0.05", 3),
        ("max_decrease: 0.0", 0),
    ],
)
def test_change_against_base(make_audit, make_policy, limit, exit_code):
    assert evaluate(make_audit(), make_policy(f"vs_base: {{{limit}}}")).exit_code == exit_code


def test_a_fallen_number_fails_max_decrease(make_audit, make_policy):
    fallen = {"value": -0.3, "lower": -0.4, "upper": -0.2, "worst_interval": [-0.4, -0.2]}
    assert evaluate(make_audit(change=fallen), make_policy("vs_base: {max_decrease: 0.1}")).exit_code == 1


def test_change_without_bounds_does_not_pass_when_answers_are_missing(make_audit, make_policy):
    change = {"coverage": 0.9, "worst_interval": None}
    assert evaluate(make_audit(change=change), make_policy("vs_base: {max_increase: 0.1}")).exit_code == 3


def test_contrast_by_its_short_name(make_audit, make_policy):
    assert evaluate(make_audit(), make_policy("contrast: gap, max: 0.3")).exit_code == 0
    assert evaluate(make_audit(), make_policy("contrast: gap, max: 0.1")).exit_code == 1
    # No difference in differences was measured.
    assert evaluate(make_audit(), make_policy("contrast: gap, vs_base: {max_increase: 0.5}")).exit_code == 3


def test_slice(make_audit, make_policy):
    result = evaluate(make_audit(), make_policy("slice: {group: a}, max: 0.2"))
    assert result.exit_code == 1
    assert result.findings[0].number.value == 0.3


@pytest.mark.parametrize("state", ["unmeasured", "unmeasurable"])
def test_what_was_not_measured_is_never_passed(make_audit, make_policy, state):
    result = evaluate(make_audit(state=state), make_policy("max: 1"))
    assert [finding.verdict for finding in result.findings] == ["inconclusive"]
    assert result.exit_code == 5


def test_a_known_metric_that_was_not_asked_is_inconclusive(make_audit, make_policy):
    policy = make_policy("max: 1")
    other = policy.policy.model_copy(
        update={"rules": [policy.policy.rules[0].model_copy(update={"metric": "other.probe/rate"})]}
    )
    absent = type(policy)(other, policy.name, policy.digest, policy.lines)
    assert evaluate(make_audit(), absent, {"other.probe/rate"}).exit_code == 3
    with pytest.raises(UsageError, match=r"policy.yaml, line 4: rule 'r0': unknown metric"):
        evaluate(make_audit(), absent)


def test_nothing_evaluated(make_audit, make_policy):
    assert evaluate(make_audit(measured=False), make_policy("max: 1")).exit_code == 5
    assert evaluate(make_audit(measured=False), make_policy("max: 1, tier: warn")).exit_code == 5


def test_only_blocking_rules_decide_the_exit_code(make_audit, make_policy):
    assert evaluate(make_audit(), make_policy("max: 0.01, tier: warn", "max: 0.2")).exit_code == 0
    assert evaluate(make_audit(), make_policy("max: 0.01, tier: monitor", "max: 0.11")).exit_code == 3
    assert evaluate(make_audit(), make_policy("max: 0.11", "max: 0.01", "max: 0.2")).exit_code == 1


def test_confidence_beyond_the_printed_interval_is_inconclusive(make_audit, make_policy):
    assert evaluate(make_audit(), make_policy("max: 0.2", defaults="{confidence: 0.975}")).exit_code == 0
    assert evaluate(make_audit(), make_policy("max: 0.2", defaults="{confidence: 0.99}")).exit_code == 3


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
def test_unknown_names_are_errors_with_their_line(make_audit, make_policy, rule, problem):
    with pytest.raises(UsageError, match=rf"policy.yaml, line 5: rule 'r1': {problem}"):
        evaluate(make_audit(), make_policy("max: 1", rule))


def test_starter_policy_is_valid_and_blocks_the_unmeasured(make_audit):
    policy = load_policy(shipped_folder("templates") / "policies" / "release.yaml")
    metrics = {rule.metric for rule in policy.policy.rules}
    result = evaluate(make_audit(), policy, metrics)
    assert result.exit_code == 3
    assert {finding.verdict for finding in result.findings} == {"inconclusive"}


def test_outcome_file_is_canonical_and_repeatable(make_audit, make_policy, tmp_path):
    result = evaluate(make_audit(), make_policy("max: 0.11"))
    path = write_outcome(tmp_path, result, looks=2, locked=True)
    assert path.parent.name == "gate"
    assert path.stem == result.policy_digest.removeprefix("sha256:")
    written = path.read_bytes()
    record = json.loads(written)
    assert record == json.loads(json.dumps(outcome(result, looks=2, locked=True)))
    assert (record["looks"], record["policy"]["locked_before_run"], record["exit_code"]) == (2, True, 3)
    assert record["findings"][0]["number"]["value"] == 0.1
    assert write_outcome(tmp_path, result, looks=2, locked=True).read_bytes() == written


def test_log_states_number_interval_reason_and_action(make_audit, make_policy):
    line, verdict = log_lines(evaluate(make_audit(level={"reason": "\x1b[31m"}), make_policy("max: 0.11")))
    assert line.startswith(
        "OPEN r0: toy.probe/rate level (adapted plain toy): 0.1 (95% two-sided interval 0.08 to 0.12"
    )
    assert "reaches across at most 0.11" in line
    assert "801 items would decide" in line
    assert verdict.startswith("gate inconclusive (exit code 3)")
    assert not any("\x1b" in text for text in (line, verdict))
