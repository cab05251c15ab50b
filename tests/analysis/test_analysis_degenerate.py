"""What a pedigree says where there is nothing to say: n = 2, ties, an empty group, no answers."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.analysis.comparisons import comparisons, field
from fmaudit.analysis.controls import at_items
from fmaudit.analysis.ecosystems import homogenizations
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.canonical import canonical_bytes
from fmaudit.probe import Binary, Probe, Rate, Real
from fmaudit.schema import Lineage, Subject

KEY = "toy.defects@toy"
CLAIMS = {"inherited", "coincident", "amplified", "mitigated", "introduced", "repaired"}
NAMES = ("base", "child", "ref1", "ref2", "ref3")


class Defects(Probe):
    """A defect with a severity."""

    id, version, family = "toy.defects", 1, "toy"
    measures = (Binary("outcome"), Real("severity", unit="nats"))
    metrics = (Rate("rate", eps=0.05, delta=0.05, headline=True, where=("role", "member")),)


def subjects():
    roles = ("base", "adapted", "reference", "reference", "reference")
    for name, role in zip(NAMES, roles, strict=True):
        adapted = role == "adapted"
        lineage = Lineage(from_base=adapted, verified=adapted or None, group=name)
        yield Subject(
            id=name,
            role=role,
            kind="causal",
            name=name,
            digest=name,
            base="base" if adapted else None,
            lineage=lineage,
            parts={"tokenizer": "one"},
        )


def ground(make_answers, columns, role="member"):
    """Everything measured; ``columns``: outcomes by subject."""
    measured = []
    for name, outcome in columns.items():
        outcome = np.asarray(outcome, dtype=float)
        severity = np.where(outcome == 1, 0.5, np.where(np.isnan(outcome), np.nan, -0.5))
        answers = make_answers(
            slices={"role": np.array([role] * len(outcome))}, outcome=outcome, severity=severity
        )
        measured.append(MeasuredRows(f"{name}/{KEY}", name, KEY, Defects(), {}, answers, False))
    return field(measured, list(subjects()), Settings())


RNG = np.random.default_rng(0)
CASES = {
    "two items": {name: [1, 0] for name in NAMES},
    "one item": {name: [1] for name in NAMES},
    "all pass": {name: np.zeros(60) for name in NAMES},
    "all fail": {name: np.ones(60) for name in NAMES},
    "the child gave no answer": {
        name: np.full(60, np.nan) if name == "child" else np.ones(60) for name in NAMES
    },
    "nobody answered": {name: np.full(60, np.nan) for name in NAMES},
    "the references gave no answer": {
        name: np.full(60, np.nan) if name.startswith("ref") else np.ones(60) for name in NAMES
    },
    "one failing item": {name: np.eye(60)[0] for name in NAMES},
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_claimed_from_nothing(make_answers, case):
    made = ground(make_answers, CASES[case])
    found = comparisons(made)
    assert found
    assert not {c.verdict for c in found} & CLAIMS
    for c in found:
        assert c.state == "measured" or c.reason
        assert c.copy_fraction is None or c.copy_fraction.value is None
        if c.copy_fraction is not None:
            assert c.copy_fraction.reason
        canonical_bytes(c.model_dump(mode="json"))
    for h in homogenizations(made.measured, list(made.subjects.values()), made.settings, made.refusal):
        canonical_bytes(h.model_dump(mode="json"))
        assert h.ratio.value is not None or h.ratio.reason


def test_a_metric_whose_defect_carrying_slice_is_empty_has_a_reason(make_answers):
    found = comparisons(ground(make_answers, CASES["all fail"], role="control"))
    overall = next(c for c in found if not c.slice)
    assert (overall.state, overall.value, overall.verdict) == ("unmeasured", None, "unmeasured")
    assert overall.reason


def test_unrelated_models_with_the_same_rate_are_not_inherited(make_answers):
    draws = {name: (RNG.random(900) < 0.4).astype(float) for name in NAMES}
    draws["child"] = RNG.permutation(draws["base"])
    (found,) = [c for c in comparisons(ground(make_answers, draws)) if not c.slice]
    assert found.verdict != "inherited"


def test_answers_of_a_subject_that_has_none_are_all_missing(make_answers):
    two = make_answers(outcome=np.array([0.0, 1.0]))
    found = at_items(two.take(np.zeros(2, dtype=bool)), two)
    assert found.numeric["outcome"].shape == (2, 1)
    assert np.isnan(found.numeric["outcome"]).all()
