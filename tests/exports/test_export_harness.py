"""Results in the style of lm-evaluation-harness: values, the derived error, and logs without text."""

import json
from statistics import NormalDist

import pytest

from fmaudit.exports.common import gap, source_of
from fmaudit.exports.evidence import evidence_rows
from fmaudit.exports.harness_results import export_harness, harness_results
from tests.exports.export_runs import ENDED_SECONDS, EXTRACTION, small_audit, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("harness") / "run")


def _files(run, reveal=False):
    source = source_of(small_audit(), ENDED_SECONDS)
    return {file.name: file.data for file in export_harness(source, evidence_rows(run), reveal)}


def test_overall_values_are_those_of_the_audit_and_the_error_is_half_the_interval():
    audit = small_audit()
    source = source_of(audit)
    quantile = NormalDist().inv_cdf(0.975)
    checked = 0
    for subject in audit.subjects:
        results = harness_results(source, subject)["results"]
        for row in audit.estimates:
            if row.subject == subject.id and not row.slice and not gap(row):
                name = row.metric.partition("/")[2]
                found = results[source.key(row.measurement)]
                assert found[f"{name},none"] == row.value
                assert found[f"{name}_stderr,none"] == pytest.approx((row.upper - row.lower) / 2 / quantile)
                checked += 1
    assert checked == sum(not row.slice and not gap(row) for row in audit.estimates)


def test_the_interval_and_all_else_stand_beside_the_results():
    audit = small_audit()
    made = harness_results(source_of(audit), audit.subjects[0])
    rows = {row["id"]: row for row in made["fmaudit"]["estimates"]}
    for row in audit.estimates:
        if row.subject == "base" and not gap(row):
            found = rows[row.id]
            assert (found["value"], found["lower"], found["upper"], found["n"], found["coverage"]) == (
                row.value,
                row.lower,
                row.upper,
                row.n,
                row.coverage,
            )
    assert "not estimated as a standard error" in made["fmaudit"]["stderr"]


def test_what_was_not_measured_is_no_result_and_is_listed():
    audit = small_audit()
    made = harness_results(source_of(audit), audit.subjects[1])
    assert "memorization.canary@canaries" not in made["results"]
    assert {
        "measurement": "memorization.canary@canaries",
        "state": "unmeasured",
        "reason": "the disk was full after 3 of 12 blocks",
    } in made["fmaudit"]["not_measured"]


def test_directions_versions_and_counts():
    audit = small_audit()
    made = harness_results(source_of(audit), audit.subjects[0])
    assert made["higher_is_better"]["bias.crows_pairs@crows_pairs"] == {
        "pct_stereotype": None,
        "margin": None,
    }
    assert made["higher_is_better"][EXTRACTION]["greedy_match_rate"] is False
    assert made["versions"][EXTRACTION] == 1
    assert made["n-samples"][EXTRACTION] == {"original": 400, "effective": 400}


def test_sample_logs_hold_every_row_with_null_for_what_is_invalid(run):
    files = _files(run)
    name = f"base/samples_{EXTRACTION}_2026-03-01T12-00-30.jsonl"
    lines = [json.loads(line) for line in files[name].decode().splitlines()]
    assert [line["doc_id"] for line in lines] == list(range(8))
    assert [line["outcome"] for line in lines] == [0, 1, 0, None, 0, 1, 0, 1]
    assert lines[3]["fmaudit_invalid"] == {"outcome": "empty answer", "severity": "empty answer"}
    assert len({line["doc_hash"] for line in lines}) == 8
    assert "base/results_2026-03-01T12-00-30.json" in files


def test_generated_text_only_on_request(run):
    assert b"4711" not in b"".join(_files(run).values())
    assert b"4711" in b"".join(_files(run, reveal=True).values())
