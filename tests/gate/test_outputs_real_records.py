"""The outputs on records that the gate itself wrote, not on records made for tests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fmaudit.gate.outcome import Circumstances, outcome
from tests.gate.gate_records import mixed
from tests.gate.test_outputs_hostile import check_all
from tests.gate.test_outputs_sarif import run_of

RULES = (
    "max: 0.05",
    "vs_base: {max_increase: 0.01}, tier: warn",
    "max: 0.5, dataset: toy",
    "slice: {group: a}, max: 0.1",
)


@pytest.fixture
def gated(hold, make_audit, make_policy):
    """The record of a run with these numbers, held against the rules above or others."""

    def gate(*rules, waived=False, **numbers):
        audit = make_audit(**numbers)
        result = hold(audit, make_policy(*(rules or RULES)))
        if waived:
            result = replace(result, findings=tuple(replace(one, waiver="W-1") for one in result.findings))
        return outcome(audit, result, Circumstances(looks=1, locked=True, audit="sha256:" + "0" * 64))

    return gate


def marks(record):
    return {
        (result["ruleId"], result["properties"]["kind"]): result["partialFingerprints"][
            "primaryLocationLineHash"
        ]
        for result in run_of(record)["results"]
    }


def test_every_output_takes_what_the_gate_writes(gated):
    runs = [
        gated(),
        gated(measured=False),
        gated(state="unmeasured"),
        gated(level={"coverage": 0.5}),
        gated(waived=True),
    ]
    assert {record["verdict"] for record in runs} >= {"fail", "nothing evaluated"}
    for record in runs:
        assert set(record["findings"][0]) == set(mixed()["findings"][0])
        check_all(record, "policy.yaml")
        check_all(json.loads(json.dumps(record)), "policy.yaml")


def test_a_defect_keeps_its_fingerprint_over_two_runs_and_policies(gated):
    first = marks(gated())
    second = marks(gated(level={"value": 0.3, "lower": 0.25, "upper": 0.35, "n": 900}))
    # Another limit, and another place in the file.
    third = marks(gated("max: 0.07", *RULES[1:]))
    assert len(first) >= 3
    assert len(set(first.values())) == len(first)
    assert first == second == third


def test_another_defect_has_another_fingerprint(gated):
    own = marks(gated("max: 0.05", "max: 0.05, slice: {group: a}", "vs_base: {max_increase: 0.001}"))
    assert len(set(own.values())) == len(own) == 3
