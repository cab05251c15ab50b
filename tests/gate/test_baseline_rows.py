"""Rows of a baseline: no text of a model, and the same numbers."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.analysis.tables import answers_from
from fmaudit.errors import UsageError
from fmaudit.evidence.responses import decode_responses
from fmaudit.evidence.rows import Row, parquet_bytes
from fmaudit.gate.baseline_rows import without_text
from fmaudit.probe import Binary, Categorical, Finished, Item, Observation, Probe, Real, Statistic, probe

MEASURES = (
    Binary("outcome"),
    Real("severity", unit="nats"),
    Categorical("language", levels=("en", "de")),
    Categorical("answer"),
)


@probe("toy.spoken", version=1, dataset="toy")
class Spoken(Probe):
    """What is said, in which language?"""

    needs = ("generate",)
    measures = MEASURES


def made(drawn):
    rows = []
    for place, (outcome, severity, language, text, reason) in enumerate(drawn):
        values = {"outcome": outcome, "severity": severity, "language": language, "answer": text}
        kept = {name: value for name, value in values.items() if value is not None}
        invalid = {name: reason for name, value in values.items() if value is None}
        item = Item(f"item{place // 2}", {}, {"target": f"t{place % 3}"}, {"group": "a"}, 1.0 + place // 2)
        rows.append(
            Row(item, place // 2, 0, 0, Observation(kept, invalid, place % 2), f'[{{"text": {text!r}}}]')
        )
    return parquet_bytes(rows, MEASURES, {"backoff": len(rows)})


def table(data):
    return pq.read_table(io.BytesIO(data))


words = st.text(min_size=1, max_size=8)
drawn_rows = st.lists(
    st.tuples(
        st.sampled_from([0, 1, None]),
        st.floats(-5, 5) | st.none(),
        st.sampled_from(["en", "de", None]),
        words | st.none(),
        st.sampled_from(["empty answer", "too long"]),
    ),
    min_size=2,
    max_size=20,
).map(lambda rows: rows[: len(rows) // 2 * 2])


@settings(max_examples=60, deadline=None)
@given(drawn_rows)
def test_everything_but_the_text_is_what_it_was(drawn):
    before, after = (table(data) for data in (made(drawn), without_text(made(drawn), Spoken())))
    assert before.schema == after.schema
    assert before.schema.metadata == after.schema.metadata
    for name in before.schema.names:
        if name not in ("responses", "answer"):
            assert before[name].to_pylist() == after[name].to_pylist()
    assert set(after["responses"].to_pylist()) <= {"[]"}
    assert after["answer"].null_count == after.num_rows
    old, new = answers_from(before, MEASURES), answers_from(after, MEASURES)
    for name in old.numeric:
        np.testing.assert_array_equal(old.numeric[name], new.numeric[name])
    assert old.text["language"].tolist() == new.text["language"].tolist()
    assert old.reasons == new.reasons
    assert old.item_ids.tolist() == new.item_ids.tolist()


def test_equal_rows_give_equal_bytes_and_readable_responses():
    data = made([(1, 0.5, "en", "hello", "x"), (0, None, None, None, "empty answer")])
    assert without_text(data, Spoken()) == without_text(data, Spoken())
    assert b"hello" not in without_text(data, Spoken())
    assert decode_responses(table(without_text(data, Spoken()))["responses"][0].as_py()) == ()


def test_what_is_no_declared_level_is_text():
    found = table(
        without_text(made([(1, 0.5, "a whole sentence", "x", "y"), (1, 0.5, "de", "x", "y")]), Spoken())
    )
    assert found["language"].to_pylist() == [None, "de"]
    assert found["language.valid"].to_pylist() == [True, True]


def test_a_column_that_no_measure_declares_is_left_out():
    data = made([(1, 0.5, "en", "x", "y"), (1, 0.5, "de", "x", "y")])
    more = table(data).append_column("notes", pa.array(["said", "more"]))
    sink = io.BytesIO()
    pq.write_table(more, sink)
    assert "notes" not in table(without_text(sink.getvalue(), Spoken())).schema.names


def test_a_number_that_is_computed_from_text_is_refused():
    @probe("toy.lengths", version=1, dataset="toy")
    class Lengths(Spoken):
        metrics = (Statistic("length", fn=lambda table: 0.0, needs=("answer",)),)

    @probe("toy.finishing", version=1, dataset="toy")
    class Finishing(Spoken):
        def finish(self, table):
            return Finished({}, np.ones(len(table.weight), dtype=bool))

    data = made([(1, 0.5, "en", "x", "y"), (1, 0.5, "de", "x", "y")])
    for cls in (Lengths, Finishing):
        with pytest.raises(UsageError, match="free text of its measure 'answer'"):
            without_text(data, cls())
    levels = made([(1, 0.5, "en", None, "y"), (1, 0.5, "de", None, "y")])
    assert without_text(levels, Finishing())


@pytest.mark.parametrize("data", [b"", b"no parquet", b"PAR1" * 10])
def test_bytes_that_are_no_rows_are_refused(data):
    with pytest.raises(UsageError, match=r"rows of toy\.spoken cannot be read"):
        without_text(data, Spoken())


def test_rows_of_another_probe_are_refused():
    rows = [Row(Item("a", {}), 0, 0, 0, Observation({"other": 1}), "[]")]
    with pytest.raises(UsageError, match="cannot be read"):
        without_text(parquet_bytes(rows, (Binary("other"),)), Spoken())
