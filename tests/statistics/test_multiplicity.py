"""Corrections for many tests: published figures, statsmodels and simulated error rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from fmaudit.statistics import (
    benjamini_hochberg,
    claims_at_fdr,
    e_bh,
    false_coverage_level,
    holm,
    simultaneous_level,
)

# Benjamini and Hochberg (1995), section 3: 15 p-values, four rejected at .05, three by Bonferroni.
PUBLISHED = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


def test_published_example():
    assert (benjamini_hochberg(PUBLISHED) <= 0.05).sum() == 4
    assert (holm(PUBLISHED) <= 0.05).sum() == 3


def test_adjusted_values_by_hand_and_missing_tests_keep_the_family_size():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.01, None, float("nan")]) == pytest.approx([0.03, 1, 1])
    assert holm([]).shape == (0,)
    with pytest.raises(ValueError, match="outside"):
        holm([1.2])


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.02, 0.5, 1.0]), max_size=12))
def test_adjusted_values_are_those_of_statsmodels(ps):
    whole = [1.0 if p is None else p for p in ps]
    for ours, theirs in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        expected = multipletests(whole, method=theirs)[1] if ps else []
        assert ours(ps) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_e_bh_by_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(200):
        es = np.exp(rng.normal(1, 2, rng.integers(1, 20)))
        k = len(es)
        ordered = sorted(es, reverse=True)
        best = max((j for j in range(1, k + 1) if ordered[j - 1] >= k / (j * 0.1)), default=0)
        assert set(np.flatnonzero(e_bh(es, 0.1))) == set(np.argsort(-es)[:best])
    assert e_bh([None, 100.0, 3.0], 0.1).tolist() == [False, True, False]
    assert not e_bh([], 0.1).any()
    with pytest.raises(ValueError, match="at least 0"):
        e_bh([-1.0], 0.1)


def test_e_bh_keeps_the_false_discovery_rate_under_dependence():
    rng = np.random.default_rng(3)
    shared, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 20))
    z = 0.9**0.5 * shared + 0.1**0.5 * own
    z[:, :5] += 3
    es = np.exp(2 * z - 2)
    shares = []
    for row in es:
        found = e_bh(row, 0.1)
        shares.append(found[5:].sum() / max(found.sum(), 1))
    assert np.mean(shares) <= 0.1


def test_levels():
    assert simultaneous_level(0.95, 10) == pytest.approx(0.995)
    assert false_coverage_level(0.95, 2, 10) == pytest.approx(0.99)
    assert false_coverage_level(0.95, 10, 10) == pytest.approx(0.95)
    with pytest.raises(ValueError, match="selected"):
        false_coverage_level(0.95, 0, 10)


def sign_claim(z):
    return lambda i, level: abs(z[i]) > ndtri((1 + level) / 2)


def test_claims_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(4)
    for _ in range(200):
        z = rng.normal(size=30) + 3 * (rng.random(30) < 0.3)
        selected, level = claims_at_fdr(sign_claim(z), 30, 0.95)
        expected = np.flatnonzero(benjamini_hochberg(2 * norm.sf(np.abs(z))) <= 0.05)
        assert selected == frozenset(expected.tolist())
        if selected:
            assert level == pytest.approx(false_coverage_level(0.95, len(selected), 30))
    assert claims_at_fdr(sign_claim(np.zeros(4)), 4, 0.95) == (frozenset(), pytest.approx(0.9875))
    assert claims_at_fdr(sign_claim([]), 0, 0.95)[0] == frozenset()


def test_intervals_of_selected_members_miss_in_at_most_the_declared_share():
    rng = np.random.default_rng(6)
    adjusted, plain = [], []
    for _ in range(2000):
        truth = np.where(np.arange(40) < 30, 0.0, 2.0)
        z = truth + rng.normal(size=40)
        selected, level = claims_at_fdr(sign_claim(z), 40, 0.95)
        chosen = sorted(selected)
        missed = np.abs(z - truth)[chosen]
        adjusted.append(np.mean(missed > ndtri((1 + level) / 2)) if chosen else 0.0)
        naive = np.abs(z) > ndtri(0.975)
        plain.append(np.mean(np.abs(z - truth)[naive] > ndtri(0.975)) if naive.any() else 0.0)
    assert np.mean(adjusted) <= 0.05 + 2 * np.std(adjusted) / 2000**0.5
    assert np.mean(plain) > 0.1
