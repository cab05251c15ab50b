import math

import numpy as np
import pytest
from scipy.stats import combine_pvalues, kstest, spearmanr

from fmaudit.subjects.unit_matching import HiddenLayer, fisher_log_p, match_units, spearman_log_p


def model(rng, layers=2, units=64, inputs=32, gated=True):
    """Layers with what trained ones have: a common lean, outlying inputs, gate rows like their up rows."""
    found = {}
    for layer in range(layers):
        scale = np.exp(rng.normal(0, 0.7, inputs))
        lean = rng.normal(0, 0.5, inputs)
        up = (rng.normal(size=(units, inputs)) + lean) * scale
        gate = (0.7 * up + rng.normal(size=(units, inputs)) * scale) if gated else None
        found[f"layers.{layer}"] = HiddenLayer(up, gate)
    return found


def permuted(layers, rng):
    changed = {}
    for name, layer in layers.items():
        order = rng.permutation(len(layer.up))
        changed[name] = HiddenLayer(layer.up[order], None if layer.gate is None else layer.gate[order])
    return changed


def noisy(layers, rng, share):
    def blur(rows):
        return rows + share * rows.std() * rng.normal(size=rows.shape)

    return {n: HiddenLayer(blur(x.up), None if x.gate is None else blur(x.gate)) for n, x in layers.items()}


@pytest.mark.parametrize("gated", [True, False])
def test_p_is_uniform_between_independent_models(gated):
    rng = np.random.default_rng(11)
    found = [match_units(model(rng, gated=gated), model(rng, gated=gated)) for _ in range(250)]
    for log_ps in ([f.log_p_order for f in found], [f.log_p_permuted for f in found]):
        p = np.exp(log_ps)
        assert kstest(p, "uniform").pvalue > 0.01
        assert (p < 0.05).mean() < 0.09
    assert (np.exp([f.log_p for f in found]) < 0.05).mean() < 0.09


@pytest.mark.parametrize("gated", [True, False])
def test_children_are_found_in_order_and_permuted(gated):
    rng = np.random.default_rng(3)
    base = model(rng, gated=gated)
    child = match_units(base, noisy(base, rng, 0.3))
    assert child.log_p < math.log(1e-20)
    assert child.log_p_order < math.log(1e-20)
    mixed = match_units(base, permuted(noisy(base, rng, 0.1), rng))
    assert mixed.log_p_order > math.log(1e-4)
    assert mixed.log_p < math.log(1e-20)
    assert mixed.units == 128


def test_units_pruned_to_zero_do_not_relate_two_models():
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(60):
        pair = [model(rng, layers=1), model(rng, layers=1)]
        for layers in pair:
            layers["layers.0"].up[:40] = 0
            layers["layers.0"].gate[:40] = 0
        rejected += match_units(*pair).log_p_permuted < math.log(0.01)
    assert rejected <= 4


def test_other_shapes_are_not_tested():
    rng = np.random.default_rng(1)
    found = match_units(model(rng), model(rng, units=48))
    assert found.log_p is None
    assert "shapes" in found.reason
    assert match_units(model(rng), model(rng, layers=3)).log_p is None
    assert match_units({}, model(rng)).reason
    assert "16 hidden units" in match_units(model(rng, units=8), model(rng, units=8)).reason


def test_spearman_log_p_agrees_with_scipy_and_does_not_underflow():
    rng = np.random.default_rng(0)
    x = np.arange(200)
    for noise in (400.0, 150.0, 40.0, 20.0):
        y = x + noise * rng.normal(size=200)
        assert spearman_log_p(x, y) == pytest.approx(math.log(spearmanr(x, y).pvalue), rel=1e-8)
    assert spearman_log_p(x, -x) == pytest.approx(math.log(2) - math.lgamma(201))
    assert spearman_log_p([1, 2, 3], [1, 2, 3]) == pytest.approx(math.log(2 / 6))


def test_spearman_log_p_follows_exact_tail_below_the_smallest_float():
    mpmath = pytest.importorskip("mpmath")
    x = np.arange(3000)
    y = x + 300 * np.random.default_rng(2).normal(size=3000)
    r = mpmath.mpf(float(spearmanr(x, y).statistic))
    exact = mpmath.log(mpmath.betainc(mpmath.mpf(2998) / 2, 0.5, 0, 1 - r * r, regularized=True))
    assert float(exact) < -745
    assert spearman_log_p(x, y) == pytest.approx(float(exact), rel=1e-6)


def test_fisher_agrees_with_scipy_and_does_not_underflow():
    p = [0.2, 0.03, 0.6, 1e-5]
    assert fisher_log_p([math.log(v) for v in p]) == pytest.approx(
        math.log(combine_pvalues(p).pvalue), rel=1e-9
    )
    assert fisher_log_p([0.0, 0.0]) == 0.0
    # Gamma(2) tail: (1 + x) exp(-x).
    assert fisher_log_p([-2000.0, -3000.0]) == pytest.approx(math.log(5001) - 5000)
