import textwrap

import pytest

from fmaudit.cards import Card, load_card, read_card, shipped_card_ids
from fmaudit.errors import DataError

MINIMAL = """
id: notes
title: Notes
licence: CC0-1.0
origin: written for a test
source: {kind: local, file: notes.csv}
columns: {text: {description: one note}}
how_to_get: write it
"""


def write(folder, text, name="notes"):
    path = folder / f"{name}.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_card_beside_a_module_is_found_first(tmp_path):
    write(tmp_path, MINIMAL)
    card = load_card("notes", tmp_path)
    assert card.title == "Notes"
    assert card.columns["text"].required
    assert card.columns["text"].type == "string"
    assert card.source.file_names == ("notes.csv",)
    assert card.extra_columns


@pytest.mark.parametrize("dataset_id", shipped_card_ids())
def test_every_shipped_card_is_valid_and_says_what_it_must(dataset_id):
    card = load_card(dataset_id)
    assert card.id == dataset_id
    assert card.licence
    assert card.origin
    assert card.limits


def test_an_unknown_id_names_the_known_ones():
    with pytest.raises(DataError, match=r"'crow_pairs' has no card; known: .*crows_pairs"):
        load_card("crow_pairs")


def test_an_id_cannot_leave_the_folder(tmp_path):
    write(tmp_path, MINIMAL)
    (tmp_path / "cards").mkdir()
    with pytest.raises(DataError, match="has no card"):
        load_card("../notes", tmp_path / "cards")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("title: Notes\n", "", "title: Field required"),
        ("title: Notes", "titel: Notes\ntitle: Notes", "titel: Extra inputs"),
        ("kind: local", "kind: cloud", "source.kind: Input should be"),
        ("kind: local", "kind: embedded", "source: .*package:relative/file.jsonl"),
        ("kind: local", "kind: computed, path: module.function", "source: .*module:function"),
        ("kind: local", "kind: hub, repository: a/b", "source: .*repository and revision"),
        ("how_to_get: write it\n", "", "how_to_get"),
        ("id: notes", "id: other", "name the file other.yaml"),
        ("id: notes", "id: No-Tes", "id: .*lower-case"),
        ("columns: {text: {description: one note}}", "columns: {}", "columns: .*at least 1"),
        ("{description: one note}", "{type: text}", "columns.text.type: Input should be"),
        ("{text: {description: one note}}", "{text: {}, body: {aliases: [text]}}", "name used twice: text"),
        ("how_to_get: write it", "how_to_get: x\nchecksums: {notes.csv: md5:0}", "64 hex digits"),
        ("title: Notes", "title: [Notes", "line [0-9]+: not YAML"),
    ],
)
def test_a_malformed_card_is_one_clear_line(tmp_path, old, new, complaint):
    assert old in MINIMAL
    path = write(tmp_path, MINIMAL.replace(old, new))
    with pytest.raises(DataError, match=complaint) as caught:
        read_card(path)
    assert str(caught.value).startswith("card notes.yaml")
    assert "\n" not in str(caught.value)


def test_a_card_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "notes.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8 at byte 10"):
        read_card(path)


def test_cards_are_frozen(tmp_path):
    card = read_card(write(tmp_path, MINIMAL))
    assert isinstance(card, Card)
    with pytest.raises(ValueError, match="frozen"):
        card.title = "other"
