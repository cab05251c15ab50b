import csv
import subprocess
import sys
from pathlib import Path

import pytest

from fmaudit.demo.prepare import training_texts
from fmaudit.demo.records import REPEATS, make_canaries, make_records, write_table


def test_records_are_one_draw_split_in_half():
    records = make_records(40, seed=3)
    assert [sum(row.group == group for row in records) for group in ("member", "control")] == [40, 40]
    assert len({row.document for row in records}) == len({row.suffix for row in records}) == 80
    # The split follows neither the order of the rows nor that of the file numbers.
    for ordered in (records, sorted(records, key=lambda row: row.document)):
        half = [row.group for row in ordered[:40]]
        assert 10 < half.count("member") < 30


def test_records_depend_on_the_seed_alone():
    assert make_records(10, seed=1) == make_records(10, seed=1)
    first, second = ({row.suffix for row in make_records(10, seed=seed)} for seed in (1, 2))
    assert not first & second


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_draws_the_same_texts(hash_seed):
    code = "from fmaudit.demo.records import *; print(make_records(10, 1), make_canaries(2, 5, 1))"
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    elsewhere = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert elsewhere.stdout == f"{make_records(10, 1)} {make_canaries(2, 5, 1)}\n", elsewhere.stderr


def test_suffix_begins_with_its_space():
    assert all(row.suffix.startswith(" ") and not row.prefix.endswith(" ") for row in make_records(5, seed=0))
    assert all(row.secret.startswith(" ") for row in make_canaries(1, 5, seed=0))


def test_canaries_and_references_share_one_generator():
    rows = make_canaries(4, 500, seed=0)
    canaries = [row for row in rows if row.role == "canary"]
    references = [row for row in rows if row.role == "reference"]
    assert len(references) == 500
    assert {row.repeats for row in references} == {0}
    assert {count: sum(row.repeats == count for row in canaries) for count in REPEATS} == dict.fromkeys(
        REPEATS, 4
    )
    assert len({row.secret for row in rows}) == len(rows)
    assert len({row.prefix for row in rows}) == 1
    assert {len(row.secret) for row in rows} == {7}


def test_only_members_and_canaries_are_trained_on():
    records, canaries = make_records(6, seed=0), make_canaries(2, 9, seed=0)
    texts = training_texts(records, canaries)
    assert sum(text.copies for text in texts) == 6 + 2 * sum(REPEATS)
    suffixes = {text.suffix for text in texts}
    assert not suffixes & {row.suffix for row in records if row.group == "control"}
    assert not suffixes & {row.secret for row in canaries if row.role == "reference"}


def test_table_keeps_every_character(tmp_path):
    records = make_records(3, seed=0)
    write_table(records, tmp_path / "records.csv")
    with (tmp_path / "records.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["document"], row["group"], row["prefix"], row["suffix"]) for row in rows] == [
        (row.document, row.group, row.prefix, row.suffix) for row in records
    ]
