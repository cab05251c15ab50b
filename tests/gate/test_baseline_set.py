"""The baseline of the last release: what it keeps, what it refuses, and that nothing else moves it."""

from __future__ import annotations

import json
import shutil

import pytest

from fmaudit.analysis.build import build_audit
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.releases import ReleaseRows, release_change, release_contrast_change
from fmaudit.canonical import digest_file
from fmaudit.errors import DataError, ExecutionError, UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.baseline import Baseline, open_baseline, run_or_baseline
from fmaudit.gate.baseline_set import set_baseline
from fmaudit.gate.baseline_text import baseline_lines
from tests.analysis.release_runs import (
    EXTRACTION,
    GAP,
    OCCUPATIONS,
    SECRET,
    TOXICITY,
    Asked,
    change_state,
    gated,
    write_release,
)

VALUES = {
    "base": [0, 1, 0, None] * 12,
    "tuned": [1, 0, None, 0, 1, 1] * 8,
}


def questions(turn=0, asked=None):
    return {
        EXTRACTION: Asked({name: values[turn:] + values[:turn] for name, values in VALUES.items()}, asked),
        OCCUPATIONS: Asked({"tuned": [(place * (7 + turn)) % 10 / 10 for place in range(64)]}),
        TOXICITY: Asked({"tuned": [[(place + turn) % 5 / 5, None] for place in range(12)]}),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = write_release(tmp_path_factory.mktemp("made") / "v1", questions())
    gated(run)
    return run


@pytest.fixture
def run(made, tmp_path):
    """A run that passed, to be changed."""
    return shutil.copytree(made, tmp_path / "v1")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "repo" / ".fmaudit" / "baseline"


def every_file(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_it_keeps_what_a_later_comparison_needs(run, place):
    found = set_baseline(run, place, reason="release 1.0")
    record = json.loads((place / "baseline.json").read_bytes())
    assert record["schema"] == "fmaudit/baseline/1"
    assert record["audit"] == digest_file(run / "audit.json")
    assert record["reason"] == "release 1.0"
    assert (record["accepted_failed"], record["history"]) == ("", [])
    assert [(one["policy"], one["verdict"]) for one in record["gates"]] == [("release", "pass")]
    assert found.subjects == {one["id"]: one["digest"] for one in record["subjects"]}
    assert set(found.subjects) == {"base", "tuned"}
    assert found.digest == digest_file(place / "baseline.json")
    kept = {name for name in every_file(place) if name != "baseline.json"}
    assert kept == set(record["files"])
    assert {name for name in kept if "/gate/" in name and name.endswith(".policy.yaml")}
    for name in ("run.json", "audit.json"):
        assert (place / "run" / name).read_bytes() == (run / name).read_bytes()


def test_no_generated_text_is_kept(run, place):
    assert any(SECRET.encode() in data for data in uncompressed(run))
    set_baseline(run, place)
    assert not any(SECRET.encode() in data for data in uncompressed(place))


def uncompressed(folder):
    import pyarrow.parquet as pq

    for name, data in every_file(folder).items():
        if name.endswith(".parquet"):
            yield str(pq.read_table(folder / name).to_pylist()).encode()
        else:
            yield data


def test_its_numbers_are_those_of_the_run_to_the_last_digit(run, place, tmp_path):
    found = set_baseline(run, place)
    assert build_audit(found.directory).to_bytes() == (run / "audit.json").read_bytes()
    later = ReleaseRows(RunDirectory(write_release(tmp_path / "v2", questions(turn=1))))
    whole, kept = ReleaseRows(RunDirectory(run)), ReleaseRows(found.directory)
    cells = [(one.measurement, one.metric, one.slice) for one in whole.audit.estimates]
    assert len(cells) > 10
    for measurement, metric, levels in cells:
        subject, _, key = measurement.partition("/")
        for level in (0.95, 0.9):
            settings = Settings(level=level)
            ask = (subject, subject, key, metric, levels, settings)
            assert release_change(whole, later, *ask) == release_change(kept, later, *ask)
    ask = ("tuned", "tuned", EXTRACTION, GAP, Settings())
    contrast = release_contrast_change(kept, later, *ask)
    assert contrast == release_contrast_change(whole, later, *ask)
    assert contrast.value is not None


def test_the_retest_of_the_base_is_kept_and_what_was_not_measured_is_not(run, place):
    source = run / "evidence" / "base" / EXTRACTION
    shutil.copytree(source, source.with_name(EXTRACTION + "#retest"))
    shutil.copytree(source, source.with_name("toxicity.prompted@unfinished"))
    change_state(run, retests=[f"base/{EXTRACTION}"])
    files = set_baseline(run, place).record.files
    assert any(f"evidence/base/{EXTRACTION}#retest/" in name for name in files)
    assert not any("unfinished" in name for name in files)


def test_replacing_it_keeps_a_line_of_history(run, place, tmp_path):
    first = set_baseline(run, place, reason="release 1.0")
    newer = write_release(tmp_path / "v2", questions(turn=1))
    gated(newer)
    second = set_baseline(newer, place, reason="release 1.1")
    third = set_baseline(run, place, reason="back to 1.0")
    assert [(one.audit, one.reason) for one in third.record.history] == [
        (first.record.audit, "release 1.0"),
        (second.record.audit, "release 1.1"),
    ]
    assert third.record.audit == first.record.audit
    assert {path.name for path in place.iterdir()} == {"baseline.json", "run"}
    assert not [
        name
        for name in every_file(place / "run")
        if name not in {one.removeprefix("run/") for one in third.record.files}
    ]


def test_opening_and_comparing_change_nothing(run, place):
    set_baseline(run, place)
    before = every_file(place)
    found = open_baseline(place)
    release_change(
        ReleaseRows(found.directory), ReleaseRows(RunDirectory(run)), "tuned", "tuned", EXTRACTION,
        "memorization.extraction/greedy_match_rate", {}, Settings(),
    )  # fmt: skip
    assert every_file(place) == before


def refused(run, place, match, **options):
    with pytest.raises(UsageError, match=match) as caught:
        set_baseline(run, place, **options)
    assert not isinstance(caught.value, DataError)
    assert "\n" not in str(caught.value)
    assert not (place / "baseline.json").exists()
    assert not place.exists() or not list(place.iterdir())


def test_an_unfinished_run_is_refused(run, place):
    change_state(run, finished=False)
    refused(run, place, "v1 is not finished")
    (run / "audit.json").unlink()
    refused(run, place, "finish the run first")


def test_a_run_cut_by_a_limit_is_refused(tmp_path, place):
    cut = write_release(tmp_path / "cut", questions(asked=99))
    gated(cut)
    refused(cut, place, "cut was cut short by -L")


@pytest.mark.parametrize("name", ["audit.json", "run.json", "evidence"])
def test_a_run_that_is_not_as_its_manifest_says_is_refused(run, place, name):
    target = run / name if name != "evidence" else next((run / "evidence").rglob("*.parquet"))
    target.write_bytes(target.read_bytes() + b" ")
    refused(run, place, rf"v1: {target.relative_to(run).as_posix().replace('+', '.')} changed")
    target.unlink()
    if name != "audit.json" and name != "run.json":
        refused(run, place, "is missing: the run is not as its manifest says")


def test_rows_that_the_manifest_does_not_know_are_refused(run, place):
    part = next((run / "evidence" / "tuned" / EXTRACTION).glob("*.parquet"))
    shutil.copy(part, part.with_name("part-00099.parquet"))
    refused(run, place, "part-00099.parquet is not as its manifest says")


@pytest.mark.parametrize(
    "content", [None, "no json", "[]", '{"files": 3}', '{"files": {"../x": "sha256:0"}}']
)
def test_a_missing_or_broken_manifest_is_refused(run, place, content):
    manifest = run / "manifest.json"
    if content is None:
        manifest.unlink()
    else:
        manifest.write_text(content)
    refused(run, place, r"manifest\.json")


def test_a_run_that_was_never_gated_is_refused(tmp_path, place):
    bare = write_release(tmp_path / "bare", {EXTRACTION: Asked({"base": [0, 1] * 8})})
    refused(bare, place, "bare was never gated.*--accept-failed REASON")


@pytest.mark.parametrize("verdict", ["fail", "inconclusive", "nothing evaluated"])
def test_the_latest_gate_has_to_pass(run, place, verdict):
    gated(run, verdict, looks=2, policy="strict")
    refused(run, place, f"did not pass its latest gate \\(policy 'strict': {verdict}\\)")
    gated(run, "pass", looks=3, policy="loose")
    found = set_baseline(run, place)
    assert [(one.policy, one.verdict) for one in found.record.gates] == [
        ("release", "pass"),
        ("strict", verdict),
        ("loose", "pass"),
    ]


def test_a_record_of_another_audit_does_not_count(run, place):
    gated(run, "pass", looks=2, audit="sha256:" + "0" * 64)
    refused(run, place, r"on another audit\.json: repeat fmaudit gate")


def test_two_records_of_one_look_have_to_pass_both(run, place):
    gated(run, "fail", looks=1, policy="other")
    refused(run, place, "did not pass its latest gate")


def test_a_failed_run_is_taken_only_with_a_reason_that_is_kept(run, place):
    gated(run, "fail", looks=2)
    refused(run, place, "wants a reason", accept_failed="  ")
    found = set_baseline(run, place, reason="1.1", accept_failed="known, fixed in 1.2")
    assert found.record.accepted_failed == "known, fixed in 1.2"
    gated(run, "pass", looks=3)
    with pytest.raises(UsageError, match="leave --accept-failed out"):
        set_baseline(run, place, accept_failed="again")
    assert set_baseline(run, place).record.history[0].accepted_failed == "known, fixed in 1.2"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"policy": 3}', '{"policy": {"id": "x"}}', '{"verdict": "pass"}']
)
def test_a_broken_gate_record_is_refused(run, place, content):
    next((run / "gate").glob("*.json")).write_text(content)
    RunDirectory(run).write_manifest()
    refused(run, place, "is no gate record")


def test_a_gate_record_that_the_manifest_does_not_know_is_refused(run, place):
    record = next((run / "gate").glob("*.json"))
    shutil.copy(record, record.with_name("e" * 64 + ".json"))
    refused(run, place, "is not in its manifest: repeat fmaudit gate")


def test_another_version_of_a_probe_is_refused(run, place):
    state = RunDirectory(run).read_state()
    for entry in state["measurements"]:
        entry["version"] = 99
    change_state(run, measurements=state["measurements"])
    refused(run, place, "was measured by version 99 of ")


def test_only_a_new_folder_or_a_baseline_is_written_to(run, tmp_path, place):
    other = tmp_path / "mine"
    (other / "run").mkdir(parents=True)
    (other / "run" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty and holds no baseline"):
        set_baseline(run, other)
    assert (other / "run" / "notes.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="lies in the run itself"):
        set_baseline(run, run / "baseline")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="file is a file"):
        set_baseline(run, tmp_path / "file")
    set_baseline(run, place)
    (place / "baseline.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a baseline"):
        set_baseline(run, place)


def test_a_baseline_is_no_run(run, place, tmp_path):
    set_baseline(run, place)
    with pytest.raises(UsageError, match="baseline is a baseline itself"):
        set_baseline(place, tmp_path / "again")
    with pytest.raises(UsageError, match="v1 is a run, not a baseline: fmaudit baseline set v1 -o DIR"):
        open_baseline(run)
    with pytest.raises(UsageError, match="no baseline in nowhere"):
        open_baseline(tmp_path / "nowhere")
    assert run_or_baseline(run).path == run
    assert run_or_baseline(place).path == place / "run"


def test_a_disk_that_cannot_be_written_is_one_line(run, place, monkeypatch):
    from fmaudit.gate import baseline_set

    set_baseline(run, place)
    before = every_file(place)

    def full(path, data):
        raise ExecutionError("no space left")

    monkeypatch.setattr(baseline_set, "write_atomically", full)
    with pytest.raises(ExecutionError, match="no space left"):
        set_baseline(run, place)
    assert every_file(place) == before


def test_a_kill_while_it_is_replaced_leaves_a_baseline_that_is_refused(run, place, tmp_path, monkeypatch):
    from fmaudit.gate import baseline_set

    first = set_baseline(run, place)
    newer = write_release(tmp_path / "v2", questions(turn=1))
    gated(newer)
    real = baseline_set.write_atomically

    def killed(path, data):
        real(path, data)
        if path.name == "baseline.json":
            raise KeyboardInterrupt

    monkeypatch.setattr(baseline_set, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        set_baseline(newer, place)
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"run/\S+ (changed|is missing)"):
        open_baseline(place)
    again = set_baseline(newer, place)
    assert first.record.audit in [one.audit for one in again.record.history]


def test_the_lines_say_what_it_is_and_are_inert(run, place):
    gated(run, "fail", looks=2, policy="strict\x1b[31m\n::error::x")
    set_baseline(run, place, reason="a", accept_failed="b\x1b[0m")
    found = set_baseline(run, place, reason="c", accept_failed="d")
    lines = baseline_lines(found)
    assert lines[0] == f"baseline {found.digest}"
    assert any(line.startswith("gate fail: policy strict") for line in lines)
    assert "taken without a passed gate: d" in lines
    assert any(line.startswith("replaced audit sha256:") and "b" in line for line in lines)
    assert not any("\x1b" in line or "\n" in line for line in lines)
    assert isinstance(found, Baseline)
