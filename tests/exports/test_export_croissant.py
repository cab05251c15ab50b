"""Croissant: the official reader loads it and its records; what it does not check is checked here."""

import json

import mlcroissant
import pyarrow.parquet as pq
import pytest

from fmaudit.canonical import digest_file
from fmaudit.exports.common import source_of
from fmaudit.exports.croissant import croissant, evidence_parts, export_croissant
from tests.exports.export_runs import ENDED_SECONDS, EXTRACTION, hostile_run, small_audit, write_run
from tests.report.report_audits import hostile_audit

REQUIRED = (
    "@context",
    "@type",
    "conformsTo",
    "name",
    "description",
    "license",
    "url",
    "creator",
    "datePublished",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("croissant") / "run")
    _write(run, small_audit())
    return run


def _write(run, audit):
    file = export_croissant(source_of(audit, ENDED_SECONDS), evidence_parts(run))[0]
    (run / file.name).write_bytes(file.data)


def _load(run):
    return mlcroissant.Dataset(jsonld=run / "croissant.json")


def test_the_official_reader_finds_no_error_and_no_warning(run, tmp_path):
    hostile = hostile_run(tmp_path / "hostile")
    _write(hostile, hostile_audit())
    for folder in (run, hostile):
        issues = _load(folder).metadata.ctx.issues
        assert not issues.errors
        assert not issues.warnings


def test_the_required_fields_are_there(run):
    made = json.loads((run / "croissant.json").read_bytes())
    assert all(made.get(name) for name in REQUIRED)
    assert made["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    assert made["datePublished"] == "2026-03-01T12:00:30Z"


def test_the_official_reader_yields_the_rows_of_the_evidence(run):
    dataset = _load(run)
    record_set = next(entry for entry in dataset.metadata.record_sets if entry.name == EXTRACTION)
    records = list(dataset.records(record_set.uuid))
    name = record_set.uuid
    got = sorted(
        (row[f"{name}/subject-of-row"], row[f"{name}/item_id"], row[f"{name}/outcome"]) for row in records[:3]
    )
    assert len(records) == 16
    assert got == [(b"adapted", b"record-0", 0), (b"adapted", b"record-1", 1), (b"adapted", b"record-2", 0)]
    by_subject = [row[f"{name}/subject-of-row"] for row in records]
    assert {key: by_subject.count(key) for key in set(by_subject)} == {b"adapted": 8, b"base": 8}
    assert records[3][f"{name}/outcome"] is None
    assert records[3][f"{name}/outcome.reason"] == b"empty answer"


def test_every_file_and_column_is_described(run):
    made = json.loads((run / "croissant.json").read_bytes())
    files = [row for row in made["distribution"] if row["@type"] == "cr:FileObject"]
    parts = sorted((run / "evidence").rglob("*.parquet"))
    assert [row["contentUrl"] for row in files] == [path.relative_to(run).as_posix() for path in parts]
    assert [f"sha256:{row['sha256']}" for row in files] == [digest_file(path) for path in parts]
    described = {
        field["name"]: field["dataType"]
        for row in made["recordSet"]
        for field in row["field"]
        if row["name"] == EXTRACTION
    }
    columns = set(pq.read_schema(parts[1]).names)
    assert columns - {"clusters", "slices"} | {"subject"} == set(described)
    assert described["outcome"] == "sc:Integer"
    assert described["severity"] == "sc:Float"
    assert described["outcome.valid"] == "sc:Boolean"


def test_the_responsible_terms_reach_the_official_reader(run):
    metadata = _load(run).metadata
    assert any("profanity" in text for text in metadata.data_biases)
    assert "this model cannot answer it" in metadata.data_collection_missing_data
    assert "not redacted" in str(metadata.personal_sensitive_information)


def test_no_answer_is_in_the_description(run):
    made = json.dumps(croissant(source_of(small_audit()), evidence_parts(run)))
    assert "4711" not in made
