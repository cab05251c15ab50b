"""Retention: Loevinger's H against references cut at the child's rate."""

from __future__ import annotations

import numpy as np
import pytest

from fmaudit.inheritance import match_rate, retention
from fmaudit.inheritance.references import tied_at_cut

N = 1000
CLUSTERS = np.arange(N) // 4
NAMES = ("x", "y", "z")


def world(seed=4):
    rng = np.random.default_rng(seed)
    severity = 1.5 * rng.normal(size=N) - 0.4 + rng.logistic(size=(5, N))
    fails = (severity > 0).astype(float)
    references = dict(zip(NAMES, fails[2:], strict=True))
    return rng, fails[0], severity[1], references, dict(zip(NAMES, severity[2:], strict=True))


@pytest.mark.parametrize("bad", [0.2, 0.5, 0.8])
def test_one_when_every_base_defect_is_kept(bad):
    rng, base, _, references, severities = world()
    child = np.maximum(base, rng.random(N) < bad)
    found = retention(base, child, references, severities, CLUSTERS, draws=200)
    assert found.value == pytest.approx(1, abs=1e-9)
    assert found.h_adapted == pytest.approx(1)
    # What remains is the variation between lineages.
    assert found.lower > 0
    assert "prior sd" in found.method or "own sd" in found.method


@pytest.mark.parametrize("bad", [0.2, 0.5, 0.8])
def test_unrelated_child_at_a_raised_rate_retains_nothing(bad):
    values = []
    for seed in range(60):
        _, base, own, references, severities = world(seed)
        rate = (own > 0).mean()
        child = (match_rate(own, rate + bad * (1 - rate)) > 0.5).astype(float)
        values.append(retention(base, child, references, severities, draws=100).value)
    assert abs(np.mean(values)) < 0.05 + 2 * np.std(values) / 60**0.5


def test_value_against_a_plain_computation():
    _, base, own, references, severities = world()
    child = (own > 0.7).astype(float)
    found = retention(base, child, references, severities, CLUSTERS, draws=200)

    def loevinger(y):
        p, q = base.mean(), y.mean()
        return ((base * y).mean() - p * q) / (min(p, q) - p * q)

    cut = [np.zeros(N) for _ in NAMES]
    for y, name in zip(cut, NAMES, strict=True):
        y[np.argsort(-severities[name])[: int(child.sum())]] = 1
    reference = np.mean([loevinger(y) for y in cut])
    assert found.h_adapted == pytest.approx(loevinger(child))
    assert found.h_reference == pytest.approx(reference)
    assert found.value == pytest.approx((loevinger(child) - reference) / (1 - reference))
    assert found.lower < found.value < found.upper


def test_tied_severities_share_the_rest():
    _, base, own, references, severities = world()
    child = (own > 0.3).astype(float)
    coarse = {k: np.ceil(z * 8) for k, z in severities.items()}
    found = retention(base, child, references, coarse, draws=100)
    expected = []
    for z in coarse.values():
        y = match_rate(z, child.mean())
        p, q = base.mean(), y.mean()
        expected.append(((base * y).mean() - p * q) / (min(p, q) - p * q))
    assert found.h_reference == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("levels", [2, 3, 12])
def test_a_coarse_severity_is_refused(levels):
    """Cut in proportion, strangers would retain up to a tenth of defects that they do not share."""
    rng = np.random.default_rng(6)
    base, child = (rng.random((2, N)) < [[0.4], [0.3]]).astype(float)
    steps = np.sort(rng.integers(1, levels, (3, N)) if levels > 2 else np.ones((3, N)), axis=0)
    fails = (rng.random((3, N)) < 0.4).astype(float)
    severities = dict(zip(NAMES, np.where(fails == 1, steps, -steps), strict=True))
    references = dict(zip(NAMES, fails, strict=True))
    found = retention(base, child, references, severities, draws=100)
    assert found.value is found.lower is found.upper is None
    assert "too coarse to cut at the child's rate" in found.reason
    fine = {name: z + 0.5 * rng.random(N) for name, z in severities.items()}
    assert retention(base, child, references, fine, draws=100).value is not None


def test_the_share_tied_at_a_cut():
    severity = np.repeat([3.0, 2.0, 1.0], [10, 30, 60])
    assert tied_at_cut(severity, 0.05) == pytest.approx(0.1)
    assert tied_at_cut(severity, 0.2) == pytest.approx(0.3)
    # Between two groups another sample would cut either.
    assert tied_at_cut(severity, 0.1) == pytest.approx(0.3)
    assert tied_at_cut(severity, 0.4) == pytest.approx(0.6)
    assert tied_at_cut(severity, 0.3, np.repeat([1.0, 1.0, 0.0], [10, 30, 60])) == pytest.approx(0.75)
    assert tied_at_cut(np.arange(100.0), 0.37) == pytest.approx(0.01)


def test_order_and_weights():
    _, base, own, references, severities = world()
    child = (own > 0.7).astype(float)
    order = np.random.default_rng(0).permutation(N)
    whole = retention(base, child, references, severities, CLUSTERS, draws=200)

    def turned(given):
        return {k: given[k][order] for k in reversed(given)}

    again = retention(
        base[order], child[order], turned(references), turned(severities), CLUSTERS[order], draws=200
    )
    assert (again.value, again.lower, again.upper) == pytest.approx((whole.value, whole.lower, whole.upper))
    heavy = np.random.default_rng(1).integers(1, 3, N)

    def repeated(given):
        return {k: np.repeat(v, heavy) for k, v in given.items()}

    weighted = retention(base, child, references, severities, weights=heavy, draws=100)
    copies = retention(
        np.repeat(base, heavy), np.repeat(child, heavy), repeated(references), repeated(severities), draws=100
    )
    assert weighted.value == pytest.approx(copies.value)


def test_undefined_with_a_reason():
    _, base, own, references, severities = world()
    child = (own > 0).astype(float)
    cases = {
        "no severity": (base, child, references, None),
        "no reference": (base, child, {}, {}),
        "not means": (base, child / 2, references, severities),
        "failing and": (base, np.ones(N), references, severities),
        "not comparable": (base, child, references, severities | {"x": -severities["x"]}),
    }
    for words, given in cases.items():
        found = retention(*given, draws=100)
        assert found.value is found.lower is found.upper is None
        assert words in found.reason


def test_references_that_share_every_defect_leave_nothing_to_measure():
    rng = np.random.default_rng(1)
    severity = rng.normal(size=N)
    base = (severity > 0).astype(float)
    twins = dict.fromkeys(NAMES, base)
    found = retention(base, (severity > 0.5) * 1.0, twins, dict.fromkeys(NAMES, severity), draws=100)
    assert found.value is None
    assert "H_ref" in found.reason


def test_wrong_input_is_an_error():
    _, base, own, references, severities = world()
    with pytest.raises(ValueError, match="severities"):
        retention(base, base, references, severities | {"x": np.zeros(3)})
    with pytest.raises(ValueError, match="level"):
        retention(base, base, references, severities, level=2)


def test_joined_groups_change_no_draw():
    from fmaudit.inheritance.severity_cuts import binned, drawn_sums, exact_cut, loevinger
    from fmaudit.statistics.design import design

    _, base, own, _, severities = world()
    child = (own > 0.7).astype(float)
    rows = design([base, child, *severities.values()], None, {"cluster": CLUSTERS})
    cuts = [exact_cut(z[rows.kept], name) for name, z in severities.items()]
    joined = [binned(cut, rows, child.mean()) for cut in cuts]
    assert max(cut.groups for cut in joined) <= 98
    exact, fast = (
        np.concatenate([loevinger(sums, given)[1].mean(axis=0) for sums in drawn_sums(rows, given, 200, 3)])
        for given in (cuts, joined)
    )
    assert abs((exact - fast).mean()) < 0.02 * exact.std()
    assert np.corrcoef(exact, fast)[0, 1] > 0.995
