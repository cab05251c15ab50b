"""``fmaudit report``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.options import REVEAL_OPTION, RUN_ARGUMENT


@click.command("report", no_args_is_help=True)
@RUN_ARGUMENT
@click.option("--format", "formats", default="html,md", show_default=True, help="By commas: html, md, pdf.")
@REVEAL_OPTION
@click.option(
    "--context",
    type=click.Path(path_type=Path),
    help="State or replace the audit card from this file; the run and its reports say that it came later.",
)
def command(run: Path, formats: str, reveal: bool, context: Path | None) -> None:
    """Render the reports of RUN again from its rows; no model is asked.

    Generated text is redacted; with --reveal it is shown, inert, in a report of its own name.
    """
    from fmaudit.context.record import replace_context
    from fmaudit.evidence.directory import RunDirectory
    from fmaudit.evidence.lock import sole_writer
    from fmaudit.report.examples import evidence_samples
    from fmaudit.report.write import write_report
    from fmaudit.schema import read_audit

    read_audit(run)
    directory = RunDirectory(run)
    names = [name.strip() for name in formats.split(",") if name.strip()]
    with sole_writer(run, make=False):
        if context is not None and replace_context(directory, context):
            click.echo("fmaudit: the audit card is recorded as stated after measuring", err=True)
        try:
            for path in write_report(run, names, reveal, evidence_samples(directory), _warn):
                click.echo(path)
        finally:
            directory.write_manifest()


def _warn(line: str) -> None:
    click.echo(f"fmaudit: {line}", err=True)
