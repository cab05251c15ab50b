import contextlib
import math

import pytest
import torch

from fmaudit.engines.base import Ask
from fmaudit.errors import ProbeError
from fmaudit.requests import Classify, Decoding, Failure, Score, TokenScores

TEXTS = [
    "The garden was quiet.",
    "A nurse and an engineer walked to the station with their children, and she reads the newspaper.",
    "no",
    "Numbers 0 1 2 3, straße, 東京 and 🙂 too",
    "People who work at night often sleep during the day",
    " leading space",
]
REQUESTS = [Score(text) for text in TEXTS] + [
    Score(" the station with their children", context="A nurse and an engineer walked to"),
    Score("ation today", context="walked to the st", decoding=Decoding(0.8, 5, 0.9)),
    Score("🙂!", context="東京 "),
]


def reference_scores(loaded, request):
    """One text at a time, all logits, no tricks."""
    text = request.context + request.continuation
    encoded = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(encoded["input_ids"])
    scored = [i for i, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(request.context)]
    if not request.context:
        ids = [loaded.tokenizer.bos_token_id, *ids]
        scored = [i + 1 for i in scored]
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([ids])).logits[0].double()
    log_p = logits.log_softmax(-1)[[i - 1 for i in scored]]
    p = log_p.exp()
    mean = (p * log_p).sum(-1)
    top = log_p.topk(2).values
    return {
        "logprob": [row[ids[i]].item() for row, i in zip(log_p, scored, strict=True)],
        "mean": mean.tolist(),
        "variance": (p * (log_p - mean[:, None]) ** 2).sum(-1).tolist(),
        "is_argmax": [row.argmax().item() == ids[i] for row, i in zip(log_p, scored, strict=True)],
        "gap": (top[:, 0] - top[:, 1]).tolist(),
    }


def test_scores_equal_the_reference_scorer(causal):
    for request, answer in zip(REQUESTS, causal.ask(*REQUESTS), strict=True):
        expected = reference_scores(causal, request)
        assert isinstance(answer, TokenScores)
        assert answer.logprob == pytest.approx(expected["logprob"], abs=1e-4)
        assert answer.mean == pytest.approx(expected["mean"], abs=1e-4)
        assert answer.variance == pytest.approx(expected["variance"], abs=1e-3)
        assert list(answer.is_argmax) == expected["is_argmax"]
        assert answer.gap == pytest.approx(expected["gap"], abs=1e-4)


@pytest.mark.parametrize("budget", [1, 60, 200, 100_000])
def test_scores_do_not_depend_on_batches(causal, budget):
    alone = [causal.ask(request)[0] for request in REQUESTS]
    together = causal.ask(*reversed(REQUESTS), budget=budget)[::-1]
    for one, other in zip(alone, together, strict=True):
        assert one.tokens == other.tokens
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_a_head_whose_output_the_model_alters_gives_the_same_kind_of_answer(llama, monkeypatch):
    forward = llama.model.forward

    def scaled(*args, **inputs):
        output = forward(*args, **inputs)
        output.logits = output.logits * 0.5
        return output

    monkeypatch.setattr(llama.model, "forward", scaled)
    for request, answer in zip(REQUESTS, llama.ask(*REQUESTS), strict=True):
        assert answer.logprob == pytest.approx(reference_scores(llama, request)["logprob"], abs=1e-4)


def test_logits_are_made_in_pieces_of_rows(llama, monkeypatch):
    monkeypatch.setattr("fmaudit.engines.forward._HEAD_ELEMENTS", 3 * len(llama.tokenizer))
    engine = llama.engine()
    assert engine.traits.batching == "padded"
    seen = []
    hook = llama.model.lm_head.register_forward_hook(lambda m, a, output: seen.append(output.shape[-2]))
    try:
        ((_, answer),) = engine.run([Ask("", 0, Score(TEXTS[1]))])
    finally:
        hook.remove()
    assert max(seen) == 3
    assert answer.logprob == pytest.approx(reference_scores(llama, Score(TEXTS[1]))["logprob"], abs=1e-4)


def test_token_texts_join_to_the_continuation(causal):
    answers = causal.ask(*REQUESTS)
    for request, answer in zip(REQUESTS, answers, strict=True):
        joined = "".join(answer.tokens)
        assert (request.context + request.continuation).endswith(joined)
        assert joined.endswith(request.continuation)


def test_a_straddling_token_belongs_to_the_continuation(llama):
    text = "She sat in the garden behind"
    encoded = llama.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    start, end = max(encoded["offset_mapping"], key=lambda span: span[1] - span[0])
    assert end - start > 2
    answer = llama.ask(Score(text[start + 2 :], context=text[: start + 2]))[0]
    assert "".join(answer.tokens) == text[start:]
    assert answer.tokens[0] == text[start:end]
    assert answer.logprob == llama.ask(Score(text[start:], context=text[:start]))[0].logprob


def test_the_first_token_is_scored_from_the_beginning_of_sequence(llama):
    ids = llama.tokenizer("The garden", add_special_tokens=False)["input_ids"]
    answer = llama.ask(Score("The garden"))[0]
    assert len(answer.logprob) == len(ids)
    written = llama.ask(Score("<s>The garden"))[0]
    assert "".join(written.tokens) == "<s>The garden"
    assert len(written.logprob) > len(ids)


def test_without_any_such_token_scoring_begins_at_the_second(eight_words):
    answer = eight_words.ask(Score("a b c"), context_length=32)[0]
    assert len(answer.logprob) == 2
    assert eight_words.ask(Score("a"), context_length=32)[0] == Failure(
        "continuation has no token that follows another"
    )


def test_bad_requests_fail_alone(llama):
    long = "garden " * 200
    ok, too_long, empty, surrogate = llama.ask(Score("fine"), Score(long), Score("", "x"), Score("\ud800"))
    assert isinstance(ok, TokenScores)
    assert "context holds 128" in too_long.reason
    assert empty == Failure("empty continuation")
    assert surrogate == Failure("text is not valid Unicode")


def test_a_model_that_returns_nan_fails_the_request_and_not_its_neighbours(llama, monkeypatch):
    forward = llama.model.forward
    poisoned = llama.tokenizer("z", add_special_tokens=False)["input_ids"][0]

    def sick(*args, **inputs):
        with_z = (inputs["input_ids"] == poisoned).any(-1)
        hook = llama.model.lm_head.register_forward_pre_hook(
            lambda m, a: (torch.where(torch.tensor(True), torch.nan, a[0]),) if with_z.all() else None
        )
        try:
            return forward(*args, **inputs)
        finally:
            hook.remove()

    monkeypatch.setattr(llama.model, "forward", sick)
    well, ill = llama.ask(Score("garden"), Score("zzzz"), budget=1)
    assert isinstance(well, TokenScores)
    assert isinstance(ill, Failure)
    assert "NaN" in ill.reason


@pytest.mark.parametrize(
    "error", [None, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")]
)
def test_out_of_memory_halves_and_changes_no_score(llama, out_of_memory_above, error):
    expected = llama.ask(*REQUESTS)
    out_of_memory_above(llama.model, 2, error)
    engine = llama.engine()
    answers = dict(engine.run([Ask("x", i, request) for i, request in enumerate(REQUESTS)]))
    for i, answer in enumerate(expected):
        assert answers[i].logprob == pytest.approx(answer.logprob, abs=1e-4)
    assert engine.backoff.events
    assert engine.backoff.events[0]["batch"] == 0
    assert engine.backoff.events[0]["size"] > 2


def test_a_row_that_does_not_fit_alone_fails(llama, out_of_memory_above):
    out_of_memory_above(llama.model, 0)
    assert "out of memory" in llama.ask(Score("garden"))[0].reason


def test_other_runtime_errors_are_not_swallowed(llama, out_of_memory_above):
    out_of_memory_above(llama.model, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        llama.ask(Score("garden"))


def test_answers_stream_in_plan_order_and_equal_requests_are_computed_once(llama, monkeypatch):
    asks = [Ask(str(i), 0, Score(text)) for i, text in enumerate([*TEXTS, *TEXTS, "y" * 500])]
    engine = llama.engine(budget=60)
    plan = engine.plan(asks)
    ticks = []
    order = [position for position, _ in engine.run(asks, ticks.append)]
    assert order == [12] + [position for batch in plan for position in batch]
    assert ticks == [1] + [len(batch) for batch in plan]
    assert all((i in batch) == (i + len(TEXTS) in batch) for batch in plan for i in range(len(TEXTS)))
    rows = []
    forward = llama.model.forward

    def counted(*args, **inputs):
        rows.append(inputs["input_ids"].shape[0])
        return forward(*args, **inputs)

    monkeypatch.setattr(llama.model, "forward", counted)
    list(engine.run(asks))
    assert sum(rows) == len(TEXTS)


def test_the_active_context_is_entered_for_each_batch_and_left_before_its_answers(llama):
    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine

    state = {"inside": False, "entries": 0}

    @contextlib.contextmanager
    def switch():
        state.update(inside=True, entries=state["entries"] + 1)
        yield
        state["inside"] = False

    settings = EngineSettings(token_budget=1)
    engine = TransformersEngine(llama.model, llama.tokenizer, "causal", "cpu", settings, 128, switch)
    assert not engine.traits.looks_ahead
    state["entries"] = 0
    for _ in engine.run([Ask(str(i), 0, Score(text)) for i, text in enumerate(TEXTS)]):
        assert not state["inside"]
    assert state["entries"] == len(TEXTS)


def test_a_kind_the_subject_cannot_answer_is_an_error(llama):
    with pytest.raises(ProbeError, match="causal model cannot answer Classify"):
        llama.ask(Classify("text"))


def test_length_counts_the_tokens_of_a_row(llama):
    request = Score("The garden")
    assert llama.engine().length(request) == len(llama.tokenizer("The garden")["input_ids"]) + 1


def test_an_adapter_is_scored_as_its_merged_model(llama, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from fmaudit.testing.tiny import tiny_causal, tiny_lora

    base = tiny_causal(tmp_path / "base")
    adapter = tiny_lora(base, tmp_path / "adapter")
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    load = type(llama)
    one, other = (load(model, llama.tokenizer, "causal").ask(*REQUESTS) for model in (adapted, merged))
    for a, b in zip(one, other, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4)
    plain = llama.ask(*REQUESTS)
    assert max(abs(a.total - b.total) for a, b in zip(one, plain, strict=True)) > 0.1


def test_greedy_scores_are_zero_or_minus_infinity(llama):
    answer = llama.ask(Score("The garden was quiet", decoding=Decoding(temperature=0.0)))[0]
    assert answer.decoded == tuple(0.0 if best else -math.inf for best in answer.is_argmax)


@pytest.mark.gpu
def test_score_on_cuda_agrees_with_the_processor(llama, cuda):
    expected = llama.ask(*REQUESTS)
    try:
        answers = type(llama)(llama.model.to(cuda), llama.tokenizer, "causal").ask(*REQUESTS, device=cuda)
        for one, other in zip(answers, expected, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
        half = type(llama)(llama.model.to(torch.bfloat16), llama.tokenizer, "causal").ask(
            *REQUESTS, device=cuda
        )
        assert all(isinstance(answer, TokenScores) for answer in half)
    finally:
        llama.model.to("cpu", torch.float32)
