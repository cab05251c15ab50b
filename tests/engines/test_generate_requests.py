import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from fmaudit.engines.base import Ask
from fmaudit.requests import GREEDY, Decoding, Failure, Generate, Generations, Score

PROMPTS = [
    "The garden behind",
    "A",
    "She reads the newspaper while he makes tea for the",
    "Numbers such as 0 1 2",
    "",
    "東京 and straße",
]
NARROW = Decoding(0.8, 5, 0.9)


def _asks(n=3, tokens=8, decoding=NARROW, **options):
    return [Ask(f"i{i}", 0, Generate(p, n, tokens, decoding, **options)) for i, p in enumerate(PROMPTS)]


def _texts(engine, asks):
    answers = dict(engine.run(asks))
    return {asks[i].item: [(s.text, s.n_tokens, s.finish) for s in answers[i].samples] for i in answers}


@pytest.mark.parametrize("decoding", [NARROW, Decoding(), GREEDY], ids=str)
def test_texts_do_not_depend_on_batches_or_order(causal, decoding):
    asks = _asks(decoding=decoding)
    expected = _texts(causal.engine(budget=1), asks)
    for budget in (20, 90, 100_000):
        assert _texts(causal.engine(budget=budget), asks) == expected
    assert _texts(causal.engine(), asks[::-1]) == expected
    assert _texts(causal.engine(), asks[2:4]) == {name: expected[name] for name in ("i2", "i3")}


def test_the_seed_and_the_place_of_the_ask_choose_the_text(llama):
    request = Generate("The garden", 1, 12)
    engine = llama.engine()
    same = [dict(engine.run([Ask("a", 0, request)]))[0] for _ in range(2)]
    assert same[0] == same[1]
    asks = [Ask("a", 0, request), Ask("a", 1, request), Ask("b", 0, request)]
    texts = {answer.samples[0].text for _, answer in engine.run(asks)}
    texts.add(llama.engine(seed=1).run(asks[:1]).__next__()[1].samples[0].text)
    assert len(texts) == 4


def test_greedy_equals_transformers_greedy(causal):
    asks = _asks(n=2, tokens=10, decoding=GREEDY)
    answers = dict(causal.engine().run(asks))
    for i, ask in enumerate(asks):
        prompt = causal.tokenizer(ask.request.prompt, return_tensors="pt", add_special_tokens=False)[
            "input_ids"
        ]
        if prompt.shape[1] == 0:
            prompt = torch.tensor([[causal.tokenizer.bos_token_id]])
        whole = causal.model.generate(prompt.long(), do_sample=False, max_new_tokens=10)[0]
        expected = causal.tokenizer.decode(whole[prompt.shape[1] :], skip_special_tokens=True)
        first, second = answers[i].samples
        assert first.text == second.text == expected
        assert first.margin > 0


def _exact(eight_words, decoding):
    suffixes = [" " + " ".join(words) for words in itertools.product("abcdefgh", repeat=3)]
    requests = [Score(suffix, "a c b", decoding) for suffix in suffixes]
    answers = eight_words.ask(*requests, context_length=32)
    return dict(zip(suffixes, np.exp([answer.decoded_total for answer in answers]), strict=True))


def _chi_square_p(counts, probability, total):
    often = [suffix for suffix, p in probability.items() if p * total >= 5]
    observed = [counts[suffix] for suffix in often]
    expected = [probability[suffix] * total for suffix in often]
    rest = max(total - sum(expected), 0)
    if rest > 1:
        observed, expected = [*observed, total - sum(observed)], [*expected, rest]
    return stats.chisquare(observed, np.array(expected) * sum(observed) / sum(expected)).pvalue


@pytest.mark.parametrize("decoding", [NARROW, Decoding(), Decoding(1.3, 0, 0.7)], ids=str)
def test_suffix_probabilities_sum_to_one_and_agree_with_sampling(eight_words, decoding):
    probability = _exact(eight_words, decoding)
    assert sum(probability.values()) == pytest.approx(1, abs=1e-4)
    total = 6000
    answer = eight_words.ask(Generate("a c b", total, 3, decoding), context_length=32)[0]
    counts = Counter(sample.text for sample in answer.samples)
    assert all(probability[text] > 0 for text in counts)
    assert _chi_square_p(counts, probability, total) > 1e-3


def test_the_sampler_has_the_distribution_of_transformers_generate(eight_words):
    total = 4000
    prompt = eight_words.tokenizer("a c b", return_tensors="pt")["input_ids"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ids = eight_words.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=True,
            temperature=0.8,
            top_k=5,
            top_p=0.9,
            max_new_tokens=3,
            num_return_sequences=total,
            pad_token_id=0,
        )
    counts = Counter(" " + " ".join("abcdefgh"[i] for i in row[3:]) for row in ids.tolist())
    probability = _exact(eight_words, NARROW)
    assert all(probability[text] > 0 for text in counts)
    assert _chi_square_p(counts, probability, total) > 1e-3


def test_more_than_fifty_tokens_are_drawn_from_a_flat_model(llama, monkeypatch):
    forward = llama.model.forward

    def flat(*args, **inputs):
        output = forward(*args, **inputs)
        output.logits = output.logits * 0
        return output

    monkeypatch.setattr(llama.model, "forward", flat)
    monkeypatch.setattr(llama.model.generation_config, "top_k", 50)
    answer = llama.ask(Generate("A", 400, 1))[0]
    assert len({sample.text for sample in answer.samples}) > 100


def test_margin_is_small_where_a_small_change_would_change_the_text(llama):
    answer = llama.ask(Generate("The garden", 60, 10))[0]
    margins = [sample.margin for sample in answer.samples]
    assert all(0 <= margin <= 0.5 for margin in margins)
    assert np.median(margins) < 0.05


def test_end_of_sequence_ends_a_sample_and_leaves_no_trace(eight_words, monkeypatch):
    monkeypatch.setattr(eight_words.model.generation_config, "eos_token_id", [3, 5])
    answer = eight_words.ask(Generate("a c b", 200, 6), context_length=32)[0]
    finishes = Counter(sample.finish for sample in answer.samples)
    assert set(finishes) == {"eos", "length"}
    for sample in answer.samples:
        assert "d" not in sample.text
        assert "f" not in sample.text
        assert (sample.finish == "eos") == (sample.n_tokens < 6)
        assert len(sample.text.split()) == sample.n_tokens


def test_a_stop_text_ends_a_sample_before_it(eight_words):
    free = eight_words.ask(Generate("a c b", 100, 6), context_length=32)[0]
    stopped = eight_words.ask(Generate("a c b", 100, 6, stop=("e", "g h")), context_length=32)[0]
    assert {sample.finish for sample in stopped.samples} == {"stop", "length"}
    for one, other in zip(free.samples, stopped.samples, strict=True):
        cuts = [at for stop in ("e", "g h") if (at := one.text.find(stop)) >= 0]
        assert other.text == (one.text[: min(cuts)] if cuts else one.text)


def test_the_prompt_is_not_part_of_the_text_and_spaces_survive_sentencepiece(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from fmaudit.engines.encoding import continuation_text

    core = Tokenizer(models.WordLevel({"▁the": 0, "▁garden": 1, "s": 2}, unk_token="s"))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    assert tokenizer.decode([1]) == "garden"
    assert continuation_text(tokenizer, [0], [1, 2]) == " gardens"
    assert continuation_text(tokenizer, [0, 1], [2]) == "s"


def test_out_of_memory_changes_no_text(llama, out_of_memory_above):
    expected = _texts(llama.engine(), _asks())
    out_of_memory_above(llama.model, 2)
    engine = llama.engine()
    assert _texts(engine, _asks()) == expected
    assert all(event["size"] > 2 for event in engine.backoff.events)
    assert engine.backoff.events


def test_bad_requests_fail_alone(llama, eight_words):
    fine, too_long, none = llama.ask(Generate("A"), Generate("A", 1, 128), Generate("A", 0))
    assert isinstance(fine, Generations)
    assert too_long == Failure("text has 1 tokens plus 128 to generate, context holds 128")
    assert isinstance(none, Failure)
    assert isinstance(eight_words.ask(Generate(""))[0], Failure)


def test_a_model_that_returns_nan_fails_the_request(llama, monkeypatch):
    forward = llama.model.forward

    def sick(*args, **inputs):
        output = forward(*args, **inputs)
        output.logits = output.logits * float("nan")
        return output

    monkeypatch.setattr(llama.model, "forward", sick)
    for decoding in (GREEDY, NARROW, Decoding()):
        answer = llama.ask(Generate("A", 2, 3, decoding))[0]
        assert isinstance(answer, Failure)
        assert "NaN" in answer.reason


@pytest.mark.gpu
def test_generate_on_cuda_agrees_with_the_processor(llama, cuda):
    asks = _asks(n=4)
    expected = dict(llama.engine().run(asks))
    try:
        loaded = type(llama)(llama.model.to(cuda), llama.tokenizer, "causal")
        answers = dict(loaded.engine(device=cuda).run(asks))
        for i, answer in expected.items():
            for one, other in zip(answer.samples, answers[i].samples, strict=True):
                assert one.text == other.text or one.margin < 1e-4
        half = type(llama)(llama.model.to(torch.bfloat16), llama.tokenizer, "causal")
        assert all(isinstance(answer, Generations) for _, answer in half.engine(device=cuda).run(asks))
    finally:
        llama.model.to("cpu", torch.float32)
