"""Hostile text in every free field: inert in JSON, in paths and in the terminal; the same bytes twice."""

import json
import unicodedata
from pathlib import PurePosixPath

import pytest

from fmaudit.exports.common import json_bytes, random_looking_uuid, safe_name, source_of, stable_uuid
from fmaudit.exports.every_eval_ever import export_every_eval_ever
from fmaudit.exports.evidence import evidence_rows
from fmaudit.exports.harness_results import export_harness
from fmaudit.exports.ml_bom import export_ml_bom, ml_bom
from tests.exports.export_runs import all_numbers, hostile_run, small_audit, write_run
from tests.report.report_audits import HOSTILE, hostile_audit


def _everything(run, audit):
    source = source_of(audit, 1_700_000_000)
    rows = evidence_rows(run)
    return (
        export_ml_bom(source)
        + export_every_eval_ever(source, rows, reveal=True)
        + export_harness(source, rows, reveal=True)
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return _everything(hostile_run(tmp_path_factory.mktemp("hostile") / "run"), hostile_audit())


def test_no_byte_can_begin_markup_or_move_a_cursor(files):
    for file in files:
        text = file.data.decode("ascii")
        assert not set("<>&") & set(text)
        assert all(char == "\n" or unicodedata.category(char)[0] != "C" for char in text)


def test_paths_stay_inside_and_are_plain(files):
    assert len({file.name for file in files}) == len(files)
    for file in files:
        path = PurePosixPath(file.name)
        assert not path.is_absolute()
        assert not {"", ".", ".."} & set(path.parts)
        assert all(char.isascii() and (char.isalnum() or char in "._+@=-/") for char in file.name)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_comes_back_as_it_was(text):
    value = {text: [text, {"deep": text}]}
    assert json.loads(json_bytes(value)) == value


def test_the_hostile_names_come_back_from_the_bill_of_materials():
    audit = hostile_audit()
    read = json.loads(export_ml_bom(source_of(audit))[0].data)
    assert read == ml_bom(source_of(audit))
    assert read["components"][0]["name"] == source_of(audit).audit.subjects[0].name


@pytest.mark.parametrize("text", ["", ".", "..", "../up", "a/b", "CON\x00", "data", "x" * 300, "\u202e", "~"])
def test_any_text_becomes_one_harmless_part_of_a_path(text):
    name = safe_name(text)
    assert name not in ("", ".", "..", "data")
    assert "/" not in name
    assert len(name) <= 100
    assert name.isascii()


def test_unequal_names_stay_unequal():
    names = ["a b", "a-b", "a/b", "a:b", "A-b"]
    assert len({safe_name(name) for name in names}) == len(names)


def test_rows_are_not_read_from_outside_of_the_run(tmp_path):
    inside, outside = write_run(tmp_path / "run"), write_run(tmp_path / "other")
    rows = evidence_rows(inside)
    key = "memorization.extraction@records"
    assert list(rows("base", key))
    assert list(rows(f"../../{outside.name}/evidence/base", key)) == []


def test_two_exports_are_byte_equal(tmp_path):
    run = write_run(tmp_path / "run")
    assert _everything(run, small_audit()) == _everything(run, small_audit())


def test_identifiers_are_functions_of_the_audit():
    assert stable_uuid("d", "a") == stable_uuid("d", "a") != stable_uuid("d", "b")
    assert stable_uuid("d", "a").version == 5
    assert random_looking_uuid("d", "a") == random_looking_uuid("d", "a") != random_looking_uuid("e", "a")
    assert random_looking_uuid("d", "a").version == 4


def test_no_number_is_exported_that_the_audit_does_not_hold():
    audit = small_audit()
    bom = ml_bom(source_of(audit))
    known = all_numbers(audit.model_dump(mode="json")) | {1.0}
    shown = all_numbers({"components": bom["components"], "declarations": bom["declarations"]})
    assert len(shown) > 50
    assert shown <= known
