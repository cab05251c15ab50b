"""Items, requests, tokens, time and memory of a run that has not begun."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fmaudit.engines.base import EngineSettings
from fmaudit.engines.traits import looks_ahead_line
from fmaudit.engines.transformers_engine import TransformersEngine
from fmaudit.errors import SubjectError
from fmaudit.instruments import Instrument
from fmaudit.plan import PlannedMeasurement
from fmaudit.planning.asked import asked_traits
from fmaudit.planning.loading import hashing_seconds, loading_seconds, loads_by_home, printing_seconds
from fmaudit.planning.memory import memory_free, memory_needed
from fmaudit.planning.outline import Outline, outline
from fmaudit.planning.timing import Speed, measured_speed
from fmaudit.planning.workload import Batch, Workload, workload, workload_of
from fmaudit.requests import Generate, Request, Score
from fmaudit.running.choices import chosen_instrument
from fmaudit.running.descent import neutral_texts
from fmaudit.running.options import RunOptions
from fmaudit.running.parties import Party, can_answer
from fmaudit.subjects import LoadOptions
from fmaudit.subjects.next_tokens import BATCH_TOKENS
from fmaudit.subjects.token_divergence import MAX_STORED

STARTING = 5.0
"""Seconds until Python, torch and transformers are there, and until the run is written down."""
ANALYSED_A_SECOND = 2.5
"""Measurements of one model whose intervals and pages are made in a second."""
DIVERGENCE = 2.4
"""Passes over the neutral texts that the divergence of an adapted model from its base is worth."""
SCORED_TEXTS = 32
RANGE = 2.0
"""The factor either way in which the true time is expected on a machine that does nothing else."""
_NEUTRAL = "\0lineage"


@dataclass(frozen=True)
class MeasurementCost:
    """What one measurement asks of one model, its retest included; ``seconds`` is None where not timed."""

    subject: str
    key: str
    items: int
    requests: dict[str, int]
    tokens_read: int
    tokens_generated: int
    seconds: float | None


@dataclass(frozen=True)
class SubjectCost:
    """One model: how long it loads and what it takes; ``note`` says why a figure is missing.

    ``loading_seconds``: of all its loads in the run; 0 where it runs on weights of an earlier subject.
    """

    subject: str
    name: str
    loading_seconds: float | None
    memory_bytes: int | None
    note: str = ""


@dataclass(frozen=True)
class RunCosts:
    """A whole run. ``steps``: seconds beside the measurements. ``seconds``: None where a part is unknown."""

    measurements: tuple[MeasurementCost, ...]
    subjects: tuple[SubjectCost, ...]
    steps: tuple[tuple[str, float], ...]
    seconds: float | None
    memory_free: int | None
    notes: tuple[str, ...]

    @property
    def seconds_range(self) -> tuple[float, float] | None:
        """Where the true time is expected."""
        return None if self.seconds is None else (self.seconds / RANGE, self.seconds * RANGE)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"seconds_range": self.seconds_range}


@dataclass(frozen=True)
class _Model:
    """What subjects on one set of weights share; ``opening``: seconds until its tokenizer is there."""

    found: Outline
    loads: Mapping[str, Workload]
    neutral: Workload
    speed: Speed | None
    opening: float

    @property
    def stored(self) -> int:
        """Bytes of the log-probabilities that the divergence from this model keeps in a file."""
        vocabulary = int(getattr(self.found.text, "vocab_size", 0) or 0)
        return 4 * min(MAX_STORED, self.neutral.tokens_read * vocabulary)

    def seconds(self, label: str, load: Workload) -> float | None:
        """Seconds of a workload of this model."""
        return self.speed.of(label, load.batches) if self.speed is not None else None


def run_costs(
    parties: Sequence[Party],
    planned: Sequence[PlannedMeasurement],
    options: RunOptions,
    load: LoadOptions,
    token_budget: int,
    *,
    timing_seconds: float | None,
    say: Callable[[str], None],
) -> RunCosts:
    """Count and time a run, without weights; ``timing_seconds`` for each architecture, None for no timing.

    Raises:
        UsageError: the instrument that was named cannot be opened.
    """
    settings = EngineSettings(token_budget=token_budget, seed=options.seed)
    controlled = any(party.role == "reference" for party in parties)
    texts = neutral_texts(planned, options, controlled=controlled) if len(parties) > 1 else []
    instrument, no_instrument = chosen_instrument(planned, options)
    asked = [entry for entry in planned if instrument is not None or not entry.probe.instruments]
    models: dict[str, _Model | str] = {}
    homes = {party.id: _home(party, parties) for party in parties}
    for party in parties:
        if homes[party.id] not in models:
            say(f"counting {party.subject.name}" + (" and timing it" if timing_seconds is not None else ""))
            models[homes[party.id]] = _model(party, asked, texts, settings, load, timing_seconds)
    scoring = _scoring_seconds(instrument, asked) if timing_seconds is not None else 0.0
    repeats = loads_by_home(parties, homes)
    adapted = any(party.role == "adapted" for party in parties)
    measurements: list[MeasurementCost] = []
    subjects: list[SubjectCost] = []
    for party in parties:
        model = models[homes[party.id]]
        times = repeats[party.id] if homes[party.id] == party.id else 0
        subjects.append(_subject(party, model, times, adapted))
        measurements += _measurements(party, parties, asked, model, scoring)
    steps = [
        ("start", STARTING),
        ("hashing", hashing_seconds([party.subject.files for party in parties])),
        ("intervals and report", 1 + len(measurements) / ANALYSED_A_SECOND),
    ]
    lineage = _lineage_seconds(parties, [models[homes[party.id]] for party in parties])
    if lineage is not None and timing_seconds is not None and len(parties) > 1:
        steps.append(("lineage", lineage))
    notes = [no_instrument] if no_instrument else []
    if timing_seconds is not None and any(one.tokens_generated for one in measurements):
        notes.append("texts that end before their longest make the run shorter than said")
    known = [one.seconds for one in measurements] + [one.loading_seconds for one in subjects]
    parts = [part for part in known if part is not None]
    whole = timing_seconds is not None and len(parts) == len(known) and lineage is not None
    return RunCosts(
        measurements=tuple(measurements),
        subjects=tuple(subjects),
        steps=tuple(steps),
        seconds=sum(parts) + sum(seconds for _, seconds in steps) if whole else None,
        memory_free=memory_free(load.resolve_device()),
        notes=tuple(notes),
    )


def _asked_of(party: Party, asked: Sequence[PlannedMeasurement]) -> list[PlannedMeasurement]:
    return [entry for entry in asked if entry.items and can_answer(party, entry)]


def _home(party: Party, parties: Sequence[Party]) -> str:
    """The first subject that runs on the same loaded model."""
    return next(other.id for other in parties if other.subject.shares_model_with(party.subject))


def _model(
    party: Party,
    asked: Sequence[PlannedMeasurement],
    texts: Sequence[str],
    settings: EngineSettings,
    load: LoadOptions,
    timing_seconds: float | None,
) -> _Model | str:
    subject = party.subject
    try:
        found = outline(subject, load)
        begun = time.perf_counter()
        tokenizer = subject.tokenizer
        opening = time.perf_counter() - begun
    except SubjectError as error:
        return str(error)
    traits, length = asked_traits(found, tokenizer, load)
    if traits.looks_ahead:
        return looks_ahead_line(subject.name)
    start = subject.start if found.kind == "causal" else None

    def engine_of(used: EngineSettings) -> TransformersEngine:
        return TransformersEngine(
            found.model, tokenizer, found.kind, "meta", used, length, traits=traits, start=start
        )

    engine = engine_of(settings)
    loads = {entry.key: workload(engine, entry) for entry in _asked_of(party, asked)}
    passages: list[Request] = [Score(text) for text in texts] if found.kind == "causal" else []
    limited = EngineSettings(token_budget=BATCH_TOKENS, seed=settings.seed)
    neutral = workload_of(engine_of(limited), passages)
    batches: dict[str, Sequence[Batch]] = {key: one.batches for key, one in loads.items()}
    batches[_NEUTRAL] = neutral.batches
    speed = None
    if timing_seconds is not None:
        speed = Speed({}, {})
        if any(batches.values()):
            speed = measured_speed(
                found, tokenizer, subject.device, settings, length, batches, load, timing_seconds, start
            )
    return _Model(found, loads, neutral, speed, opening)


def _subject(party: Party, model: _Model | str, times: int, adapted: bool) -> SubjectCost:
    if isinstance(model, str):
        return SubjectCost(party.id, party.subject.name, None, None, model)
    files = party.subject.files
    loading = times * loading_seconds(files, model.found.parameters) + (model.opening if times else 0.0)
    batches = [batch for one in model.loads.values() for batch in one.batches]
    memory = memory_needed(
        model.found,
        batches,
        device=party.subject.device,
        unpacked=files.is_gguf,
        stored=model.stored if adapted else 0,
    )
    return SubjectCost(party.id, party.subject.name, loading, memory)


def _measurements(
    party: Party,
    parties: Sequence[Party],
    asked: Sequence[PlannedMeasurement],
    model: _Model | str,
    scoring: float,
) -> list[MeasurementCost]:
    found = []
    # As the run does: what was sampled is asked again of every parent, where there are references.
    parent = party.role == "base" or any(other.parent == party.id for other in parties)
    retested = parent and any(other.role == "reference" for other in parties)
    for entry in _asked_of(party, asked):
        if isinstance(model, str):
            found.append(MeasurementCost(party.id, entry.key, len(entry.items), {}, 0, 0, None))
            continue
        load = model.loads[entry.key]
        again = 2 if retested and entry.sampled else 1
        spent = model.seconds(entry.key, load)
        texts = load.texts if entry.probe.instruments else 0
        found.append(
            MeasurementCost(
                subject=party.id,
                key=entry.key,
                items=load.items,
                requests={name: count * again for name, count in load.requests.items()},
                tokens_read=load.tokens_read * again,
                tokens_generated=load.tokens_generated * again,
                seconds=None if spent is None else again * (spent + 2 * load.preparing + texts * scoring),
            )
        )
    return found


def _lineage_seconds(parties: Sequence[Party], models: Sequence[_Model | str]) -> float | None:
    """Seconds of the passes over neutral texts and of reading all weights; None where one was not timed."""
    total = 0.0
    for party, model in zip(parties, models, strict=True):
        if isinstance(model, str):
            return None
        spent = model.seconds(_NEUTRAL, model.neutral)
        if spent is None:
            return None
        total += spent * (1 + DIVERGENCE * (party.role == "adapted"))
        total += printing_seconds(model.found.parameters, model.found.dtype)
    return total if len(parties) > 1 else 0.0


def _scoring_seconds(instrument: Instrument | None, asked: Sequence[PlannedMeasurement]) -> float:
    """Seconds in which the instrument scores a text, from prompts of the run."""
    texts = [
        request.prompt
        for entry in asked
        if entry.probe.instruments
        for item in entry.items[:SCORED_TEXTS]
        for request in entry.probe.requests(item)
        if isinstance(request, Generate)
    ][:SCORED_TEXTS]
    if instrument is None or not texts:
        return 0.0
    begun = time.perf_counter()
    instrument.score(texts)
    return (time.perf_counter() - begun) / len(texts)
