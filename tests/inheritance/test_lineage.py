import math
import subprocess
import sys

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from fmaudit.inheritance.lineage import (
    Agreement,
    KinshipEvidence,
    agreement_p,
    group_lineages,
    judge_lineages,
)

PASSAGES = 40
POSITIONS = 60


def agreeing(share, seed=0, spread=0.05, passages=PASSAGES):
    rng = np.random.default_rng(seed)
    rates = np.clip(rng.normal(share, spread, passages), 0, 1)
    return Agreement(tuple(rng.binomial(POSITIONS, rates).tolist()), (POSITIONS,) * passages)


def pair(share, controls=(0.40, 0.42, 0.41), seed=0, **fields):
    return KinshipEvidence(
        agreement=agreeing(share, seed),
        controls={f"r{i}": agreeing(c, seed + 1 + i) for i, c in enumerate(controls)},
        **fields,
    )


def judge(evidence):
    return judge_lineages({"x": evidence})["x"]


def test_agreement_above_every_control_verifies():
    found = judge(pair(0.8))
    assert (found.verified, found.state) == (True, "verified")
    assert 0 < found.agreement_p <= 1 / 10_000
    assert found.agreement.lower < 0.8 < found.agreement.upper + 0.03
    assert found.controls_maximum == max(agreeing(c, 1 + i).share for i, c in enumerate((0.40, 0.42, 0.41)))
    assert f"{found.agreement.value:.3f}" in found.evidence


def test_agreement_as_of_controls_refutes():
    found = judge(pair(0.37))
    assert found.verified is False
    assert found.agreement.upper < found.controls_maximum + 0.02
    assert found.agreement_p > 0.5


def test_one_control_as_high_prevents_verification():
    found = judge(pair(0.8, controls=(0.4, 0.8, 0.4)))
    assert found.verified is not True


def test_the_ablest_of_unrelated_models_is_not_kin():
    # One point above the controls in every passage: significant against them, but inside the margin.
    control = Agreement((24,) * 40, (100,) * 40)
    evidence = KinshipEvidence(agreement=Agreement((25,) * 40, (100,) * 40), controls={"r": control})
    assert agreement_p(evidence) == pytest.approx(1.0, abs=0.001)
    assert judge(evidence).verified is not True


def test_between_is_unknown():
    found = judge(pair(0.44))
    assert (found.verified, found.state) == (None, "unknown")


def test_matching_verifies_whatever_the_agreement():
    found = judge(pair(0.3, matching_log_p=-3000.0, matching="512 hidden units of 1 layers matched"))
    assert found.verified is True
    assert found.matching_log10_p == pytest.approx(-3000 / math.log(10))
    assert found.matching_adjusted_p < 1e-290
    assert "below 1e-99" in found.evidence


def test_agreement_does_not_verify_what_hidden_units_contradict():
    """Of a few unrelated pairs one agrees best by chance."""
    evidence = KinshipEvidence(agreement=agreeing(0.8), controls={"r": agreeing(0.4, 1)})
    assert judge(evidence).verified is True
    contradicted = KinshipEvidence(
        matching_log_p=math.log(0.5),
        matching="m",
        agreement=agreeing(0.8),
        controls={"r": agreeing(0.4, 1)},
    )
    assert judge(contradicted).state == "unknown"


def test_insignificant_matching_alone_does_not_refute():
    alone = KinshipEvidence(matching_log_p=math.log(0.5), matching="m", agreement=agreeing(0.4))
    found = judge(alone)
    assert found.verified is None
    assert "without unrelated models" in found.evidence
    refuted = judge(pair(0.37, matching_log_p=math.log(0.5), matching="m"))
    assert refuted.verified is False


def test_no_evidence_is_unknown_with_its_reasons():
    found = judge(KinshipEvidence(matching="other shapes", agreement_reason="a classifier predicts no token"))
    assert found.verified is None
    assert "other shapes" in found.evidence
    assert "a classifier predicts no token" in found.evidence


def test_identity_is_decisive_and_no_member_of_the_family():
    found = judge_lineages({"a": KinshipEvidence(identity="the weights of base"), "b": pair(0.8)})
    assert found["a"].verified is True
    assert found["a"].tests == found["b"].tests == 1


def test_few_passages_conclude_nothing():
    evidence = KinshipEvidence(
        agreement=agreeing(0.9, passages=9), controls={"r": agreeing(0.1, 1, passages=9)}
    )
    assert judge(evidence).verified is None


def test_holm_over_all_pairs_and_tests():
    raw = [0.001, 0.012, 0.02, 0.03, 0.2]
    found = judge_lineages(
        {i: KinshipEvidence(matching_log_p=math.log(p), matching="m") for i, p in enumerate(raw)}
    )
    expected = multipletests(raw, 0.05, "holm")[1]
    assert [f.matching_adjusted_p for f in found.values()] == pytest.approx(expected)
    assert [f.verified for f in found.values()] == [True, True, None, None, None]
    assert judge(KinshipEvidence(matching_log_p=math.log(0.02), matching="m")).verified is True


def test_agreement_test_keeps_its_level_at_the_margin():
    rng = np.random.default_rng(5)
    rejected = 0
    runs = 300
    for _ in range(runs):
        ease = rng.beta(8, 8, 30)
        hits = rng.binomial(80, np.clip(ease + 0.02, 0, 1)), rng.binomial(80, ease)
        one, control = (Agreement(tuple(h.tolist()), (80,) * 30) for h in hits)
        rejected += agreement_p(KinshipEvidence(agreement=one, controls={"r": control})) <= 0.05
    assert 0.02 <= rejected / runs <= 0.085


def test_counts_must_fit():
    with pytest.raises(ValueError, match="more hits"):
        Agreement((3,), (2,))
    with pytest.raises(ValueError, match="passages"):
        Agreement((1, 2), (2,))
    with pytest.raises(ValueError, match="other positions"):
        judge(KinshipEvidence(agreement=agreeing(0.5), controls={"r": Agreement((1,) * 40, (2,) * 40)}))


def test_passages_without_positions_do_not_count():
    padded = Agreement((*agreeing(0.8).hits, 0), (*agreeing(0.8).totals, 0))
    control = Agreement((*agreeing(0.4, 1).hits, 0), (*agreeing(0.4, 1).totals, 0))
    assert padded.passages == PASSAGES
    assert judge(KinshipEvidence(agreement=padded, controls={"r": control})).verified is True


def test_groups_are_connected_components():
    groups = group_lineages(["a", "b", "c", "d", "e"], [("d", "b"), ("e", "d"), ("c", "stranger")])
    assert groups == {"a": "a", "b": "b", "c": "c", "d": "b", "e": "b"}
    assert len(set(group_lineages(["a", "b", "c"], []).values())) == 3


def test_imports_without_torch():
    code = "import sys, fmaudit.inheritance.lineage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
