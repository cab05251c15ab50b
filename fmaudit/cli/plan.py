"""``fmaudit plan``."""

from __future__ import annotations

import shutil
from copy import copy
from pathlib import Path
from typing import Any

import click

from fmaudit.cli import run as run_command
from fmaudit.cli.options import JSON_OPTION

_NOT_PLANNED = ("output", "context", "as_json")


def _options_of_run(function: Any) -> Any:
    """The models, probes, data and device as ``fmaudit run`` takes them."""
    own = [copy(p) for p in run_command.command.params if p.name not in _NOT_PLANNED]
    for parameter in own:
        if isinstance(parameter, click.Option) and parameter.name == "policy":
            parameter.help = "A policy file, YAML, or a shipped one: release, strict, exploratory."
    function.__click_params__ = [*getattr(function, "__click_params__", []), *reversed(own)]
    return function


@click.command("plan", no_args_is_help=True)
@JSON_OPTION
@click.option(
    "--no-timing",
    is_flag=True,
    help="Do not time layers of the models' architecture on this machine: no estimate of time.",
)
@click.option(
    "--timing-seconds",
    type=click.FloatRange(min=1),
    default=20.0,
    show_default=True,
    help="About how long the timing may take for each architecture.",
)
@click.option(
    "--pilot",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A finished run, for instance of -L 100: how its rows vary replaces the assumptions.",
)
@_options_of_run
def command(base: str, adapted: tuple[str, ...], reference: tuple[str, ...], **chosen: Any) -> None:
    """Say what a run would cost and what it could decide, before any model is loaded.

    Give the models, data and options that `fmaudit run` would be given. Prints the
    items, requests and tokens, the time and memory on this machine, and with
    --policy, for every rule, the smallest difference that would be seen, the true
    values with which it would pass and fail, and how many items the policy needs.
    Warns where the data set cannot give them.

    What is not known before a run is assumed, and printed with its source: a
    --pilot run replaces it.

    \b
    fmaudit plan ./base --adapted ./base::adapter=./my-lora --policy release
    fmaudit plan ./base --adapted ./tuned -p bias --policy policy.yaml --pilot runs/first
    """  # noqa: D301 (click reads the escape, a raw string would show it)
    from fmaudit.canonical import canonical_bytes
    from fmaudit.cli.progress import StderrProgress
    from fmaudit.planning.whole import PlanRequest, plan_lines, plan_of

    progress = StderrProgress()
    request = PlanRequest(
        base=base,
        adapted=adapted,
        references=reference,
        options=run_command.run_options(chosen),
        pilot=chosen["pilot"],
        timing_seconds=None if chosen["no_timing"] else chosen["timing_seconds"],
    )
    found = plan_of(request, progress)
    if chosen["as_json"]:
        click.echo(canonical_bytes(found.plain()))
    else:
        width = min(max(shutil.get_terminal_size().columns, 60), 110)
        click.echo("\n".join(plan_lines(found, width)))
