"""Tokens, requests and batches of a workload, by the engine that a run uses, without weights."""

from __future__ import annotations

import pytest

from fmaudit.engines.base import EngineSettings
from fmaudit.engines.transformers_engine import TransformersEngine
from fmaudit.planning.outline import cut, outline, shallow
from fmaudit.planning.workload import workload_of
from fmaudit.requests import Fill, Generate, Score
from fmaudit.subjects import LoadOptions, open_subjects, parse_spec
from fmaudit.subjects.subject import context_length

CPU = LoadOptions(device="cpu")
SENTENCE = "The garden behind the old school was quiet in the morning."


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_causal

    return opened(tiny_causal(tmp_path_factory.mktemp("causal") / "m", num_hidden_layers=5))


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    from fmaudit.testing.tiny import tiny_masked

    return opened(tiny_masked(tmp_path_factory.mktemp("masked") / "m"))


def opened(path):
    (subject,) = open_subjects([parse_spec(str(path))], CPU)
    return subject


def engine_of(subject, budget=256, model=None):
    found = outline(subject, CPU)
    length = context_length(found.config, subject.tokenizer)
    device = "meta" if model is None else "cpu"
    settings = EngineSettings(budget)
    return TransformersEngine(model or found.model, subject.tokenizer, subject.kind, device, settings, length)


def test_an_architecture_is_that_of_the_loaded_model(causal):
    found = outline(causal, CPU)
    assert not causal.is_loaded
    assert found.parameters == sum(p.numel() for p in causal.model.parameters())
    assert found.layers == 5
    assert found.layer_parameters == sum(p.numel() for p in causal.model.model.layers[0].parameters())
    assert context_length(found.config, causal.tokenizer) == causal.context_length
    causal.release()


def test_a_cut_model_has_fewer_layers_and_answers(causal):
    found = outline(causal, CPU)
    model = shallow(found, 2, "cpu", CPU)
    assert len(model.model.layers) == 2
    assert found.config.num_hidden_layers == 5
    assert cut(found.config, 3).num_hidden_layers == 3
    requests = [Score(SENTENCE), Generate("The river", n=2, max_new_tokens=3)]
    load = workload_of(engine_of(causal), requests)
    engine = engine_of(causal, model=model)
    answers = [answer for batch in load.batches for _, answer in engine.run(batch.asks)]
    assert {type(answer).__name__ for answer in answers} == {"TokenScores", "Generations"}


def test_scored_tokens_are_those_of_the_tokenizer(causal):
    load = workload_of(engine_of(causal), [Score(SENTENCE), Score("A nurse reads.", context="Today: ")])
    ids = [
        causal.tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (SENTENCE, "Today: A nurse reads.")
    ]
    # The first has nothing before it, so that a beginning-of-sequence token is put there.
    assert load.tokens_read == len(ids[0]) + 1 + len(ids[1])
    assert (load.requests, load.tokens_generated, load.texts) == ({"score": 2}, 0, 0)


def test_equal_requests_are_asked_twice_and_computed_once(causal):
    one, two = (workload_of(engine_of(causal), [Score(SENTENCE)] * times) for times in (1, 2))
    assert two.requests == {"score": 2}
    assert two.tokens_read == one.tokens_read
    assert [batch.rows for batch in two.batches] == [1]


def test_a_prompt_is_read_once_and_every_sample_may_reach_its_longest(causal):
    prompt = "Numbers such as 0 1 2"
    load = workload_of(engine_of(causal), [Generate(prompt, n=5, max_new_tokens=7)])
    assert load.tokens_read == len(causal.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    assert (load.tokens_generated, load.texts) == (35, 5)
    (batch,) = load.batches
    assert (batch.rows, batch.generated, batch.cost) == (5, 7, 35.0)


def test_a_masked_text_is_read_once_for_every_token(masked):
    load = workload_of(engine_of(masked), [Fill("She reads the newspaper.")])
    inside = len(masked.tokenizer("She reads the newspaper.", add_special_tokens=False)["input_ids"])
    assert load.tokens_read == inside * (inside + 2)
    assert load.requests == {"fill": 1}


def test_what_no_context_holds_is_counted_apart(causal):
    load = workload_of(engine_of(causal), [Score(SENTENCE * 40), Score("Short.")])
    assert load.unaskable == 1
    assert load.requests == {"score": 2}
    assert sum(batch.rows for batch in load.batches) == 1


def test_batches_keep_to_the_budget(causal):
    texts = [Score(SENTENCE[:length]) for length in range(5, 55)]
    load = workload_of(engine_of(causal, budget=100), texts)
    assert len(load.batches) > 1
    assert all(batch.rows * batch.length <= 100 for batch in load.batches)
    assert sum(batch.rows for batch in load.batches) == 50
