"""Runs to publish, and a site of two releases of one tiny model."""

from __future__ import annotations

import pytest

from tests.exports.export_runs import write_run
from tests.report.report_audits import rich_factory

EARLIER, LATER = "2026-03-01T12:00:30Z", "2026-04-02T08:00:00Z"
PROBES = "bias.crows_pairs,downstream.capability"


@pytest.fixture
def make_run(tmp_path):
    """A run of an audit made in code: two models, every state, rows with generated text."""

    def make(name, *, adapted="org/tuned", base="org/base", ended=EARLIER, version="0.1.0"):
        made = rich_factory(names={"base": base, "adapted": adapted})
        made.data["tool"]["version"] = version
        return write_run(tmp_path / "runs" / name, made.build(), ended)

    return make


@pytest.fixture(scope="session")
def releases(tmp_path_factory):
    """Two real runs on one tiny base: adapters of two trainings, ``tuned`` in both."""
    from fmaudit.testing.tiny import tiny_causal, tiny_lora
    from tests.end_to_end.conftest import run_command

    root = tmp_path_factory.mktemp("releases")
    tiny_causal(root / "small")
    found = []
    for place, name in enumerate(("first", "second")):
        tiny_lora(root / "small", root / name, seed=place + 1)
        outcome = run_command(
            *("run", root / "small", "--adapted", f"tuned={root / 'small'}::adapter={root / name}"),
            *("-p", PROBES, "-o", root / f"run-{name}"),
        )
        assert outcome.code == 0, outcome.err
        found.append(root / f"run-{name}")
    return found
