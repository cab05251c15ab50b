"""Responses survive the way into a row and back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.evidence.responses import decode_responses, encode_responses
from fmaudit.requests import (
    Failure,
    Generation,
    Generations,
    InstrumentScore,
    LabelScores,
    TokenScores,
)

texts = st.text(max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
logprobs = st.floats(max_value=0, allow_nan=False)


@st.composite
def token_scores(draw):
    size = draw(st.integers(0, 4))

    def column(values):
        return tuple(draw(st.lists(values, min_size=size, max_size=size)))

    return TokenScores(
        tokens=column(texts | st.sampled_from(["-inf", "inf", "nan"])),
        logprob=column(logprobs),
        mean=column(finite),
        variance=column(finite),
        is_argmax=column(st.booleans()),
        gap=column(finite),
        decoded=column(logprobs),
    )


scores = st.builds(InstrumentScore, finite | st.none(), texts)
generations = st.builds(
    Generation,
    text=texts,
    n_tokens=st.integers(0, 50),
    finish=st.sampled_from(["eos", "stop", "length"]),
    margin=finite,
    scores=st.dictionaries(texts, scores, max_size=2),
)
labels = st.lists(st.tuples(texts, finite), max_size=3).map(
    lambda pairs: LabelScores(tuple(name for name, _ in pairs), tuple(value for _, value in pairs))
)
single = token_scores() | labels | st.builds(Failure, texts)


@given(st.lists(single, max_size=3))
def test_single_answers_come_back_whole(answers):
    assert decode_responses(encode_responses(answers, 0)) == tuple(answers)


@given(st.lists(generations, min_size=1, max_size=4), single)
def test_each_row_holds_its_own_sample_and_the_first_everything_else(samples, other):
    answers = [Generations(tuple(samples)), other]
    for number, sample in enumerate(samples):
        drawn, rest = decode_responses(encode_responses(answers, number))
        assert drawn == Generations((sample,))
        assert rest == (other if number == 0 else None)


@given(st.lists(single | generations.map(lambda one: Generations((one,))), max_size=3))
def test_the_text_is_strict_json(answers):
    def refuse(name):
        raise AssertionError(name)

    json.loads(encode_responses(answers, 0), parse_constant=refuse)


def test_impossible_tokens_keep_minus_infinity():
    answer = TokenScores(("a",), (-1.5,), (-2.0,), (0.5,), (True,), (0.25,), (-math.inf,))
    (found,) = decode_responses(encode_responses([answer], 0))
    assert found.decoded == (-math.inf,)
    assert found.decoded_total == -math.inf


def test_an_item_without_that_sample_holds_nothing():
    assert decode_responses(encode_responses([Generations(())], 0)) == (None,)


@pytest.mark.parametrize("text", ["-inf", "inf", "nan"])
def test_a_token_that_looks_like_a_number_stays_text(text):
    answer = TokenScores((text,), (-1.0,), (-1.0,), (0.5,), (False,), (0.1,), (-1.0,))
    (found,) = decode_responses(encode_responses([answer], 0))
    assert found.tokens == (text,)
