"""Two commands never write into one run directory at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import pytest

from fmaudit.errors import ExecutionError, UsageError
from fmaudit.evidence import lock
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.lock import LOCK_FILE, sole_writer

HOLD = """
import sys
from pathlib import Path
from fmaudit.evidence.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path):
    """Another process that holds ``run`` until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_writer_is_refused_in_one_line_and_may_come_later(other_process, tmp_path):
    with (
        pytest.raises(
            UsageError, match=rf"folder run is being written .*process {other_process.pid}\): wait"
        ),
        sole_writer(tmp_path / "run"),
    ):
        pytest.fail("two writers")
    other_process.stdin.close()
    other_process.wait()
    with sole_writer(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK_FILE).exists()


def test_a_killed_writer_leaves_no_lock(other_process, tmp_path):
    other_process.kill()
    other_process.wait()
    with sole_writer(tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / LOCK_FILE).exists()


def test_every_command_that_writes_is_refused(other_process, fmaudit_command, tmp_path):
    run = tmp_path / "run"
    (run / "note.txt").write_text("so that the folder is somebody's")
    code, err = fmaudit_command("run", tmp_path / "no-model", "-o", run)
    assert code == 2
    assert "being written by another fmaudit command" in err
    assert not list(run.rglob("*.parquet"))


def test_threads_exclude_each_other_too(tmp_path):
    inside, most, gate = 0, 0, threading.Lock()

    def work():
        nonlocal inside, most
        for _ in range(200):
            try:
                with sole_writer(tmp_path / "run"):
                    with gate:
                        inside += 1
                        most = max(most, inside)
                    with gate:
                        inside -= 1
            except UsageError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("moment", ["opened", "locked"])
def test_a_lock_that_goes_away_between_two_steps_is_taken_anew(tmp_path, monkeypatch, moment):
    run, gone = tmp_path / "run", []
    lock_it, open_it = lock._lock, os.open

    def first_time():
        gone.append(moment)
        shutil.rmtree(run)

    def opened(path, *args, **named):
        if moment == "opened" and not gone:
            first_time()
        return open_it(path, *args, **named)

    def locked(descriptor):
        if moment == "locked" and not gone:
            first_time()
        return lock_it(descriptor)

    monkeypatch.setattr(lock.os, "open", opened)
    monkeypatch.setattr(lock, "_lock", locked)
    with sole_writer(run):
        assert (run / LOCK_FILE).is_file()
    assert gone == [moment]


def test_a_folder_that_was_made_for_nothing_is_gone(tmp_path):
    with pytest.raises(ZeroDivisionError), sole_writer(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with sole_writer(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "run.json").write_text("{}")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["run.json"]
    with sole_writer(tmp_path / "c", make=False):
        assert not (tmp_path / "c").exists()


def test_files_and_closed_folders(tmp_path):
    (tmp_path / "file").write_text("x")
    with sole_writer(tmp_path / "file"):
        pass  # what opens it complains
    with (
        pytest.raises(ExecutionError, match="cannot write into under"),
        sole_writer(tmp_path / "file" / "under"),
    ):
        pass


def test_the_lock_is_no_part_of_the_run(tmp_path):
    with sole_writer(tmp_path / "run"):
        RunDirectory(tmp_path / "run").write_state({})
        RunDirectory(tmp_path / "run").write_manifest()
    assert LOCK_FILE not in (tmp_path / "run" / "manifest.json").read_text()


@pytest.fixture
def fmaudit_command():
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "fmaudit", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    return run
