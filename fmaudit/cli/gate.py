"""``fmaudit gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fmaudit.cli.gate_outputs import output_options
from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT
from fmaudit.cli.way_out import end_with


@click.command("gate", no_args_is_help=True)
@RUN_ARGUMENT
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    required=True,
    help="A policy file, YAML, or a shipped one: release, strict, exploratory.",
)
@click.option(
    "--waivers", type=click.Path(path_type=Path), help="A file of waivers: who answers for what, until when."
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="The last release, as fmaudit baseline set wrote it, for rules with vs_release.",
)
@click.option(
    "--first-release", is_flag=True, help="There is no last release: rules with vs_release do not apply."
)
@click.option(
    "--other-policy",
    is_flag=True,
    help="Gate with another policy than the one locked into the run; the record says so.",
)
@click.option("--no-report", is_flag=True, help="Do not render the reports again with the findings.")
@output_options
@JSON_OPTION
def command(run: Path, policy: Path, as_json: bool, no_report: bool, **chosen: Any) -> None:
    """Hold RUN against a policy; the exit code is the verdict.

    0 every blocking finding passes; 1 one fails; 3 the evidence does not decide; 5 nothing
    was evaluated; 2 the request is wrong; 4 the run is unfinished or damaged.

    A pass needs the interval at the policy's one-sided confidence, with missing answers
    counted as defects, inside the limit. A fail needs it beyond the limit after Holm's
    correction for all blocking findings. A run cut by -L can fail but never pass.

    The policy that was given to `fmaudit run --policy` is locked: another one is refused
    unless --other-policy is given. A run that was extended after a gate needs a policy with
    form: anytime.

    \b
    fmaudit gate runs/tuned --policy release
    fmaudit gate runs/tuned --policy policy.yaml --waivers waivers.yaml --junit gate.xml --sarif gate.sarif
    fmaudit gate runs/tuned --policy policy.yaml --baseline .fmaudit/baseline --github
    """  # noqa: D301 (click reads the escape, a raw string would show it)
    from fmaudit.canonical import canonical_bytes
    from fmaudit.cli.gate_outputs import write_requested
    from fmaudit.evidence.lock import sole_writer
    from fmaudit.gate.holding import GateOptions, gate_run
    from fmaudit.gate.log import log_lines
    from fmaudit.gate.outputs.github import inert

    asked = ("waivers", "baseline", "first_release", "other_policy")
    options = GateOptions(policy, **{name: chosen.pop(name) for name in asked})
    with sole_writer(run, make=False):
        result, record = gate_run(run, options)
        if not no_report:
            _render_again(run)
    for line in log_lines(result):
        click.echo(inert(line), err=as_json)
    exit_zero = chosen.pop("exit_zero")
    write_requested(record, policy, **chosen)
    if as_json:
        click.echo(canonical_bytes(record))
    if not exit_zero:
        end_with(result.exit_code)


def _render_again(run: Path) -> None:
    from fmaudit.evidence.directory import RunDirectory
    from fmaudit.report.examples import evidence_samples
    from fmaudit.report.write import write_report

    directory = RunDirectory(run)
    try:
        write_report(run, evidence=evidence_samples(directory))
    finally:
        directory.write_manifest()
