"""``fmaudit run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fmaudit.cli.options import JSON_OPTION, data_locations, measuring_options, print_failures, token_budget
from fmaudit.cli.way_out import end_with
from fmaudit.errors import ExitCode

if TYPE_CHECKING:
    from fmaudit.running.options import RunOptions


@click.command("run", no_args_is_help=True)
@click.argument("base")
@click.option(
    "--adapted", multiple=True, metavar="[NAME=]MODEL", help="A model adapted from BASE; repeatable."
)
@click.option(
    "--reference", multiple=True, metavar="[NAME=]MODEL", help="An unrelated model, as a control; repeatable."
)
@click.option(
    "-p",
    "--probes",
    default="",
    metavar="LIST",
    help="Families, ids or patterns, by commas: bias,toxicity.prompted. Default: all installed.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=PATH",
    help="Point a data set at a file or folder, or at its pinned hub source with NAME=hub; repeatable.",
)
@click.option(
    "--datasets",
    default="",
    metavar="LIST",
    help="Ask only these data sets, by commas. Default: every embedded one and those of --data.",
)
@click.option(
    "-L", "--limit", type=click.IntRange(min=1), help="Ask only so many items of each; nothing passes a gate."
)
@click.option("--samples", type=click.IntRange(min=1), help="Continuations a prompt of generating probes.")
@click.option("--instrument", metavar="NAME", help="Scorer of generated text: profanity or detoxify:PATH.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of item order and sampling.")
@measuring_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run directory. Default: runs/ and the model's name.",
)
@click.option(
    "--policy", type=click.Path(path_type=Path), help="Record this policy's digest before measuring."
)
@click.option(
    "--context",
    type=click.Path(path_type=Path),
    help="Lock this file into the run: who audits, with what access, for which use (the audit card).",
)
@click.option("--allow-pickle", is_flag=True, help="Read pickled weights; the report says so.")
@click.option(
    "--allow-remote-code", is_flag=True, help="Run code that comes with a model; the report says so."
)
@click.option("--allow-identical", is_flag=True, help="Go on with an adapted model that changes nothing.")
@click.option(
    "--allow-mixed",
    is_flag=True,
    help="Continue a run that other versions or another machine began; the report says so.",
)
@JSON_OPTION
def command(base: str, adapted: tuple[str, ...], reference: tuple[str, ...], **chosen: Any) -> None:
    """Audit BASE and the models adapted from it.

    A model is a hub id, a local directory, DIR::adapter=DIR or FILE.gguf.
    Interrupted? Repeat the command: finished batches are not asked again.

    A model adapted from another adapted one names it by ::parent=NAME. With three
    or more unrelated references of the same strength the report can say what was
    inherited; without them, what base and adapted model share is an association.

    \b
    fmaudit run ./base --adapted ./base::adapter=./my-lora
    fmaudit run ./base --adapted ft=./tuned --adapted q8=./int8::parent=ft --reference ./a --reference ./b
    fmaudit run model.gguf -p bias.crows_pairs --data crows_pairs=crows_pairs_anonymized.csv
    """  # noqa: D301 (click reads the escape, a raw string would show it)
    from fmaudit.api import audit
    from fmaudit.cli.progress import StderrProgress
    from fmaudit.subjects import parse_named_spec

    options = run_options(chosen)
    output = chosen["output"] or Path("runs") / _folder_name(parse_named_spec(base).name)
    run = audit(base, adapted, reference, output=output, options=options, progress=StderrProgress())
    print_failures(run.failures)
    if chosen["as_json"]:
        click.echo(run.audit.to_bytes())
    else:
        from fmaudit.report.terminal import render_terminal

        click.echo(render_terminal(run.audit), err=True)
        click.echo(run.report)
    if run.failures:
        end_with(ExitCode.EXECUTION)


def run_options(chosen: Mapping[str, Any]) -> RunOptions:
    """The options as given on a command line; ``context`` may be left out."""
    from fmaudit.running.options import RunOptions

    return RunOptions(
        probes=_listed(chosen["probes"]),
        datasets=_listed(chosen["datasets"]) or None,
        data=data_locations(chosen["data"]),
        limit=chosen["limit"],
        samples=chosen["samples"],
        instrument=chosen["instrument"],
        device=chosen["device"],
        dtype=chosen["dtype"],
        token_budget=token_budget(chosen["batch_tokens"]),
        seed=chosen["seed"],
        allow_pickle=chosen["allow_pickle"],
        allow_remote_code=chosen["allow_remote_code"],
        allow_identical=chosen["allow_identical"],
        allow_mixed=chosen["allow_mixed"],
        policy=chosen["policy"],
        context=chosen.get("context"),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _folder_name(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in name).strip("-.") or "audit"
