"""Copy fraction: published pairs, exact properties, refusals."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from fmaudit.inheritance import (
    MIN_LINEAGES,
    Candidate,
    carries_inheritance,
    comparable_references,
    copy_fraction,
    copy_fractions,
    match_rate,
    paired_table,
    slope,
)
from fmaudit.inheritance.variation import between_lineages

N = 800
CLUSTERS = np.arange(N) // 4


def world(seed=3, rho=0.6, references=3):
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-1.5 * rng.normal(size=N)))
    base, *others = (rng.random((references + 2, N)) < chance).astype(float)
    child = np.where(rng.random(N) < rho, base, others[0])
    return base, child, {f"r{k}": y for k, y in enumerate(others[1:])}


def stereoset(name):
    folder = os.environ.get("FMAUDIT_DATA")
    path = Path(folder or "", "stereoset", name)
    if not folder or not path.is_file():
        pytest.skip(f"stereoset/{name} is missing: set FMAUDIT_DATA to the folder of benchmark data")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def real():
    rows = stereoset("item_outcomes_stereotype_preferred.csv")
    models = [c for c in rows[0] if c not in ("example_id", "bias_type", "target")]
    return {m: np.array([float(r[m]) for r in rows]) for m in models}, [r["target"] for r in rows]


def test_eight_copy_fractions_of_real_pairs(real):
    outcomes, targets = real
    golden = stereoset("golden_copy_fraction.csv")
    assert len(golden) == 8
    for row in golden:
        references = {name: outcomes[name] for name in row["references"].split()}
        found = copy_fraction(outcomes[row["base"]], outcomes[row["adapted"]], references, clusters=targets)
        assert found.value == pytest.approx(float(row["copy_fraction"]), abs=1e-9)
        assert found.slope_adapted == pytest.approx(float(row["slope_adapted"]), abs=1e-9)
        assert found.slope_reference == pytest.approx(float(row["slope_reference_mean"]), abs=1e-9)
        assert found.conditional[0] > 0.2


def test_slopes_of_twenty_real_pairs(real):
    outcomes, _ = real
    golden = stereoset("golden_pairwise_inheritance.csv")
    assert len(golden) == 20
    for row in golden:
        base, adapted = outcomes[row["base"]], outcomes[row["adapted"]]
        assert slope(base, adapted) == pytest.approx(float(row["risk_difference"]), abs=1e-9)
        expected = tuple(int(float(row[c])) for c in ("n11", "n10", "n01", "n00"))
        assert paired_table(base, adapted) == expected


def test_a_copy_is_exactly_one_and_its_interval_admits_unseen_differences():
    base, _, references = world()
    found = copy_fraction(base, base, references, clusters=CLUSTERS)
    assert found.value == pytest.approx(1, abs=1e-12)
    assert found.conditional[0] < 0.99
    assert found.conditional[1] == pytest.approx(1)
    assert carries_inheritance(found)


def test_slope_is_the_difference_of_conditional_rates():
    base, child, _ = world()
    assert slope(base, child) == pytest.approx(child[base == 1].mean() - child[base == 0].mean())
    assert slope(base, 1 - base) == pytest.approx(-1)


def test_value_is_the_ratio_of_slopes_and_weights_are_repeats():
    base, child, references = world()
    weights = np.random.default_rng(0).integers(1, 4, N)
    found = copy_fraction(base, child, references, weights=weights, draws=200)

    def repeated(y):
        return np.repeat(y, weights)

    b = repeated(base)
    a, *rest = [np.cov(b, repeated(y))[0, 1] / b.var(ddof=1) for y in (child, *references.values())]
    assert found.value == pytest.approx((a - np.mean(rest)) / (1 - np.mean(rest)))
    assert found.reference_slopes == pytest.approx(dict(zip(references, rest, strict=True)))


def same(one, other):
    assert one.value == pytest.approx(other.value, abs=1e-12)
    assert one.conditional == pytest.approx(other.conditional, abs=1e-9)
    assert one.verdict_interval == pytest.approx(other.verdict_interval, abs=1e-9)


def test_order_of_rows_and_references_and_names_of_clusters_do_not_matter():
    base, child, references = world()
    whole = copy_fraction(base, child, references, clusters=CLUSTERS)
    order = np.random.default_rng(1).permutation(N)
    renamed = np.array([f"k{(c * 37) % 1009}" for c in CLUSTERS])
    shuffled = {name: references[name][order] for name in reversed(references)}
    same(whole, copy_fraction(base[order], child[order], shuffled, clusters={"target": renamed[order]}))
    plain = copy_fraction(base, child, references)
    same(plain, copy_fraction(base[order], child[order], shuffled))
    assert whole.conditional != plain.conditional


def test_references_of_one_lineage_count_as_one():
    base, child, references = world()
    doubled = references | {"r0 again": references["r0"]}
    apart = copy_fraction(base, child, doubled)
    together = copy_fraction(base, child, doubled, lineages={"r0": "family", "r0 again": "family"})
    assert (apart.lineages, together.lineages) == (4, 3)
    same(together, copy_fraction(base, child, references))
    listed = copy_fraction(base, child, references | {"r0": [references["r0"], references["r0"]]})
    same(listed, together)


def test_leave_one_out_and_placebo():
    base, child, references = world(references=4)
    found = copy_fraction(base, child, references)
    singles = [
        copy_fraction(base, child, {k: v for k, v in references.items() if k != left}).value
        for left in references
    ]
    assert found.leave_one_out == pytest.approx((min(singles), max(singles)))
    assert found.leave_one_out[0] <= found.value <= found.leave_one_out[1]
    assert found.placebo.p == found.placebo.floor == pytest.approx(1 / 5)
    assert not found.placebo.decisive
    for left, value in found.placebo.values.items():
        rest = {k: v for k, v in references.items() if k != left}
        assert value == pytest.approx(copy_fraction(base, references[left], rest, draws=100).value)
    lone = copy_fraction(base, child, {"r0": references["r0"]})
    assert lone.leave_one_out is None
    assert lone.placebo is None
    assert copy_fraction(*world(references=39), draws=100).placebo.decisive


def test_unrelated_child_has_no_extreme_placebo_rank():
    base, child, references = world(rho=0, references=9)
    assert copy_fraction(base, child, references).placebo.p > 0.1


def test_verdict_interval_adds_the_variation_between_lineages():
    base, child, references = world()
    found = copy_fraction(base, child, references)
    assert found.verdict_source == "prior sd 0.12 (3 lineages)"
    for place in (0, 1):
        conditional, wide = (
            found.conditional[place] - found.value,
            found.verdict_interval[place] - found.value,
        )
        assert wide**2 == pytest.approx(conditional**2 + (1.959964 * 0.12) ** 2, rel=1e-6)
    slopes = np.linspace(0.1, 0.5, 9)
    half, source = between_lineages(slopes, 0.7, 0.95)
    assert source == "own sd of 9 lineages, t(8)"
    assert half == pytest.approx(2.306004 * slopes.std(ddof=1) / 0.7 * (10 / 9) ** 0.5, rel=1e-6)
    half, source = between_lineages([0.1, 0.3, 0.5], 0.7, 0.95)
    assert source == "own sd of 3 lineages, t(2), wider than prior sd 0.12"
    assert half == pytest.approx(4.302653 * 0.2 / 0.7 * (4 / 3) ** 0.5, rel=1e-6)


def test_one_lineage_far_off_takes_the_verdict_away():
    base, child, references = world(rho=0.35)
    flipped = references | {"r0": np.where(np.arange(N) % 2 == 0, 1 - base, references["r0"])}
    assert carries_inheritance(copy_fraction(base, child, references))
    assert not carries_inheritance(copy_fraction(base, child, flipped))


def test_retest_of_a_sampled_base_is_the_denominator():
    rng = np.random.default_rng(8)
    chance = rng.beta(0.4, 0.6, 20000)
    base, again, child = (rng.random((3, 20000)) < chance).astype(float)
    other = (rng.random((3, 20000)) < rng.beta(0.4, 0.6, (3, 20000))).astype(float)
    references = dict(zip("xyz", other, strict=True))
    found = copy_fraction(base, child, references, again, draws=300)
    assert found.value == pytest.approx(1, abs=0.05)
    assert found.conditional[0] < 1 < found.conditional[1]
    assert found.slope_self == pytest.approx(0.5, abs=0.03)
    mean = np.mean(other, axis=0)
    shares = [np.cov(again, y)[0, 1] for y in (child - mean, base - mean)]
    assert found.value == pytest.approx(shares[0] / shares[1])
    assert copy_fraction(base, child, references, draws=300).value == pytest.approx(0.5, abs=0.03)


def test_slices_are_the_same_as_single_calls():
    base, child, references = world()
    first = np.arange(N) < 400
    sliced = copy_fractions(base, child, references, {"a": first, "b": ~first}, clusters=CLUSTERS)
    for name, mask in (("a", first), ("b", ~first)):
        cut = {k: v[mask] for k, v in references.items()}
        same(sliced[name], copy_fraction(base[mask], child[mask], cut, clusters=CLUSTERS[mask]))


def test_crossed_factors_give_a_wider_interval_when_copying_varies_by_both():
    rng = np.random.default_rng(5)
    one, two = np.repeat(np.arange(40), 20), np.tile(np.arange(20), 40)
    chance = 1 / (1 + np.exp(-1.5 * rng.normal(size=800)))
    base, other, *refs = (rng.random((5, 800)) < chance).astype(float)
    share = np.clip(0.5 + 0.3 * rng.normal(size=40)[one] + 0.3 * rng.normal(size=20)[two], 0, 1)
    child = np.where(rng.random(800) < share, base, other)
    references = dict(zip("xyz", refs, strict=True))
    crossed = copy_fraction(base, child, references, clusters={"one": one, "two": two})
    rows = copy_fraction(base, child, references)
    assert np.diff(crossed.conditional) > 1.3 * np.diff(rows.conditional)
    assert "crossed" in crossed.method


def test_undefined_with_a_reason():
    base, child, references = world()
    nothing = copy_fraction(base, child, {})
    assert nothing.value is None
    assert "no reference" in nothing.reason
    rare = np.zeros(N)
    rare[:19] = 1
    few = copy_fraction(rare, child, references)
    assert few.value is None
    assert "19 failing" in few.reason
    assert copy_fraction(1 - rare, child, references).value is None
    twins = copy_fraction(base, child, dict.fromkeys("xyz", base))
    assert twins.value is None
    assert "s_self - s_ref" in twins.reason
    assert not carries_inheritance(twins)
    assert twins.verdict_interval is None


def test_few_clusters_never_carry_the_word():
    base, child, references = world(rho=0.9)
    found = copy_fraction(base, child, references, clusters=np.arange(N) % 12)
    assert found.verdict_interval[0] > 0
    assert not found.conclusive
    assert not carries_inheritance(found)


@pytest.mark.parametrize(
    "change",
    [
        {"adapted": np.zeros(3)},
        {"base": np.full(N, 2.0)},
        {"adapted": np.full(N, np.nan)},
        {"references": {"x": np.zeros(5)}},
        {"level": 1.0},
        {"lineages": {"nobody": "x"}},
        {"clusters": np.zeros(4)},
        {"weights": -np.ones(N)},
    ],
)
def test_wrong_input_is_an_error(change):
    base, child, references = world()
    with pytest.raises(ValueError, match=r"."):
        copy_fraction(**({"base": base, "adapted": child, "references": references} | change))


def candidate(name, **changes):
    fields = {"lineage": name, "state": "refuted", "bits_per_byte": 1.0, "rate": 0.4, "severity": False}
    return Candidate(name=name, **(fields | changes))


def test_references_must_be_as_strong_as_faulty_and_unrelated():
    offered = [
        candidate("near", bits_per_byte=1.09, rate=0.5),
        candidate("weak", bits_per_byte=1.11),
        candidate("strong", bits_per_byte=0.8),
        candidate("unmeasured", bits_per_byte=None),
        candidate("other rate", rate=0.55),
        candidate("cut", rate=0.8, severity=True),
        candidate("cousin", state="verified"),
        candidate("stranger", state="unknown"),
        candidate("near too", lineage="near"),
    ]
    found = comparable_references(offered, 1.0, 0.4)
    assert found.accepted == {"cut": "severity threshold", "near": "rate", "near too": "rate"}
    refused = {"weak", "strong", "unmeasured", "other rate", "cousin", "stranger"}
    assert set(found.refused) == refused
    assert "weaker" in found.refused["weak"]
    assert "stronger" in found.refused["strong"]
    assert found.lineages == ("cut", "near")
    assert not found.sufficient
    assert comparable_references([*offered, candidate("third")], 1.0, 0.4).sufficient
    assert MIN_LINEAGES == 3
    assert not comparable_references([candidate("near")], None, 0.4).accepted
    with pytest.raises(ValueError, match="two references"):
        comparable_references([candidate("a"), candidate("a")], 1.0, 0.4)
    with pytest.raises(ValueError, match="rate"):
        comparable_references([candidate("a", rate=1.2)], 1.0, 0.4)


def test_matched_outcomes_have_the_wanted_rate_and_keep_the_order():
    rng = np.random.default_rng(2)
    severity, weights = rng.integers(0, 6, 300).astype(float), rng.integers(0, 4, 300)
    for rate in (0.0, 0.13, 0.5, 1.0):
        cut = match_rate(severity, rate, weights)
        assert weights @ cut / weights.sum() == pytest.approx(rate)
        counted = weights > 0
        assert (np.diff(cut[counted][np.argsort(severity[counted])]) >= -1e-12).all()
