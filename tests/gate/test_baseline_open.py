"""A baseline that was touched is refused, and the file is named."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.canonical import digest_file
from fmaudit.errors import UsageError
from fmaudit.gate.baseline import open_baseline
from fmaudit.gate.baseline_set import set_baseline
from tests.analysis.release_runs import EXTRACTION, Asked, gated, write_release


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    root = tmp_path_factory.mktemp("kept")
    run = write_release(root / "v1", {EXTRACTION: Asked({"base": [0, 1] * 16, "tuned": [1, 1] * 16})})
    gated(run)
    return set_baseline(run, root / "baseline").path


@pytest.fixture
def baseline(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "baseline")


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_flipped_byte_is_found_and_its_file_named(kept, tmp_path_factory, data):
    folder = shutil.copytree(kept, tmp_path_factory.mktemp("flip") / "baseline")
    name = data.draw(st.sampled_from([name for name in files_of(folder) if name != "baseline.json"]))
    content = bytearray((folder / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        open_baseline(folder)
    assert f"{name} changed since it was set" in str(caught.value)


def test_every_truncated_or_missing_file_is_named(baseline, kept):
    for name in files_of(kept):
        if name == "baseline.json":
            continue
        place = baseline / name
        whole = place.read_bytes()
        place.write_bytes(whole[:-1])
        with pytest.raises(UsageError, match="changed since it was set") as caught:
            open_baseline(baseline)
        assert name in str(caught.value)
        place.unlink()
        with pytest.raises(UsageError, match="is missing") as caught:
            open_baseline(baseline)
        assert name in str(caught.value)
        place.write_bytes(whole)
    assert open_baseline(baseline).digest == open_baseline(kept).digest


def test_a_file_that_was_added_is_named(baseline):
    extra = baseline / "run" / "evidence" / "tuned" / EXTRACTION / "part-00009.parquet"
    shutil.copy(next(extra.parent.glob("*.parquet")), extra)
    with pytest.raises(UsageError, match=r"part-00009\.parquet was added since it was set"):
        open_baseline(baseline)


def test_a_link_is_no_file_of_it(baseline, tmp_path):
    place = baseline / "run" / "audit.json"
    moved = tmp_path / "audit.json"
    shutil.move(place, moved)
    place.symlink_to(moved)
    with pytest.raises(UsageError, match=r"run/audit\.json is missing"):
        open_baseline(baseline)


def change(baseline, **fields):
    path = baseline / "baseline.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/hostname", "run/../../x", "notes.txt", "run\\x", ""]
)
def test_a_path_that_leads_out_of_it_is_refused(baseline, name):
    files = json.loads((baseline / "baseline.json").read_bytes())["files"]
    change(baseline, files={name: "sha256:" + "0" * 64} | files)
    with pytest.raises(UsageError, match="which is not in it"):
        open_baseline(baseline)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"schema": "fmaudit/baseline/2"}', b"\xff\xfe", b'{"schema": "fmaudit/baseline/1"}'],
)
def test_other_content_is_refused_in_one_line(baseline, content):
    (baseline / "baseline.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"baseline\.json of baseline is not a baseline") as caught:
        open_baseline(baseline)
    assert "\n" not in str(caught.value)


def test_an_unknown_field_is_refused(baseline):
    change(baseline, approved=True)
    with pytest.raises(UsageError, match="approved"):
        open_baseline(baseline)


def test_the_record_has_to_agree_with_the_audit(baseline):
    before = json.loads((baseline / "baseline.json").read_bytes())
    change(baseline, audit="sha256:" + "0" * 64)
    with pytest.raises(UsageError, match="names another audit than it keeps"):
        open_baseline(baseline)
    subjects = [one | {"digest": "sha256:0"} for one in before["subjects"]]
    change(baseline, audit=before["audit"], subjects=subjects)
    with pytest.raises(UsageError, match="names other models than its audit"):
        open_baseline(baseline)


def test_its_digest_is_that_of_the_file_that_lists_all_others(baseline):
    found = open_baseline(baseline)
    assert found.digest == digest_file(baseline / "baseline.json")
    change(baseline, reason="another")
    assert open_baseline(baseline).digest != found.digest
