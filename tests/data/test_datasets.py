import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import types

import datasets
import pytest

from fmaudit.cards import Card, load_card, shipped_card_ids
from fmaudit.data import Dataset, dataset_from_rows, load_dataset
from fmaudit.errors import DataError, DataUnavailable

ROWS = [
    {"text": 'one, "two"\nthree', "label": "1", "score": 0.5, "count": 7, "kept": True},
    {"text": "2020-01-02", "label": "NA", "score": -1.0, "count": 0, "kept": False},
    {"text": "çà et là", "label": "0", "score": 2.0, "count": -3, "kept": True},
]
COLUMNS = {
    "text": {"aliases": ["prompt.text"]},
    "label": {},
    "score": {"type": "number"},
    "count": {"type": "integer", "required": False},
    "kept": {"type": "boolean", "required": False},
}


def make_card(**changes):
    fields = {
        "id": "notes",
        "title": "Notes",
        "licence": "CC0-1.0",
        "origin": "written for a test",
        "source": {"kind": "local"},
        "columns": COLUMNS,
        "how_to_get": "write it",
    }
    return Card.model_validate(fields | changes)


def write_rows(folder, suffix, rows=ROWS):
    path = folder / f"notes{suffix}"
    table = datasets.Dataset.from_list(rows)
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif suffix == ".parquet":
        table.to_pandas().to_parquet(path)
    else:
        table.to_pandas().to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_every_format_gives_the_same_typed_rows(tmp_path, suffix):
    data = load_dataset(make_card(), str(write_rows(tmp_path, suffix)))
    assert list(data.rows) == ROWS
    assert [type(value) for value in data.rows[0].values()] == [str, str, float, int, bool]
    assert data.digest == dataset_from_rows(make_card(), ROWS).digest
    assert data.source == "local"
    assert not data.pinned


def test_the_digest_changes_with_any_value_and_with_order():
    digests = {dataset_from_rows(make_card(), rows).digest for rows in (ROWS, ROWS[::-1], ROWS[:2])}
    changed = [dict(ROWS[0], text="other"), *ROWS[1:]]
    assert len(digests | {dataset_from_rows(make_card(), changed).digest}) == 4


def test_integers_beyond_double_precision_keep_their_digits(tmp_path):
    rows = [dict(ROWS[0], tweet=2**60 + 1)]
    data = load_dataset(make_card(), str(write_rows(tmp_path, ".jsonl", rows)))
    assert data.rows[0]["tweet"] == 2**60 + 1
    assert data.digest != dataset_from_rows(make_card(), [dict(rows[0], tweet=2**60)]).digest


def test_plain_text_is_one_text_a_line(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xef\xbb\xbfThe garden\r\n\r\nwas quiet.\r\n")
    data = load_dataset(make_card(columns={"prompt": {"aliases": ["text"]}}), str(path))
    assert [row["prompt"] for row in data.rows] == ["The garden", "was quiet."]


def test_nested_objects_are_flattened_and_aliases_renamed(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": {"text": "Hi", "toxicity": null}, "answers": [1, 2]}\n', encoding="utf-8")
    data = load_dataset(make_card(columns={"text": COLUMNS["text"]}), str(path))
    assert data.rows == ({"text": "Hi", "prompt.toxicity": None, "answers.0": 1, "answers.1": 2},)


def test_an_index_column_without_a_name_is_tolerated(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",text,\n0,a,\n1,b,\n", encoding="utf-8")
    data = load_dataset(make_card(columns={"text": {}}), str(path))
    assert data.rows == ({"text": "a", "index": "0"}, {"text": "b", "index": "1"})


def test_absent_optional_values_are_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,score,count\na,,1,\n", encoding="utf-8")
    data = load_dataset(make_card(), str(path))
    assert data.rows == ({"text": "a", "label": "", "score": 1.0, "count": None, "kept": None},)


def test_a_folder_is_read_in_name_order_with_a_file_column(tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(f"from {name}\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("not data", encoding="utf-8")
    (tmp_path / "LICENSE.txt").write_text("not data", encoding="utf-8")
    card = make_card(columns={"text": {}}, source={"kind": "local", "file": "?.txt"})
    data = load_dataset(card, str(tmp_path))
    assert data.rows == (
        {"text": "from a.txt", "file": "a.txt"},
        {"text": "from b.txt", "file": "b.txt"},
    )


def test_pinned_means_every_file_of_the_card_byte_for_byte(tmp_path):
    path = write_rows(tmp_path, ".csv")
    sha = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_dataset(make_card(checksums={"notes.csv": sha}), str(tmp_path)).pinned
    two = {"notes.csv": sha, "more.csv": "sha256:" + "0" * 64}
    assert not load_dataset(make_card(checksums=two), str(tmp_path)).pinned
    other = make_card(checksums={"notes.csv": "sha256:" + "0" * 64})
    assert not load_dataset(other, str(path)).pinned


def test_data_that_does_not_ship_says_how_to_get_it():
    with pytest.raises(DataUnavailable, match=r"notes does not ship .*write it; then give --data notes=PATH"):
        load_dataset(make_card())


@pytest.mark.parametrize("dataset_id", shipped_card_ids())
def test_shipped_data_obeys_its_card(dataset_id):
    card = load_card(dataset_id)
    if card.source.kind in {"local", "hub"}:
        with pytest.raises(DataUnavailable, match="--data"):
            load_dataset(card)
        return
    data = load_dataset(card)
    assert data.source == "embedded"
    assert data.digest == load_dataset(card).digest
    if card.source.kind == "embedded":
        assert len(data.rows) == card.n_items
        assert data.pinned


def test_computed_rows_come_from_the_function_of_the_card(monkeypatch):
    module = types.ModuleType("made_up_rows")
    module.rows = lambda: [{"text": "a"}]
    monkeypatch.setitem(sys.modules, "made_up_rows", module)
    card = make_card(columns={"text": {}}, source={"kind": "computed", "path": "made_up_rows:rows"})
    data = load_dataset(card)
    assert data.rows == ({"text": "a"},)
    assert data.source == "embedded"
    assert not data.pinned
    missing = make_card(source={"kind": "computed", "path": "made_up_rows:none"})
    with pytest.raises(DataError, match="cannot compute it with made_up_rows:none"):
        load_dataset(missing)
    module.rows = list
    with pytest.raises(DataError, match="finds no rows on this machine"):
        load_dataset(card)


def test_a_data_set_is_frozen():
    data = dataset_from_rows(make_card(), ROWS)
    assert isinstance(data, Dataset)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.id = "other"


def test_parquet_is_read_quietly_and_leaves_nothing_in_the_home(tmp_path):
    path = write_rows(tmp_path, ".parquet")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys\nfrom fmaudit.cards import Card\nfrom fmaudit.data import load_dataset\n"
        "card = Card.model_validate_json(sys.argv[1])\n"
        "assert len(load_dataset(card, sys.argv[2]).rows) == 3\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "XDG_"))}
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, make_card().model_dump_json(), str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.iterdir()) == []


@pytest.fixture
def hub(monkeypatch):
    calls = []

    def fake(repository, *, name, revision, split):
        calls.append((repository, name, revision, split))
        if repository == "no/such":
            raise ConnectionError("no network\nsecond line")
        table = datasets.Dataset.from_list([{"text": "a"}])
        if split:
            return table
        parts = {"train": table} if repository == "one/split" else {"train": table, "test": table}
        return datasets.DatasetDict(parts)

    monkeypatch.setattr(datasets, "load_dataset", fake)
    return calls


def test_hub_takes_the_pinned_revision_of_the_card(hub):
    source = {"kind": "hub", "repository": "a/b", "revision": "abc", "config": "c", "split": "test"}
    data = load_dataset(make_card(columns={"text": {}}, source=source), "hub")
    assert hub == [("a/b", "c", "abc", "test")]
    assert (data.source, data.pinned, data.rows) == ("hub", True, ({"text": "a"},))


def test_hub_takes_the_users_repository(hub):
    card = make_card(columns={"text": {}})
    assert not load_dataset(card, "hub:me/mine@v1#train").pinned
    assert load_dataset(card, "hub:one/split").rows == ({"text": "a"},)
    assert hub == [("me/mine", None, "v1", "train"), ("one/split", None, None, None)]


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        ("hub", "is not on the hub"),
        ("hub:@v1", "names no repository"),
        ("hub:two/splits", "has the splits train, test; choose one: hub:two/splits#SPLIT"),
        ("hub:no/such", "cannot load no/such from the hub: no network; .*--data notes=PATH"),
    ],
)
def test_hub_problems_are_one_line(hub, location, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        load_dataset(make_card(columns={"text": {}}), location)
    assert "\n" not in str(caught.value)


def test_settings_of_the_datasets_library_are_put_back(hub):
    before = (datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity())
    load_dataset(make_card(columns={"text": {}}), "hub:one/split")
    assert (datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()) == before
