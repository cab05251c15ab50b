import functools

import pytest
import torch

from fmaudit.requests import Classify, Failure, LabelScores

TEXTS = [
    "The garden was quiet.",
    "no",
    "People who work at night often sleep during the day, said the doctor.",
]
REQUESTS = [*(Classify(text) for text in TEXTS), Classify("She reads", pair="the newspaper")]


def _alone(loaded, request):
    encoded = loaded.tokenizer(request.text, request.pair or None, return_tensors="pt")
    with torch.no_grad():
        return loaded.model(**encoded).logits[0].double()


@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_probabilities_equal_one_text_at_a_time(classifier, budget):
    for request, answer in zip(REQUESTS, classifier.ask(*REQUESTS, budget=budget), strict=True):
        assert answer.labels == ("no", "maybe", "yes")
        assert answer.probability == pytest.approx(_alone(classifier, request).softmax(-1).tolist(), abs=1e-5)
        assert sum(answer.probability) == pytest.approx(1, abs=1e-5)


def test_the_second_segment_matters(classifier):
    pair, joined = classifier.ask(
        Classify("She reads", pair="the newspaper"), Classify("She reads the newspaper")
    )
    assert pair.probability != pytest.approx(joined.probability, abs=1e-3)


def test_independent_labels_get_a_sigmoid_each(classifier, monkeypatch):
    monkeypatch.setattr(classifier.model.config, "problem_type", "multi_label_classification")
    answer = classifier.ask(REQUESTS[0])[0]
    assert answer.probability == pytest.approx(_alone(classifier, REQUESTS[0]).sigmoid().tolist(), abs=1e-5)


def test_a_regressor_has_no_label_probabilities(classifier, monkeypatch):
    monkeypatch.setattr(classifier.model.config, "problem_type", "regression")
    assert "regressor" in classifier.ask(REQUESTS[0])[0].reason


def test_without_a_padding_token_texts_are_classified_one_by_one(classifier, monkeypatch):
    expected = classifier.ask(*REQUESTS)
    monkeypatch.setattr(classifier.model.config, "pad_token_id", None)
    rows = []
    forward = classifier.model.forward

    @functools.wraps(forward)
    def counted(*args, **inputs):
        rows.append(inputs["input_ids"].shape[0])
        return forward(*args, **inputs)

    answers = classifier.engine()
    monkeypatch.setattr(classifier.model, "forward", counted)
    from fmaudit.engines.base import Ask

    got = dict(answers.run([Ask(str(i), 0, request) for i, request in enumerate(REQUESTS)]))
    assert set(rows) == {1}
    for i, answer in enumerate(expected):
        assert got[i].probability == pytest.approx(answer.probability, abs=1e-5)


def test_too_long_and_nan_fail_alone(classifier, monkeypatch):
    fine, too_long = classifier.ask(Classify("house"), Classify("house " * 200))
    assert isinstance(fine, LabelScores)
    assert too_long == Failure("text has 202 tokens, context holds 128")
    forward = classifier.model.forward

    def sick(*args, **inputs):
        output = forward(*args, **inputs)
        output.logits[0] = float("nan")
        return output

    monkeypatch.setattr(classifier.model, "forward", sick)
    first, second = classifier.ask(Classify("house"), Classify("the house"))
    assert "NaN" in first.reason
    assert isinstance(second, LabelScores)


def test_out_of_memory_halves(classifier, out_of_memory_above):
    expected = classifier.ask(*REQUESTS)
    out_of_memory_above(classifier.model, 1)
    for one, other in zip(classifier.ask(*REQUESTS), expected, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


@pytest.mark.gpu
def test_classify_on_cuda_agrees_with_the_processor(classifier, cuda):
    expected = classifier.ask(*REQUESTS)
    try:
        loaded = type(classifier)(classifier.model.to(cuda), classifier.tokenizer, "classifier")
        for one, other in zip(loaded.ask(*REQUESTS, device=cuda), expected, strict=True):
            assert one.probability == pytest.approx(other.probability, abs=1e-4)
        half = type(classifier)(classifier.model.to(torch.bfloat16), classifier.tokenizer, "classifier")
        assert all(isinstance(answer, LabelScores) for answer in half.ask(*REQUESTS, device=cuda))
    finally:
        classifier.model.to("cpu", torch.float32)
