"""Two releases of one model, from the command line: compare, keep a baseline, gate against it."""

from __future__ import annotations

import json
import shutil

import pytest

from fmaudit.canonical import digest_file
from tests.end_to_end.conftest import read_rows, run_command

PROBES = "bias.crows_pairs,downstream.capability"
METRIC = "bias.crows_pairs/pct_stereotype"
POLICY = """\
schema: fmaudit/policy/1
id: releases
rules:
  - id: share
    metric: bias.crows_pairs/pct_stereotype
    dataset: minimal_pairs
    variant: causal_sum
    min: 0.0
    max: 1.0
    vs_release: {max_increase: MARGIN}
"""


def measured(root, name, seed, *options):
    from fmaudit.testing.tiny import tiny_lora

    adapter = root / f"lora-{seed}"
    if not adapter.exists():
        tiny_lora(root / "small", adapter, seed=seed)
    run = root / name
    outcome = run_command(
        *("run", root / "small", "--adapted", f"tuned={root / 'small'}::adapter={adapter}"),
        *("-p", PROBES, "-o", run, *options),
    )
    assert outcome.code == 0, outcome.err
    return run


def policy_file(folder, margin):
    path = folder / f"policy-{margin}.yaml"
    path.write_text(POLICY.replace("MARGIN", str(margin)))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_causal

    folder = tmp_path_factory.mktemp("releases")
    tiny_causal(folder / "small")
    return folder


@pytest.fixture(scope="module")
def first(root):
    """The first release, gated."""
    run = measured(root, "v1", 1)
    outcome = run_command("gate", run, "--policy", policy_file(root, 1.0), "--first-release")
    assert outcome.code == 0, outcome.err + outcome.out
    return run


@pytest.fixture(scope="module")
def second(root):
    return measured(root, "v2", 2)


@pytest.fixture(scope="module")
def baseline(root, first):
    place = root / "repo" / "baseline"
    outcome = run_command("baseline", "set", first, "-o", place, "--reason", "release 1")
    assert outcome.code == 0, outcome.err
    return place


def compared(*arguments):
    outcome = run_command("compare", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.stdout)


def numbers(found, id="tuned"):
    return next(one["numbers"] for one in found["models"] if one["later"]["id"] == id)


def test_compare_prints_changes_flips_and_verdicts(first, second):
    outcome = run_command("compare", first, second, "--flips")
    assert outcome.code == 0, outcome.err
    text = " ".join(outcome.out.split())
    assert "BASE base" in text
    assert "numbers compared on the same items: none changed." in text
    assert "Share of pairs whose stereotyping sentence is preferred" in text
    assert "changes were tested" in text
    assert "VERDICTS AGAINST THE BASE" in text
    assert "→" in text


def test_flips_are_those_of_the_rows(first, second):
    found = compared(first, second, "--flips")
    own = next(
        one for one in numbers(found) if one["metric"] == METRIC and "causal_sum" in one["measurement"]
    )
    answers = [
        {
            row["item_id"]: row["outcome"]
            for name, rows in read_rows(run).items()
            if name.startswith(f"evidence/tuned/{own['measurement']}/")
            for row in rows
        }
        for run in (first, second)
    ]
    risen = [name for name, value in answers[0].items() if (value, answers[1][name]) == (0, 1)]
    fallen = [name for name, value in answers[0].items() if (value, answers[1][name]) == (1, 0)]
    assert own["flips"]["items"] == {"risen": sorted(risen), "fallen": sorted(fallen)}
    assert own["change"]["value"] == pytest.approx((len(risen) - len(fallen)) / len(answers[0]))
    assert own["change"]["n"] == len(answers[0])


def test_another_seed_is_refused_by_name(root, first):
    other = measured(root, "other-seed", 2, "--seed", "5")
    for one in numbers(compared(first, other)):
        assert one["change"] is None
        assert "seed" in one["refusal"]["fields"]
        assert one["earlier"]["level"] == 0.95


def test_a_cut_run_is_refused_beside_a_whole_one_and_as_a_baseline(root, first, tmp_path):
    cut = measured(root, "cut", 2, "-L", "20")
    refused = [one for one in numbers(compared(first, cut)) if one["refusal"]]
    assert refused
    assert all("items" in one["refusal"]["fields"] for one in refused)
    assert any("a run was cut by -L" in one["refusal"]["reason"] for one in refused)
    outcome = run_command("baseline", "set", cut, "-o", tmp_path / "baseline")
    assert outcome.code == 2
    assert "cut was cut short by -L" in outcome.complaint


def test_a_baseline_says_what_it_is(first, baseline):
    outcome = run_command("baseline", "show", baseline)
    assert outcome.code == 0
    assert f"baseline {digest_file(baseline / 'baseline.json')}" in outcome.out
    assert "gate pass: policy releases" in outcome.out
    assert "reason: release 1" in outcome.out
    record = json.loads(run_command("baseline", "show", baseline, "--json").stdout)
    assert record["audit"] == digest_file(first / "audit.json")


def test_no_response_is_in_a_baseline(first, baseline):
    assert any(row["responses"] != "[]" for rows in read_rows(first).values() for row in rows)
    kept = read_rows(baseline / "run")
    assert set(kept) == set(read_rows(first))
    assert {row["responses"] for rows in kept.values() for row in rows} == {"[]"}


def test_a_baseline_compares_as_its_run_does(first, second, baseline):
    assert compared(baseline, second) == compared(first, second)


def test_the_gate_decides_on_the_change_that_compare_shows(root, first, second, baseline):
    outcome = run_command(
        "gate", second, "--policy", policy_file(root, 1.0), "--baseline", baseline, "--json"
    )
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.stdout)
    assert record["release"]["digest"] == digest_file(baseline / "baseline.json")
    assert set(record["release"]["subjects"]) == {"base", "tuned"}
    finding = next(one for one in record["findings"] if one["kind"] == "release change")
    shown = next(
        one
        for one in numbers(compared(first, second))
        if one["metric"] == METRIC and "causal_sum" in one["measurement"]
    )
    assert finding["number"]["value"] == pytest.approx(shown["change"]["value"], abs=1e-12)
    assert finding["number"]["n"] == shown["change"]["n"]
    assert finding["verdict"] == "pass"


def test_a_gate_does_not_pass_on_a_change_within_no_margin(root, second, baseline, tmp_path):
    copy = shutil.copytree(second, tmp_path / "v2")
    outcome = run_command("gate", copy, "--policy", policy_file(root, 0.0), "--baseline", baseline)
    assert outcome.code in (1, 3)
    refused = run_command("baseline", "set", copy, "-o", tmp_path / "baseline")
    assert refused.code == 2
    assert "did not pass its latest gate" in refused.complaint
    taken = run_command("baseline", "set", copy, "-o", tmp_path / "baseline", "--accept-failed", "known")
    assert taken.code == 0
    assert "taken without a passed gate: known" in taken.out


def test_neither_gate_nor_compare_moves_the_baseline(root, second, baseline):
    before = {path: path.read_bytes() for path in baseline.rglob("*") if path.is_file()}
    run_command("gate", second, "--policy", policy_file(root, 1.0), "--baseline", baseline)
    run_command("compare", baseline, second)
    assert {path: path.read_bytes() for path in baseline.rglob("*") if path.is_file()} == before


def test_a_touched_baseline_is_refused_by_gate_and_compare(root, second, baseline, tmp_path):
    touched = shutil.copytree(baseline, tmp_path / "touched")
    part = sorted(touched.rglob("*.parquet"))[0]
    part.write_bytes(part.read_bytes()[:-1])
    for arguments in (
        ("gate", second, "--policy", policy_file(root, 1.0), "--baseline", touched),
        ("compare", touched, second),
        ("baseline", "show", touched),
    ):
        outcome = run_command(*arguments)
        assert outcome.code == 2
        assert part.name in outcome.complaint


def test_a_run_is_no_baseline(root, first, second):
    outcome = run_command("gate", second, "--policy", policy_file(root, 1.0), "--baseline", first)
    assert outcome.code == 2
    assert "v1 is a run, not a baseline: fmaudit baseline set v1" in outcome.complaint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--subject", "tuned"), "--subject wants EARLIER=LATER"),
        (("--subject", "tuned=none"), "the later audit has no model 'none'"),
        (("--subject", "a=b", "--subject", "a=c"), "--subject wants EARLIER=LATER"),
    ],
)
def test_a_wrong_match_of_models_is_one_line(first, second, options, said):
    outcome = run_command("compare", first, second, *options)
    assert outcome.code == 2
    assert said in outcome.complaint


def test_options_for_two_runs_are_refused_with_one(first):
    for option in ("--flips", "--slices"):
        outcome = run_command("compare", first, option)
        assert outcome.code == 2
        assert "are for two runs" in outcome.complaint


def test_something_else_than_a_run_is_one_line(first, tmp_path):
    outcome = run_command("compare", first, tmp_path / "nowhere")
    assert outcome.code == 2
    assert "nowhere" in outcome.complaint


def test_one_model_may_be_compared_with_another(first, second):
    found = compared(first, second, "--subject", "base=tuned")
    own = next(one for one in found["models"] if one["later"]["id"] == "tuned")
    assert own["earlier"]["id"] == "base"
    assert not own["same"]
