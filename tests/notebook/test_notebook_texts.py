"""Generated text in a frame: redacted unless it is asked for."""

import json

import pytest

from fmaudit.api import Run
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.responses import encode_responses
from fmaudit.evidence.rows import Row
from fmaudit.probe import Binary, Item, Observation
from fmaudit.requests import Generation, Generations
from tests.evidence.run_states import run_state
from tests.report.family_audit import family_factory

SAID = "a quiet \x1b[31m sentence"
KEY = "toxicity.prompted@prompts"


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    answer = Generations((Generation(SAID, 4, "eos", 1.0),))
    row = Row(Item("one", {}), 0, 0, 0, Observation({"flag": 1}), encode_responses([answer], 0))
    directory.write_block("base", KEY, 0, [row], [Binary("flag")])
    record = {"subject": "base", "key": KEY, "probe": "toxicity.prompted", "state": "measured"}
    directory.write_state(run_state([record]))
    return Run(directory.path, family_factory().build())


def test_text_is_redacted(run):
    row = run.rows("toxicity.prompted").iloc[0]
    assert row["text"] == f"[redacted, {len(SAID)} characters]"
    assert "quiet" not in run.rows("toxicity.prompted").to_json()


def test_text_is_revealed_on_purpose_and_inert(run):
    row = run.rows("toxicity.prompted", reveal=True).iloc[0]
    assert row["text"] == "a quiet \\x1b[31m sentence"
    assert json.loads(row["responses"])[0]["text"] == SAID


def test_a_probe_without_outcome_says_so(run):
    row = run.rows("toxicity.prompted").iloc[0]
    assert row[["outcome", "severity"]].isna().all()
    assert row["outcome.reason"] == "the probe has no such measure"
    assert row["flag"] == 1
