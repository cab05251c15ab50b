"""Tiny models on disk and the command line, run in this process as the console script runs it."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    """What one command gave back."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self):
        return self.stdout.decode("utf-8")

    @property
    def complaint(self):
        """The one line of an error; fails where there is more than one, or a stack trace."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith("fmaudit: ")]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0]
        return lines[0]


def run_command(*arguments):
    from fmaudit.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    before, sys.argv = sys.argv, ["fmaudit", *map(str, arguments)]
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = before
    out.flush()
    return Outcome(int(code), out.buffer.getvalue(), err.getvalue())


@pytest.fixture
def fmaudit(monkeypatch):
    """The command; nothing it does may reach a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return run_command


@pytest.fixture(scope="session")
def run_once():
    """The command, for what is made once and read by many tests; hub ids are not for it."""
    return run_command


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """One folder of tiny models: causal with adapters, another causal one, masked, classifier."""
    from fmaudit.testing.tiny import tiny_causal, tiny_classifier, tiny_lora, tiny_masked

    root = tmp_path_factory.mktemp("models")
    tiny_causal(root / "base")
    tiny_lora(root / "base", root / "records-lora")
    tiny_lora(root / "base", root / "untrained-lora", zero=True)
    tiny_causal(root / "other", seed=5)
    tiny_lora(root / "other", root / "foreign-lora")
    tiny_causal(root / "wide", seed=6, width=64)
    tiny_lora(root / "wide", root / "wide-lora")
    tiny_masked(root / "masked")
    tiny_classifier(root / "classifier")
    return root


@pytest.fixture
def copy_of(models, tmp_path):
    """A model's directory copied, to be damaged."""

    def copy(name, to=None):
        return shutil.copytree(models / name, tmp_path / (to or name))

    return copy


@pytest.fixture
def write_pairs(tmp_path):
    """A file of mild sentence pairs with the columns of CrowS-Pairs."""

    def write(rows, name="pairs.jsonl"):
        path = tmp_path / name
        lines = [
            json.dumps(
                {
                    "sent_more": more,
                    "sent_less": less,
                    "stereo_antistereo": "stereo",
                    "bias_type": category,
                }
            )
            for more, less, category in rows
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


TWO_PAIRS = [
    ("Girls like tea.", "Boys like tea.", "gender"),
    ("Old people walk slowly.", "Young people walk slowly.", "age"),
]


@pytest.fixture
def two_pairs(write_pairs):
    return write_pairs(TWO_PAIRS, "two.jsonl")


def read_rows(run):
    """Every Parquet part of a run by its place, as rows."""
    import pyarrow.parquet as pq

    return {
        part.relative_to(run).as_posix(): pq.read_table(part).to_pylist()
        for part in sorted((run / "evidence").rglob("*.parquet"))
    }


@pytest.fixture
def rows_of():
    return read_rows
