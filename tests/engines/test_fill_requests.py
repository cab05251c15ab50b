import pytest
import torch

from fmaudit.engines.masked import mask_word_rest
from fmaudit.requests import Failure, Fill, TokenScores

MORE = "The doctor said that she often works at night in the station."
LESS = "The doctor said that the people often works at night in the station."
TEXTS = [MORE, LESS, "no", "unfathomable gardenias walked to the engineers", "Why would they sell a house?"]


def brute_force(loaded, text, positions=None, same_word=False):
    """One masked copy a forward pass, all logits, no tricks."""
    encoded = loaded.tokenizer(text, return_tensors="pt")
    ids = encoded["input_ids"][0]
    words = encoded.word_ids(0)
    scores = []
    for i in range(1, len(ids) - 1) if positions is None else positions:
        copy = ids.clone()
        copy[i] = loaded.tokenizer.mask_token_id
        for j in range(i + 1, len(ids)):
            if same_word and words[j] == words[i]:
                copy[j] = loaded.tokenizer.mask_token_id
        with torch.no_grad():
            logits = loaded.model(input_ids=copy[None]).logits[0, i].double()
        scores.append(logits.log_softmax(-1)[ids[i]].item())
    return scores


@pytest.mark.parametrize("budget", [1, 300, 100_000])
@pytest.mark.parametrize("scheme", ["single", "within_word_l2r"])
def test_scores_equal_brute_force_in_any_batch(masked, budget, scheme):
    answers = masked.ask(*(Fill(text, scheme=scheme) for text in TEXTS), budget=budget)
    for text, answer in zip(TEXTS, answers, strict=True):
        expected = brute_force(masked, text, same_word=scheme == "within_word_l2r")
        assert answer.logprob == pytest.approx(expected, abs=1e-4)
        assert answer.decoded == answer.logprob


def test_the_schemes_differ_on_words_of_several_tokens_only(masked):
    word = "unfathomable"
    assert len(masked.tokenizer(word, add_special_tokens=False)["input_ids"]) > 1
    single, rest = masked.ask(Fill(word), Fill(word, scheme="within_word_l2r"))
    assert single.logprob[-1] == pytest.approx(rest.logprob[-1], abs=1e-5)
    assert single.logprob[0] != pytest.approx(rest.logprob[0], abs=1e-3)
    single, rest = masked.ask(Fill("the house"), Fill("the house", scheme="within_word_l2r"))
    assert single.logprob == pytest.approx(rest.logprob, abs=1e-5)


def test_later_tokens_of_the_word_are_masked_and_no_others():
    assert mask_word_rest([1, 5, 6, 7, 8, 2], 2, [None, 0, 1, 1, 2, None], 9) == (1, 5, 9, 9, 8, 2)
    assert mask_word_rest([1, 5, 6, 7, 8, 2], 3, [None, 0, 1, 1, 2, None], 9) == (1, 5, 6, 9, 8, 2)


def test_spans_limit_the_scored_tokens_to_those_that_overlap(masked):
    start = MORE.index("she")
    whole, part = masked.ask(Fill(MORE), Fill(MORE, spans=((start, start + 3), (0, 1))))
    assert part.tokens == ("The", " she")
    places = [whole.tokens.index(token) for token in part.tokens]
    assert part.logprob == pytest.approx([whole.logprob[i] for i in places], abs=1e-5)


def test_shared_tokens_are_the_same_on_both_sides_and_the_rest_is_left_out(masked):
    more, less = masked.ask(Fill(MORE, shared_with=LESS), Fill(LESS, shared_with=MORE))
    assert [token.strip() for token in more.tokens] == [token.strip() for token in less.tokens]
    assert " she" not in more.tokens
    assert " people" not in less.tokens
    full = masked.ask(Fill(MORE))[0]
    assert len(more.tokens) == len(full.tokens) - 1
    expected = brute_force(masked, MORE)
    left_out = full.tokens.index(" she")
    assert more.logprob == pytest.approx(expected[:left_out] + expected[left_out + 1 :], abs=1e-4)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a b c d a b", "c d a b"), ("the the a", "a the"), ("x y", "y x"), ("0 1 0 2 0", "0 2 0 1")],
)
def test_alignment_does_not_depend_on_which_text_is_scored(masked, one, other):
    first, second = masked.ask(Fill(one, shared_with=other), Fill(other, shared_with=one))
    assert [t.strip() for t in first.tokens] == [t.strip() for t in second.tokens]


def test_special_tokens_are_never_scored(masked):
    answer = masked.ask(Fill(MORE))[0]
    assert len(answer.tokens) == len(masked.tokenizer(MORE, add_special_tokens=False)["input_ids"])
    assert "".join(answer.tokens) == MORE


def test_bad_requests_fail_alone(masked):
    fine, too_long, empty, outside = masked.ask(
        Fill("house"), Fill("house " * 200), Fill(""), Fill("house", spans=((90, 95),))
    )
    assert isinstance(fine, TokenScores)
    assert too_long == Failure("text has 202 tokens, context holds 128")
    assert empty == outside == Failure("no token of the text is to be scored")


def test_a_tokenizer_without_a_mask_token_fails_the_request(masked, llama):
    loaded = type(masked)(masked.model, llama.tokenizer, "masked")
    assert "mask token" in loaded.ask(Fill("house"))[0].reason


def test_a_model_that_returns_nan_fails_the_request(masked, monkeypatch):
    forward = masked.model.forward

    def sick(*args, **inputs):
        output = forward(*args, **inputs)
        output.logits = output.logits * float("nan")
        return output

    monkeypatch.setattr(masked.model, "forward", sick)
    assert "NaN" in masked.ask(Fill(MORE))[0].reason


def test_out_of_memory_splits_the_copies_of_one_text(masked, out_of_memory_above):
    expected = masked.ask(Fill(MORE))[0]
    out_of_memory_above(masked.model, 3)
    engine_answer = masked.ask(Fill(MORE))[0]
    assert engine_answer.logprob == pytest.approx(expected.logprob, abs=1e-4)


@pytest.mark.gpu
def test_fill_on_cuda_agrees_with_the_processor(masked, cuda):
    requests = [Fill(text) for text in TEXTS]
    expected = masked.ask(*requests)
    try:
        answers = type(masked)(masked.model.to(cuda), masked.tokenizer, "masked").ask(*requests, device=cuda)
        for one, other in zip(answers, expected, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
        half = type(masked)(masked.model.to(torch.bfloat16), masked.tokenizer, "masked").ask(
            *requests, device=cuda
        )
        assert all(isinstance(answer, TokenScores) for answer in half)
    finally:
        masked.model.to("cpu", torch.float32)
