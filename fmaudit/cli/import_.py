"""``fmaudit import``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.options import JSON_OPTION
from fmaudit.errors import UsageError


@click.command("import", no_args_is_help=True)
@click.argument("base_log", type=click.Path(path_type=Path))
@click.option(
    "--adapted", multiple=True, metavar="NAME=LOG", help="Log of a model adapted from it; repeatable."
)
@click.option("--reference", multiple=True, metavar="NAME=LOG", help="Log of an unrelated model; repeatable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["lm-eval", "inspect"]),
    help="Of every log. Default: guessed from the file's name.",
)
@click.option(
    "--cluster", multiple=True, metavar="FIELD", help="Items of one level are not independent; repeatable."
)
@click.option(
    "--slice", "slices", multiple=True, metavar="FIELD", help="Break every metric down by it; repeatable."
)
@click.option(
    "--higher", multiple=True, metavar="METRIC", help="Higher is better, where the log does not say."
)
@click.option("--lower", multiple=True, metavar="METRIC", help="Lower is better, where the log does not say.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run directory.")
@JSON_OPTION
def command(
    base_log: Path,
    adapted: tuple[str, ...],
    reference: tuple[str, ...],
    form: str | None,
    cluster: tuple[str, ...],
    slices: tuple[str, ...],
    higher: tuple[str, ...],
    lower: tuple[str, ...],
    output: Path,
    as_json: bool,
) -> None:
    """Import sample logs of one task, of a base model and the models adapted from it, as a run.

    A log is samples_TASK_DATE.jsonl of lm-evaluation-harness (with its results file beside
    it) or a folder of them, or a .json or .eval file of Inspect. No model is run. Imported
    numbers are marked, never called inherited, and pass a gate only where the policy accepts them.

    \b
    fmaudit import out/base/samples_arc_2026-01-01T00-00-00.jsonl --adapted ft=out/ft/samples_arc_2026-01-02T00-00-00.jsonl -o runs/arc
    fmaudit import base.eval --adapted tuned=tuned.eval --slice subject -o runs/inspect
    """  # noqa: D301, E501 (click reads the escape; the example is one command)
    from fmaudit.imports import ImportOptions, import_logs
    from fmaudit.imports.logs import Columns
    from fmaudit.report.terminal import render_terminal

    both = set(higher) & set(lower)
    if both:
        raise UsageError(f"metric {sorted(both)[0]!r} is given to --higher and to --lower: choose one")
    options = ImportOptions(
        form, Columns(cluster, slices), dict.fromkeys(higher, True) | dict.fromkeys(lower, False)
    )
    run = import_logs(base_log, _named(adapted), output, references=_named(reference), options=options)
    if as_json:
        click.echo(run.audit.to_bytes())
    else:
        click.echo(render_terminal(run.audit), err=True)
        click.echo(run.report)


def _named(pairs: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for pair in pairs:
        name, sign, place = pair.partition("=")
        if not sign or not name or not place:
            raise UsageError(f"{pair!r}: name the log as NAME=LOG")
        if name in found:
            raise UsageError(f"two logs are named {name!r}: give each its own name")
        found[name] = Path(place)
    return found
