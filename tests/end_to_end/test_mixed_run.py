"""A run begun with another version of a library: refused with everything kept, or said on its page."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.conftest import read_rows

ASK = ("-p", "bias.crows_pairs", "--datasets", "minimal_pairs")


def state(run):
    return json.loads((run / "run.json").read_bytes())


@pytest.fixture
def begun(fmaudit, models, tmp_path):
    """A finished run of a few items that says it was made with an older transformers."""
    run = tmp_path / "run"
    assert fmaudit("run", models / "base", *ASK, "-L", "8", "-o", run).code == 0
    old = state(run)
    old["sessions"][0]["environment"]["packages"]["transformers"] = "4.40.0"
    old["environment"]["packages"]["transformers"] = "4.40.0"
    (run / "run.json").write_text(json.dumps(old))
    return run


def test_an_extension_with_another_version(fmaudit, models, begun):
    rows, before = read_rows(begun), (begun / "run.json").read_bytes()
    refused = fmaudit("run", models / "base", *ASK, "-L", "12", "-o", begun)
    assert refused.code == 2
    assert "answers made with transformers 4.40.0, and here is transformers" in refused.complaint
    assert read_rows(begun) == rows
    assert (begun / "run.json").read_bytes() == before
    # A finished run that asks nothing is only written out again, and stays of one version.
    assert fmaudit("run", models / "base", *ASK, "-L", "8", "-o", begun).code == 0
    assert "mixed" not in state(begun)
    assert state(begun)["environment"]["packages"]["transformers"] == "4.40.0"
    allowed = fmaudit("run", models / "base", *ASK, "-L", "12", "--allow-mixed", "-o", begun)
    assert allowed.code == 0, allowed.err
    audit = json.loads((begun / "audit.json").read_bytes())
    limits = [entry["limits"][0] for entry in audit["measurements"]]
    assert all("some were made with transformers 4.40.0, others with" in limit for limit in limits)
    assert "mixed (--allow-mixed)" in (begun / "report" / "report.html").read_text()
    assert [one["asked"] for one in state(begun)["sessions"]] == [True, False, True]


def test_a_run_that_was_cut_off(fmaudit, models, begun):
    cut = state(begun)
    (begun / "run.json").write_text(json.dumps(cut | {"finished": False, "measurements": []}))
    refused = fmaudit("run", models / "base", *ASK, "-L", "8", "-o", begun)
    assert refused.code == 2
    assert "--allow-mixed" in refused.complaint
