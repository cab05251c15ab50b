"""CycloneDX: the official strict validator, and each number against the audit."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from fmaudit.exports.common import gap, plain, source_of
from fmaudit.exports.ml_bom import export_ml_bom, ml_bom
from tests.exports.export_runs import small_audit
from tests.report.family_audit import family_factory
from tests.report.report_audits import hostile_audit


def _component(bom, name):
    return next(entry for entry in bom["components"] if entry["name"] == name)


def test_the_official_strict_validator_accepts_every_audit():
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for audit in (small_audit(), hostile_audit(), family_factory().build()):
        text = export_ml_bom(source_of(audit, 1_700_000_000))[0].data.decode()
        assert validator.validate_str(text) is None


def test_the_validator_used_here_does_reject():
    bom = ml_bom(source_of(small_audit()))
    bom["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["value"] = 0.5
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is not None


def test_every_estimate_with_an_interval_is_a_metric_and_no_other_is():
    audit = small_audit()
    bom = ml_bom(source_of(audit))
    for subject, component in zip(audit.subjects, bom["components"], strict=True):
        shown = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        expected = [
            (plain(row.value), plain(row.lower), plain(row.upper))
            for row in audit.estimates
            if row.subject == subject.id and not gap(row)
        ]
        got = [
            (
                row["value"],
                row["confidenceInterval"]["lowerBound"],
                row["confidenceInterval"]["upperBound"],
            )
            for row in shown
        ]
        assert got == expected
    assert "0.987654" not in json.dumps(bom), "a value without an interval is no number to publish"


def test_what_was_not_measured_is_said_with_its_reason():
    card = _component(ml_bom(source_of(small_audit())), "records-lora")["modelCard"]
    texts = [row["value"] for row in card["properties"] if row["name"].startswith("fmaudit:unmeasured")]
    assert any("the disk was full after 3 of 12 blocks" in text for text in texts)
    limits = card["considerations"]["technicalLimitations"]
    assert any("unmeasurable: this model cannot answer it" in limit for limit in limits)


def test_only_a_verified_parent_is_an_ancestor():
    bom = ml_bom(source_of(small_audit()))
    verified, refuted = _component(bom, "org/second"), _component(bom, "stranger")
    base = _component(bom, "SmolLM2-135M-Instruct")
    assert [row["name"] for row in verified["pedigree"]["ancestors"]] == [base["name"]]
    assert verified["pedigree"]["ancestors"][0]["hashes"] == base["hashes"]
    assert "pedigree" not in refuted
    facts = {row["name"]: row["value"] for row in refuted["properties"]}
    assert facts["fmaudit:lineage-declared"] == base["name"]
    assert facts["fmaudit:lineage-verified"] == "refuted"


def test_claims_hold_the_verdict_and_point_at_what_is_there():
    audit = family_factory().build()
    bom = ml_bom(source_of(audit))
    claims, evidence = bom["declarations"]["claims"], bom["declarations"]["evidence"]
    headline = {metric.id for metric in audit.metrics if metric.headline}
    expected = [
        row
        for row in audit.comparisons
        if not row.slice and row.step == "from_base" and row.metric in headline
    ]
    assert len(claims) == len(expected) > 0
    known = {row["bom-ref"] for row in evidence}
    for claim, row in zip(claims, expected, strict=True):
        assert claim["predicate"].startswith(f"{row.verdict}: ")
        assert claim["evidence"]
        assert set(claim["evidence"]) <= known
        reasoning = json.loads(claim["reasoning"])
        assert (reasoning["lower"], reasoning["upper"]) == (row.lower, row.upper)
        assert reasoning["verdict_reason"] == row.verdict_reason
    assert "assessors" not in bom["declarations"], "nobody stated who audited"


def test_the_serial_number_is_of_the_audit_and_the_time_is_only_the_one_given():
    audit = small_audit()
    first, again = ml_bom(source_of(audit)), ml_bom(source_of(audit, 0))
    other = ml_bom(source_of(audit.model_copy(update={"context": {"seed": 1}})))
    assert first["serialNumber"] == again["serialNumber"] != other["serialNumber"]
    assert "timestamp" not in first["metadata"]
    assert again["metadata"]["timestamp"] == "1970-01-01T00:00:00Z"


def test_a_stated_auditor_is_the_assessor():
    audit = small_audit()
    card = {
        "schema": "fmaudit/context/1",
        "auditor": {"organisation": "An Auditor"},
        "relationship": "third_party",
        "intended_use": "Answering questions on gardening.",
    }
    context = {"card": card}
    bom = ml_bom(source_of(audit.model_copy(update={"context": context})))
    assert bom["declarations"]["assessors"] == [
        {"bom-ref": "assessor", "organization": {"name": "An Auditor"}, "thirdParty": True}
    ]
    assert all(
        row["modelCard"]["considerations"]["useCases"] == [card["intended_use"]] for row in bom["components"]
    )
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None


def test_groups_at_risk_are_those_with_a_verdict_or_a_contrast_that_leaves_zero_out():
    card = _component(ml_bom(source_of(small_audit())), "records-lora")["modelCard"]
    groups = [row["groupAtRisk"] for row in card["considerations"]["fairnessAssessments"]]
    assert "bias_type=age" in groups
    assert groups.count("group=member") == 2, "both contrasts of the adapted model lie above 0"
    base = _component(ml_bom(source_of(small_audit())), "SmolLM2-135M-Instruct")["modelCard"]
    assert base["considerations"]["fairnessAssessments"] == []
