"""Changes of the distance to an ideal: errors at the limit, unchanged models, symmetry, p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fmaudit.statistics import distance_ends, rate_change, rate_distance_change
from fmaudit.statistics.proportions import tango, wilson

LIMIT = 0.05


def outcomes(rng, base, adapted, n, kept=0.6):
    """Paired 0/1 outcomes at two rates; ``kept``: share of the items where both rest on one draw."""
    own = rng.random(n)
    other = np.where(rng.random(n) < kept, own, rng.random(n))
    return (own < base).astype(float), (other < adapted).astype(float)


def ends_of_pairs(base, adapted, level):
    """The limits of :func:`rate_distance_change` to .5 of independent 0/1 pairs."""
    n, both = len(base), int((base * adapted).sum())
    lost, gained = int(base.sum()) - both, int(adapted.sum()) - both
    neither = n - both - lost - gained
    return distance_ends(
        lambda at: tango(gained, lost, n, at),
        lambda at: tango(both, neither, n, at),
        lambda at: tuple(end - 0.5 for end in wilson(int(base.sum()), n, at)),
        level,
    )


@pytest.mark.parametrize(
    ("base", "adapted"),
    [(0.5, 0.55), (0.5, 0.45), (0.52, 0.43), (0.6, 0.65), (0.3, 0.25), (0.3, 0.75), (0.55, 0.40)],
)
def test_a_change_at_the_limit_is_rarely_shown_to_keep_or_to_break_it(base, adapted):
    rng, sets = np.random.default_rng(11), 300
    ends = [ends_of_pairs(*outcomes(rng, base, adapted, 600), level=0.9) for _ in range(sets)]
    # Three Monte Carlo errors above 5 %.
    bound = 0.05 + 3 * (0.05 * 0.95 / sets) ** 0.5
    assert np.mean([upper <= LIMIT for _, upper in ends]) <= bound
    assert np.mean([lower > LIMIT for lower, _ in ends]) <= bound


def test_equal_distances_are_rarely_called_different():
    rng, sets = np.random.default_rng(4), 400
    found = [ends_of_pairs(*outcomes(rng, 0.45, 0.55, 500), level=0.95) for _ in range(sets)]
    assert np.mean([lower > 0 for lower, _ in found]) <= 0.05
    assert np.mean([upper < 0 for _, upper in found]) <= 0.05


@pytest.mark.parametrize(
    ("base", "adapted", "further"), [(0.3, 0.45, False), (0.5, 0.1, True), (0.3, 0.9, True)]
)
def test_an_improvement_keeps_the_limit_and_a_deterioration_to_either_side_breaks_it(base, adapted, further):
    found = rate_distance_change(*outcomes(np.random.default_rng(0), base, adapted, 1500), 0.5, level=0.9)
    assert found.lower <= found.value <= found.upper
    assert (found.lower > LIMIT) == further
    assert (found.upper <= LIMIT) != further


def test_an_unchanged_model_at_its_ideal_keeps_the_limit():
    # Its distance alone would be known to +- .04 only; its change is known exactly.
    base, _ = outcomes(np.random.default_rng(2), 0.5, 0.5, 1500)
    found = rate_distance_change(base, base, 0.5, level=0.9)
    assert found.value == 0
    assert found.upper <= LIMIT / 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.sampled_from([0.8, 0.9, 0.95]))
def test_both_sides_of_the_ideal_are_alike(seed, base, adapted, level):
    old, new = outcomes(np.random.default_rng(seed), base, adapted, 120)
    found, mirrored = (
        rate_distance_change(*sides, 0.5, level=level) for sides in ((old, new), (1 - old, 1 - new))
    )
    for name in ("value", "lower", "upper", "p"):
        assert getattr(found, name) == pytest.approx(getattr(mirrored, name), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_wider_confidence_gives_a_wider_interval(seed, base, adapted):
    old, new = outcomes(np.random.default_rng(seed), base, adapted, 90)
    narrow, wide = (ends_of_pairs(old, new, level) for level in (0.9, 0.98))
    assert wide[0] <= narrow[0] + 1e-12
    assert wide[1] >= narrow[1] - 1e-12


@settings(max_examples=60, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 2), st.floats(0.1, 2), st.floats(0.1, 2))
def test_the_limits_hold_the_true_change_wherever_all_parts_do(base, adapted, apart_se, both_se, base_se):
    def around(value, se):
        return lambda level: (value - norm.ppf((1 + level) / 2) * se, value + norm.ppf((1 + level) / 2) * se)

    lower, upper = distance_ends(
        around(adapted - base, apart_se), around(adapted + base, both_se), around(base, base_se), 0.9
    )
    assert lower <= abs(adapted) - abs(base) <= upper


def test_an_ideal_at_the_edge_gives_the_change_of_the_rate_itself():
    base, adapted = outcomes(np.random.default_rng(3), 0.2, 0.35, 400)
    found, plain = rate_distance_change(base, adapted, 0.0), rate_change(base, adapted)
    assert found.value == pytest.approx(plain.value)
    assert found.lower > 0
    assert found.p < 0.01
    with pytest.raises(ValueError, match=r"lies outside \[0, 1\]"):
        rate_distance_change(base, adapted, 1.5)


def test_p_value_and_limits_of_clustered_weighted_rates_agree():
    rng = np.random.default_rng(8)
    labels = np.repeat(np.arange(60), 10)
    weights = rng.uniform(0.5, 2.0, 600)
    lift = rng.normal(0, 0.15, 60)[labels]
    base, adapted = ((rng.random(600) < mean + lift).astype(float) for mean in (0.5, 0.75))
    found = rate_distance_change(base, adapted, 0.5, weights, {"document": labels}, level=0.95)
    assert "sign flips by cluster" in found.method
    assert found.clusters == {"document": 60}
    assert found.lower > 0
    assert found.p < 0.05
    assert found.estimand.startswith("distance to 0.5")


def test_without_rows_there_is_no_distance():
    found = rate_distance_change([], [], 0.5)
    assert (found.value, found.lower, found.p, found.conclusive) == (None, None, None, False)
