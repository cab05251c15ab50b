"""Too few items to conclude anything, and every document says so; none says where or by whom it was made."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from fmaudit.api import audit
from fmaudit.running.options import RunOptions

SENTENCE = "nothing can be concluded"
POLICY = """\
schema: fmaudit/policy/1
id: easy
defaults: {min_n: 1}
rules:
  - {id: preference, metric: bias.crows_pairs/pct_stereotype, dataset: DATASET, subject: base, within: 0.5}
  - {id: margin, metric: bias.crows_pairs/mean_abs_margin, dataset: DATASET, subject: base, max: 1.0e+6}
"""


@pytest.fixture
def policy(tmp_path):
    """A policy whose limits every possible value satisfies."""

    def write(dataset, *, margin=True):
        path = tmp_path / "easy.yaml"
        lines = POLICY.replace("DATASET", dataset).splitlines(keepends=True)
        path.write_text("".join(line for line in lines if margin or "mean_abs_margin" not in line))
        return path

    return write


def estimate_of(run, dataset):
    found = json.loads((run / "audit.json").read_text())
    (measurement,) = (
        entry["id"]
        for entry in found["measurements"]
        if entry["probe"] == "bias.crows_pairs" and entry["dataset"]["id"] == dataset
    )
    (estimate,) = (
        entry
        for entry in found["estimates"]
        if entry["measurement"] == measurement
        and entry["metric"] == "bias.crows_pairs/pct_stereotype"
        and not entry["slice"]
    )
    return estimate


def says_so(fmaudit, run):
    show = fmaudit("show", run)
    assert show.code == 0, show.err
    assert SENTENCE in show.out.lower()
    assert SENTENCE in (run / "report" / "report.html").read_text(encoding="utf-8").lower()
    assert SENTENCE in (run / "report" / "report.md").read_text(encoding="utf-8").lower()


def stays_open(fmaudit, run, policy):
    gate = fmaudit("gate", run, "--policy", policy, "--json")
    assert gate.code == 3, gate.err
    outcome = json.loads(gate.out)
    assert outcome["verdict"] == "inconclusive"
    assert [finding["verdict"] for finding in outcome["findings"]] == ["inconclusive"] * 2
    for finding in outcome["findings"]:
        assert finding["number"]["value"] <= finding["limit"]["max"]
        assert finding["reason"]
    assert "gate inconclusive (exit code 3)" in gate.err
    (record,) = (run / "gate").glob("*.json")
    assert json.loads(record.read_text())["verdict"] == "inconclusive"


def test_a_limit_of_two(fmaudit, models, policy, tmp_path):
    run = tmp_path / "run"
    outcome = fmaudit("run", models / "base", "-p", "bias.crows_pairs", "-L", "2", "-o", run)
    assert outcome.code == 0, outcome.err
    assert SENTENCE in outcome.err.lower()
    estimate = estimate_of(run, "minimal_pairs")
    assert estimate["n"] == 2
    assert not estimate["conclusive"]
    says_so(fmaudit, run)
    stays_open(fmaudit, run, policy("minimal_pairs"))


def test_a_limit_that_leaves_many_items_still_passes_no_gate(fmaudit, models, policy, tmp_path):
    run = tmp_path / "run"
    assert fmaudit("run", models / "base", "-p", "bias.crows_pairs", "-L", "60", "-o", run).code == 0
    stays_open(fmaudit, run, policy("minimal_pairs"))


def test_a_whole_data_file_of_two_items(fmaudit, models, two_pairs, policy, tmp_path):
    run = tmp_path / "run"
    options = RunOptions(data={"crows_pairs": str(two_pairs)}, datasets=("crows_pairs",))
    found = audit(str(models / "base"), probes=["bias.crows_pairs"], output=run, options=options)
    assert [measurement.partial for measurement in found.audit.measurements] == [False]
    estimate = estimate_of(run, "crows_pairs")
    assert (estimate["n"], estimate["coverage"], estimate["conclusive"]) == (2, 1.0, False)
    says_so(fmaudit, run)
    stays_open(fmaudit, run, policy("crows_pairs"))


def test_two_items_beside_a_full_data_set(fmaudit, models, two_pairs, policy, tmp_path):
    run = tmp_path / "run"
    data = f"crows_pairs={two_pairs}"
    assert fmaudit("run", models / "base", "-p", "bias.crows_pairs", "--data", data, "-o", run).code == 0
    assert not estimate_of(run, "crows_pairs")["conclusive"]
    assert estimate_of(run, "minimal_pairs")["conclusive"]
    stays_open(fmaudit, run, policy("crows_pairs"))
    # The same limits pass where enough was asked: it is the two items that leave the gate open.
    # A margin declares no range and never passes, however many pairs there are.
    assert fmaudit("gate", run, "--policy", policy("minimal_pairs", margin=False)).code == 0


def every_text(run):
    """Text of each file of a run; Parquet as its rows and its file metadata."""
    import pyarrow.parquet as pq

    for path in sorted(run.rglob("*")):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path, f"{table.to_pylist()} {table.schema.metadata} {pq.read_metadata(path).metadata}"
        elif path.is_file():
            yield path, path.read_text(encoding="utf-8")


ABSOLUTE = re.compile(r"(?<![\w.:/<~-])/(?:home|root|tmp|var|usr|opt|mnt|Users|private)/|[A-Z]:\\\\|file://")


def test_the_pattern_finds_absolute_paths():
    assert ABSOLUTE.search('"name": "/home/someone/model"')
    assert ABSOLUTE.search("see file:///x")
    assert not ABSOLUTE.search("https://example.org/home/page and evidence/base/part")


def test_no_document_says_where_or_by_whom(fmaudit, models, two_pairs, policy, tmp_path, monkeypatch):
    home = tmp_path / "home-of-quillfeather"
    shutil.copytree(models / "base", home / "base")
    shutil.copytree(models / "records-lora", home / "records-lora")
    monkeypatch.setenv("HOME", str(home))
    for variable in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "quillfeather")
    for place in ("socket.gethostname", "socket.getfqdn", "platform.node"):
        monkeypatch.setattr(place, lambda *_: "host-of-quillfeather")
    run = home / "run"
    rule = policy("crows_pairs")
    outcome = fmaudit(
        *("run", "~/base", "--adapted", f"{home / 'base'}::adapter={home / 'records-lora'}"),
        *("--reference", models / "other", "-p", "bias.crows_pairs,toxicity.prompted", "-L", "2"),
        *("--data", f"crows_pairs={two_pairs}", "--samples", "2", "--policy", rule, "-o", run),
    )
    assert outcome.code == 0, outcome.err
    assert fmaudit("report", run, "--reveal").code == 0
    assert fmaudit("gate", run, "--policy", rule).code == 3
    texts = dict(every_text(run))
    suffixes = {path.suffix for path in texts}
    assert suffixes == {".json", ".html", ".md", ".parquet", ".yaml"}
    assert sorted(path.suffix for path in (run / "gate").iterdir()) == [".json", ".yaml"]
    printed = {"show": fmaudit("show", run).out, "rows": fmaudit("rows", run, "bias.crows_pairs").out}
    secrets = ("quillfeather", str(tmp_path), tmp_path.name, str(models), models.name, two_pairs.name)
    for path, text in {**texts, **printed}.items():
        for secret in secrets:
            assert secret not in text, f"{path} holds {secret}"
        assert not ABSOLUTE.search(text), f"{path}: {ABSOLUTE.search(text)}"
