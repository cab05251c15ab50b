"""Answers and columns without texts: what stays, what goes, wherever a text may hide."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.errors import ExecutionError
from fmaudit.evidence.responses import decode_responses, encode_responses
from fmaudit.evidence.rows import Row, parquet_bytes
from fmaudit.pack.redacted_rows import redacted_part
from fmaudit.pack.redaction import HashKey, holds_text, is_marker, marker, redacted_responses
from fmaudit.probe import Binary, Categorical, Item, Observation
from fmaudit.requests import Failure, Generation, Generations, InstrumentScore, LabelScores, TokenScores
from tests.pack.pack_runs import SECRET

KEY = HashKey(bytes(range(32)))
PLACE = {"file": "evidence/a/b/part-00000.parquet", "item": "i", "seed": 0, "sample": 0}
SCORES = {"profanity": InstrumentScore(0.5), "other": InstrumentScore(None, "no score")}


def generation(text="a name"):
    return Generations((Generation(text, 2, "stop", 0.25, SCORES),))


def encoded(*answers):
    return encode_responses(answers, 0)


def test_equal_texts_do_not_look_equal():
    taken = [redacted_responses(encoded(generation()), {**PLACE, "item": item}, KEY)[0] for item in "ab"]
    assert taken[0] != taken[1]
    twice = json.loads(redacted_responses(encoded(generation(), generation()), PLACE, KEY)[0])
    assert twice[0]["text"] != twice[1]["text"]


def test_of_a_generation_numbers_stay():
    text, taken = redacted_responses(encoded(generation()), PLACE, KEY)
    (answer,) = json.loads(text)
    assert (taken, is_marker(answer["text"]), holds_text(text)) == (1, True, False)
    ((sample,),) = [found.samples for found in decode_responses(text)]
    assert (sample.n_tokens, sample.finish, sample.margin, dict(sample.scores)) == (2, "stop", 0.25, SCORES)


def test_of_token_scores_nothing_stays():
    """Log-probabilities tell tokens to whoever has the model."""
    numbers = ((-1.5, -1.25), (-2.0,) * 2, (1.0,) * 2, (False,) * 2, (0.5,) * 2, (-1.5,) * 2)
    text, taken = redacted_responses(encoded(TokenScores(("a", "b"), *numbers)), PLACE, KEY)
    (answer,) = json.loads(text)
    assert (taken, set(answer), is_marker(answer["reason"])) == (1, {"kind", "reason"}, True)
    assert isinstance(decode_responses(text)[0], Failure)


def test_labels_and_failures_stay():
    text = encoded(LabelScores(("yes", "no"), (0.5, 0.5)), Failure("text has no tokens"))
    assert redacted_responses(text, PLACE, KEY) == (text, 0)
    assert redacted_responses("[null,null]", PLACE, KEY) == ("[null,null]", 0)


def test_an_imported_generation_can_still_be_read():
    """A log does not say how an answer ended; the field stays, and is empty."""
    unknown = {"n_tokens": None, "finish": None, "margin": None, "scores": {}}
    text, _ = redacted_responses(json.dumps([{"kind": "generation", "text": "x"} | unknown]), PLACE, KEY)
    (answer,) = json.loads(text)
    assert unknown.items() <= answer.items()
    assert decode_responses(text)


HIDDEN = [
    {"kind": "generation", "text": "", "more": "SECRET"},
    {"kind": "generation", "text": "", "finish": "SECRET"},
    {"kind": "generation", "text": "", "n_tokens": "SECRET"},
    {"kind": "generation", "text": "", "margin": ["SECRET"]},
    {"kind": "generation", "text": "", "scores": "SECRET"},
    {"kind": "generation", "text": "", "scores": {"a": {"value": "SECRET"}}},
    {"kind": "generation", "text": "", "scores": {"a": {"value": 1, "text": "SECRET"}}},
    {"kind": "generation", "text": ["SECRET"]},
    {"kind": "labels", "labels": ["a"], "probability": [1.0], "text": "SECRET"},
    {"kind": "failure", "reason": "", "text": "SECRET"},
    {"kind": "tokens", "tokens": ["SECRET"]},
    {"kind": "of a later fmaudit", "answer": "SECRET"},
    {"kind": ["SECRET"]},
    {"SECRET": 1},
    "SECRET",
    ["SECRET"],
    7,
]


@pytest.mark.parametrize("answer", HIDDEN, ids=repr)
def test_a_text_in_an_unknown_place_is_taken_out(answer):
    text, taken = redacted_responses(json.dumps([answer]), PLACE, KEY)
    assert (taken, "SECRET" in text, holds_text(text)) == (1, False, False)
    # The verifier sees it as well, where somebody only put a marker in the place of the text.
    careless = answer
    if isinstance(answer, dict) and answer.get("kind") == "generation":
        careless = answer | {"text": marker("0" * 64)}
    assert holds_text(json.dumps([careless])) is ("SECRET" in json.dumps(careless) or answer == 7)


@pytest.mark.parametrize("text", ["", "SECRET", "{}", '{"kind":"generation"}', '"SECRET"', "[", "null", "1"])
def test_responses_that_are_none_are_taken_out_whole(text):
    made, taken = redacted_responses(text, PLACE, KEY)
    assert (holds_text(text), holds_text(made), taken, "SECRET" in made) == (True, False, 1, False)


def test_a_model_that_writes_a_marker_is_redacted_all_the_same():
    """Sixty-four chosen digits are room enough for a secret."""
    text, taken = redacted_responses(encoded(generation(marker("ab" * 32))), PLACE, KEY)
    assert (taken, "ab" * 32 in text) == (1, False)


@given(st.text(), st.integers(0, 9))
def test_any_text_is_taken_out(text, number):
    place = {**PLACE, "item": str(number)}
    made, taken = redacted_responses(encoded(generation(text)), place, KEY)
    (answer,) = json.loads(made)
    assert (taken, is_marker(answer["text"]), holds_text(made)) == (1, True, False)
    assert holds_text(encoded(generation(text)))
    assert redacted_responses(encoded(generation(text)), place, HashKey(bytes(32)))[0] != made


MEASURES = (Binary("outcome"), Categorical("choice", levels=("yes", "no")))


def part(tmp_path, *choices):
    rows = [
        Row(Item(f"i{n}", {}), n, 0, 0, Observation({"outcome": 1, "choice": choice}), "[]")
        for n, choice in enumerate(choices)
    ]
    path = tmp_path / "part-00000.parquet"
    path.write_bytes(parquet_bytes(rows, MEASURES, {"draws": 3}))
    return path


def test_of_a_categorical_measure_the_declared_levels_stay(tmp_path):
    made = redacted_part(part(tmp_path, "yes", "my own words", "no"), "p", {"choice": ("yes", "no")}, KEY)
    values = pq.read_table(pa.BufferReader(made.data))["choice"].to_pylist()
    assert (values[0], is_marker(values[1]), values[2], made.texts) == ("yes", True, "no", 1)
    assert "my own words" not in repr(pq.read_metadata(pa.BufferReader(made.data)).to_dict())
    # A probe that is not installed declares nothing.
    unknown = redacted_part(part(tmp_path, "yes", "no"), "p", {}, KEY)
    assert all(map(is_marker, pq.read_table(pa.BufferReader(unknown.data))["choice"].to_pylist()))


def test_counts_in_the_metadata_stay_and_notes_go(tmp_path):
    path = part(tmp_path, "yes")
    table = pq.read_table(path)
    notes = {**table.schema.metadata, "note": SECRET, "fmaudit.count.x": SECRET}
    fields = [field.with_metadata({"n": SECRET}) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields, notes)), path)
    assert SECRET in repr(pq.read_schema(path).metadata)
    made = redacted_part(path, "p", {"choice": ("yes",)}, KEY)
    assert pq.read_schema(pa.BufferReader(made.data)).metadata == {b"fmaudit.count.draws": b"3"}
    assert SECRET.encode() not in made.data


@pytest.mark.parametrize(
    "column", [pa.array(["text"]), pa.array([["text"]]), pa.array([b"text"]), pa.array([{"a": "text"}])]
)
def test_a_column_of_which_nothing_is_known_is_refused(tmp_path, column):
    path = part(tmp_path, "yes")
    pq.write_table(pq.read_table(path).append_column("prompt", column), path)
    with pytest.raises(ExecutionError, match="has the column 'prompt', of which it is not known whether"):
        redacted_part(path, "p", {}, KEY)


def test_a_part_that_is_no_parquet(tmp_path):
    (tmp_path / "x").write_bytes(b"PAR1")
    with pytest.raises(ExecutionError, match=r"p cannot be read: .*; repeat the run") as caught:
        redacted_part(tmp_path / "x", "p", {}, KEY)
    assert "\n" not in str(caught.value)
