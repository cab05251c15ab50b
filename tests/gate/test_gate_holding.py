"""What must be true of a run before a gate decides: finished, unchanged, of this policy, at this time."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import pytest

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.holding import GateOptions, gate_run
from fmaudit.gate.policy import parse_policy
from tests.analysis.release_runs import EXTRACTION, GREEDY, Asked, change_audit, change_state, write_release

LEVEL = f"{GREEDY}, dataset: extraction_records, max: 0.1"
POLICY = f"schema: fmaudit/policy/1\nid: p\nrules:\n  - {{id: a, metric: {LEVEL}}}\n"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    values = [0] * 200
    return write_release(
        tmp_path_factory.mktemp("clean") / "run", {EXTRACTION: Asked({"base": values, "adapted": values})}
    )


@pytest.fixture
def run(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "run")


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def test_the_record_stands_beside_the_policy_and_counts_looks(run, policy):
    for look in (1, 2):
        result, record = gate_run(run, GateOptions(policy))
        assert (int(result.exit_code), record["looks"]) == (0, look)
    digest = parse_policy(POLICY).digest.removeprefix("sha256:")
    assert json.loads((run / "gate" / f"{digest}.json").read_bytes()) == json.loads(json.dumps(record))
    assert (run / "gate" / f"{digest}.policy.yaml").read_text() == POLICY
    assert not record["policy"]["locked_before_run"]
    assert RunDirectory(run).read_state()["looks"] == 2
    assert "findings" not in json.loads((run / "audit.json").read_bytes())


def test_a_locked_policy_is_recorded_and_another_one_refused(run, policy, tmp_path):
    found = parse_policy(POLICY)
    change_state(run, policy={"digest": found.digest, "id": "p", "margins": {}})
    assert gate_run(run, GateOptions(policy))[1]["policy"]["locked_before_run"]
    other = tmp_path / "other.yaml"
    other.write_text(POLICY.replace("0.1}", "0.5}"))
    with pytest.raises(UsageError, match=r"run was locked to policy p \(sha256:.*other.yaml is p"):
        gate_run(run, GateOptions(other))
    record = gate_run(run, GateOptions(other, other_policy=True))[1]
    assert not record["policy"]["locked_before_run"]


def test_an_unfinished_run_is_not_gated(run, policy):
    change_state(run, finished=False)
    with pytest.raises(ExecutionError, match="run is unfinished: repeat the fmaudit run command"):
        gate_run(run, GateOptions(policy))


def test_a_clock_behind_the_run_is_refused(run, policy):
    change_state(run, sessions=[{"begun": "2026-11-25T08:00:00Z", "ended": "2026-11-25T09:00:00Z"}])
    with pytest.raises(
        UsageError, match="clock says 2026-11-25T08:59:00Z and the run ended at 2026-11-25T09"
    ):
        gate_run(run, GateOptions(policy), datetime(2026, 11, 25, 8, 59, tzinfo=UTC))
    assert int(gate_run(run, GateOptions(policy), datetime(2026, 11, 25, 9, 1, tzinfo=UTC))[0].exit_code) == 0


def test_a_run_extended_after_a_look_needs_the_anytime_form(run, policy, tmp_path):
    change_state(run, extensions=[{"from": 100, "to": None, "looks": 1}])
    with pytest.raises(UsageError, match=r"extended after it was gated \(1 looks before\).*form: anytime"):
        gate_run(run, GateOptions(policy))
    anytime = tmp_path / "anytime.yaml"
    anytime.write_text(POLICY.replace("rules:", "defaults: {form: anytime}\nrules:"))
    result, _ = gate_run(run, GateOptions(anytime))
    assert result.findings[0].number.method == "betting confidence sequence on whole clusters"
    # Extended before anybody looked: the fixed form holds.
    change_state(run, extensions=[{"from": 100, "to": None, "looks": 0}])
    assert int(gate_run(run, GateOptions(policy))[0].exit_code) == 0


def test_a_changed_file_is_named(run, policy):
    part = next((run / "evidence" / "adapted").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(ExecutionError, match=r"evidence/adapted/.*part-\d+.parquet of run was changed"):
        gate_run(run, GateOptions(policy))
    part.unlink()
    with pytest.raises(ExecutionError, match=r"part-\d+.parquet of run is missing"):
        gate_run(run, GateOptions(policy))


def test_an_audit_that_its_rows_do_not_give_is_refused(run, policy, tmp_path):
    def better(audit):
        for estimate in audit["estimates"]:
            estimate["value"] = 0.01

    change_audit(run, better)
    with pytest.raises(ExecutionError, match=r"audit.json and the rows of adapted/memorization"):
        gate_run(run, GateOptions(policy))
    words = tmp_path / "words.yaml"
    words.write_text(POLICY.replace("max: 0.1", "verdicts: {block: [introduced]}"))

    def nicer(audit):
        for comparison in audit["comparisons"]:
            comparison["verdict"] = "repaired"

    change_audit(run, nicer)
    with pytest.raises(ExecutionError, match="'repaired' and the rows do not"):
        gate_run(run, GateOptions(words))


def test_waivers_reach_the_record_and_the_exit_code(run, tmp_path):
    policy = tmp_path / "strict.yaml"
    policy.write_text(POLICY.replace("max: 0.1", "max: 0.01"))
    result, record = gate_run(run, GateOptions(policy))
    assert int(result.exit_code) == 3
    digest = next(entry["digest"] for entry in record["subjects"] if entry["id"] == "adapted")
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text(
        "schema: fmaudit/waivers/1\nwaivers:\n  - {id: W, rule: a, model_digest: '" + digest + "', reason: "
        "small set until December, approved_by: B, created: 2026-11-01, "
        "expires: 2026-12-01, max_value: 0.05}\n"
    )
    now = datetime(2026, 11, 25, tzinfo=UTC)
    result, record = gate_run(run, GateOptions(policy, waivers=waivers), now)
    assert int(result.exit_code) == 0
    assert record["waivers"][0] | {"finding": ""} == {
        "id": "W", "approved_by": "B", "reason": "small set until December", "max_value": 0.05, "used": True,
        "created": "2026-11-01", "expires": "2026-12-01", "finding": "",
    }  # fmt: skip
    assert record["findings"][0]["waiver"] == "W"
    assert list((run / "gate").glob("*.waivers.yaml"))


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("max: 0.1, metric: memorization.extraction/nothing", "line 4: rule 'a': unknown metric"),
        ("min: 0.1", "line 4: rule 'a': min has the wrong sign for a metric where lower is better: give max"),
        (
            "vs_base: {max_decrease: 0.1}",
            "the margin has the wrong sign where lower is better: give max_incr",
        ),
        ("vs_base: {max_increase: -0.1}", "line 4: rules.0.vs_base.max_increase: Input should be greater"),
        ("max: 0.1, direction: higher_is_better", "max has the wrong sign|rules.0: min has the wrong sign"),
        ("max: 0.1, controls: [nist-ai-rmf/MEASURE 9.9]", "unknown control 'nist-ai-rmf/MEASURE 9.9'"),
        ("max: 0.1, slice: {group: nobody}", "unknown slice"),
        ("verdicts: {block: [inherited], allow: [inherited]}", "both blocked and allowed"),
        ("verdicts: {block: [inconclusive]}", "the lack of a verdict"),
        ("max: 0.1, alternative: {level: 0.2}", "alternative.level 0.2 is not inside the limits"),
        ("vs_base: {max_increase: 0.1}, alternative: {change: 0.1}", "not inside the margins of vs_base"),
        ("max: 0.1, slice: {group: member}, slices: [{}]", "give slice or slices, not both"),
        ("verdicts: {block: [inherited]}, subject: base", "verdicts needs an adapted subject"),
    ],
)
def test_policies_that_contradict_themselves_or_the_world(run, tmp_path, rule, problem):
    path = tmp_path / "bad.yaml"
    metric = "" if "metric:" in rule else f"metric: {GREEDY}, "
    path.write_text(f"schema: fmaudit/policy/1\nid: p\nrules:\n  - {{id: a, {metric}{rule}}}\n")
    with pytest.raises(UsageError, match=problem) as caught:
        gate_run(run, GateOptions(path))
    assert "bad.yaml, line 4" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "contrast", "limit", "has"),
    [
        ("downstream.negation/failure_rate", "negated", "max: 0.1", "negated_minus_affirmative"),
        ("bias.crows_pairs/pct_stereotype", "members_minus_controls_logprob", "within: 0.1", "none"),
    ],
)
def test_a_contrast_that_no_probe_declares_is_refused_with_its_line(
    run, policy, metric, contrast, limit, has
):
    policy.write_text(POLICY.replace(LEVEL, f"{metric}, contrast: {contrast}, {limit}"))
    with pytest.raises(UsageError, match=rf"line 4.*unknown contrast '{contrast}': {metric} has {has}$"):
        gate_run(run, GateOptions(policy))


def test_a_declared_contrast_that_the_run_lacks_is_inconclusive(run, policy):
    declared = "downstream.negation/failure_rate, contrast: negated_minus_affirmative"
    policy.write_text(POLICY.replace(LEVEL, f"{declared}, max: 0.1"))
    result, _ = gate_run(run, GateOptions(policy))
    assert (int(result.exit_code), [one.verdict for one in result.findings]) == (3, ["inconclusive"])


def test_a_record_writes_the_level_as_the_policy_means_it(run, policy):
    (found,) = gate_run(run, GateOptions(policy))[1]["findings"]
    assert found["number"]["level"] == 0.9
