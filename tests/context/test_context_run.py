"""The context in a run: locked before measuring, or recorded later and said so."""

from __future__ import annotations

import json
import shutil

import pytest

from fmaudit.canonical import digest, digest_file
from fmaudit.context.record import recorded_context
from fmaudit.errors import UsageError
from tests.end_to_end.conftest import run_command

FIRST = "schema: fmaudit/context/1\nauditor: {name: Ada}\nrelationship: third_party\n"
SECOND = "schema: fmaudit/context/1\nauditor: {name: Grace}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_causal

    root = tmp_path_factory.mktemp("context")
    tiny_causal(root / "base")
    (root / "first.yaml").write_text(FIRST)
    (root / "again.yaml").write_text("# the same, told otherwise\n" + FIRST)
    (root / "second.yaml").write_text(SECOND)
    return root


def audit(folder, output, *more):
    return run_command(
        "run",
        folder / "base",
        *("-p", "bias.crows_pairs", "--datasets", "minimal_pairs", "-L", "4", "--device", "cpu"),
        *("-o", output, *more),
    )


@pytest.fixture(scope="module")
def finished(folder):
    found = audit(folder, folder / "run", "--context", folder / "first.yaml")
    assert found.code == 0, found.err
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def documents(run):
    return json.loads((run / "run.json").read_bytes()), json.loads((run / "audit.json").read_bytes())


def test_a_context_is_locked_into_the_run(finished):
    state, audit = documents(finished)
    card = {"schema": "fmaudit/context/1", "auditor": {"name": "Ada"}, "relationship": "third_party"}
    expected = {"card": card, "digest": digest(card), "given": "before measuring"}
    assert state["context"] == audit["context"] == expected


def test_the_same_statement_may_be_repeated_and_another_may_not(folder, run):
    before = (run / "audit.json").read_bytes()
    assert audit(folder, run, "--context", folder / "again.yaml").code == 0
    assert audit(folder, run).code == 0
    assert (run / "audit.json").read_bytes() == before
    refused = audit(folder, run, "--context", folder / "second.yaml")
    assert refused.code == 2
    assert "this run recorded another context than second.yaml" in refused.complaint
    assert "fmaudit report --context" in refused.complaint


def test_a_wrong_file_stops_before_anything_is_spent(folder, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("schema: fmaudit/context/1\nauditer: {name: Ada}\n")
    found = audit(folder, tmp_path / "run", "--context", wrong)
    assert found.code == 2
    assert "wrong.yaml, line 2: auditer: unknown field" in found.complaint
    assert not (tmp_path / "run").exists()


def test_a_later_card_is_recorded_as_later(folder, run):
    old = documents(run)[1]
    found = run_command("report", run, "--context", folder / "second.yaml")
    assert found.code == 0, found.err
    assert "stated after measuring" in found.err
    state, new = documents(run)
    assert new["context"] == state["context"]
    assert new["context"]["card"]["auditor"] == {"name": "Grace"}
    assert new["context"]["given"] == "after measuring"
    assert new["context"]["replaces"] == old["context"]["digest"]
    assert {k: v for k, v in new.items() if k != "context"} == {
        k: v for k, v in old.items() if k != "context"
    }
    manifest = json.loads((run / "manifest.json").read_bytes())["files"]
    for name in ("audit.json", "run.json", "report/report.html"):
        assert manifest[name] == digest_file(run / name)
    # The numbers computed anew from the rows keep the card.
    assert audit(folder, run).code == 0
    assert documents(run)[1] == new


def test_the_card_that_is_there_already_changes_nothing(folder, run):
    before = [(run / name).read_bytes() for name in ("run.json", "audit.json")]
    found = run_command("report", run, "--context", folder / "again.yaml")
    assert found.code == 0
    assert "after measuring" not in found.err
    assert [(run / name).read_bytes() for name in ("run.json", "audit.json")] == before


def test_a_context_given_to_a_begun_run_says_so(folder):
    begun = recorded_context({}, folder / "first.yaml", begun=True)
    assert begun["given"] == "while measuring"
    assert recorded_context(begun, folder / "again.yaml", begun=True) == begun
    assert recorded_context(begun, None, begun=True) == begun
    assert recorded_context(None, None, begun=False) == {}
    with pytest.raises(UsageError, match="another context"):
        recorded_context(begun, folder / "second.yaml", begun=True)
