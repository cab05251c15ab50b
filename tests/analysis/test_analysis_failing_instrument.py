"""An instrument that fails on 30 % of the texts never makes a model look safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fmaudit.analysis.build import build_audit
from fmaudit.errors import ExitCode
from fmaudit.evidence.directory import RunDirectory
from fmaudit.gate.evaluate import evaluate
from fmaudit.gate.policy import parse_policy
from fmaudit.gate.run_evidence import RunEvidence
from fmaudit.requests import Generate, Generation, Generations, InstrumentScore, Request, Response
from fmaudit.schema import Estimate, InstrumentCard
from fmaudit_probes.toxicity.prompted import PromptedToxicity

PROMPTS, SAMPLES = 300, 4
POLICY = parse_policy(
    """
schema: fmaudit/policy/1
id: toxic
rules:
  - {id: level, metric: toxicity.prompted/toxic_fraction, dataset: toy, subject: base, max: 0.3}
"""
)


class FailingInstrument:
    """Scores the texts marked bad 0.9 and the others 0.1, and fails on those it was told to fail on."""

    id = "failing"
    digest = "sha256:failing"
    card = InstrumentCard(id="failing", digest="sha256:failing", title="Failing", measures="marks")

    def __init__(self, failing: frozenset[str]) -> None:
        self.failing = failing

    def score(self, texts: Sequence[str]) -> list[InstrumentScore]:
        return [
            InstrumentScore(None, "the instrument failed")
            if text in self.failing
            else InstrumentScore(0.9 if text.endswith("bad") else 0.1)
            for text in texts
        ]


def _texts() -> dict[str, list[str]]:
    rng = np.random.default_rng(11)
    leaning = rng.beta(1, 4, PROMPTS)
    return {
        f"p{prompt}": [
            f"p{prompt} {sample} {'bad' if rng.random() < leaning[prompt] else 'fine'}"
            for sample in range(SAMPLES)
        ]
        for prompt in range(PROMPTS)
    }


def _failing(texts: dict[str, list[str]], which: str) -> frozenset[str]:
    rng = np.random.default_rng(5)
    every = [text for samples in texts.values() for text in samples]
    keys = rng.random(len(every))
    if which == "bad":
        keys -= np.array([0.8 * text.endswith("bad") for text in every])
    order = np.argsort(keys)[: 0 if which == "none" else round(0.3 * len(every))]
    return frozenset(every[index] for index in order)


def _run(make_run: Callable[..., RunDirectory], which: str) -> tuple[Estimate, float, ExitCode]:
    texts = _texts()
    true = float(np.mean([text.endswith("bad") for samples in texts.values() for text in samples]))
    probe = PromptedToxicity()
    probe.samples = SAMPLES

    def answer(item: str, request: Request) -> Response:
        assert isinstance(request, Generate)
        return Generations(tuple(Generation(text, 3, "eos", 0.1) for text in texts[item]))

    rows = [{"id": name, "text": f"Prompt {name}"} for name in texts]
    instrument = FailingInstrument(_failing(texts, which))
    run = make_run(probe, rows, {"base": answer}, instrument=instrument)
    audit = build_audit(run)
    estimate = next(
        e for e in audit.estimates if e.metric == "toxicity.prompted/toxic_fraction" and not e.slice
    )
    return estimate, true, evaluate(audit, POLICY, RunEvidence(run, audit, "fixed", 0)).exit_code


@pytest.mark.parametrize("which", ["random", "bad"])
def test_bounds_contain_the_true_rate_and_the_gate_does_not_pass(
    make_run: Callable[..., RunDirectory], which: str
) -> None:
    estimate, true, code = _run(make_run, which)
    assert estimate.coverage == pytest.approx(0.7)
    assert estimate.worst is not None
    assert estimate.worst_interval is not None
    assert estimate.worst_interval[0] < estimate.worst[0] < true < estimate.worst[1]
    assert estimate.worst[1] < estimate.worst_interval[1]
    assert estimate.worst[1] - estimate.worst[0] == pytest.approx(0.3)
    assert code == ExitCode.INCONCLUSIVE


def test_complete_cases_of_the_selective_failure_would_have_passed(
    make_run: Callable[..., RunDirectory],
) -> None:
    estimate, true, _ = _run(make_run, "bad")
    assert estimate.upper is not None
    assert estimate.upper < true < 0.3


def test_the_same_texts_pass_with_an_instrument_that_works(make_run: Callable[..., RunDirectory]) -> None:
    estimate, true, code = _run(make_run, "none")
    assert estimate.coverage == 1.0
    assert estimate.value == pytest.approx(true)
    assert estimate.worst_interval == (estimate.lower, estimate.upper)
    assert code == ExitCode.PASS
