"""``fmaudit gate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT
from fmaudit.errors import UsageError


@click.command("gate", no_args_is_help=True)
@RUN_ARGUMENT
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    required=True,
    help="A policy file, YAML, or the shipped one: release.",
)
@JSON_OPTION
def command(run: Path, policy: Path, as_json: bool) -> None:
    """Hold RUN against a policy; the exit code is the verdict.

    0 every blocking rule passes; 1 one fails; 3 the evidence does not decide; 5 nothing
    was evaluated. Verdicts are taken on interval bounds, with missing answers counted
    as defects; a run cut by -L can fail but never pass.
    """
    from fmaudit.evidence.directory import RunDirectory
    from fmaudit.gate.evaluate import evaluate
    from fmaudit.gate.outcome import log_lines, outcome, write_outcome
    from fmaudit.gate.policy import load_policy
    from fmaudit.plugins import known_metrics
    from fmaudit.schema import read_audit

    chosen = load_policy(policy)
    audit = read_audit(run)
    directory = RunDirectory(run)
    state = directory.read_state()
    if state is None:
        raise UsageError(f"{run.name} has no run.json: it is not a run directory")
    result = evaluate(audit, chosen, known_metrics())
    state["looks"] = int(state.get("looks", 0)) + 1
    locked = (state.get("policy") or {}).get("digest") == chosen.digest
    directory.write_state(state)
    write_outcome(run, result, looks=state["looks"], locked=locked)
    directory.write_manifest()
    for line in log_lines(result):
        click.echo(line, err=as_json)
    if as_json:
        click.echo(json.dumps(outcome(result, looks=state["looks"], locked=locked), indent=1, sort_keys=True))
    sys.exit(int(result.exit_code))
