"""``fmaudit demo``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fmaudit.cli.options import measuring_options, print_failures, token_budget

if TYPE_CHECKING:
    from fmaudit.cli.progress import StderrProgress


@click.command("demo")
@click.option(
    "--quick", is_flag=True, help="Less of it, in under 90 seconds: memorization and capability only."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run directory. Default: runs/demo or runs/demo-quick.",
)
@measuring_options
def command(quick: bool, output: Path | None, device: str, dtype: str, batch_tokens: str) -> None:
    """Run the embedded audit, offline.

    SmolLM2-135M-Instruct is the base; an adapter is trained on the spot on synthetic
    records, of which half are members and half are held out. The report shows that
    the adapted model memorized the members and the base did not.

    Then a family of small models with planted defects is trained and audited beside
    three unrelated ones: its report shows which defects were inherited, and at which
    step the others came in. The paths of both reports are printed last.
    """
    from fmaudit.api import audit
    from fmaudit.cli.progress import StderrProgress
    from fmaudit.demo import prepare_demo
    from fmaudit.report.terminal import render_terminal
    from fmaudit.running.options import RunOptions

    begun = time.monotonic()
    place = output or Path("runs") / ("demo-quick" if quick else "demo")
    progress = StderrProgress()
    inputs = prepare_demo(
        place.with_name(place.name + "-inputs"), quick, place.parent / "cache", progress.training
    )
    options = RunOptions(
        probes=inputs.probes or (),
        datasets=inputs.datasets,
        data=inputs.data,
        samples=inputs.samples,
        device=device,
        dtype=dtype,
        token_budget=token_budget(batch_tokens),
    )
    run = audit(inputs.base, [inputs.adapted], output=place, options=options, progress=progress)
    print_failures(run.failures)
    click.echo(render_terminal(run.audit), err=True)
    reports = [run.report]
    if not quick:
        reports.append(_specimens(place, progress, device, dtype))
    click.echo(f"done in {time.monotonic() - begun:.0f} s", err=True)
    for report in reports:
        click.echo(report)


def _specimens(place: Path, progress: StderrProgress, device: str, dtype: str) -> Path:
    """Build and audit one small specimen family; returns its report."""
    from fmaudit.api import audit
    from fmaudit.report.pedigree_text import render_pedigree
    from fmaudit.running.options import RunOptions
    from fmaudit.specimens.auditing import audit_arguments
    from fmaudit.specimens.family import build_family
    from fmaudit.specimens.presets import standard_family

    family = build_family(
        standard_family(1, "small"),
        place.with_name(place.name + "-specimens-inputs"),
        place.parent / "cache" / "specimens",
        progress.training,
    )
    chosen = audit_arguments(family)
    run = audit(
        chosen.base,
        chosen.adapted,
        chosen.references,
        chosen.probes,
        place.with_name(place.name + "-specimens"),
        options=RunOptions(
            data=chosen.data,
            datasets=tuple(chosen.data),
            samples=chosen.samples,
            device=device,
            dtype=dtype,
        ),
        progress=progress,
    )
    print_failures(run.failures)
    click.echo(render_pedigree(run.audit, 100), err=True)
    return run.report
