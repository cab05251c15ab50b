"""Every command on a terminal that lacks what we print: replaced characters, the same code, never a trace."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

NAME = "caf\u00e9 \u2014 \u4e2d\u6587 \u0645"


@pytest.fixture(scope="module")
def run_of_a_log(tmp_path_factory, run_once):
    """A run directory, imported, whose task, model and slices are written in other scripts."""
    folder = tmp_path_factory.mktemp("poor")
    for model, shift in (("base", 0), ("tuned", 1)):
        samples = [
            {
                "id": f"q{i}",
                "epoch": 1,
                "input": f"What is {i}?",
                "target": str(i),
                "metadata": {"subject": (NAME, "\u00df")[i % 2]},
                "scores": {"match": {"value": "C" if (i + shift) % 3 else "I"}},
                "output": {"completion": NAME},
            }
            for i in range(60)
        ]
        accuracy = sum((i + shift) % 3 > 0 for i in range(60)) / 60
        scores = [{"name": "match", "scorer": "match", "metrics": {"accuracy": {"value": accuracy}}}]
        log = {"version": 2, "status": "success", "plan": {"steps": []}, "samples": samples,
               "results": {"scores": scores},
               "eval": {"task": NAME, "model": f"{model}/{NAME}", "dataset": {"samples": 60}}}  # fmt: skip
        (folder / f"{model}.json").write_text(json.dumps(log), encoding="utf-8")
    done = run_once("import", folder / "base.json", "--adapted", f"tuned={folder / 'tuned.json'}",
                    "--slice", "subject", "-o", folder / "run")  # fmt: skip
    assert done.code == 0, done.err
    return folder / "run"


def commands(run):
    """Every command that prints and needs no model."""
    probe = json.loads((run / "run.json").read_text("utf-8"))["measurements"][0]["probe"]
    yield from (["ls", what] for what in ("probes", "datasets", "instruments", "controls"))
    yield from (["policy", "explain", name] for name in ("release", "strict", "exploratory"))
    yield from (["show", run], ["show", run, "--json"], ["compare", run], ["compare", run, run])
    yield from (["rows", run, probe, "--reveal"], ["rows", run, probe, "--format", "parquet"])
    yield from (["card", run], ["card", run, "--json"], ["report", run], ["schema"], ["policy", "schema"])
    yield ["export", run, "--format", "ml-bom,every-eval-ever,harness"]
    yield ["gate", run, "--policy", "release", "--no-report"]
    yield ["gate", run, "--policy", "release", "--json", "--github", "--no-report"]
    yield from (
        ["show", run / NAME],
        ["no such \u2014 command"],
        ["gate", run, "--policy", NAME],
        ["--help"],
        [],
    )
    yield from (["rows", run, NAME], ["verify", run], ["import", run / NAME, "-o", run / "x"])


def ended(arguments, encoding, columns="100"):
    """Code, stdout and stderr of a command in this process, on streams of ``encoding``."""
    from fmaudit.cli import main

    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
    before, sys.argv = sys.argv, ["fmaudit", *map(str, arguments)]
    os.environ["COLUMNS"] = columns
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]), pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
        del os.environ["COLUMNS"]
    out, err = (stream.buffer.getvalue() for stream in streams)
    return int(end.value.code or 0), out, err


@pytest.fixture(scope="module")
def on_a_good_terminal(run_of_a_log):
    return [(arguments, *ended(arguments, "utf-8")) for arguments in commands(run_of_a_log)]


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
def test_every_command_ends_as_it_does_on_a_good_terminal(on_a_good_terminal, encoding):
    for arguments, good, out, _ in on_a_good_terminal:
        poor, thin, err = ended(arguments, encoding)
        assert poor == good, (arguments, err)
        assert b"Traceback" not in err
        assert b"fault of fmaudit" not in err, (arguments, err)
        assert poor != 1 or {"gate", "verify"} & {*map(str, arguments)}, (arguments, err)
        # click takes a stream that says ASCII for a misconfigured one and writes UTF-8 there.
        written = "utf-8" if encoding == "ascii" else encoding
        err.decode(written)
        if {"--json", "rows", "card", "schema"} & {*map(str, arguments)}:
            assert thin == out or "gate" in arguments, arguments  # data stays data: no character is replaced
        else:
            thin.decode(written)
            assert len(thin.splitlines()) == len(out.splitlines()), arguments


@pytest.mark.parametrize("columns", ["0", "1", "100000", "many"])
def test_no_width_of_a_terminal_breaks_a_command(run_of_a_log, columns):
    run = run_of_a_log
    for arguments in (
        ["show", run],
        ["compare", run],
        ["compare", run, run],
        ["policy", "--help"],
        ["--help"],
    ):
        code, out, err = ended(arguments, "ascii", columns)
        assert code != 4, err
        assert b"fault of fmaudit" not in err
        assert out


def test_a_minus_keeps_its_meaning():
    from fmaudit.cli.terminals import PLAIN_ERRORS, prepare_output

    prepare_output()
    text = "\u22120.3 \u00b1 .1, p \u2264 .05, a \u2192 b, caf\u00e9 \u4e2d \ud800"
    assert text.encode("ascii", PLAIN_ERRORS) == b"-0.3 +/- .1, p <= .05, a -> b, cafe ? ?"
    assert "\u2212\u00e9\u4e2d".encode("cp1252", PLAIN_ERRORS) == b"-\xe9?"


@pytest.mark.parametrize(
    "setting",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii:strict"}],
)
@pytest.mark.parametrize("streams", ["| head -c 1", ">&-", ">&- 2>&-", ">/dev/full"])
def test_as_a_process_of_its_own(run_of_a_log, setting, streams):
    line = f'{{ "$0" -m fmaudit show "$1"; echo "code $?" >"$2"; }} {streams}'
    place = run_of_a_log.parent / "code"
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, str(run_of_a_log), str(place)],
        env=os.environ | setting, capture_output=True, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"Exception ignored" not in done.stdout + done.stderr
    allowed = {"code 4"} if "full" in streams else {"code 0", "code 4"} if "head" in streams else {"code 0"}
    assert place.read_text().strip() in allowed, done.stderr
