"""Likeness of subjects that were sampled on the same random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fmaudit.analysis.comparisons import Field, comparisons, field
from fmaudit.analysis.draws import apart
from fmaudit.analysis.ecosystems import homogenizations
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.plan import DRAWS
from fmaudit.probe import Binary, Probe, Rate, Real
from fmaudit.schema import Comparison, Homogenization, Lineage, Subject
from fmaudit_probes.downstream.capability import Capability

N = 1500
KEY = "toy.sampled@toy"
OWN = {"decoding": [{"kind": "generate", "temperature": 1.0, "draws": DRAWS}]}
SHARED = {"decoding": [{"kind": "generate", "temperature": 1.0}]}
GROUPS = np.array([f"g{place % 6}" for place in range(N)])


class Sampled(Probe):
    """A defect of sampled text with a severity."""

    id, version, family = "toy.sampled", 1, "toy"
    measures = (Binary("outcome"), Real("severity", unit="nats"))
    metrics = (Rate("rate", eps=0.02, delta=0.1, headline=True),)


class Lottery:
    """Models that have nothing in common but, where so asked, their random numbers."""

    def __init__(self, make: Callable[..., Any], seed: int = 0) -> None:
        self.make, self.rng = make, np.random.default_rng(seed)
        self.numbers = self.rng.random(N)

    def chances(self) -> np.ndarray:
        return self.rng.beta(1, 2, N)

    def answers(self, chances: np.ndarray, shared: bool) -> Any:
        margin = chances - (self.numbers if shared else self.rng.random(N))
        return self.make(slices={"group": GROUPS}, outcome=(margin > 0).astype(float), severity=margin)


def subject(name: str, role: str) -> Subject:
    kin = {"declared": "base", "verified": True, "from_base": True} if role == "adapted" else {}
    if role == "reference":
        kin = {"from_base": False, "group": name}
    return Subject(
        id=name, role=role, kind="causal", name=name, digest=name,  # type: ignore[arg-type]
        base="base" if role == "adapted" else None, lineage=Lineage(**kin), parts={"tokenizer": "one"},
    )  # fmt: skip


@pytest.fixture
def ground(make_answers: Callable[..., Any]) -> Callable[..., Field]:
    """A base with its retest, children and references, all sampled once on the same random numbers."""

    def make(
        children: int = 1, references: int = 3, retest: bool = True, protocol: Any = OWN, seed: int = 0
    ) -> Field:
        lottery = Lottery(make_answers, seed)
        subjects = [subject("base", "base")]
        subjects += [subject(f"child{k}", "adapted") for k in range(children)]
        subjects += [subject(f"ref{k}", "reference") for k in range(references)]
        measured = []
        for entry in subjects:
            chances = lottery.chances()
            shared = entry.role != "reference" or protocol is SHARED
            again = lottery.answers(chances, False) if entry.role == "base" and retest else None
            answers = lottery.answers(chances, shared)
            rows = MeasuredRows(
                f"{entry.id}/{KEY}", entry.id, KEY, Sampled(), protocol, answers, False, again
            )
            bits, key = make_answers(bits_per_byte=np.linspace(0.9, 1.1, 40)), "downstream.capability@texts"
            capable = MeasuredRows(
                f"{entry.id}/{key}", entry.id, key, Capability("bits_per_byte"), {}, bits, False
            )
            measured += [rows, capable]
        return field(measured, subjects, Settings())

    return make


def overall(ground: Field) -> Comparison:
    return next(c for c in comparisons(ground) if c.metric == "toy.sampled/rate" and not c.slice)


def together(ground: Field) -> Homogenization:
    (found,) = homogenizations(
        ground.measured, list(ground.subjects.values()), ground.settings, ground.refusal
    )
    return found


def without_common_numbers(quantity: Any, nothing: float) -> bool:
    return quantity.lower <= nothing <= quantity.upper and abs(quantity.value - nothing) < 0.15


@pytest.mark.parametrize("protocol", [OWN, SHARED])
def test_two_models_without_anything_in_common_agree_by_chance(ground, protocol):
    found = overall(ground(protocol=protocol))
    agreement = found.agreement
    assert agreement is not None
    assert without_common_numbers(agreement.kappa, 0.0)
    assert without_common_numbers(agreement.slope, 0.0)
    assert agreement.persistence.value == pytest.approx(found.adapted_value, abs=0.06)
    assert found.table is not None
    # The paired change is of the first answers, which share their numbers: fewer items flip.
    flips = (found.table.n10 + found.table.n01) / N
    assert flips < agreement.flips.value - 0.1
    assert found.value == pytest.approx((found.table.n01 - found.table.n10) / N)


def test_a_stranger_retains_nothing_and_is_not_inherited(ground):
    found = overall(ground())
    assert found.verdict in ("association", "coincident", "changed, size unresolved", "inconclusive")
    assert found.retention is not None
    assert without_common_numbers(found.retention, 0.0)


def test_noise_in_common_is_no_common_profile(ground):
    near = [
        profile.spearman.value
        for seed in range(8)
        for profile in overall(ground(seed=seed)).profiles
        if profile.column == "group"
    ]
    assert len(near) == 8
    assert np.mean(near) == pytest.approx(0.0, abs=0.45)


def test_severity_moves_beside_the_retests_noise(ground):
    severity = overall(ground()).severity
    assert severity is not None
    assert severity.noise is not None
    assert severity.noise > 0


def test_without_a_retest_likeness_is_not_judged(ground):
    found = overall(ground(retest=False))
    assert found.agreement is not None
    for name in type(found.agreement).model_fields:
        quantity = getattr(found.agreement, name)
        assert quantity.value is None
        assert "same random numbers" in quantity.reason
    assert found.copy_fraction is not None
    assert found.copy_fraction.value is None
    assert "retest" in found.copy_fraction.reason
    assert found.retention is not None
    assert found.retention.value is None
    assert found.severity is None
    assert found.profiles == []
    assert found.value is not None
    assert found.table is not None


def test_a_family_and_its_control_fail_together_by_chance(ground):
    found = together(ground())
    assert found.subjects == ["base", "child0"]
    assert found.control_subjects == ["base", "ref0"]
    assert found.reason == ""
    for quantity in (found.ratio, found.control_ratio, found.family_effect):
        assert without_common_numbers(quantity, 1.0)


def test_siblings_on_the_same_numbers_are_left_out_by_name(ground):
    found = together(ground(children=3))
    assert found.subjects == ["base", "child0"]
    assert "left out, sampled on the random numbers of another: child1, child2" in found.reason
    assert without_common_numbers(found.ratio, 1.0)


def test_a_sibling_that_was_asked_again_counts(ground):
    made = ground(children=2)
    key = ("child1", KEY)
    lottery = Lottery(lambda **columns: replace(made.measured[key].answers, numeric=numeric(columns)), 9)
    again = lottery.answers(lottery.chances(), False)
    measured = {**made.measured, key: replace(made.measured[key], retest=again)}
    found = together(replace(made, measured=measured))
    assert found.subjects == ["base", "child0", "child1"]
    assert found.reason == ""
    assert without_common_numbers(found.ratio, 1.0)


def numeric(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: columns[name][:, None] for name in ("outcome", "severity")}


def test_a_family_on_the_same_numbers_alone_says_why_there_is_no_ratio(ground):
    found = together(ground(references=0, retest=False))
    assert found.subjects == ["base", "child0"]
    assert found.ratio.value is None
    assert "same random numbers" in found.reason


def test_references_on_common_numbers_take_one_place(ground):
    made = ground(protocol=SHARED)
    entries = [made.measured[name, KEY] for name in ("base", "ref0", "ref1")]
    chosen, left_out = apart(entries, ["ref0", "ref1"])
    assert (list(chosen), left_out) == (["base", "ref0"], ["ref1"])
    assert chosen["base"] is entries[0].retest
    own = [replace(entry, protocol=OWN) for entry in entries]
    assert list(apart(own, ["ref0", "ref1"])[0]) == ["base", "ref0", "ref1"]
    greedy = [replace(entry, protocol={}) for entry in entries]
    assert apart(greedy, [])[0]["base"] is entries[0].answers
