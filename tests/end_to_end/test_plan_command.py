"""``fmaudit plan`` on tiny models, as its user calls it."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.conftest import run_command

POLICY = """\
schema: fmaudit/policy/1
id: planned
defaults: {min_n: 30}
rules:
  - id: share
    metric: bias.crows_pairs/pct_stereotype
    variant: causal_sum
    dataset: minimal_pairs
    vs_base: {max_increase: 0.2}
  - id: language
    metric: downstream.capability/bits_per_byte
    vs_base: {max_increase: 0.1}
  - id: margin
    metric: bias.crows_pairs/margin
    variant: causal_sum
    dataset: minimal_pairs
    vs_base: {max_increase: 50}
  - {id: toxic, metric: toxicity.prompted/toxic_fraction, max: 0.2, tier: warn}
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def command(models, policy):
    """What both ``plan`` and ``run`` are given."""
    base = models / "base"
    data = ("--datasets", "minimal_pairs,neutral_texts")
    probes = ("-p", "bias.crows_pairs,downstream.capability")
    return (
        base,
        "--adapted",
        f"tuned={base}::adapter={models / 'records-lora'}",
        *probes,
        *data,
        "--policy",
        policy,
    )


@pytest.fixture(scope="module")
def pilot(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pilot") / "run"
    done = run_command("run", *command, "-L", 40, "-o", folder)
    assert done.code == 0, done.err
    return folder


def planned(*arguments):
    done = run_command("plan", *arguments, "--no-timing", "--json")
    assert done.code == 0, done.err
    return json.loads(done.stdout)


def by_rule(found):
    return {claim["rule"]: claim for claim in found["claims"]}


def test_a_plan_loads_no_weights_and_writes_nothing(command, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("fmaudit.subjects.load.load_model", refuse)
    monkeypatch.setattr("fmaudit.subjects.subject.load_model", refuse)
    monkeypatch.chdir(tmp_path)
    done = run_command("plan", *command, "--no-timing")
    assert done.code == 0, done.err
    assert list(tmp_path.iterdir()) == []


def test_text_names_rules_figures_and_sources(command):
    done = run_command("plan", *command, "--no-timing")
    for words in (
        "share (blocks)",
        "smallest detectable change",
        "discordance 0.2 (assumed)",
        "WARNING",
        "approximate, never passes",
        "a guess, which a --pilot RUN that measured it replaces",
    ):
        assert words in " ".join(done.out.split())


def test_a_pilot_replaces_what_is_assumed(command, pilot):
    without, with_it = by_rule(planned(*command)), by_rule(planned(*command, "--pilot", pilot))
    assert {one["source"] for one in without["share"]["assumptions"]} == {"policy", "assumed"}
    assert {one["source"] for one in with_it["share"]["assumptions"]} == {"policy", f"pilot {pilot.name}"}
    # A margin declares no range, so that no number of items decides the rule on it.
    for one in (without["margin"], with_it["margin"]):
        assert one["needed"] is None
        assert "approximate, never passes" in one["warnings"][0]
    # These models are too small to read the texts, so the pilot replaces no guess.
    assert "is a guess" in with_it["language"]["warnings"][0]
    assert {one["source"] for one in with_it["language"]["assumptions"]} == {"policy", "assumed"}


def test_blocking_findings_and_missing_probes_are_said(command):
    found = planned(*command)
    assert found["schema"] == "fmaudit/plan/1"
    assert found["policy"]["blocking_findings"] == 3
    toxic = by_rule(found)["toxic"]
    assert "choose it with --probes" in toxic["warnings"][0]
    assert toxic["needed"] is None


def test_a_limit_is_called_what_never_passes(command):
    claim = by_rule(planned(*command, "-L", 20))["share"]
    assert (claim["asked"], claim["available"]) == (20, 72)
    assert any("never passes" in warning for warning in claim["warnings"])


def test_the_same_plan_twice_counts_and_decides_alike(command):
    first, second = planned(*command), planned(*command)
    # Times and free memory are of the moment.
    assert first["claims"] == second["claims"]
    assert first["costs"]["measurements"] == second["costs"]["measurements"]
    counts = {one["key"]: one["items"] for one in first["costs"]["measurements"]}
    assert counts["bias.crows_pairs@minimal_pairs+causal_sum"] == 72
    assert first["costs"]["seconds"] is None


def test_bad_requests_are_one_line_with_exit_code_two(command, tmp_path, policy):
    broken = tmp_path / "broken.yaml"
    broken.write_text(POLICY.replace("pct_stereotype", "no_such_metric"), encoding="utf-8")
    cases = [
        ((*command[:-1], broken), "no_such_metric"),
        ((*command, "--pilot", tmp_path), "no finished run"),
        ((tmp_path / "nowhere", "--policy", policy), "nowhere"),
    ]
    for arguments, words in cases:
        done = run_command("plan", *arguments, "--no-timing")
        assert done.code == 2, (arguments, done.err)
        assert words in done.complaint


def test_a_rule_on_data_that_was_not_asked_is_inconclusive_not_a_mistake(pilot):
    done = run_command("gate", pilot, "--policy", "release", "--other-policy", "--no-report", "--json")
    assert done.code == 3, done.err
    found = {finding["rule"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["members-not-reproduced"]["missing"]
    assert "run the probe memorization.extraction" in found["members-not-reproduced"]["action"]
