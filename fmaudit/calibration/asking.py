"""Train a specimen of the ladder and ask it with the real probes, through the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fmaudit.analysis.measured import finished
from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.records import slices
from fmaudit.analysis.tables import Answers, read_answers
from fmaudit.calibration.ladder import Asked, Ladder, Specimen, plan
from fmaudit.calibration.power import Outcomes, audit, defect_scale, finds, found_in_audits
from fmaudit.canonical import digest
from fmaudit.engines.base import ENGINE_PROTOCOL
from fmaudit.errors import ProbeError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.instruments import Instrument, open_instrument
from fmaudit.instruments.base import DEFAULT
from fmaudit.plan import PlannedMeasurement
from fmaudit.running.measure import Target, measure, pending_blocks
from fmaudit.specimens.family import plan_jobs
from fmaudit.specimens.making import make
from fmaudit.specimens.network import threads
from fmaudit.specimens.recipes import Defect, FamilyRecipe

if TYPE_CHECKING:
    from fmaudit.engines.transformers_engine import TransformersEngine

TOKEN_BUDGET = 2048
MEASUREMENTS = "measurements"


@dataclass(frozen=True)
class Finding:
    """What one probe found in one model.

    ``rate``: headline rate on the whole pool. ``found``: whether the audit of the
    pool finds. ``audits``: by n, which resampled audits find.
    """

    defect: Defect
    dose: float
    seed: int
    n: int
    rate: float
    found: bool
    audits: dict[int, np.ndarray]


@dataclass(frozen=True, slots=True)
class Places:
    """``output``: folder of the answers. ``cache``: folder of the models."""

    output: Path
    cache: Path


def examine(specimen: Specimen, ladder: Ladder, asked: Sequence[Asked], places: Places) -> list[Finding]:
    """Train the specimen and ask it, as far as that is not done, and audit its answers.

    Raises:
        ExecutionError: the training diverged, or rows could not be written or read.
        ProbeError: a probe breaks its contract.
        UsageError: the instrument cannot be opened.
    """
    (job,) = plan_jobs(FamilyRecipe(specimen.recipe, (), ()), places.cache)
    place = make(job, lambda what, step, total: None)
    found = []
    with threads(specimen.recipe.training.threads):
        engine = None
        for entry in asked:
            planned = plan(entry, specimen, ladder.items)
            instrument = open_instrument(DEFAULT, "cpu") if entry.probe.instruments else None
            target = _target(planned, place, places, specimen, instrument)
            if pending_blocks(planned, target):
                engine = engine or _engine(place, specimen.seed)
                measure(planned, target, engine, instrument, lambda steps: None)
            answers = finished(entry.probe, read_answers(_folder(target), entry.probe.measures))
            found.append(_finding(entry, specimen, outcomes_of(entry, answers), ladder))
    return found


def outcomes_of(asked: Asked, answers: Answers) -> Outcomes:
    """Defects of the items that the headline rate counts.

    Raises ProbeError when no answer is usable or items share more than one factor.
    """
    _, carrying = next(slices(asked.metric, answers))
    kept = answers.take(carrying)
    values = defect_scale(asked.metric).defects(item_values(asked.metric, kept, asked.probe.measures))
    if values.low is None or values.high is None or len(kept.clusters) > 1:
        raise ProbeError(f"probe {asked.probe.id} gave no rate that can be calibrated on {asked.defect}")
    labels = next(iter(kept.clusters.values()), kept.item_ids)
    return Outcomes(values.low, values.high, np.unique(labels.astype(str), return_inverse=True)[1])


def _finding(asked: Asked, specimen: Specimen, outcomes: Outcomes, ladder: Ladder) -> Finding:
    return Finding(
        defect=asked.defect,
        dose=specimen.dose(asked.defect),
        seed=specimen.seed,
        n=outcomes.n,
        rate=outcomes.rate,
        found=finds(audit(outcomes), asked.metric),
        audits={
            n: found_in_audits(outcomes, asked.metric, n, ladder.audits, specimen.seed)
            for n in ladder.audit_sizes()
        },
    )


def _target(
    planned: PlannedMeasurement,
    place: Path,
    places: Places,
    specimen: Specimen,
    instrument: Instrument | None,
) -> Target:
    # Another question, scorer or seed has a folder of its own, so that whatever is there can be used.
    protocol = planned.text_protocol() | {
        "token_budget": TOKEN_BUDGET,
        "engine_protocol": ENGINE_PROTOCOL,
        "seed": specimen.seed,
        "instrument": instrument.digest if instrument else "",
    }
    name = digest(protocol).removeprefix("sha256:")[:16]
    return Target(RunDirectory(places.output / MEASUREMENTS), place.name, f"{planned.key}-{name}")


def _folder(target: Target) -> Path:
    return target.run.evidence(target.subject, target.folder)


def _engine(place: Path, seed: int) -> TransformersEngine:
    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine
    from fmaudit.subjects import LoadOptions, open_subjects, parse_named_spec

    (subject,) = open_subjects([parse_named_spec(str(place))], LoadOptions("cpu", "float32"))
    return TransformersEngine(
        subject.model,
        subject.tokenizer,
        subject.kind,
        subject.device,
        EngineSettings(token_budget=TOKEN_BUDGET, seed=seed),
        subject.context_length,
        subject.active,
        subject.traits,
    )
