"""A measurement that memory halved and that was then killed ends with the bytes of an undisturbed one."""

from __future__ import annotations

import copy

import pytest

from fmaudit.cards import Card
from fmaudit.data import dataset_from_rows
from fmaudit.engines.backoff import Backoff
from fmaudit.evidence.directory import RunDirectory
from fmaudit.plan import plan_measurements
from fmaudit.probe import Binary, Item, Observation, Probe, Rate, Real, probe
from fmaudit.requests import Score
from fmaudit.running.measure import Target, measure
from fmaudit.testing.tiny import tiny_causal

ROWS = 136


@probe("bias.walks", version=1, dataset="walks")
class Walks(Probe):
    """Are these lines likely?"""

    measures = (Binary("outcome"), Real("severity"))
    metrics = (Rate("rate"),)

    def items(self, data):
        for number, row in enumerate(data.rows):
            yield Item(f"w{number}", dict(row))

    def requests(self, item):
        return (Score(item.payload["text"]),)

    def observe(self, item, responses):
        return Observation({"outcome": 1, "severity": responses[0].total})


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = tiny_causal(tmp_path_factory.mktemp("model"))
    return AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)


@pytest.fixture
def planned():
    card = Card.model_validate(
        {
            "id": "walks",
            "title": "Walks",
            "licence": "CC0-1.0",
            "origin": "written for a test",
            "source": {"kind": "local"},
            "columns": {"text": {}},
            "how_to_get": "write it",
        }
    )
    rows = [
        {"text": f"The nurse {number} walked to the station" + " again" * (number % 4)}
        for number in range(ROWS)
    ]
    data = dataset_from_rows(card, rows)
    (entry,) = plan_measurements([Walks()], lambda probe, name: data, limit=None, seed=0)
    return entry


def engine(loaded, rows):
    """An engine whose memory holds ``rows`` rows; None for all."""
    import torch

    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine

    model, tokenizer = loaded
    model = copy.copy(model)
    forward = type(model).forward

    def limited(*arguments, **inputs):
        if rows is not None and len(inputs["input_ids"]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(model, *arguments, **inputs)

    model.forward = limited
    return TransformersEngine(model, tokenizer, "causal", "cpu", EngineSettings(token_budget=512), 128)


def run(planned, engine, folder):
    return measure(planned, Target(RunDirectory(folder), "base", "walks"), engine, None, lambda steps: None)


def parts(folder):
    return {part.name: part.read_bytes() for part in sorted(folder.rglob("*.parquet"))}


class BatchSizes:
    """Rows of every forward pass of an engine that succeeded."""

    def __init__(self, engine):
        self._engine, self._compute = engine, engine._memory.compute
        self.batches = []
        engine._memory.compute = self.compute

    def compute(self, batch, rows, length, forward):
        def noted(part):
            answers = forward(part)
            self.batches.append(len(part))
            return answers

        return self._compute(batch, rows, length, noted)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_resumed_measurement_has_the_bytes_of_an_undisturbed_one(planned, loaded, tmp_path, lost):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = run(planned, engine(loaded, 3), whole)
    assert undisturbed.backoff_events > 0
    run(planned, engine(loaded, 3), killed)
    for part in sorted(killed.rglob("*.parquet"))[-lost:]:
        part.unlink()
    # After the restart there is memory enough: only what was written down keeps the batches small.
    free = engine(loaded, None)
    batches = BatchSizes(free).batches
    resumed = run(planned, free, killed)
    assert max(batches) <= 3
    assert resumed == undisturbed
    assert parts(killed) == parts(whole)


def test_without_the_budget_the_rows_would_differ(planned, loaded, tmp_path):
    run(planned, engine(loaded, 3), tmp_path / "small")
    run(planned, engine(loaded, None), tmp_path / "large")
    assert parts(tmp_path / "small") != parts(tmp_path / "large")


@pytest.mark.slow
def test_a_row_that_never_fits_is_remembered_too(planned, loaded, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        run(planned, engine(loaded, 0), folder)
    sorted(killed.rglob("*.parquet"))[-1].unlink()
    run(planned, engine(loaded, 0), killed)
    assert parts(killed) == parts(whole)


def test_a_budget_taken_over_is_never_above_the_own():
    memory = Backoff(100)
    memory.log.token_budget = 1000
    sizes = []
    memory.compute(0, list(range(8)), 50, lambda rows: sizes.append(len(rows)) or list(rows))
    assert sizes == [2, 2, 2, 2]
    memory.log.token_budget = 50
    sizes.clear()
    memory.compute(0, list(range(3)), 50, lambda rows: sizes.append(len(rows)) or list(rows))
    assert sizes == [1, 1, 1]
