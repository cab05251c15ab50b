"""What in-toto statements say of gate records: never more than the record does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.canonical import digest_bytes
from fmaudit.pack.bagit import content_digest, lines_digest
from fmaudit.pack.predicates import SCAI, TEST_RESULT, evidence_folders, test_name, test_result
from fmaudit.pack.records import GateRecord, read_gate
from fmaudit.pack.statements import STATEMENT_TYPE, Contents, statements
from tests.pack.pack_attacks import statement_of, the_file
from tests.pack.pack_runs import BIAS

test_name.__test__ = test_result.__test__ = False
POLICY = "sha256:" + "ab" * 32


def finding(**fields):
    return {
        "rule": "a",
        "tier": "block",
        "kind": "level",
        "metric": f"{BIAS['probe']}/pct_stereotype",
        "subject": "adapted",
        "verdict": "pass",
        "variant": BIAS["variant"],
        "dataset": BIAS["dataset"],
        "number": {"value": 0.5, "lower": 0.25, "upper": 0.75, "n": 40, "coverage": 1},
    } | fields


def record(*findings, verdict="pass", **fields) -> GateRecord:
    plain = {
        "schema": "fmaudit/gate/1",
        "policy": {"id": "p", "digest": POLICY},
        "verdict": verdict,
        "audit": "",
        "findings": list(findings),
        "waivers": [],
    }
    return read_gate(json.dumps(plain | fields).encode(), "gate/x.json")


@pytest.mark.parametrize(
    ("verdict", "findings", "result"),
    [
        ("pass", [finding()], "PASSED"),
        ("pass", [finding(), finding(tier="warn", verdict="fail")], "WARNED"),
        ("pass", [finding(), finding(tier="monitor", verdict="inconclusive")], "WARNED"),
        ("pass", [finding(verdict="fail", waiver="w-1")], "WARNED"),
        ("fail", [finding(verdict="fail")], "FAILED"),
        ("inconclusive", [finding(verdict="inconclusive")], "FAILED"),
        ("inconclusive", [finding()], "FAILED"),
        ("nothing evaluated", [], "FAILED"),
        ("pass", [], "FAILED"),
        # A record that contradicts itself is believed where it is worse.
        ("pass", [finding(verdict="fail")], "FAILED"),
        ("pass", [finding(verdict="inconclusive")], "FAILED"),
        ("fail", [finding()], "FAILED"),
    ],
)
def test_results(verdict, findings, result):
    found = test_result(record(*findings, verdict=verdict), [])
    assert (found["result"], found["fmauditVerdict"]) == (result, verdict)
    assert len(found["passedTests"]) + len(found["warnedTests"]) + len(found["failedTests"]) == len(findings)


@given(
    st.sampled_from(["pass", "fail", "inconclusive", "nothing evaluated"]),
    st.lists(
        st.builds(
            finding,
            tier=st.sampled_from(["block", "warn", "monitor"]),
            verdict=st.sampled_from(["pass", "fail", "inconclusive"]),
            waiver=st.sampled_from(["", "w"]),
        ),
        max_size=4,
    ),
)
def test_passed_means_that_everything_passed(verdict, findings):
    found = test_result(record(*findings, verdict=verdict), [])
    if found["result"] == "PASSED":
        assert verdict == "pass"
        assert findings
        assert all(one["verdict"] == "pass" for one in findings)
    blocking = [
        one for one in findings if one["tier"] == "block" and one["verdict"] != "pass" and not one["waiver"]
    ]
    assert len(found["failedTests"]) == len(blocking)
    assert not blocking or found["result"] == "FAILED"


def test_names_tell_findings_apart_and_stay_one_line():
    names = {
        test_name(one)
        for one in record(
            finding(),
            finding(rule="b"),
            finding(slice={"age": "old\n::error::x"}),
            finding(kind="change"),
            finding(contrast="gap"),
            finding(subject="base\x1b[31m"),
        ).findings
    }
    assert len(names) == 6
    assert all(name.isprintable() for name in names)


def test_statements_of_a_gated_run(run, packs):
    pack = packs["restricted"]
    stem = the_file(pack, "data/gate/*.json").rpartition("/")[2].removesuffix(".json")
    result = statement_of(pack, f"gate-{stem}.test-result.dsse.json")
    scai = statement_of(pack, f"gate-{stem}.scai.dsse.json")
    gate = json.loads((run / "gate" / f"{stem}.json").read_bytes())
    assert (result["_type"], result["predicateType"]) == (STATEMENT_TYPE, TEST_RESULT)
    assert (scai["_type"], scai["predicateType"]) == (STATEMENT_TYPE, SCAI)
    assert result["subject"] == scai["subject"]
    # The subjects are named by the SHA-256 of a file in the pack, which is fmaudit's own digest of a model.
    digests = {entry["name"]: "sha256:" + entry["digest"]["sha256"] for entry in result["subject"]}
    for entry in json.loads((run / "run.json").read_bytes())["subjects"]:
        assert digests[f"data/subjects/{entry['id']}.json"] == entry["digest"]
    (policy,) = result["predicate"]["configuration"]
    assert "sha256:" + policy["digest"]["sha256"] == digest_bytes((pack / policy["name"]).read_bytes())
    assert policy["annotations"] == {"policy": "pack-test", "meaning": gate["policy"]["digest"]}
    assert (result["predicate"]["result"], len(result["predicate"]["warnedTests"])) == ("WARNED", 1)
    attributes = scai["predicate"]["attributes"]
    assert len(attributes) == len(gate["findings"]) == 3
    for attribute, one in zip(attributes, gate["findings"], strict=True):
        assert attribute["attribute"] == f"FMAUDIT_FINDING_{one['verdict'].upper()}"
        for name in ("number", "protocol", "limit", "fingerprint", "slice"):
            assert attribute["conditions"][name] == one[name]
        target = "base" if one["kind"] == "change" else "adapted"
        assert attribute["target"]["name"] == f"data/subjects/{target}.json"
    change = next(one for one in attributes if one["conditions"]["kind"] == "change")
    assert {folder.split("/")[2] for folder in change["evidence"]["annotations"]["folders"]} == {
        "adapted",
        "base",
    }


STATE = {
    "subjects": [
        {"id": "base", "role": "base", "base": None},
        {"id": "adapted", "role": "adapted", "base": "base"},
        {"id": "stranger", "role": "reference", "base": None},
    ],
    "measurements": [
        {
            "subject": subject,
            "key": key,
            "probe": BIAS["probe"],
            "variant": variant,
            "dataset": {"id": BIAS["dataset"]},
        }
        for subject in ("base", "adapted", "stranger")
        for key, variant in (("k", BIAS["variant"]), ("other", "another"))
    ],
}


@pytest.mark.parametrize(
    ("kind", "subjects"),
    [
        ("level", {"adapted"}),
        ("contrast", {"adapted"}),
        ("release change", {"adapted"}),
        ("change", {"adapted", "base"}),
        ("contrast change", {"adapted", "base"}),
        ("verdict", {"adapted", "base", "stranger"}),
    ],
)
def test_evidence_is_the_rows_that_a_finding_rests_on(kind, subjects):
    (one,) = record(finding(kind=kind)).findings
    assert set(evidence_folders(one, STATE)) == {
        f"data/evidence/{subject}/k{ending}/" for subject in subjects for ending in ("", "#retest")
    }


def test_nothing_measured_has_no_evidence():
    found = statements(
        Contents(
            "restricted",
            {"data/a": "0" * 64},
            STATE,
            (record(finding(variant="gone"), verdict="inconclusive"),),
        )
    )
    (attribute,) = json.loads(found[f"gate-{POLICY[7:]}.scai"])["predicate"]["attributes"]
    assert "evidence" not in attribute
    assert json.loads(found[f"gate-{POLICY[7:]}.test-result"])["predicate"]["result"] == "FAILED"


def test_digests_of_lines_are_those_of_sha256sum():
    """The one of an empty manifest, and one computed with coreutils' sha256sum of the written line."""
    assert lines_digest({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    line = {"data/a": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    assert lines_digest(line) == "5bcf39ea8ed370851e0fffc59fcc36b9fd3ead34856c4587eeae6e8ddda3f0e4"
    others = {"data/attestations/x": "0" * 64, "bagit.txt": "1" * 64}
    assert content_digest(line | others) == lines_digest(line)
