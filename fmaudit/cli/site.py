"""``fmaudit site``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("site", no_args_is_help=True)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the site, new or made so.",
)
@click.option("--title", default="Model audits", show_default=True, help="Heading of the site and its feed.")
@click.option("--base-url", default="", metavar="URL", help="Where it will be served: whole links, sitemap.")
@click.option("--formats", default="html,md", show_default=True, help="By commas: html, md, pdf.")
@click.option("--date", metavar="DAY", help="Date of audits that record none; they are undated otherwise.")
def command(
    runs: tuple[Path, ...], output: Path, title: str, base_url: str, formats: str, date: str | None
) -> None:
    """Build a static gallery of the redacted reports of RUN..., ready for any host.

    Audits are found by family, model, date and verdict; each has an address that never
    changes, and two releases of a model are compared side by side. The site holds the
    named runs: name all of them each time.
    """
    from fmaudit.site.build import SiteOptions, build_site

    names = [name.strip() for name in formats.split(",") if name.strip()]
    build_site(runs, output, SiteOptions(title, base_url, names, date), _warn)
    click.echo(output / "index.html")


def _warn(line: str) -> None:
    from fmaudit.report.escape import terminal

    click.echo(f"fmaudit: {terminal(line)}", err=True)
