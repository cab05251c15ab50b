"""``fmaudit compare``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from fmaudit.cli.options import JSON_OPTION
from fmaudit.errors import UsageError


@click.command("compare", no_args_is_help=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("newer", required=False, type=click.Path(path_type=Path))
@click.option(
    "--subject",
    "named",
    multiple=True,
    metavar="EARLIER=LATER",
    help="With two runs: which model is compared with which. Default: by id, or the only adapted one.",
)
@click.option("--slices", "by_slice", is_flag=True, help="With two runs: also the numbers of slices.")
@click.option("--flips", "list_flips", is_flag=True, help="With two runs: list the ids of flipped items.")
@JSON_OPTION
def command(
    run: Path, newer: Path | None, named: tuple[str, ...], by_slice: bool, list_flips: bool, as_json: bool
) -> None:
    """With one RUN, print what its adapted models got from their base: lineage, matrix, homogenization.

    With a second, NEWER run, print what changed from RUN to it, on the same items: paired changes,
    flipped items, verdicts that changed, and where the two cannot be compared. RUN may be a baseline.
    """
    if newer is not None:
        _releases(run, newer, _pairs(named), by_slice, list_flips, as_json)
        return
    if named or by_slice or list_flips:
        raise UsageError("--subject, --slices and --flips are for two runs: fmaudit compare EARLIER LATER")
    from fmaudit.canonical import canonical_bytes
    from fmaudit.report.pedigree_text import render_pedigree
    from fmaudit.schema import read_audit

    audit = read_audit(run)
    if as_json:
        kept = audit.model_dump(mode="json", include={"comparisons", "homogenization"})
        click.echo(canonical_bytes(kept))
    else:
        click.echo(render_pedigree(audit, shutil.get_terminal_size((100, 24)).columns), nl=False)


def _releases(
    older: Path, newer: Path, named: dict[str, str], by_slice: bool, list_flips: bool, as_json: bool
) -> None:
    from fmaudit.analysis.release_plain import plain
    from fmaudit.analysis.release_table import compare_releases
    from fmaudit.analysis.releases import ReleaseRows
    from fmaudit.canonical import canonical_bytes
    from fmaudit.gate.baseline import run_or_baseline
    from fmaudit.report.release_text import render_releases

    earlier, later = (ReleaseRows(run_or_baseline(path)) for path in (older, newer))
    found = compare_releases(earlier, later, named, by_slice=by_slice)
    if as_json:
        click.echo(canonical_bytes(plain(found, with_items=list_flips)))
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        click.echo(render_releases(found, width, list_flips=list_flips), nl=False)


def _pairs(named: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in named:
        older, sign, newer = text.partition("=")
        if not (sign and older and newer) or older in found:
            raise UsageError(f"--subject wants EARLIER=LATER, each model once, got {text!r}")
        found[older] = newer
    return found
