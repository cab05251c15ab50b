"""Every Eval Ever: the official schemas, and each number against audit and rows."""

import json
from hashlib import sha256
from pathlib import Path

import jsonschema
import pytest

from fmaudit.errors import UsageError
from fmaudit.exports.common import gap, source_of
from fmaudit.exports.every_eval_ever import export_every_eval_ever
from fmaudit.exports.evidence import evidence_rows
from tests.exports.export_runs import ENDED_SECONDS, SECRET, hostile_run, small_audit, write_run
from tests.report.report_audits import hostile_audit

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("eee") / "run")


def _export(run, audit=None, reveal=False):
    source = source_of(audit or small_audit(), ENDED_SECONDS)
    files = {file.name: file.data for file in export_every_eval_ever(source, evidence_rows(run), reveal)}
    records = [json.loads(data) for name, data in sorted(files.items()) if name.endswith(".json")]
    return files, {record["model_info"]["name"]: record for record in records}


def _validator(name):
    schema = json.loads((SCHEMAS / f"every_eval_ever.{name}.schema.json").read_text())
    return jsonschema.Draft7Validator(schema)


def test_the_official_schemas_accept_records_and_instances(run, tmp_path):
    made = [_export(run)[0], _export(hostile_run(tmp_path / "hostile"), hostile_audit(), reveal=True)[0]]
    lines = 0
    for files in made:
        for name, data in files.items():
            if name.endswith(".json"):
                assert list(_validator("eval").iter_errors(json.loads(data))) == []
                continue
            for line in data.decode().splitlines():
                lines += 1
                assert list(_validator("instance").iter_errors(json.loads(line))) == []
    assert lines == 28, "7 valid outcomes for each of two models and two runs"


def test_the_schema_used_here_does_reject(run):
    record = next(iter(_export(run)[1].values()))
    del record["retrieved_timestamp"]
    assert list(_validator("eval").iter_errors(record))


def test_scores_and_intervals_are_those_of_the_audit(run):
    audit = small_audit()
    _, records = _export(run, audit)
    for subject in audit.subjects:
        results = {row["evaluation_result_id"]: row for row in records[subject.name]["evaluation_results"]}
        expected = [row for row in audit.estimates if row.subject == subject.id and not gap(row)]
        assert set(results) == {row.id for row in expected}
        for row in expected:
            details = results[row.id]["score_details"]
            interval = details["uncertainty"]["confidence_interval"]
            assert details["score"] == row.value
            assert (interval["lower"], interval["upper"]) == (row.lower, row.upper)
            assert interval["confidence_level"] == row.level
            assert details["uncertainty"]["num_samples"] == row.n
            assert json.loads(details["details"]["coverage"]) == row.coverage


def test_what_has_no_interval_or_was_not_measured_is_listed_and_is_no_score(run):
    _, records = _export(run)
    listed = json.loads(
        records["SmolLM2-135M-Instruct"]["source_metadata"]["additional_details"]["not_measured"]
    )
    reasons = {row["reason"] for row in listed}
    assert {"no valid row: undefined", "this model cannot answer it"} <= reasons
    scores = [row["score_details"]["score"] for row in records["SmolLM2-135M-Instruct"]["evaluation_results"]]
    assert 0.987654 not in scores


def test_a_metric_without_a_better_end_says_so(run):
    _, records = _export(run)
    configs = {
        row["metric_config"]["metric_id"]: row["metric_config"]
        for row in records["records-lora"]["evaluation_results"]
    }
    target = configs["bias.crows_pairs/pct_stereotype"]
    assert target["additional_details"]["direction"] == "target"
    assert "does not apply" in target["additional_details"]["note"]
    assert target["metric_parameters"]["ideal"] == 0.5
    unbounded = configs["bias.crows_pairs/margin"]
    assert (unbounded["min_score"], unbounded["max_score"]) == ("-Infinity", "Infinity")


def test_the_change_from_the_base_travels_with_its_verdict(run):
    audit = small_audit()
    _, records = _export(run, audit)
    change = next(row for row in audit.comparisons if row.metric.endswith("greedy_match_rate"))
    details = next(
        row["score_details"]["details"]
        for row in records["records-lora"]["evaluation_results"]
        if row["metric_config"]["metric_id"] == change.metric and "[" not in row["evaluation_name"]
    )
    assert details["verdict"] == change.verdict
    assert json.loads(details["change_lower"]) == change.lower
    assert json.loads(details["change_upper"]) == change.upper


def test_instances_belong_to_their_record_and_hold_the_outcomes_of_the_rows(run):
    files, records = _export(run)
    record = records["SmolLM2-135M-Instruct"]
    companion = record["detailed_evaluation_results"]
    data = files[companion["file_path"]]
    lines = [json.loads(line) for line in data.decode().splitlines()]
    assert companion["checksum"] == sha256(data).hexdigest()
    assert companion["total_rows"] == len(lines) == 7
    assert companion["file_path"].removesuffix("_samples.jsonl") + ".json" in files
    assert {line["evaluation_id"] for line in lines} == {record["evaluation_id"]}
    assert {line["model_id"] for line in lines} == {record["model_info"]["id"]}
    for line in lines:
        outcome = int(line["sample_id"].rpartition("-")[2]) % 2
        assert (line["evaluation"]["score"], line["evaluation"]["is_correct"]) == (outcome, outcome == 0)


def test_an_invalid_row_is_counted_and_never_a_zero(run):
    files, records = _export(run)
    companion = records["records-lora"]["detailed_evaluation_results"]
    left_out = json.loads(companion["additional_details"]["left_out"])
    assert left_out["memorization.extraction@records"] == {"empty answer": 1}
    assert list(left_out["downstream.capability@neutral_texts"].values()) == [2]
    lines = files[companion["file_path"]].decode().splitlines()
    assert "record-3" not in {json.loads(line)["sample_id"] for line in lines}


def test_generated_text_only_on_request(run):
    redacted = b"".join(_export(run)[0].values())
    revealed = b"".join(_export(run, reveal=True)[0].values())
    assert b"4711" not in redacted
    assert f"redacted, {len(SECRET)} characters".encode() in redacted
    assert b"4711" in revealed


def test_a_run_without_a_time_is_refused():
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        export_every_eval_ever(source_of(small_audit()), lambda subject, key: iter(()))
