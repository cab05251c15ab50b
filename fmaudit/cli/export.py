"""``fmaudit export``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.options import REVEAL_OPTION, RUN_ARGUMENT


@click.command("export", no_args_is_help=True)
@RUN_ARGUMENT
@click.option(
    "--format", "formats", required=True, help="By commas: ml-bom, every-eval-ever, croissant, harness."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File (ml-bom, croissant) or folder. Default: RUN/exports; croissant.json lies in RUN itself.",
)
@REVEAL_OPTION
def command(run: Path, formats: str, output: Path | None, reveal: bool) -> None:
    """Export the results of RUN in formats that other tools read; no model is asked.

    Every value goes with its interval; what was not measured is said with its reason.
    Formats that demand a date take SOURCE_DATE_EPOCH or the recorded end of the run.
    """
    from fmaudit.evidence.directory import MANIFEST_FILE, RunDirectory
    from fmaudit.exports.write import write_exports

    names = [name.strip() for name in formats.split(",") if name.strip()]
    written = write_exports(run, names, output, reveal)
    for path in written:
        click.echo(path)
    inside = any(path.resolve().is_relative_to(run.resolve()) for path in written)
    if inside and (run / MANIFEST_FILE).is_file():
        RunDirectory(run).write_manifest()
