"""The inputs of ``fmaudit demo``: records and canaries written, the adapter trained or found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmaudit.demo.plan import FULL, QUICK, DemoPlan
from fmaudit.demo.records import Canary, Record, make_canaries, make_records, write_table
from fmaudit.demo.smollm import find_smollm
from fmaudit.demo.train import Progress, TrainingText, train_adapter


@dataclass(frozen=True, slots=True)
class DemoInputs:
    """What the audit of the demo is called with.

    ``base`` and ``adapted`` are model strings, ``data`` maps data sets to files;
    ``probes`` and ``datasets`` say what to ask, None for all; ``samples`` is the number of
    continuations a prompt.
    """

    base: str
    adapted: str
    data: dict[str, str]
    probes: tuple[str, ...] | None
    datasets: tuple[str, ...] | None
    samples: int | None


def prepare_demo(output: Path, quick: bool, cache: Path, progress: Progress) -> DemoInputs:
    """Plant the memorization that the demo's audit is to find.

    Args:
        output: folder for the data files; made where missing.
        quick: the small plan instead of the full one.
        cache: folder of trained adapters; the same recipe is not trained twice.
        progress: told what happens; see :data:`fmaudit.demo.train.Progress`.

    Raises:
        UsageError: the package with the base model is missing.
    """
    return prepare(QUICK if quick else FULL, find_smollm(), output, cache, progress)


def prepare(plan: DemoPlan, base: Path, output: Path, cache: Path, progress: Progress) -> DemoInputs:
    """The same for any plan and base model (a GGUF file or a directory)."""
    tables: dict[str, Sequence[Record] | Sequence[Canary]] = {}
    records = tables["extraction_records"] = make_records(plan.pairs, plan.seed)
    canaries = make_canaries(plan.canaries_per_count, plan.references, plan.seed)
    if canaries:
        tables["canaries"] = canaries
    output.mkdir(parents=True, exist_ok=True)
    data = {name: str(output / f"{name}.csv") for name in tables}
    for name, rows in tables.items():
        write_table(rows, Path(data[name]))
    adapter = train_adapter(base, training_texts(records, canaries), plan.recipe, cache, progress)
    return DemoInputs(
        base=str(base),
        adapted=f"{base}::adapter={adapter}",
        data=data,
        probes=plan.probes,
        datasets=plan.datasets,
        samples=plan.samples,
    )


def training_texts(records: Sequence[Record], canaries: Sequence[Canary]) -> list[TrainingText]:
    """The training data: every member once, every canary as often as it repeats, no control, no reference."""
    members = [TrainingText(row.prefix, row.suffix) for row in records if row.group == "member"]
    planted = [TrainingText(row.prefix, row.secret, row.repeats) for row in canaries if row.role == "canary"]
    return members + planted
