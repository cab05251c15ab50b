"""Weighted means, and differences of them, as functions of unit totals.

A unit is what is drawn independently: a row, or all rows of a cluster. Both a
mean and the difference of two group means are signed sums of ratios of totals,
so one jackknife and one bootstrap serve them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fmaudit.statistics.design import Bools, Design, Floats, Ints
from fmaudit.statistics.proportions import critical
from fmaudit.statistics.resampling import bootstrap_counts, chunks, resampled_weights

STUDENTIZED_FROM = 10
"""Effective units that vary, from which a bootstrap-t is trusted over a t interval."""
_UNBOUNDED = 1e4
_TAIL_DRAWS = 5
"""Draws a tail must hold for its quantile to be read off them."""
_TABLE_FILL = 4
"""Cells a table of two crossed factors may have for every row."""


@dataclass(frozen=True)
class Terms:
    """Signed weighted means over the rows of a design.

    Attributes:
        products: Weight times value, shape (n, groups), 0 outside the group.
        weights: Weight, shape (n, groups), 0 outside the group.
        signs: +1 or -1 a group.
    """

    products: Floats
    weights: Floats
    signs: Floats

    def value(self) -> float:
        """The signed sum of weighted means."""
        return float(self.products.sum(axis=0) / self.weights.sum(axis=0) @ self.signs)

    def totals(self, codes: Ints, units: int) -> Terms:
        """The same terms with rows summed into units."""
        groups = range(len(self.signs))
        return Terms(
            np.column_stack([np.bincount(codes, self.products[:, g], units) for g in groups]),
            np.column_stack([np.bincount(codes, self.weights[:, g], units) for g in groups]),
            self.signs,
        )

    def centred(self) -> Terms:
        """The same terms around each group's mean, so that sums of squares keep their digits."""
        means = self.products.sum(axis=0) / self.weights.sum(axis=0)
        return Terms(self.products - means * self.weights, self.weights, self.signs)


def mean_terms(rows: Design, values: Floats) -> Terms:
    """The weighted mean of ``values``."""
    return Terms((rows.weights * values)[:, None], rows.weights[:, None], np.ones(1))


def contrast_terms(rows: Design, values: Floats, plus: Bools) -> Terms:
    """The weighted mean where ``plus`` holds minus the one where it does not."""
    weights = rows.weights[:, None] * np.column_stack([plus, ~plus])
    return Terms(weights * values[:, None], weights, np.array([1.0, -1.0]))


def influence(terms: Terms) -> Floats:
    """Each unit's first-order share in the deviation from the value; sums to 0."""
    shares: Floats = terms.centred().products / terms.weights.sum(axis=0) @ terms.signs
    return shares


def jackknife_variance(terms: Terms) -> float:
    """Delete-one-unit variance; NaN when a group cannot lose a unit or there is only one unit."""
    units = len(terms.products)
    if units < 2:
        return float("nan")
    centred = terms.centred()
    remaining = terms.weights.sum(axis=0) - terms.weights
    if (remaining <= 1e-12 * terms.weights.sum(axis=0)).any():
        return float("nan")
    moved = (centred.products.sum(axis=0) - centred.products) / remaining @ terms.signs
    variance = float((units - 1) / units * (moved**2).sum())
    scale = np.abs(terms.products).sum(axis=0) / terms.weights.sum(axis=0)
    return 0.0 if variance <= (1e-12 * scale.max()) ** 2 else variance


def variance_freedom(terms: Terms) -> float:
    """Degrees of freedom of the variance between units, from how unevenly they share in it.

    ``2 V^2 / var(V)`` with ``V`` the sum of squared shares, moments taken from the
    units (Satterthwaite 1946; Valliant and Rust 2010). A rare event in three
    clusters gives a handful, however many clusters there are. Infinite where all share alike.
    """
    squares = influence(terms) ** 2
    total = float(squares.sum())
    if not total > 0:
        return math.inf
    scaled = squares / total
    uneven = float((scaled**2).sum()) - 1 / len(scaled)
    return 2 / uneven if uneven > 1e-12 else math.inf


def studentized_limits(drawn: Floats, level: float, df: float) -> tuple[float, float]:
    """Quantiles of bootstrap draws of ``(value* - value) / se*``.

    Tails too small for the number of draws (simultaneous intervals) continue in
    the proportions of Student's t with ``df`` degrees of freedom. Infinite where
    too many draws have no variation.
    """
    t = np.clip(drawn, -_UNBOUNDED, _UNBOUNDED)
    tail = (1 - level) / 2
    resolved = min(max(tail, _TAIL_DRAWS / max(len(t), 1)), max(tail, 0.025))
    low, high = np.quantile(t, [resolved, 1 - resolved], method="median_unbiased")
    if max(abs(low), abs(high)) > _UNBOUNDED / 10:
        return -math.inf, math.inf
    stretch = critical(level, df) / critical(1 - 2 * resolved, df) if resolved > tail else 1.0
    return float(low) * stretch, float(high) * stretch


def studentized_draws(terms: Terms, draws: int, seed: int) -> Floats:
    """Bootstrap draws of the studentized deviation; draws without variation are infinite or 0."""
    centred = terms.centred()
    s, w, sign = centred.products, centred.weights, centred.signs
    units, groups = s.shape
    pairs = [(g, h) for g in range(groups) for h in range(groups)]
    columns = [x[:, g] * y[:, h] for g, h in pairs for x, y in ((s, s), (w, s), (s, w), (w, w))]
    stacked = np.column_stack([s, w, *columns])
    rng = np.random.default_rng([seed, 0])
    parts = []
    for portion in chunks(draws, units):
        sums = bootstrap_counts(rng, portion, units) @ stacked
        with np.errstate(divide="ignore", invalid="ignore"):
            total = sums[:, groups : 2 * groups]
            ratio = sums[:, :groups] / total
            variance = np.zeros(portion)
            for place, (g, h) in enumerate(pairs):
                ss, ws, sw, ww = sums[:, 2 * groups + 4 * place :][:, :4].T
                square = ss - ratio[:, g] * ws - ratio[:, h] * sw + ratio[:, g] * ratio[:, h] * ww
                variance += sign[g] * sign[h] * square / (total[:, g] * total[:, h])
            deviation = ratio @ sign
            se = np.sqrt(np.maximum(variance, 0.0) * units / (units - 1))
            parts.append(np.where(np.abs(deviation) <= 1e-12 * se.max(), 0.0, deviation / se))
    t: Floats = np.concatenate(parts)
    return t[~np.isnan(t)]


def crossed_error(rows: Design, terms: Terms, draws: int, seed: int) -> tuple[float, float]:
    """Standard error under crossed factors, with its degrees of freedom.

    Independent bootstrap counts of every factor are multiplied (Owen and Eckles
    2012). The variance of each factor alone gives Satterthwaite's degrees of
    freedom and the correction for its number of levels.

    Returns:
        Standard error (NaN where undefined) and degrees of freedom, at least 1.
    """
    centred = terms.centred()
    relative_weights = centred.weights / rows.weights[:, None]
    relative_products = centred.products / rows.weights[:, None]
    parts = []
    for products, weights in _crossed_sums(rows, relative_products, relative_weights, draws, seed):
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(products / weights @ terms.signs)
    values = np.concatenate(parts)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return float("nan"), 1.0
    single = np.array([_one_way_variance(rows, terms, f) for f in rows.active])
    freedom = np.array([max(rows.effective[f] - 1, 1.0) for f in rows.active])
    if not single.sum() > 0:
        return float(values.std(ddof=1)), float(freedom.min())
    inflation = float(single @ (1 + 1 / freedom) / single.sum())
    df = float(single.sum() ** 2 / (single**2 / freedom).sum())
    return float(values.std(ddof=1)) * inflation**0.5, max(df, 1.0)


def _crossed_sums(
    rows: Design, products: Floats, weights: Floats, draws: int, seed: int
) -> Iterator[tuple[Floats, Floats]]:
    """Resampled group totals, in portions of shape (portion, groups)."""
    columns, groups = np.hstack([products, weights]), products.shape[1]
    first, second = rows.active[0], rows.active[-1]
    shape = (rows.levels[first], rows.levels[second])
    if len(rows.active) != 2 or shape[0] * shape[1] > _TABLE_FILL * rows.n:
        for drawn in resampled_weights(rows, draws, seed):
            sums = drawn @ columns
            yield sums[:, :groups], sums[:, groups:]
        return
    # Two factors make a table: its sums need no weight for every row.
    cell = rows.codes[first] * shape[1] + rows.codes[second]
    cells = shape[0] * shape[1]
    table = [np.bincount(cell, rows.weights * column, cells).reshape(shape) for column in columns.T]
    rngs = [np.random.default_rng([seed, place]) for place in range(2)]
    for portion in chunks(draws, sum(shape)):
        by_first = bootstrap_counts(rngs[0], portion, shape[0])
        by_second = bootstrap_counts(rngs[1], portion, shape[1])
        sums = np.column_stack([((by_first @ t) * by_second).sum(axis=1) for t in table])
        yield sums[:, :groups], sums[:, groups:]


def _one_way_variance(rows: Design, terms: Terms, factor: str) -> float:
    totals = terms.totals(rows.codes[factor], rows.levels[factor])
    return float((influence(totals) ** 2).sum())


@dataclass(frozen=True)
class Spread:
    """Limits of a signed sum of means: None where the rows do not give them."""

    lower: float | None
    upper: float | None
    se: float | None
    method: str
    resampled: bool
    moving: int
    """Units whose removal would move the value."""


def spread(rows: Design, terms: Terms, level: float, draws: int, seed: int) -> Spread:
    """Interval of the value of ``terms`` under the design's factors."""
    return spread_at(rows, terms, draws, seed)(level)


def spread_at(rows: Design, terms: Terms, draws: int, seed: int) -> Callable[[float], Spread]:
    """As :func:`spread` at any level, all from the same draws."""
    value = terms.value()
    if len(rows.active) > 1:
        se, df = crossed_error(rows, terms, draws, seed)
        moving = min(moving_units(terms.totals(rows.codes[f], rows.levels[f])) for f in rows.active)
        method = "crossed-factor bootstrap error, t interval"
        return lambda level: _symmetric(value, se, df, level, method, True, moving)
    codes, units = rows.units()
    totals = terms.totals(codes, units)
    se, moving = jackknife_variance(totals) ** 0.5, moving_units(totals)
    unit = "cluster" if rows.active else "item"
    effective = _scarcest(rows, terms)
    studentized = se > 0 and min(moving, effective) >= STUDENTIZED_FROM
    drawn = studentized_draws(totals, draws, seed) if studentized else np.empty(0)

    def at(level: float) -> Spread:
        if studentized:
            low, high = studentized_limits(drawn, level, effective - 1)
            if np.isfinite([low, high]).all():
                lower, upper = min(value - high * se, value), max(value - low * se, value)
                return Spread(lower, upper, se, f"{unit} bootstrap-t", True, moving)
        method = f"{unit} jackknife error, t interval"
        return _symmetric(value, se, effective - 1, level, method, False, moving)

    return at


def _scarcest(rows: Design, terms: Terms) -> float:
    codes, units = rows.units()
    totals = terms.totals(codes, units).weights
    return float((totals.sum(axis=0) ** 2 / (totals**2).sum(axis=0)).min())


def moving_units(totals: Terms) -> int:
    """Units whose removal would move the value."""
    shares = np.abs(influence(totals))
    return int((shares > 1e-9 * shares.max(initial=0.0)).sum()) if shares.max(initial=0.0) > 1e-14 else 0


def _symmetric(
    value: float, se: float, df: float, level: float, method: str, resampled: bool, moving: int
) -> Spread:
    if np.isnan(se):
        return Spread(None, None, None, method, resampled, moving)
    half = critical(level, df) * se
    return Spread(value - half, value + half, se, method, resampled, moving)
