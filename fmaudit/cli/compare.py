"""``fmaudit compare``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from fmaudit.cli.options import JSON_OPTION, RUN_ARGUMENT


@click.command("compare", no_args_is_help=True)
@RUN_ARGUMENT
@JSON_OPTION
def command(run: Path, as_json: bool) -> None:
    """Print what the adapted models of RUN got from their base: lineage tree, matrix, homogenization."""
    from fmaudit.canonical import canonical_bytes
    from fmaudit.report.pedigree_text import render_pedigree
    from fmaudit.schema import read_audit

    audit = read_audit(run)
    if as_json:
        kept = audit.model_dump(mode="json", include={"comparisons", "homogenization"})
        click.echo(canonical_bytes(kept))
    else:
        click.echo(render_pedigree(audit, shutil.get_terminal_size((100, 24)).columns), nl=False)
