"""``fmaudit report``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.options import REVEAL_OPTION, RUN_ARGUMENT


@click.command("report", no_args_is_help=True)
@RUN_ARGUMENT
@click.option("--format", "formats", default="html,md", show_default=True, help="By commas: html, md.")
@REVEAL_OPTION
def command(run: Path, formats: str, reveal: bool) -> None:
    """Render the reports of RUN again from its rows; no model is asked.

    Generated text is redacted; with --reveal it is shown, inert, in a report of its own name.
    """
    from fmaudit.evidence.directory import RunDirectory
    from fmaudit.report.examples import evidence_samples
    from fmaudit.report.write import write_report
    from fmaudit.schema import read_audit

    read_audit(run)
    directory = RunDirectory(run)
    names = [name.strip() for name in formats.split(",") if name.strip()]
    for path in write_report(run, names, reveal, evidence_samples(directory)):
        click.echo(path)
    directory.write_manifest()
