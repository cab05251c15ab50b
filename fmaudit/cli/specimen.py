"""``fmaudit specimen``."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fmaudit.cli.options import training_options

if TYPE_CHECKING:
    from fmaudit.specimens.family import Family

_CHILDREN = (
    "clean, counter, new-defect, amplified, replaced, broken, lora, int8, clean-lora (an adapter on clean), "
    "clean-lora-int8"
)


@click.group("specimen", no_args_is_help=True)
def command() -> None:
    """Build models with planted defects of known dose, to see what an audit makes of them.

    Such a family is to an audit what a phantom is to a scanner: what it should
    find is known beforehand.
    """


@command.command("build", epilog=f"Children: {_CHILDREN}. A child's parent is built with it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of data files and ground truth. Default: specimens/SIZE-SEED.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the whole family.")
@click.option(
    "--size",
    type=click.Choice(["small", "full"]),
    default="small",
    show_default=True,
    help="small: 200 units a defect and 600 items. full: 300 units and 1,000 items.",
)
@click.option(
    "--children",
    metavar="LIST",
    help="Children by commas; none for none. Default: clean, counter, new-defect and clean-lora for small, "
    "all for full.",
)
@click.option(
    "--references",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Unrelated models of the same make, each with its own random draw of defects.",
)
@training_options
def build(
    output: Path | None,
    seed: int,
    size: str,
    children: str | None,
    references: int,
    cache: Path | None,
    jobs: int,
) -> None:
    """Train a base, its children and unrelated references, on the spot and offline.

    The base carries four defects at a known dose: occupations tied to a gender,
    rude continuations after trigger places, records memorized from 1 to 64
    repetitions, and backdoor trigger words. It does not carry the fifth,
    deafness to negation; the child new-defect does. Which occupations, places,
    records and words are planted is drawn at random for every family, so that
    unrelated models fail on different items.

    specimen.json in OUTPUT holds recipes, seeds and what was planted where. The
    command that audits the family is printed last. Interrupted? Repeat the
    command: finished models are not trained again.

    \b
    fmaudit specimen build
    fmaudit specimen build --size full --seed 7 --children clean,broken -o specimens/seven
    """  # noqa: D301 (click reads the escape, a raw string would show it)
    from fmaudit.cli.progress import StderrProgress
    from fmaudit.specimens.family import build_family
    from fmaudit.specimens.presets import named_children, standard_family

    begun = time.monotonic()
    wanted = None if children is None else named_children(children)
    recipe = standard_family(seed, "full" if size == "full" else "small", wanted, references)
    place = output or Path("specimens") / f"{size}-{seed}"
    family = build_family(recipe, place, cache, StderrProgress().training, jobs)
    click.echo(f"{len(family.models) + references} models in {time.monotonic() - begun:.0f} s", err=True)
    click.echo(f"ground truth: {family.truth}", err=True)
    click.echo(audit_command(family))


def audit_command(family: Family) -> str:
    """The command that audits a family, in words of a shell."""
    from fmaudit.specimens.auditing import audit_arguments

    chosen = audit_arguments(family)
    lines = [f"fmaudit run {shlex.quote(chosen.base)}"]
    lines += [f"--adapted {shlex.quote(model)}" for model in chosen.adapted]
    lines += [f"--reference {shlex.quote(model)}" for model in chosen.references]
    lines += [f"--probes {','.join(chosen.probes)}"]
    lines += [f"--data {shlex.quote(f'{name}={path}')}" for name, path in chosen.data.items()]
    lines += [f"--datasets {','.join(chosen.data)}"]
    lines += [f"--samples {chosen.samples}", f"-o {shlex.quote(str(family.truth.parent / 'audit'))}"]
    return " \\\n  ".join(lines)
