"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click

from fmaudit.errors import DataError, UsageError

F = TypeVar("F")

RUN_ARGUMENT = click.argument("run", type=click.Path(path_type=Path))
JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="Print the result alone, as JSON, on stdout."
)
REVEAL_OPTION = click.option(
    "--reveal", is_flag=True, help="Show generated text instead of redacting it; it may offend."
)


def measuring_options(function: Any) -> Any:
    """The options that say how models are asked; shared by ``run`` and ``demo``."""
    for option in reversed(
        [
            click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
            click.option(
                "--dtype",
                default="auto",
                show_default=True,
                help="auto (bfloat16 on CUDA, float32 on CPU), float32, bfloat16 or float16.",
            ),
            click.option(
                "-b",
                "--batch-tokens",
                default="auto",
                show_default=True,
                help="Padded tokens a batch may hold, or auto.",
            ),
        ]
    ):
        function = option(function)
    return function


def token_budget(text: str) -> int | None:
    """The value of ``--batch-tokens``."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"--batch-tokens wants auto or a number above 0, got {text!r}")
    return int(text)


def data_locations(pairs: tuple[str, ...]) -> dict[str, str]:
    """``NAME=PATH`` options as a mapping. Raises DataError for another form or a path that does not exist."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, place = pair.partition("=")
        if not (sign and name and place):
            raise DataError(f"--data wants NAME=PATH, got {pair!r}; fmaudit ls datasets lists the names")
        if place.partition(":")[0] != "hub" and not Path(place).exists():
            raise DataError(f"--data {name}: there is no file or folder {place!r}")
        found[name] = place
    return found


def print_failures(failures: Any) -> None:
    """One line on stderr for each measurement that broke."""
    for line in failures:
        click.echo(f"fmaudit: {line}", err=True)


def training_options(command: Any) -> Any:
    """``--cache`` and ``--jobs`` of the commands that train specimens."""
    cache = click.option(
        "--cache",
        type=click.Path(path_type=Path),
        help="Folder of finished models; an equal recipe is not trained twice. Default: OUTPUT/models.",
    )
    jobs = click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help="Models made at the same time, one processor core each.",
    )
    return cache(jobs(command))
