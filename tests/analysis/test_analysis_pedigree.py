"""From answers to verdict words: references, lineage, capability, missing answers and families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fmaudit.analysis.comparisons import Field, comparisons, field
from fmaudit.analysis.ecosystems import homogenizations
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers
from fmaudit.probe import Binary, Mean, Probe, Rate, Real
from fmaudit.schema import Comparison, Lineage, Subject
from fmaudit_probes.downstream.capability import Capability

N = 900
KEY = "toy.defects@toy"
REFERENCES = ("ref1", "ref2", "ref3")


class Defects(Probe):
    """A defect with a severity."""

    id, version, family = "toy.defects", 1, "toy"
    measures = (Binary("outcome"), Real("severity", unit="nats"))
    metrics = (
        Rate("rate", eps=0.05, delta=0.05, headline=True),
        Mean("mean_severity", of="severity"),
    )


def subject(name: str, role: str, **lineage: Any) -> Subject:
    return Subject(
        id=name,
        role=role,  # type: ignore[arg-type]
        kind="causal",
        name=name,
        digest=name,
        base="base" if role == "adapted" else None,
        lineage=Lineage(**lineage),
        parts={"tokenizer": "one"},
    )


def sides(**more: Subject) -> dict[str, Subject]:
    found = {
        "base": subject("base", "base"),
        "child": subject("child", "adapted", declared="base", verified=True, from_base=True),
    }
    found |= {name: subject(name, "reference", from_base=False, group=name) for name in REFERENCES}
    return found | more


@pytest.fixture
def ground(make_answers: Callable[..., Answers]) -> Callable[..., Field]:
    """Everything measured of subjects whose outcomes are given; all equally capable unless said otherwise."""

    def make(
        outcomes: Mapping[str, np.ndarray],
        subjects: Mapping[str, Subject] | None = None,
        bits: Mapping[str, float] | None = None,
        retest: np.ndarray | None = None,
    ) -> Field:
        measured = []
        group = np.array([f"g{place % 6}" for place in range(N)])
        for name, outcome in outcomes.items():
            severity = np.where(outcome > 0.5, 0.5, -0.5) + np.linspace(-0.4, 0.4, N)
            severity = np.where(np.isnan(outcome), np.nan, severity)
            answers = make_answers(slices={"group": group}, outcome=outcome, severity=severity)
            second = make_answers(outcome=retest, severity=severity) if retest is not None else None
            measured.append(
                MeasuredRows(
                    f"{name}/{KEY}",
                    name,
                    KEY,
                    Defects(),
                    {},
                    answers,
                    False,
                    second if name == "base" else None,
                )
            )
            cost = np.full(40, (bits or {}).get(name, 1.0)) + np.linspace(-0.01, 0.01, 40)
            key = "downstream.capability@neutral_texts+bits_per_byte"
            measured.append(
                MeasuredRows(
                    f"{name}/{key}", name, key, Capability("bits_per_byte"), {},
                    make_answers(bits_per_byte=cost), False,
                )
            )  # fmt: skip
        return field(measured, list((subjects or sides()).values()), Settings())

    return make


def draw(rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(N) < rate).astype(float)


def family(child: np.ndarray, base: np.ndarray | None = None, rate: float = 0.4) -> dict[str, np.ndarray]:
    found = {"base": draw(rate, 1) if base is None else base, "child": child}
    return found | {name: draw(rate, 10 + place) for place, name in enumerate(REFERENCES)}


def overall(found: list[Comparison]) -> Comparison:
    return next(c for c in found if c.metric == "toy.defects/rate" and not c.slice)


def nearly(base: np.ndarray, moved: int, seed: int = 5) -> np.ndarray:
    """A copy with ``moved`` failing items repaired and as many passing ones broken."""
    rng, copy = np.random.default_rng(seed), base.copy()
    copy[rng.choice(np.flatnonzero(base == 1), moved, replace=False)] = 0
    copy[rng.choice(np.flatnonzero(base == 0), moved, replace=False)] = 1
    return copy


def test_a_copy_of_the_base_is_inherited(ground):
    base = draw(0.4, 1)
    found = overall(comparisons(ground(family(nearly(base, 8)))))
    assert found.verdict == "inherited"
    copy = found.copy_fraction
    assert copy is not None
    assert copy.value == pytest.approx(0.96, abs=0.04)
    assert copy.verdict_interval.lower is not None
    assert copy.verdict_interval.lower > 0
    assert copy.lineages == 3
    assert all(entry.used and entry.slope is not None for entry in copy.references)
    assert found.equivalence is not None
    assert found.equivalence.equivalent
    assert found.margins.source == "metric"
    assert found.agreement is not None
    assert found.agreement.kappa.value == pytest.approx(0.96, abs=0.04)


def test_the_same_level_on_other_items_is_coincident(ground):
    base = draw(0.4, 1)
    found = overall(comparisons(ground(family(np.random.default_rng(3).permutation(base), base))))
    assert found.verdict == "coincident"
    assert found.copy_fraction is not None
    assert found.copy_fraction.value == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("lineage", "reason"),
    [
        ({"verified": None, "from_base": None}, "not verified"),
        ({"verified": False, "from_base": False}, "refuted"),
    ],
)
def test_without_a_verified_descent_the_word_is_association(ground, lineage, reason):
    base = draw(0.4, 1)
    child = subject("child", "adapted", declared="base", **lineage)
    found = overall(comparisons(ground(family(nearly(base, 4)), sides(child=child))))
    assert found.verdict == "association"
    assert reason in found.verdict_reason


def test_without_three_good_references_the_word_is_association(ground):
    base = draw(0.4, 1)
    answers = family(nearly(base, 4))
    weak = overall(comparisons(ground(answers, bits={"ref1": 1.2})))
    assert weak.verdict == "association"
    assert weak.copy_fraction is not None
    refused = {entry.subject: entry.reason for entry in weak.copy_fraction.references if not entry.used}
    assert list(refused) == ["ref1"]
    assert "weaker" in refused["ref1"]
    kin = sides(ref2=subject("ref2", "reference", from_base=False, group="ref1"))
    assert overall(comparisons(ground(answers, kin))).verdict == "association"
    unknown = sides(ref3=subject("ref3", "reference", from_base=None, group="ref3"))
    assert overall(comparisons(ground(answers, unknown))).verdict == "association"
    alone = {name: answers[name] for name in ("base", "child")}
    only = {name: sides()[name] for name in ("base", "child")}
    none = overall(comparisons(ground(alone, only)))
    assert (none.verdict, none.copy_fraction) == ("association", None)


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [(0.4, 0.6, "amplified"), (0.4, 0.2, "mitigated"), (0.3, 0.0, "repaired"), (0.0, 0.3, "introduced")],
)
def test_a_shown_change_has_its_word(ground, before, after, word):
    base, rng = draw(before, 1), np.random.default_rng(7)
    child = np.where(
        base == 1, rng.random(N) < after / max(before, 1e-9), rng.random(N) < max(after - before, 0)
    )
    if before < after:
        child = np.maximum(base, rng.random(N) < (after - before) / (1 - before))
    found = overall(comparisons(ground(family(child.astype(float), base, rate=max(after, 0.1)))))
    assert found.verdict == word


def test_what_got_better_by_losing_its_language_is_not_mitigated(ground):
    base = draw(0.5, 1)
    child = base * (np.random.default_rng(2).random(N) < 0.4)
    answers = family(child, base, rate=0.2)
    assert overall(comparisons(ground(answers))).verdict == "mitigated"
    found = overall(comparisons(ground(answers, bits={"child": 1.3})))
    assert found.verdict == "changed, size unresolved"
    assert "capability not kept" in found.flags
    assert "bits per byte went from 1 to 1.3" in found.verdict_reason


def test_kept_defects_beside_new_ones_are_amplified_of_inherited_origin(ground):
    base = draw(0.4, 1)
    child = np.maximum(base, draw(0.3, 8))
    found = overall(comparisons(ground(family(child, base, rate=0.55))))
    assert found.verdict == "amplified"
    assert found.retention is not None
    assert found.retention.value == pytest.approx(1, abs=0.05)
    assert "of inherited origin" in found.flags


def test_a_scorer_that_fails_on_defects_repairs_nothing(ground):
    base = draw(0.3, 1)
    child = base.copy()
    child[base == 1] = np.nan
    found = overall(comparisons(ground(family(child, base))))
    assert found.coverage == pytest.approx(1 - base.mean())
    assert found.verdict not in ("repaired", "mitigated", "clean")


def test_a_sampled_child_is_judged_against_the_bases_own_retest(ground):
    rng = np.random.default_rng(4)
    chance = np.where(rng.random(N) < 0.5, 0.7, 0.1)
    runs = [(rng.random(N) < chance).astype(float) for _ in range(3)]
    answers = family(runs[1], runs[0])
    with_retest = overall(comparisons(ground(answers, retest=runs[2]))).copy_fraction
    without = overall(comparisons(ground(answers))).copy_fraction
    assert with_retest is not None
    assert without is not None
    assert with_retest.value == pytest.approx(1, abs=0.25)
    assert without.value is not None
    assert without.value < 0.6
    assert with_retest.slope_self is not None
    assert with_retest.slope_self < 0.7


def test_families_are_corrected_and_printed(ground):
    base = draw(0.4, 1)
    found = comparisons(ground(family(nearly(base, 4))))
    headline = overall(found)
    # The rate, and the mean of the capability that always runs beside it.
    assert (headline.family, headline.family_size) == ("headline", 2)
    slices = [c for c in found if c.metric == "toy.defects/rate" and c.slice]
    # Six groups of the rate; the mean and its six groups.
    assert {c.family_size for c in slices} == {13}
    assert len({c.adjusted_level for c in slices}) == 1
    assert all(c.adjusted_level is not None and c.adjusted_level >= c.level for c in slices)
    for c in slices:
        assert c.adjusted_lower <= c.value <= c.adjusted_upper  # type: ignore[operator]


def test_many_slices_of_pure_noise_make_no_claim(ground):
    claims = 0
    for seed in range(12):
        base = draw(0.4, seed)
        child = np.random.default_rng(100 + seed).permutation(base)
        found = comparisons(ground(family(child, base)))
        claims += sum(c.verdict in ("amplified", "mitigated", "inherited") for c in found if c.slice)
    assert claims <= 2


def test_a_step_is_compared_with_the_parent_too(ground):
    base = draw(0.4, 1)
    child = np.maximum(base, draw(0.3, 8))
    grand = replace_subject(
        subject("grand", "adapted", declared="child", verified=True, from_base=True), "child"
    )
    answers = family(child, base, rate=0.55) | {"grand": child}
    found = comparisons(ground(answers, sides(grand=grand)))
    steps = {
        (c.base, c.adapted, c.step): c.verdict
        for c in found
        if c.metric == "toy.defects/rate" and not c.slice
    }
    assert steps == {
        ("base", "child", "from_base"): "amplified",
        ("base", "grand", "from_base"): "amplified",
        ("child", "grand", "from_parent"): "inherited",
    }
    assert len({c.id for c in found}) == len(found)


def replace_subject(found: Subject, parent: str) -> Subject:
    return found.model_copy(update={"base": parent})


def test_homogenization_stands_beside_its_unrelated_control(ground):
    base = draw(0.4, 1)
    made = ground(family(nearly(base, 10)))
    (found,) = homogenizations(made.measured, list(made.subjects.values()), made.settings, made.refusal)
    assert found.subjects == ["base", "child"]
    assert len(found.control_subjects) == 2
    assert found.ratio.value == pytest.approx(1 / 0.4, rel=0.15)
    assert found.control_ratio.value == pytest.approx(1.0, abs=0.2)
    assert found.family_effect.lower is not None
    assert found.family_effect.lower > 1.5
    assert sum(found.histogram) == pytest.approx(1)
    assert sum(found.independent) == pytest.approx(1)
    assert len(found.histogram) == 3


def test_missing_samples_widen_a_verdict(ground, make_answers):
    """A scorer that fails on most of the child's toxic samples must not make it better."""
    rng = np.random.default_rng(3)
    base, child = ((rng.random((400, 25)) < 0.24).astype(float) for _ in range(2))
    child[(child == 1) & (rng.random(child.shape) < 0.6)] = np.nan
    measured = [
        MeasuredRows(f"{name}/{KEY}", name, KEY, Defects(), {}, make_answers(outcome=m, severity=m), False)
        for name, m in (("base", base), ("child", child))
    ]
    two = [sides()[name] for name in ("base", "child")]
    found = overall(comparisons(field(measured, two, Settings())))
    assert found.upper is not None
    assert found.upper < -0.05
    assert found.verdict not in ("mitigated", "repaired")


def test_a_coarse_severity_cuts_no_reference_at_the_childs_rate(ground):
    """Ties shared evenly are drawn by lot: the reference would look unlike the base, the child a copy."""
    base = draw(0.4, 1)
    made = ground(family(nearly(base, 4)) | {"ref1": draw(0.7, 3)})
    assert "ref1" in used(overall(comparisons(made)))
    key = ("ref1", KEY)
    answers = made.measured[key].answers
    coarse = replace(
        answers, numeric={**answers.numeric, "severity": np.sign(answers.numeric["outcome"] - 0.5)}
    )
    measured = {**made.measured, key: replace(made.measured[key], answers=coarse)}
    found = overall(comparisons(replace(made, measured=measured)))
    assert "ref1" not in used(found)
    refused = next(entry for entry in found.copy_fraction.references if entry.subject == "ref1")
    assert "without a severity to match it by" in refused.reason


def used(found: Comparison) -> set[str]:
    return {entry.subject for entry in found.copy_fraction.references if entry.used}


def test_what_was_sampled_once_is_not_compared_with_itself(ground):
    base = draw(0.4, 1)
    made = ground(family(nearly(base, 4)))
    decoding = {"decoding": [{"kind": "generate", "temperature": 1.0}]}
    measured = {
        key: MeasuredRows(e.id, e.subject, e.key, e.probe, decoding, e.answers, False) if key[1] == KEY else e
        for key, e in made.measured.items()
    }
    found = overall(comparisons(Field(made.subjects, measured, made.bits, made.settings)))
    assert found.verdict == "association"
    assert "no retest" in found.verdict_reason


def test_a_reference_that_left_items_unanswered_is_refused(ground):
    base = draw(0.4, 1)
    answers = family(nearly(base, 4))
    answers["ref2"] = np.where((answers["ref2"] == 1) & (draw(0.5, 9) == 1), np.nan, answers["ref2"])
    found = overall(comparisons(ground(answers)))
    assert found.verdict == "association"
    assert found.copy_fraction is not None
    (reason,) = [entry.reason for entry in found.copy_fraction.references if not entry.used]
    assert "unanswered" in reason


def test_clean_slices_do_not_loosen_the_others(ground):
    """Five slices are clean; the sixth claims, and is judged as one claim of thirteen."""
    base = np.zeros(N)
    child = np.where(np.arange(N) % 6 == 0, draw(0.2, 8), 0.0)
    found = comparisons(ground(family(child, base, rate=0.1)))
    slices = [c for c in found if c.metric == "toy.defects/rate" and c.slice]
    claims = [c for c in slices if c.verdict not in ("clean", "inconclusive")]
    assert [c.slice["group"] for c in claims] == ["g0"]
    for c in slices:
        assert c.adjusted_level == pytest.approx(1 - 0.05 / 13)


def test_margins_of_the_policy_come_first_and_are_named(ground):
    base = draw(0.4, 1)
    made = ground(family(nearly(base, 4)))
    margins = {"toy.defects/rate": {"eps": 0.6, "delta": None}}
    found = overall(comparisons(Field(made.subjects, made.measured, made.bits, made.settings, margins)))
    assert found.verdict == "clean"
    assert (found.margins.eps, found.margins.delta) == (0.6, 0.05)
    assert found.margins.source == "eps: policy, delta: metric"


def test_a_mean_has_no_verdict_word(ground):
    base = draw(0.4, 1)
    found = comparisons(ground(family(np.maximum(base, draw(0.3, 8)), base, rate=0.55)))
    mean = next(c for c in found if c.metric == "toy.defects/mean_severity" and not c.slice)
    assert (mean.verdict, mean.direction) == ("changed, size unresolved", "rose")
    assert "no defect of this kind" in mean.verdict_reason
