"""``fmaudit show``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT


@click.command("show", no_args_is_help=True)
@RUN_ARGUMENT
@JSON_OPTION
def command(run: Path, as_json: bool) -> None:
    """Print the results of RUN, with intervals, in the terminal."""
    from fmaudit.report.terminal import render_terminal
    from fmaudit.schema import read_audit

    audit = read_audit(run)
    if as_json:
        click.echo(audit.to_bytes())
    else:
        click.echo(render_terminal(audit, shutil.get_terminal_size((100, 24)).columns))
