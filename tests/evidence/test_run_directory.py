"""The run directory: whole files or none, one audit a folder, and the field that differs named."""

import errno
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.canonical import digest_file
from fmaudit.errors import ExecutionError, ExitCode, UsageError
from fmaudit.evidence.atomic import PARTIAL_SUFFIX, remove_partial_files, write_atomically
from fmaudit.evidence.directory import RunDirectory, first_difference, open_run_directory
from tests.evidence.run_states import RECORD, run_state

PLAN = {
    "subjects": {"base": {"role": "base", "digest": "sha256:1"}},
    "measurements": {"tea@set": {"requests": "sha256:2", "decoding": [{"kind": "score", "top_k": 0}]}},
    "limit": None,
    "seed": 0,
}


def begun(path, plan=PLAN):
    run, state = open_run_directory(path, plan)
    assert state == {}
    run.write_state(run_state(plan=plan))
    return run


def test_a_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"")
    assert path.read_bytes() == b""
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left while writing part: free some and repeat the command"),
        (errno.EDQUOT, "no space left while writing part"),
        (errno.EFBIG, "no space left while writing part"),
        (errno.EROFS, "cannot write part: Read-only file system; choose another folder with -o"),
    ],
)
def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch, number, said):
    path = tmp_path / "part"
    write_atomically(path, b"old")

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(ExecutionError, match=said) as caught:
            write_atomically(path, b"new")
    assert caught.value.exit_code == ExitCode.EXECUTION
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    remove_partial_files(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["part"]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(ExecutionError, match="cannot write part"):
        write_atomically(tmp_path / "taken" / "part", b"new")
    with pytest.raises(UsageError, match="taken is a file: choose another folder with -o"):
        open_run_directory(tmp_path / "taken", PLAN)


def test_half_written_parts_do_not_count_and_go_away(tmp_path):
    run = begun(tmp_path / "run")
    run.write_block("base", "tea@set", 0, [], ())
    half = run.evidence("base", "tea@set") / f"part-00001.parquet{PARTIAL_SUFFIX}"
    half.write_bytes(b"half")
    assert [run.has_block("base", "tea@set", block) for block in (0, 1)] == [True, False]
    run.write_manifest()
    listed = json.loads((tmp_path / "run" / "manifest.json").read_text())["files"]
    assert sorted(listed) == ["evidence/base/tea@set/part-00000.parquet", "run.json"]
    open_run_directory(tmp_path / "run", PLAN)
    assert not half.exists()
    assert run.has_block("base", "tea@set", 0)


def test_the_manifest_holds_the_digest_of_every_file(tmp_path):
    run = begun(tmp_path / "run")
    run.write_manifest()
    manifest = tmp_path / "run" / "manifest.json"
    once = manifest.read_bytes()
    assert json.loads(once)["files"] == {"run.json": digest_file(tmp_path / "run" / "run.json")}
    run.write_manifest()
    assert manifest.read_bytes() == once


def changed(place, value):
    plan = json.loads(json.dumps(PLAN))
    inner = plan
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return plan


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("subjects", "base", "digest"), "sha256:9", "subjects.base.digest"),
        (("subjects", "adapted"), {"role": "adapted"}, "subjects.adapted"),
        (("limit",), 3, "limit"),
        (("seed",), 1, "seed"),
        (
            ("measurements", "tea@set", "decoding", 0, "top_k"),
            50,
            "measurements.tea@set.decoding[0].top_k",
        ),
        (("measurements", "tea@set", "decoding"), [], "measurements.tea@set.decoding"),
    ],
)
def test_another_audit_is_refused_by_the_field_that_differs(tmp_path, place, value, named):
    begun(tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(UsageError) as caught:
        open_run_directory(tmp_path / "run", changed(place, value))
    assert f"(it differs in {named})" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_the_same_audit_goes_on(tmp_path):
    begun(tmp_path / "run")
    _, state = open_run_directory(tmp_path / "run", json.loads(json.dumps(PLAN)))
    assert state == run_state(plan=PLAN)


def test_a_run_killed_before_its_first_file_can_begin_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / f"run.json{PARTIAL_SUFFIX}").write_bytes(b"{")
    assert open_run_directory(folder, PLAN)[1] == {}


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        open_run_directory(tmp_path, PLAN)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("content", "said"), [("{", "is not valid JSON"), ("[]", "is not a run")])
def test_a_damaged_state_is_named(tmp_path, content, said):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ExecutionError, match=said):
        RunDirectory(tmp_path).read_state()


DAMAGED = [
    ({"plan": {}}, "plan.seed: field required"),
    ({"plan": {"seed": "0"}}, "plan.seed: input should be a valid integer"),
    ({"subjects": {}}, "subjects: input should be a valid list"),
    ({"subjects": [{"id": "base", "role": "judge", "digest": ""}]}, "subjects.0.role: input should be"),
    (
        {"subjects": run_state([{"subject": "base", "key": "a@b"}])["subjects"] * 2},
        "subjects: an id stands twice",
    ),
    ({"measurements": [RECORD | {"key": "a@b"}]}, "measurements.0.subject: field required"),
    ({"measurements": run_state([{"subject": "x", "key": "a@b"}])["measurements"]}, "no subject has this id"),
    ({"measurements": [RECORD | {"state": "lost"}]}, "measurements.0.subject: field required"),
    ({"sessions": [7]}, "sessions.0: input should be a valid dict"),
    ({"looks": -1}, "looks: input should be greater than or equal to 0"),
    ({"finished": "no"}, "finished: input should be a valid boolean"),
]


@pytest.mark.parametrize(("fields", "said"), DAMAGED, ids=[said for _, said in DAMAGED])
def test_a_state_of_another_shape_is_refused_by_its_place(tmp_path, fields, said):
    run = RunDirectory(tmp_path)
    run.write_state(run_state() | fields)
    with pytest.raises(ExecutionError, match=re.escape(said)) as caught:
        run.read_state()
    assert caught.value.exit_code == ExitCode.EXECUTION


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
def test_a_difference_is_found_exactly_where_there_is_one(one, other):
    assert first_difference(one, one) == ""
    # A name that is absent and one that holds null say the same.
    if without_nulls(one) != without_nulls(other):
        assert first_difference(one, other) != ""
    else:
        assert first_difference(one, other) == ""


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value
