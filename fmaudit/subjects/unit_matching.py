"""Whether two models share hidden units: a test of independent training from weights alone.

After Zhu et al., "Independence tests for language models" (ICML 2025). Two models
trained from independent random starts order the hidden units of a layer
independently of each other, whatever data they saw, so that a matching of one's
units to the other's has no reason to be the identity. p-values underflow for
every true child, and are therefore natural logarithms throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.intp]

MAX_MATCHED = 512
"""Units of the first model that are matched in a layer; to all units of the second."""
MIN_UNITS = 16
MIN_INPUTS = 8


@dataclass(frozen=True)
class HiddenLayer:
    """Incoming weights of one layer's hidden units, a row a unit: ``up`` [h, d] and, if gated, ``gate``."""

    up: Floats
    gate: Floats | None = None


@dataclass(frozen=True)
class UnitMatching:
    """Evidence against independent training of two models.

    Attributes:
        log_p: Natural log of the p-value of "trained independently"; None where untested.
            Twice the smaller of the two p-values below.
        log_p_order: Of the test that units stand in one order in both models.
        log_p_permuted: Of the test that holds when the units of one model were permuted.
        layers: Layers used.
        units: Hidden units matched, over all layers.
        reason: Why nothing was tested.
    """

    log_p: float | None
    log_p_order: float | None = None
    log_p_permuted: float | None = None
    layers: tuple[str, ...] = ()
    units: int = 0
    reason: str = ""


def match_units(first: Mapping[str, HiddenLayer], second: Mapping[str, HiddenLayer]) -> UnitMatching:
    """Test whether two models have hidden units in common.

    Order test: rows of gate and up projection together are matched by linear
    assignment on cosine; Spearman correlation of the matching with the identity.
    Permutation test: gate rows are matched on one random half of their inputs, up
    rows (those of the only projection where there is no gate) on the other half;
    Spearman correlation of the two matchings. The halves are disjoint because a
    unit's gate and up rows are correlated with each other in any trained model,
    which would make the two matchings agree between unrelated models. Fisher's
    method joins the layers.

    Args:
        first: Layers of one model by name.
        second: Of the other one.
    """
    shared = [name for name in first if name in second and _shapes(first[name]) == _shapes(second[name])]
    if not first or not second:
        return UnitMatching(None, reason="no hidden layer of a known name in one of the models")
    if not shared or len(shared) < max(len(first), len(second)):
        return UnitMatching(None, reason="the hidden layers have other names or shapes")
    usable = [
        name
        for name in shared
        if first[name].up.shape[0] >= MIN_UNITS and first[name].up.shape[1] >= MIN_INPUTS
    ]
    if not usable:
        return UnitMatching(None, reason=f"fewer than {MIN_UNITS} hidden units a layer")
    tested = [_match_layer(first[name], second[name], place) for place, name in enumerate(usable)]
    order = fisher_log_p([log_p for log_p, _, _ in tested])
    permuted = fisher_log_p([log_p for _, log_p, _ in tested])
    return UnitMatching(
        log_p=min(0.0, math.log(2) + min(order, permuted)),
        log_p_order=order,
        log_p_permuted=permuted,
        layers=tuple(usable),
        units=sum(units for _, _, units in tested),
    )


def spearman_log_p(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Natural log of the two-sided p-value of Spearman's rank correlation, without underflow.

    Student's t form, ``p = I_{1 - r^2}((n - 2) / 2, 1 / 2)``, never below ``2 / n!``,
    the smallest p that n ranks can give.
    """
    from scipy.special import betainc, betaln, gammaln, hyp2f1
    from scipy.stats import spearmanr

    n = len(np.asarray(first))
    least = math.log(2) - float(gammaln(n + 1))
    r = float(spearmanr(first, second).statistic)
    rest = max(0.0, (1 - r) * (1 + r))
    a = (n - 2) / 2
    if rest <= 0:
        return least
    p = float(betainc(a, 0.5, rest))
    if p > 1e-200:
        return max(math.log(p), least)
    series = math.log(float(hyp2f1(a, 0.5, a + 1, rest)))
    return max(a * math.log(rest) - math.log(a) - float(betaln(a, 0.5)) + series, least)


def fisher_log_p(log_p: list[float]) -> float:
    """Fisher's combination of independent p-values, natural logs in and out.

    The sum ``x`` of their negative logs has under the null a Gamma(L) distribution,
    whose tail is ``exp(-x) * sum_{k < L} x^k / k!``.
    """
    from scipy.special import gammaln, logsumexp

    x = -sum(log_p)
    if x <= 0:
        return 0.0
    k = np.arange(len(log_p))
    return min(0.0, float(logsumexp(k * math.log(x) - gammaln(k + 1)) - x))


def _shapes(layer: HiddenLayer) -> tuple[tuple[int, ...], ...]:
    return (layer.up.shape, layer.gate.shape if layer.gate is not None else ())


def _match_layer(first: HiddenLayer, second: HiddenLayer, place: int) -> tuple[float, float, int]:
    units, inputs = first.up.shape
    rng = np.random.default_rng([place, units, inputs])
    alive, others = _alive(first), _alive(second)
    if min(len(alive), len(others)) < MIN_UNITS:
        return 0.0, 0.0, 0
    chosen = np.sort(rng.choice(alive, min(len(alive), len(others), MAX_MATCHED), replace=False))
    order = others[_assign(_together(first)[chosen], _together(second)[others], rng)]
    one, two = np.array_split(rng.permutation(inputs), 2)
    gates = (first.up, second.up) if first.gate is None or second.gate is None else (first.gate, second.gate)
    # Centred: inputs all lean one way in some models, and then both halves would see the same lean.
    by_gate = _assign(_rows(gates[0][chosen][:, one], True), _rows(gates[1][others][:, one], True), rng)
    by_up = _assign(_rows(first.up[chosen][:, two], True), _rows(second.up[others][:, two], True), rng)
    return spearman_log_p(chosen, order), spearman_log_p(by_gate, by_up), len(chosen)


def _alive(layer: HiddenLayer) -> Ints:
    """Units with a weight; pruned ones would be matched to each other, and lie together in many models."""
    alive = np.abs(layer.up).max(axis=1) > 0
    if layer.gate is not None:
        alive &= np.abs(layer.gate).max(axis=1) > 0
    return np.flatnonzero(alive)


def _together(layer: HiddenLayer) -> Floats:
    parts = [layer.up] if layer.gate is None else [layer.gate, layer.up]
    return np.hstack([_rows(part) for part in parts])


def _rows(matrix: Floats, centred: bool = False) -> Floats:
    rows = np.asarray(matrix, dtype=np.float32)
    if centred:
        rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: Floats = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return directions


def _assign(first: Floats, second: Floats, rng: np.random.Generator) -> Ints:
    from scipy.optimize import linear_sum_assignment

    # Shuffled, so that ties are not resolved in the order of the units.
    shuffled = rng.permutation(len(second))
    _, columns = linear_sum_assignment(first @ second[shuffled].T, maximize=True)
    matched: Ints = shuffled[columns]
    return matched
