import csv

import pytest

from fmaudit.cards import Card
from fmaudit.data import dataset_from_rows, load_dataset
from fmaudit.errors import DataError, ExitCode

CARD = Card.model_validate(
    {
        "id": "notes",
        "title": "Notes",
        "licence": "CC0-1.0",
        "origin": "written for a test",
        "source": {"kind": "local"},
        "columns": {
            "text": {},
            "count": {"type": "integer", "required": False},
            "score": {"type": "number", "required": False},
            "kept": {"type": "boolean", "required": False},
        },
        "how_to_get": "write it",
    }
)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"text\nfine\ncaf\xe9\n", r"a.csv: not UTF-8 at byte 14 \(line 3\)"),
        ("a.csv", b"\xef\xbb\xbftext\ncaf\xe9\n", r"a.csv: not UTF-8 at byte 12 \(line 2\)"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a.jsonl: not UTF-8 at byte 11 \(line 1\)"),
        ("a.txt", b"fine\n\xff\n", r"a.txt: not UTF-8 at byte 6 \(line 2\)"),
        ("a.csv", b"", "a.csv: empty file"),
        ("a.jsonl", b"\n\n", "a.jsonl: empty file"),
        ("a.csv", b"text,count\n", "a.csv: no rows"),
        ("a.json", b"[]", "a.json: no rows"),
        ("a.csv", b"text,count\na,1\nb\n", "a.csv line 3: 1 columns where the header has 2"),
        ("a.csv", b'text,count\n"a\nb",1\nb,2,3\n', "a.csv line 4: 3 columns where the header has 2"),
        ("a.csv", b'text,count\na,1\n"b"x,2\n', "a.csv line 3: malformed row"),
        ("a.csv", b'text,count\na,1\n"b,2\n', "a.csv line 3: malformed row"),
        ("a.tsv", b"text\ttext\na\tb\n", "a.tsv line 1: column 'text' appears twice"),
        ("a.csv", b"body,count\na,1\n", "a.csv: data set notes needs the column text; found: body, count"),
        ("a.csv", b"text,count\na,1\nb,many\n", "a.csv line 3: column 'count' wants a integer, found 'many'"),
        ("a.csv", b"text,count\na,1.0\n", "a.csv line 2: column 'count' wants a integer"),
        ("a.csv", b"text,score\na,nan\n", "a.csv line 2: column 'score' wants a number"),
        ("a.csv", b"text,kept\na,perhaps\n", "a.csv line 2: column 'kept' wants a boolean"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl line 2, column 10: not JSON"),
        ("a.jsonl", b'{"text": "a"}\n\n["b"]\n', "a.jsonl line 3: want a JSON object, found list"),
        (
            "a.jsonl",
            b'{"text": "a", "score": NaN}\n',
            "a.jsonl line 1: column 'score' wants a number, found nan",
        ),
        ("a.jsonl", b'{"text": "a", "text": "b"}\n', "a.jsonl line 1: not JSON: key 'text' appears twice"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "a.jsonl line 2: column 'text' has no value"),
        ("a.jsonl", b'{"text": "a"}\n{"text": null}\n', "a.jsonl line 2: column 'text' has no value"),
        ("a.jsonl", b'{"text": true}\n', "a.jsonl line 1: column 'text' wants a string, found True"),
        ("a.jsonl", b'{"text": "a", "count": "1"}\n', "a.jsonl line 1: column 'count' wants a integer"),
        ("a.jsonl", b'{"text": "a", "count": 1.5}\n', "a.jsonl line 1: column 'count' wants a integer"),
        ("a.jsonl", b'{"text": "a", "count": true}\n', "a.jsonl line 1: column 'count' wants a integer"),
        ("a.jsonl", b'{"text": "a", "kept": 1}\n', "a.jsonl line 1: column 'kept' wants a boolean"),
        ("a.json", b'[{"text": "a"},\n {"text" 1}]', "a.json line 2, column 10: not JSON"),
        ("a.json", b'[{"text": "a"}, 3]', "a.json row 2: want a JSON object, found int"),
        ("a.json", b'{"text": "a"}', "a.json: want a list of objects"),
        ("a.parquet", b"PAR1 and nothing else", "a.parquet: not readable as Parquet"),
        ("a.parquet", b"", "a.parquet: not readable as Parquet"),
        ("a.pickle", b"x", "a.pickle: cannot read .pickle; use .csv"),
    ],
)
def test_a_bad_file_is_one_line_with_its_place(tmp_path, capfd, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=complaint) as caught:
        load_dataset(CARD, str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE
    assert capfd.readouterr() == ("", "")


def test_a_deeply_nested_line_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("[" * 200_000 + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl line 1"):
        load_dataset(CARD, str(tmp_path / "a.jsonl"))


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no file or folder .*none\.csv"):
        load_dataset(CARD, str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"has no file any of \.csv"):
        load_dataset(CARD, str(tmp_path))


def test_other_columns_can_be_forbidden():
    strict = CARD.model_copy(update={"extra_columns": False})
    assert dataset_from_rows(strict, [{"text": "a"}]).rows[0]["text"] == "a"
    with pytest.raises(DataError, match="has no column body; remove it"):
        dataset_from_rows(strict, [{"text": "a", "body": "b"}])


def test_long_fields_are_read_and_the_limit_is_put_back(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n", encoding="utf-8")
    before = csv.field_size_limit()
    assert len(load_dataset(CARD, str(tmp_path / "a.csv")).rows[0]["text"]) == 200_000
    assert csv.field_size_limit() == before
