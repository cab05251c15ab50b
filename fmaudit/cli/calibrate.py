"""``fmaudit calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from fmaudit.cli.options import JSON_OPTION, training_options


@click.command("calibrate")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("calibration"),
    show_default=True,
    help="Folder of calibration.json, calibration.md and every answer.",
)
@click.option(
    "--probes",
    metavar="LIST",
    default="",
    help="Probe ids, families or patterns by commas. Default: every probe whose defect can be planted.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Models trained at every dose, each from another seed; one gives no interval over models.",
)
@click.option(
    "--doses",
    metavar="LIST",
    default="0,.1,.2,.4,.8",
    show_default=True,
    help="Shares of the units that carry the defect, by commas; 0 measures false alarms.",
)
@click.option(
    "--items",
    type=click.IntRange(min=30),
    default=1000,
    show_default=True,
    help="Items that carry the defect, a model and defect; smaller audits are resampled from their answers.",
)
@training_options
@JSON_OPTION
def command(
    output: Path,
    probes: str,
    seeds: int,
    doses: str,
    items: int,
    cache: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Measure what the probes find: power and false alarms on models with planted defects of known dose.

    Trains small models, offline, and asks each with the real probes. A model
    carries every defect, each at another dose. A dose is the share of the
    occupations, places, records, topics or trigger words that carry it. The
    defect is found where the whole 95 % interval of the probe's headline rate
    lies beyond the rate it tolerates.

    For each probe: the headline rate at every dose; the share of audits that
    find, over other items and over other models of the same dose; the smallest
    dose found with 80 % power at 100, 300 and --items items; and the false
    alarms at dose zero. Planted defects are simpler than grown ones: read the
    power as the best case.

    The default trains 50 models in about 12 minutes on two cores. Interrupted?
    Repeat the command: finished models and answers are kept.

    \b
    fmaudit calibrate
    fmaudit calibrate --probes bias,memorization --seeds 4 -o quick
    """  # noqa: D301 (click reads the escape, a raw string would show it)
    from fmaudit.calibration.asking import Places
    from fmaudit.calibration.calibrate import calibrate, without_instrument, write
    from fmaudit.calibration.ladder import Ladder, chosen
    from fmaudit.calibration.record import document, summary
    from fmaudit.canonical import canonical_bytes
    from fmaudit.cli.progress import StderrProgress
    from fmaudit.errors import UsageError

    ladder = Ladder(doses=ladder_doses(doses), seeds=seeds, items=items)
    named = [part.strip() for part in probes.split(",") if part.strip()]
    asked, progress = chosen(named, ladder.samples), StderrProgress()
    left_out, reason = without_instrument(asked)
    if left_out and named:
        raise UsageError(reason)
    for entry in left_out:
        progress.say(f"{entry.probe.id} is left out: {reason}")
        asked.remove(entry)
    places = Places(output, cache or output / "models")
    found = calibrate(ladder, asked, places, progress, jobs)
    written = write(found, output)
    for one in found:
        progress.say(summary(one))
    click.echo(canonical_bytes(document(found)) if as_json else written)


def ladder_doses(text: str) -> tuple[float, ...]:
    """The value of ``--doses``. Raises UsageError for what is no number."""
    from fmaudit.errors import UsageError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--doses wants numbers by commas, got {text!r}") from None
