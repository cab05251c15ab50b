"""``fmaudit export``: where files go, what is refused, which time is taken."""

import json

import pytest
from click.testing import CliRunner

from fmaudit.canonical import digest_file
from fmaudit.cli import cli
from fmaudit.cli.export import command
from fmaudit.errors import UsageError
from fmaudit.exports.write import FORMATS, moment_of, write_exports
from tests.exports.export_runs import ENDED_SECONDS, write_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return write_run(tmp_path / "run")


def _export(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_every_format_lands_in_the_run_and_in_its_manifest(run):
    result = _export(run, "--format", ",".join(FORMATS))
    assert result.exit_code == 0
    paths = {line.removeprefix(f"{run}/") for line in result.output.splitlines()}
    assert {"exports/ml-bom.cdx.json", "croissant.json"} <= paths
    assert any(path.startswith("exports/every-eval-ever/data/fmaudit/") for path in paths)
    assert any(path.startswith("exports/harness/adapted-2/results_") for path in paths)
    listed = json.loads((run / "manifest.json").read_bytes())["files"]
    for path in paths:
        assert listed[path] == digest_file(run / path)


def test_two_exports_leave_the_same_bytes(run):
    def state():
        _export(run, "--format", ",".join(FORMATS))
        return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}

    assert state() == state()


def test_a_file_or_a_folder_is_taken(run, tmp_path):
    assert _export(run, "--format", "ml-bom", "-o", tmp_path / "bom.json").exit_code == 0
    assert json.loads((tmp_path / "bom.json").read_bytes())["bomFormat"] == "CycloneDX"
    assert _export(run, "--format", "ml-bom,harness", "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "ml-bom.cdx.json").is_file()
    assert any((tmp_path / "out" / "harness").rglob("samples_*.jsonl"))


def test_revealed_text_has_a_folder_of_its_own(run):
    _export(run, "--format", "every-eval-ever")
    _export(run, "--format", "every-eval-ever", "--reveal")
    text = {
        name: b"".join(path.read_bytes() for path in (run / "exports" / name).rglob("*.jsonl"))
        for name in ("every-eval-ever", "every-eval-ever-revealed")
    }
    assert b"4711" not in text["every-eval-ever"]
    assert b"4711" in text["every-eval-ever-revealed"]


def test_what_cannot_be_done_is_one_line(run, tmp_path):
    for formats, output, message in (
        (["spdx"], None, "unknown export format 'spdx'"),
        ([], None, "choose from"),
        (["ml-bom", "croissant"], tmp_path / "one.json", "several formats"),
    ):
        with pytest.raises(UsageError, match=message):
            write_exports(run, formats, output)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(UsageError, match="several files"):
        write_exports(run, ["harness"], tmp_path / "file.txt")
    with pytest.raises(UsageError, match="not a run directory"):
        write_exports(tmp_path / "nothing", ["ml-bom"])
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "audit.json").write_bytes((run / "audit.json").read_bytes())
    with pytest.raises(UsageError, match="no evidence"):
        write_exports(bare, ["croissant"])
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        write_exports(bare, ["every-eval-ever"])


def test_the_time_is_the_given_one_or_the_recorded_end_and_never_now(run, tmp_path):
    assert moment_of(run, {}) == ENDED_SECONDS
    assert moment_of(run, {"SOURCE_DATE_EPOCH": "5"}) == 5
    assert moment_of(write_run(tmp_path / "unended", ended=None), {}) is None
    for text in ("now", "-1", "1.5", "9" * 12):
        with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
            moment_of(run, {"SOURCE_DATE_EPOCH": text})


def test_the_command_is_listed():
    result = CliRunner().invoke(cli, ["--help"])
    assert "export " in result.output
