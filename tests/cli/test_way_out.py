"""Whatever leaves a command ends in a code of the table; 1 is a verdict and nothing else."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.cli.way_out import end_with, exit_code_of
from fmaudit.errors import DataError, ExecutionError, ExitCode, NothingEvaluated


def _ended(work):
    """Code and stderr of a command that does ``work``."""
    err = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(err):
        code = exit_code_of(work)
    return code, err.getvalue()


def _raising(error):
    def work():
        raise error

    return work


def _nested(error, depth=3):
    if depth:
        return _nested(error, depth - 1)
    raise error


FAULTS = [
    ValueError("no such thing"),
    KeyError("label"),
    RecursionError("too deep"),
    SystemExit(1),
    SystemExit(0),
    SystemExit("a library's own words"),
    SystemExit(None),
    GeneratorExit(),
    AssertionError(),
    UnicodeEncodeError("ascii", "\u2212", 0, 1, "not in range"),
    EOFError("the file ended"),
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_an_exception_of_ours_is_one_line_with_its_place_and_no_verdict(error):
    code, err = _ended(lambda: _nested(error))
    assert code == ExitCode.EXECUTION
    assert re.fullmatch(r"fmaudit: this is a fault of fmaudit.*test_way_out:\d+.*FMAUDIT_TRACE=1.*\n", err), (
        err
    )
    assert type(error).__name__ in err


def test_the_trace_is_there_for_who_asks(monkeypatch):
    monkeypatch.setenv("FMAUDIT_TRACE", "1")
    code, err = _ended(lambda: _nested(ValueError("deep inside")))
    assert code == ExitCode.EXECUTION
    assert "Traceback" in err
    assert err.count("_nested") >= 4
    assert err.splitlines()[-1].startswith("fmaudit: this is a fault of fmaudit")


def test_the_place_is_ours_even_where_a_library_raised():
    import json

    from fmaudit.canonical import canonical_bytes

    _, err = _ended(lambda: canonical_bytes({1: object()}))
    assert "at fmaudit.canonical:" in err
    assert "in rfc8785" in err
    _, err = _ended(lambda: json.loads("{"))
    assert "json.decoder:" in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 4, "interrupted"),
        (click.Abort(), 4, "interrupted"),
        (MemoryError(), 4, "out of memory"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 4, ""),
        (OSError(errno.EPIPE, "Broken pipe"), 4, ""),
        (PermissionError(errno.EACCES, "Permission denied", "/x/rows.csv"), 4, "cannot use rows.csv"),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "No space left"),
        (OSError("no number at all"), 4, "a fault of fmaudit"),
        (DataError("rows.csv line 3: bad"), 2, "rows.csv line 3: bad"),
        (ExecutionError("the disk is full"), 4, "the disk is full"),
        (NothingEvaluated("nothing"), 5, "nothing"),
        (click.UsageError("no such option"), 2, "no such option"),
        (click.FileError("a.yaml"), 2, "a.yaml"),
        (click.exceptions.Exit(1), 2, ""),
        (click.exceptions.Exit(0), 0, ""),
    ],
    ids=str,
)
def test_codes_agree_with_the_table(error, code, said):
    found, err = _ended(_raising(error))
    assert found == code
    assert said in err
    assert "Traceback" not in err
    assert bool(err) is bool(said)


@pytest.mark.parametrize("code", list(ExitCode))
def test_a_command_chooses_its_code(code):
    assert _ended(lambda: end_with(code)) == (int(code), "")


@given(st.sampled_from(FAULTS), st.text(max_size=30))
def test_no_message_makes_a_verdict_or_a_second_line(error, text):
    kind = type(error)
    if kind in (ValueError, KeyError, SystemExit, EOFError):
        error = kind(text)
    code, err = _ended(_raising(error))
    assert code == ExitCode.EXECUTION
    assert len(err.splitlines()) == 1
    assert err.isprintable() or err[:-1].isprintable()


def test_output_that_cannot_be_written_is_no_pass():
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    err = io.StringIO()
    with redirect_stdout(Full()), redirect_stderr(err):
        assert exit_code_of(lambda: end_with(ExitCode.PASS)) == ExitCode.EXECUTION
    assert "No space left" in err.getvalue()


def test_a_command_whose_module_is_broken_holds_no_gate(monkeypatch, capsys):
    from fmaudit import cli

    def broken(name):
        raise ImportError(f"no module {name}")

    monkeypatch.setattr(cli, "import_module", broken)
    monkeypatch.setattr(sys, "argv", ["fmaudit", "show", "run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == ExitCode.EXECUTION
    assert "ImportError" in capsys.readouterr().err


def test_every_way_to_start_it_ends_the_same_way(tmp_path):
    """The module, the function of the console script, and a file that is no file."""
    import subprocess

    (tmp_path / "run.json").write_text("[]")
    script = "import sys; from fmaudit.cli import main; sys.argv[0] = 'fmaudit'; main()"
    for start in (["-m", "fmaudit"], ["-c", script]):
        for arguments, code in (
            (["--version"], 0),
            (["show", str(tmp_path)], None),
            (["no-such"], 2),
            ([], 2),
        ):
            done = subprocess.run(
                [sys.executable, *start, *arguments],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ,
            )
            assert done.returncode != 1, done.stderr
            assert "Traceback" not in done.stderr
            assert code is None or done.returncode == code, done.stderr


def test_the_readme_and_the_help_say_what_the_codes_are(capsys, monkeypatch):
    from pathlib import Path

    from fmaudit import cli

    readme = " ".join((Path(cli.__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    monkeypatch.setattr(sys, "argv", ["fmaudit", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    help_text = " ".join(capsys.readouterr().out.split())
    words = {0: "pass", 1: "gate failed", 2: "usage", 3: "inconclusive", 4: "execution error"}
    for code, word in words.items():
        assert f"{code} {word}" in readme
        assert f"{code} {word}" in help_text
    assert "verify" in re.search(r"1 gate failed(.*?)2 usage", readme)[1]
    assert "verify" in re.search(r"1 gate failed(.*?)2 usage", help_text)[1]
