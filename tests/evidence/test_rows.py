"""Rows keep every measure accounted for, and equal rows make equal bytes."""

import math

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.errors import ExecutionError, ProbeError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import FIXED_COLUMNS, Row, cleaned, parquet_bytes, read_parts, schema_of
from fmaudit.probe import Binary, Categorical, Item, Observation, Real

MEASURES = (Binary("outcome"), Real("severity", unit="nats"), Categorical("kind", ("hot", "cold")))


def row(position=0, observation=None, sample=0, block=0):
    seen = observation or Observation({"outcome": True, "severity": 0.5, "kind": "hot"}, {}, sample)
    item = Item(f"i{position}", {}, {"template": "t1"}, {"group": "a"}, 2.0)
    return Row(item, position, block, 0, seen, "[]")


def test_a_row_reads_back(tmp_path):
    partly = Observation({"outcome": 0, "kind": "cold"}, {"severity": "too long"}, 1)
    run = RunDirectory(tmp_path)
    run.write_block("base", "tea", 0, [row(), row(1, partly)], MEASURES)
    first, second = read_parts(run.evidence("base", "tea")).to_pylist()
    assert first["item_id"] == "i0"
    assert first["clusters"] == [("template", "t1")]
    assert first["slices"] == [("group", "a")]
    assert first["weight"] == 2.0
    assert (first["outcome"], first["severity"], first["kind"]) == (1, 0.5, "hot")
    assert second["sample"] == 1
    assert (second["severity"], second["severity.valid"], second["severity.reason"]) == (
        None,
        False,
        "too long",
    )
    assert (second["outcome"], second["outcome.valid"], second["outcome.reason"]) == (0, True, "")


def test_an_item_without_clusters_is_its_own(tmp_path):
    alone = Row(Item("lonely", {}), 0, 0, 0, Observation({"outcome": 1}), "[]")
    run = RunDirectory(tmp_path)
    run.write_block("base", "tea", 0, [alone], MEASURES[:1])
    assert read_parts(run.evidence("base", "tea")).to_pylist()[0]["clusters"] == [("item", "lonely")]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)),
        max_size=6,
    )
)
def test_equal_rows_give_equal_bytes_and_other_rows_others(values):
    rows = [
        row(number, Observation({"outcome": outcome, "severity": severity, "kind": kind}))
        for number, (outcome, severity, kind) in enumerate(values)
    ]
    assert parquet_bytes(rows, MEASURES) == parquet_bytes(list(rows), MEASURES)
    assert parquet_bytes([*rows, row(len(rows))], MEASURES) != parquet_bytes(rows, MEASURES)


def test_the_order_of_names_in_a_row_changes_no_byte():
    one = Row(Item("i", {}, {"a": "1", "b": "2"}, {"x": "3", "y": "4"}), 0, 0, 0, Observation({}), "[]")
    other = Row(Item("i", {}, {"b": "2", "a": "1"}, {"y": "4", "x": "3"}), 0, 0, 0, Observation({}), "[]")
    assert parquet_bytes([one], ()) == parquet_bytes([other], ())


def test_parts_come_in_position_and_sample_order(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_block("base", "tea", 1, [row(3, sample=0), row(2, sample=1), row(2, sample=0)], MEASURES)
    run.write_block("base", "tea", 0, [row(1), row(0)], MEASURES)
    table = read_parts(run.evidence("base", "tea"))
    order = list(zip(table["position"].to_pylist(), table["sample"].to_pylist(), strict=True))
    assert order == [(0, 0), (1, 0), (2, 0), (2, 1), (3, 0)]


def test_missing_and_damaged_evidence_is_named(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(ExecutionError, match="no evidence in base/tea: repeat"):
        read_parts(run.evidence("base", "tea"))
    run.write_block("base", "tea", 0, [row()], MEASURES)
    part = run.evidence("base", "tea") / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(ExecutionError, match="evidence of tea cannot be read"):
        read_parts(run.evidence("base", "tea"))


def test_the_schema_is_the_same_whatever_the_rows(tmp_path):
    for name, rows in {"none": [], "one": [row()]}.items():
        (tmp_path / name).write_bytes(parquet_bytes(rows, MEASURES))
        assert pq.read_schema(tmp_path / name).equals(schema_of(MEASURES))


@pytest.mark.parametrize("name", [*FIXED_COLUMNS, "outcome.valid", "outcome.reason"])
def test_reserved_column_names_are_refused(name):
    with pytest.raises(ProbeError, match="reserved column name"):
        schema_of([Binary("outcome"), Real(name)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_values_that_are_no_number_become_invalid(value):
    found = cleaned(Observation({"outcome": 1, "severity": value}), MEASURES[:2])
    assert found.values == {"outcome": 1}
    assert found.invalid == {"severity": "not a finite number"}


@pytest.mark.parametrize(
    ("values", "invalid"),
    [
        ({"outcome": 1}, {}),
        ({"outcome": 1, "severity": 0.5}, {"severity": "both"}),
        ({"outcome": 1, "severity": 0.5, "extra": 2}, {}),
        ({"outcome": 1}, {"severity": "no", "extra": "undeclared"}),
    ],
)
def test_every_measure_is_accounted_for_once(values, invalid):
    with pytest.raises(ProbeError, match="each measure"):
        cleaned(Observation(values, invalid), MEASURES[:2])
