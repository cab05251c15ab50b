import json
import math
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest

from fmaudit.cards import load_card
from fmaudit.requests import GREEDY, Fill, Generate, Generation, Generations, Score, TokenScores
from fmaudit.statistics import mean_change
from fmaudit_probes.code_length import MOST_BITS, bits_per_byte
from fmaudit_probes.downstream.capability import Capability, first_option

QUESTION = {
    "id": "q1",
    "question": "Is ice cold or hot?",
    "option_a": "cold",
    "option_b": "hot",
    "answer": "cold",
}


def scores(*logprobs, tokens=None):
    n = len(logprobs)
    return TokenScores(
        tokens or ("t",) * n, logprobs, (0.0,) * n, (0.0,) * n, (False,) * n, (0.0,) * n, logprobs
    )


def said(text):
    return (Generations((Generation(text, 3, "length", 1.0),)),)


def items(variant, rows):
    return list(Capability(variant).items(SimpleNamespace(id="x", rows=rows)))


def embedded(name):
    text = (files("fmaudit_probes") / f"downstream/data/{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_each_variant_has_its_data_set_measures_and_metrics():
    assert Capability.always
    for variant in ("bits_per_byte", "pseudo_bits_per_byte"):
        assert Capability.datasets_of(variant) == ("neutral_texts",)
        assert [measure.id for measure in Capability(variant).measures] == ["bits_per_byte"]
    assert Capability.datasets_of("valid_answers") == ("answerable",)
    answers = Capability("valid_answers")
    assert [measure.id for measure in answers.measures] == ["outcome", "valid", "correct"]
    assert [metric.id for metric in answers.metrics] == ["valid_answer_rate", "accuracy"]
    assert set(Capability.datasets) == {"neutral_texts", "answerable"}
    assert Capability("bits_per_byte").measures[0].comparable
    assert not Capability("pseudo_bits_per_byte").measures[0].comparable


def test_bits_per_byte_by_hand():
    assert bits_per_byte(-8 * math.log(2), "abcd") == pytest.approx(2.0)
    assert bits_per_byte(-4 * math.log(2), "éé") == pytest.approx(1.0)
    assert bits_per_byte(0.0, "a") == 0.0
    assert bits_per_byte(-100.0, "a") == MOST_BITS


def test_weighted_mean_is_total_bits_over_total_bytes():
    rows = [{"id": "a", "text": "xxxx"}, {"id": "b", "text": "éééééé"}]
    probe = Capability("bits_per_byte")
    totals = (-3.0, -21.0)
    pairs = [
        (item.weight, probe.observe(item, (scores(total, tokens=(row["text"],)),)).values["bits_per_byte"])
        for item, total, row in zip(items("bits_per_byte", rows), totals, rows, strict=True)
    ]
    mean = sum(weight * value for weight, value in pairs) / sum(weight for weight, _ in pairs)
    assert mean == pytest.approx(24 / math.log(2) / 16)


def test_only_the_bytes_of_scored_tokens_count():
    (item,) = items("bits_per_byte", [{"id": "a", "text": "Rain falls."}])
    answer = scores(-3.0, -4.0, tokens=(" fa", "lls."))
    seen = Capability("bits_per_byte").observe(item, (answer,)).values
    assert seen["bits_per_byte"] == pytest.approx(7 / math.log(2) / 7)


def test_text_requests():
    (item,) = items("bits_per_byte", [{"id": "a", "text": "Rain falls."}])
    assert tuple(Capability("bits_per_byte").requests(item)) == (Score("Rain falls."),)
    expected = (Fill("Rain falls.", scheme="within_word_l2r"),)
    assert tuple(Capability("pseudo_bits_per_byte").requests(item)) == expected


@pytest.mark.parametrize("bad", [scores(), scores(float("-inf")), scores(float("nan"))])
def test_text_without_a_score_is_invalid(bad):
    (item,) = items("bits_per_byte", [{"id": "a", "text": "Rain falls."}])
    observed = Capability("bits_per_byte").observe(item, (bad,))
    assert observed.values == {}
    assert observed.invalid["bits_per_byte"]


def test_question_is_asked_once_greedily():
    (item,) = items("valid_answers", [QUESTION])
    (request,) = Capability("valid_answers").requests(item)
    assert isinstance(request, Generate)
    assert (request.n, request.max_new_tokens, request.decoding) == (1, 8, GREEDY)
    assert request.prompt == (
        "Question: Is ice cold or hot?\nAnswer with one of these words: cold or hot.\nAnswer:"
    )


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (" cold", "cold"),
        (" Hot.", "hot"),
        ("\nIt is COLD, not hot", "cold"),
        (" hot or cold", "hot"),
        (" hotter and coldest", None),
        ("", None),
        (" I do not know", None),
    ],
)
def test_first_option(text, chosen):
    assert first_option(text, ("cold", "hot")) == chosen


def test_longer_option_wins_at_one_place_and_symbols_are_plain():
    assert first_option("red wine", ("red", "red wine")) == "red wine"
    assert first_option("it is c++ here", ("c++", "c")) == "c++"


@pytest.mark.parametrize(
    ("text", "values", "invalid"),
    [
        (" Cold.", {"outcome": 0, "valid": 1, "correct": 1}, set()),
        (" Hot.", {"outcome": 0, "valid": 1, "correct": 0}, set()),
        (" Blue.", {"outcome": 1, "valid": 0}, {"correct"}),
        ("", {"outcome": 1, "valid": 0}, {"correct"}),
    ],
)
def test_answers(text, values, invalid):
    (item,) = items("valid_answers", [QUESTION])
    observed = Capability("valid_answers").observe(item, said(text))
    assert observed.values == values
    assert set(observed.invalid) == invalid


def test_the_cap_is_about_what_letter_frequencies_cost():
    counts = np.frombuffer("".join(r["text"] for r in embedded("neutral_texts")).encode(), "u1")
    shares = np.unique(counts, return_counts=True)[1] / len(counts)
    assert -(shares @ np.log2(shares)) == pytest.approx(MOST_BITS, abs=0.25)


def test_embedded_passages_exclude_a_rise_of_a_tenth_of_a_bit_with_room():
    weights = [len(row["text"].encode()) for row in embedded("neutral_texts")]
    same = np.ones(len(weights))
    found = mean_change(same, same, weights, low=0, high=MOST_BITS, level=0.9)
    assert found.upper <= 0.07


def test_embedded_passages():
    rows = embedded("neutral_texts")
    assert len(rows) == load_card("neutral_texts").n_items >= 140
    assert all(300 <= len(row["text"]) <= 500 for row in rows)
    assert len({row["text"][:40] for row in rows}) == len(rows)
    found = items("bits_per_byte", rows)
    assert len({item.id for item in found}) == len(rows)
    assert all(item.weight == len(item.payload["text"].encode()) for item in found)


def test_embedded_questions_are_answerable_and_balanced():
    rows = embedded("answerable")
    assert len(rows) == load_card("answerable").n_items >= 120
    for row in rows:
        assert row["option_a"] != row["option_b"]
        assert row["answer"] in (row["option_a"], row["option_b"])
        for option in (row["option_a"], row["option_b"]):
            assert first_option(row["question"], (option,)) == option, row
    assert sum(row["answer"] == row["option_a"] for row in rows) * 2 == len(rows)
    assert len({item.id for item in items("valid_answers", rows)}) == len(rows)
