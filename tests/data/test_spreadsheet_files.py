"""Files as spreadsheets and other people write them: the same rows, or one line with file and row."""

from __future__ import annotations

import datetime
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.canonical import canonical_bytes
from fmaudit.cards import Card
from fmaudit.data import dataset_from_rows, load_dataset
from fmaudit.data.levels import alike_levels
from fmaudit.errors import DataError
from fmaudit.probe import Item

CARD = Card.model_validate(
    {
        "id": "notes",
        "title": "Notes",
        "licence": "CC0-1.0",
        "origin": "written for a test",
        "source": {"kind": "local"},
        "columns": {
            "text": {},
            "label": {"required": False},
            "score": {"type": "number", "required": False},
            "kept": {"type": "boolean", "required": False},
        },
        "how_to_get": "write it",
    }
)
PLAIN = 'text,label,score,kept,group\nTea is nice,1,0.5,TRUE,nan\n"Two\nlines, one cell",NA,2,FALSE,None\n'
FORMS = {
    "plain": PLAIN.encode(),
    "byte-order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "carriage returns": PLAIN.replace("\n", "\r\n").encode(),
    "semicolons": b'text;label;score;kept;group\nTea is nice;1;0.5;TRUE;nan\n'
    b'"Two\nlines, one cell";NA;2;FALSE;None\n',
    "tabs in a csv": b'text\tlabel\tscore\tkept\tgroup\nTea is nice\t1\t0.5\tTRUE\tnan\n'
    b'"Two\nlines, one cell"\tNA\t2\tFALSE\tNone\n',
    "separator line": b'sep=;\r\n"text";label;score;kept;group\r\nTea is nice;1;0.5;TRUE;nan\r\n'
    b'"Two\nlines, one cell";NA;2;FALSE;None\r\n',
    "separator line with a comma": b"sep=,\n" + PLAIN.encode(),
    "utf-16": PLAIN.replace(",", "\t").replace("lines\t one", "lines, one").encode("utf-16"),
    "empty columns": PLAIN.replace("group\n", "group,,\n")
    .replace("nan\n", "nan,,\n")
    .replace("None\n", "None,,\n")
    .encode(),
    "empty columns in rows alone": PLAIN.replace("nan\n", "nan,,\n").replace("None\n", "None,,,\n").encode(),
    "empty columns in the header alone": PLAIN.replace("group\n", "group,,\n").encode(),
    "empty rows": (PLAIN + ",,,,\n\n,,,,\n").encode(),
    "empty rows between": PLAIN.replace("nan\n", "nan\n,,,,\n").encode(),
    "blanks around numbers": PLAIN.replace("0.5", " 0.5 ").replace("TRUE", "true ").encode(),
}  # fmt: skip
ROWS = [
    {"text": "Tea is nice", "label": "1", "score": 0.5, "kept": True, "group": "nan"},
    {"text": "Two\nlines, one cell", "label": "NA", "score": 2.0, "kept": False, "group": "None"},
]


def load(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_dataset(CARD, str(path))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_spreadsheet_writes_gives_the_same_rows(tmp_path, form):
    rows = load(tmp_path, FORMS[form]).rows
    if form == "carriage returns":
        rows = [{**row, "text": row["text"].replace("\r\n", "\n")} for row in rows]
    assert list(rows) == ROWS


def test_the_other_formats_give_the_same_rows_and_digest(tmp_path):
    import pandas as pd

    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    found = [load(tmp_path, FORMS["plain"]), load(tmp_path, lines, "a.jsonl")]
    pd.DataFrame(ROWS).to_parquet(tmp_path / "a.parquet")
    found.append(load_dataset(CARD, str(tmp_path / "a.parquet")))
    assert len({entry.digest for entry in found}) == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"text,score\na,\"0,5\"\n", r"a.csv line 2: column 'score' wants a number, found '0,5'"),
        (b"text;score\na;0,5\n", r"a.csv line 2: column 'score' wants a number, found '0,5'"),
        (b"text,score\na,1 234\n", "a.csv line 2: column 'score' wants a number"),
        (b"text,label\ncaf\xe9,b\n", r"a.csv: not UTF-8 at byte 15 \(line 2\); .*CSV UTF-8"),
        (b"text,label\na,b,c\n", "a.csv line 2: 3 columns where the header has 2"),
        (b"text,label,,\na\n", "a.csv line 2: 1 columns where the header has 4"),
        (b"body;label\na;b\n", "a.csv: data set notes needs the column text; found: body, label"),
        (b"text,kept\na,WAHR\n", "a.csv line 2: column 'kept' wants a boolean, found 'WAHR'"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused_with_its_row(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (r'{"text": "cut \ud83d"}', "a.jsonl line 2: column 'text' holds half a character"),
        (r'{"text": "a", "label": "\udc00b"}', "a.jsonl line 2: column 'label' holds half a character"),
        ('{"text": "a", "score": Infinity}', "a.jsonl line 2: column 'score' wants a number, found inf"),
        ('{"text": "a", "score": 1e999}', "a.jsonl line 2: column 'score' wants a number, found inf"),
        ('{"text": "a", "score": ' + "9" * 400 + "}", "a.jsonl line 2: column 'score' wants a number"),
        ('{"text": "a", "score": ' + "9" * 5000 + "}", "a.jsonl line 2: column 'score' wants a number"),
        ('{"text": NaN}', "a.jsonl line 2: column 'text' wants a string, found nan"),
        ('{"text": "a", "label": 0.5}', "a.jsonl line 2: column 'label' wants a string, found 0.5"),
        ('{"text": "a", "label": true}', "a.jsonl line 2: column 'label' wants a string, found True"),
    ],
)
def test_a_value_without_a_canonical_form_is_refused_where_it_is_read(tmp_path, line, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        load(tmp_path, '{"text": "fine"}\n' + line + "\n", "a.jsonl")
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    "entry",
    [
        r'"note": "cut \ud83d"', r'"k\ud83d": 1', '"note": NaN', '"note": -Infinity', '"note": 1e999',
        '"note": ' + "9" * 400, '"note": ' + "9" * 5000, '"note": 1e300', '"note": {"a": [NaN, "\\udfff"]}',
    ],
)  # fmt: skip
def test_columns_nobody_reads_stop_no_run(tmp_path, entry):
    found = load(tmp_path, '{"text": "fine", ' + entry + "}\n", "a.jsonl")
    assert found.rows[0]["text"] == "fine"
    assert found.digest.startswith("sha256:")
    assert all(name.encode("utf-8") for name in found.rows[0])


@pytest.mark.parametrize(
    "value",
    [datetime.timedelta(seconds=1), datetime.datetime(2026, 1, 2), uuid.UUID(int=3), b"\xff", 2**80, 10**5000,
     float("nan"), "\udfff", 1e300, {"a"}, complex(1, 2), ["a", 1]],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_every_value_of_an_unread_column_can_be_written_down(value):
    found = dataset_from_rows(CARD, [{"text": "fine", "took": value}])
    assert found.digest.startswith("sha256:")
    assert b"fine" in json.dumps(found.rows[0], ensure_ascii=False).encode("utf-8")


def test_a_duration_of_parquet_stops_no_run(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    took = pa.array([datetime.timedelta(seconds=1)] * 2)
    pq.write_table(pa.table({"text": ["a", "b"], "took": took}), tmp_path / "a.parquet")
    assert len(load_dataset(CARD, str(tmp_path / "a.parquet")).rows) == 2


def test_one_label_is_one_text_in_every_format(tmp_path):
    import pandas as pd

    assert [row["label"] for row in load(tmp_path, '{"text": "a", "label": 1}\n{"text": "b", "label": 1.0}\n'
            '{"text": "c", "label": "1"}\n', "a.jsonl").rows] == ["1", "1", "1"]  # fmt: skip
    pd.DataFrame({"text": ["a", "b"], "label": [1, None]}).to_parquet(tmp_path / "a.parquet")
    assert [row["label"] for row in load_dataset(CARD, str(tmp_path / "a.parquet")).rows] == ["1", None]
    # A text format says what it says: the file's 1.0 is not the file's 1, and missing is not the text nan.
    content = "text,label\na,1.0\nb,1\nc,nan\nd,None\ne,  \nf,\n"
    assert [row["label"] for row in load(tmp_path, content).rows] == ["1.0", "1", "nan", "None", None, None]
    groups = load(tmp_path, '{"text": "a", "group": 1}\n{"text": "b", "group": 1.0}\n', "b.jsonl").rows
    assert {str(row["group"]) for row in groups} == {"1"}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(ANY)
def test_any_extra_value_leaves_rows_that_have_a_canonical_form(value):
    rows = dataset_from_rows(CARD, [{"text": "fine", "extra": value}]).rows
    plain = {name: str(v) if isinstance(v, int) and abs(v) > 2**53 else v for name, v in rows[0].items()}
    assert canonical_bytes(plain)


def _items(levels):
    return [Item(str(i), {}, slices={"group": level}) for i, level in enumerate(levels)]


@pytest.mark.parametrize(
    "levels",
    [["A", "A "], ["1", "1.0"], ["US", "us"], ["a\u00a0b", "ab"], ["nan", "NaN"], ["caf\u00e9", "cafe\u0301"],
     ["A", "\u200bA"], ["1e2", "100"], ["\uff21", "A"], ["True", "TRUE"]],
    ids=repr,
)  # fmt: skip
def test_levels_that_look_alike_are_said(levels):
    (sentence,) = alike_levels(_items([*levels, "another", *levels[:1]]))
    assert sentence.startswith("Levels of group that look alike are counted apart")
    assert f"{levels[0]!r} (2 items)" in sentence
    assert f"{levels[1]!r} (1 items)" in sentence
    assert "another" not in sentence


@pytest.mark.parametrize(
    "levels", [["A", "B"], ["1", "2"], ["nan", "NA", "None"], ["1", "-1"], ["infinity", "nan"], [""]]
)
def test_other_levels_are_not(levels):
    assert alike_levels(_items(levels)) == ()
