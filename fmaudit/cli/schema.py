"""``fmaudit schema``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.terminals import write_data


@click.command("schema")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to this file instead.")
def command(output: Path | None) -> None:
    """Print the JSON Schema (draft 2020-12) of audit.json."""
    from fmaudit.schema.published import schema_text

    text = schema_text()
    if output is None:
        write_data(text)
        return
    from fmaudit.evidence.atomic import write_atomically

    write_atomically(output, text.encode("utf-8"))
    click.echo(output)
