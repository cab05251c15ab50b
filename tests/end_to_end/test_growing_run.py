"""A run that is gated, extended and gated again: what was measured is kept, and looks decide the form."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.end_to_end.conftest import read_rows, run_command

METRIC = "bias.crows_pairs/pct_stereotype"
POLICY = """\
schema: fmaudit/policy/1
id: growing
defaults: {form: FORM, min_n: 10}
rules:
  - id: share
    metric: bias.crows_pairs/pct_stereotype
    dataset: minimal_pairs
    variant: causal_sum
    within: 0.5
"""
PROBES = "bias.crows_pairs,toxicity"
DATA = ("--datasets", "minimal_pairs,mild_prompts")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """How a run of a model and its adapter is asked for, with a limit or without."""
    from fmaudit.testing.tiny import tiny_causal, tiny_lora

    root = tmp_path_factory.mktemp("growing")
    tiny_causal(root / "small")
    tiny_lora(root / "small", root / "lora")

    def ask(folder, *options):
        adapter = f"tuned={root / 'small'}::adapter={root / 'lora'}"
        reference = ("--reference", f"other={root / 'other'}")
        tiny_causal(root / "other", seed=5) if not (root / "other").exists() else None
        call = (
            "run",
            root / "small",
            "--adapted",
            adapter,
            *reference,
            "-p",
            PROBES,
            "--samples",
            "2",
            *DATA,
        )
        return run_command(*call, "-o", folder, *options)

    return ask


@pytest.fixture(scope="module")
def short(asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("short") / "run"
    assert asked(folder, "-L", "20").code == 0
    return folder


@pytest.fixture
def run(short, tmp_path):
    return shutil.copytree(short, tmp_path / "run")


def policy(folder, form):
    path = folder / f"{form}.yaml"
    path.write_text(POLICY.replace("FORM", form))
    return path


def state(run):
    return json.loads((run / "run.json").read_bytes())


def test_an_extended_run_has_the_rows_of_an_undisturbed_one(run, asked, tmp_path):
    assert asked(tmp_path / "whole").code == 0
    outcome = asked(run)
    assert outcome.code == 0
    assert "extending the run in run: what was measured is kept" in outcome.err
    assert read_rows(run) == read_rows(tmp_path / "whole")
    assert (run / "audit.json").read_bytes() == (tmp_path / "whole" / "audit.json").read_bytes()
    extensions = state(run)["extensions"]
    assert [{"from": one["from"], "to": one["to"], "looks": one["looks"]} for one in extensions] == [
        {"from": 20, "to": None, "looks": 0}
    ]


def test_step_by_step_is_the_same(run, asked, tmp_path):
    for limit in ("64", "70"):
        assert asked(run, "-L", limit).code == 0
    assert asked(tmp_path / "direct", "-L", "70").code == 0
    assert read_rows(run) == read_rows(tmp_path / "direct")
    assert [one["to"] for one in state(run)["extensions"]] == [64, 70]


def test_a_look_before_the_extension_asks_for_the_anytime_form(run, asked, tmp_path):
    fixed, anytime = policy(tmp_path, "fixed"), policy(tmp_path, "anytime")
    # A run cut by -L never passes, not even a limit that cannot be broken.
    assert run_command("gate", run, "--policy", fixed).code == 3
    assert asked(run).code == 0
    assert not list((run / "gate").glob("*.json"))
    assert list((run / "gate" / "superseded").glob("look-001-*.json"))
    refused = run_command("gate", run, "--policy", fixed)
    assert refused.code == 2
    assert "was extended after it was gated (1 looks before)" in refused.complaint
    passed = run_command("gate", run, "--policy", anytime, "--json")
    assert passed.code == 0, passed.err
    record = json.loads(passed.stdout)
    assert record["looks"] == 2
    assert record["policy"]["form"] == "anytime"


def test_a_shorter_or_another_run_is_still_refused(run, asked, tmp_path):
    for options in (("-L", "10"), ("--seed", "1")):
        outcome = asked(run, *options)
        assert outcome.code == 2
        assert "holds another audit (it differs in" in outcome.complaint
    assert state(run)["finished"]


def test_a_begun_run_takes_no_other_policy(asked, tmp_path):
    first, other = policy(tmp_path, "fixed"), policy(tmp_path, "anytime")
    assert asked(tmp_path / "locked", "-L", "20", "--policy", first).code == 0
    outcome = asked(tmp_path / "locked", "--policy", other)
    assert outcome.code == 2
    assert "this run was begun with policy growing" in outcome.complaint
    assert run_command("gate", tmp_path / "locked", "--policy", first, "--json").code == 3
    record = json.loads(next((tmp_path / "locked" / "gate").glob("*.json")).read_bytes())
    assert record["policy"]["locked_before_run"]
    refused = run_command("gate", tmp_path / "locked", "--policy", other)
    assert refused.code == 2
    assert "was locked to policy growing" in refused.complaint
