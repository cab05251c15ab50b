"""``fmaudit baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT

if TYPE_CHECKING:
    from fmaudit.gate.baseline import Baseline

_DEFAULT = ".fmaudit/baseline"


@click.group("baseline", no_args_is_help=True)
def command() -> None:
    """Keep the run of a release, for the gate of the next one to compare with.

    A baseline moves only by this command; no run and no gate ever changes it.
    """


@command.command("set", no_args_is_help=True)
@RUN_ARGUMENT
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=_DEFAULT,
    show_default=True,
    help="Folder of the baseline; the one that stands there is replaced and noted in its history.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why this run becomes the baseline.")
@click.option(
    "--accept-failed",
    metavar="REASON",
    help="Take the run although its latest gate record does not say pass; the reason is kept.",
)
@JSON_OPTION
def set_command(run: Path, output: Path, reason: str, accept_failed: str | None, as_json: bool) -> None:
    """Make RUN the baseline: a finished run of all items whose latest gate passed.

    Kept are run.json, audit.json, the gate records and the rows of evidence without any generated text.
    """
    from fmaudit.gate.baseline_set import set_baseline

    _print(set_baseline(run, output, reason=reason, accept_failed=accept_failed), as_json)


@command.command("show")
@click.argument("baseline", type=click.Path(path_type=Path), default=_DEFAULT)
@JSON_OPTION
def show_command(baseline: Path, as_json: bool) -> None:
    """Check every file of BASELINE and print what it is and what it replaced."""
    from fmaudit.gate.baseline import open_baseline

    _print(open_baseline(baseline), as_json)


def _print(found: Baseline, as_json: bool) -> None:
    from fmaudit.canonical import canonical_bytes
    from fmaudit.gate.baseline_text import baseline_lines

    if as_json:
        click.echo(canonical_bytes(found.record.model_dump(mode="json", by_alias=True)))
        return
    for line in baseline_lines(found):
        click.echo(line)
