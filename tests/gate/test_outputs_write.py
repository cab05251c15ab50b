from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner

from fmaudit.cli.gate_outputs import output_options, write_requested
from fmaudit.errors import ExecutionError, UsageError
from fmaudit.gate.outputs.step_summary import SUMMARY_LIMIT
from fmaudit.gate.outputs.write import Outputs, append_summary, repository_path, write_outputs
from tests.gate.gate_records import POLICY_PATH, finding, mixed, record
from tests.gate.workflow_commands import command_in

NAMES = ("junit", "sarif", "code_quality", "metrics", "openmetrics", "summary")


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / POLICY_PATH).write_text("id: release\n", encoding="utf-8")
    return tmp_path


@click.command()
@output_options
def gate(**chosen):
    write_requested(mixed(), POLICY_PATH, **chosen)
    click.echo(json.dumps(chosen["exit_zero"]))


def test_all_files_are_written_whole_and_again_the_same(tmp_path):
    wanted = Outputs(**{name: tmp_path / "out" / name for name in NAMES})
    assert write_outputs(mixed(), wanted, POLICY_PATH) == [tmp_path / "out" / name for name in NAMES]
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(first) == set(NAMES)
    assert all(first.values())
    write_outputs(mixed(), wanted, POLICY_PATH)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_nothing_wanted_writes_nothing(tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert write_outputs(mixed(), Outputs(), POLICY_PATH) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_outputs_that_collide_are_refused_before_anything_is_written(tmp_path):
    same = Outputs(junit=tmp_path / "x", sarif=tmp_path / "policies" / ".." / "x")
    with pytest.raises(UsageError, match=r"--junit and --sarif name the same file"):
        write_outputs(mixed(), same, POLICY_PATH)
    folder = Outputs(junit=tmp_path / "x", code_quality=tmp_path / "policies")
    with pytest.raises(UsageError, match=r"--code-quality .*policies is a folder"):
        write_outputs(mixed(), folder, POLICY_PATH)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_a_file_is_an_execution_error(tmp_path):
    with pytest.raises(ExecutionError, match=r"cannot write gate\.xml"):
        write_outputs(mixed(), Outputs(junit=tmp_path / POLICY_PATH / "gate.xml"), POLICY_PATH)


def test_the_summary_is_appended_within_what_room_is_left(tmp_path):
    path = tmp_path / "summary"
    path.write_text("# Before\n", encoding="utf-8")
    append_summary(record(finding()), path)
    assert path.read_text(encoding="utf-8").startswith("# Before\n\n### fmaudit gate: fail\n")
    full = "x" * (SUMMARY_LIMIT - 1200)
    path.write_text(full, encoding="utf-8")
    append_summary(mixed(), path)
    assert len(full) + 300 < path.stat().st_size <= SUMMARY_LIMIT
    path.write_text("x" * (SUMMARY_LIMIT - 10), encoding="utf-8")
    append_summary(mixed(), path)
    assert path.stat().st_size == SUMMARY_LIMIT - 10


def test_a_summary_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(ExecutionError, match=r"cannot append to none: .*GITHUB_STEP_SUMMARY"):
        append_summary(mixed(), tmp_path / "none" / "none")


def test_place_of_the_policy_is_relative_to_the_repository(tmp_path):
    assert repository_path(tmp_path / POLICY_PATH, tmp_path) == POLICY_PATH
    assert repository_path(Path("policies/../policies/release.yaml"), Path()) == POLICY_PATH
    assert repository_path(tmp_path / POLICY_PATH, tmp_path / "policies") == "release.yaml"
    (tmp_path / "link.yaml").symlink_to(tmp_path / POLICY_PATH)
    assert repository_path(tmp_path / "link.yaml", tmp_path) == POLICY_PATH
    assert repository_path(Path("/elsewhere/p.yaml"), tmp_path) == "p.yaml"


def test_options_write_their_files_and_leave_stdout_alone(tmp_path):
    arguments = [f"--{name.replace('_', '-')}={name}.out" for name in NAMES]
    done = CliRunner().invoke(gate, [*arguments, "--github"], catch_exceptions=False)
    assert json.loads(done.stdout) is False
    assert {path.name for path in tmp_path.glob("*.out")} == {f"{name}.out" for name in NAMES}
    assert ET.parse(tmp_path / "junit.out").getroot().tag == "testsuites"
    found = [command_in(line) for line in done.stderr.splitlines()]
    assert len(found) == 9
    assert {command.properties["file"] for command in found} == {POLICY_PATH}


def test_annotations_only_where_asked_for():
    done = CliRunner().invoke(gate, ["--exit-zero"], catch_exceptions=False)
    assert (json.loads(done.stdout), done.stderr) == (True, "")


def test_the_jobs_summary_is_appended_to_where_the_runner_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    CliRunner().invoke(gate, [], catch_exceptions=False)
    assert not (tmp_path / "summary").exists()
    for _ in range(2):
        CliRunner().invoke(gate, ["--github"], catch_exceptions=False)
    assert (tmp_path / "summary").read_text(encoding="utf-8").count("### fmaudit gate: fail") == 2
    CliRunner().invoke(gate, ["--github", "--summary", "own.md"], catch_exceptions=False)
    assert (tmp_path / "summary").read_text(encoding="utf-8").count("### fmaudit gate: fail") == 2
    assert (tmp_path / "own.md").read_text(encoding="utf-8").startswith("### fmaudit gate: fail")


@pytest.mark.parametrize("variable", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_the_repository_is_where_the_ci_system_checked_it_out(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "policies"))
    write_requested(mixed(), POLICY_PATH, code_quality=Path("q.json"))
    issues = json.loads((tmp_path / "q.json").read_bytes())
    assert {issue["location"]["path"] for issue in issues} == {"release.yaml"}


def test_a_shipped_policy_is_shown_by_its_name(tmp_path):
    write_requested(mixed(), "strict", code_quality=Path("q.json"))
    issues = json.loads((tmp_path / "q.json").read_bytes())
    assert {issue["location"]["path"] for issue in issues} == {"release.yaml"}
