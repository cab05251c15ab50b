"""Bootstrap of a ratio of covariances over clusters, the references held fixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fmaudit.statistics.changes import unit_sums
from fmaudit.statistics.design import Design, Floats
from fmaudit.statistics.proportions import critical
from fmaudit.statistics.resampling import bootstrap_counts, chunks, resampled_weights

_STUDENTIZED_FROM = 10
_DEGENERATE_SHARE = 0.005
# What is left of a standard error of 0 after sums of products are subtracted from each other.
_NO_ERROR = 1e-3
# Sums of Parts.features, and those of them that the linearized ratio weighs.
_SUMS, _WEIGHED = 7, 6


@dataclass(frozen=True)
class Parts:
    """Rows of the ratio ``C(b, x) / C(b, z)``, each of shape (n,), C the covariance.

    Attributes:
        b: The base's replicate that shares no draws with the other columns, or its only run.
        x: Child minus mean reference.
        z: The base's other replicate, or its only run, minus mean reference.
    """

    b: Floats
    x: Floats
    z: Floats

    def features(self) -> Floats:
        """Columns whose weighted sums give the ratio: shape (n, 7)."""
        b, x, z = self.b, self.x, self.z
        return np.column_stack([b * x, b * z, b, x, z, np.ones(len(b)), b * b])

    def centred(self, w: Floats) -> Parts:
        """The same around weighted means, so that products keep their digits."""
        total = w.sum()
        return Parts(*(v - w @ v / total for v in (self.b, self.x, self.z)))


@dataclass(frozen=True)
class Limits:
    """Conditional interval of the ratio.

    Attributes:
        value: The ratio.
        lower: Lower limit.
        upper: Upper limit.
        separation: Lower limit of ``s_self - s_ref``, the denominator on the slope scale.
        method: How the limits were computed.
    """

    value: float
    lower: float
    upper: float
    separation: float
    method: str


@dataclass(frozen=True)
class _Ratio:
    """The ratio of one or many sets of sums, with the weights of each sum in its linearization."""

    value: Floats
    denominator: Floats
    separation: Floats
    coefficients: Floats


def _ratio(sums: Floats) -> _Ratio:
    """Ratio for sums of :meth:`Parts.features`, shape (..., 7)."""
    total = sums[..., 5]
    with np.errstate(divide="ignore", invalid="ignore"):
        bx, bz, b, x, z, _, bb = (sums[..., place] / total for place in range(_SUMS))
        denominator = bz - b * z
        value = (bx - b * x) / denominator
        separation = denominator / (bb - b * b)
        one = np.ones_like(value)
        residual = x - value * z
        columns = [one, -value, -residual, -b, value * b, b * residual]
    return _Ratio(value, denominator * total, separation, np.stack(columns, axis=-1))


def ratio_limits(rows: Design, parts: Parts, level: float, draws: int, seed: int) -> Limits:
    """Bootstrap interval of the ratio, by drawing rows, clusters or several crossed factors.

    One factor or none: bootstrap-t on the linearized standard error. Where all but
    all of the variance comes from fewer than 10 clusters, as with a child that
    differs from its base on a few items, draws without any of these have no error
    to divide by; that error then has the tails of a Poisson count of as many
    events, or of t where those are longer. Crossed factors:
    the draws' own standard deviation with a t interval on Satterthwaite's degrees
    of freedom, as for rates.
    """
    features = parts.centred(rows.weights).features()
    whole = _ratio(rows.weights @ features)
    shares = rows.weights * (features[:, :_WEIGHED] @ whole.coefficients) / whole.denominator
    if len(rows.active) > 1:
        return _crossed(rows, features, shares, level, draws, seed)
    codes, units = rows.units()
    totals = np.column_stack([unit_sums(codes, rows.weights * f, units) for f in features.T])
    influence = unit_sums(codes, shares, units)
    se = float((influence**2).sum() * units / max(units - 1, 1)) ** 0.5
    t, separation = _studentized(totals, se, draws, seed)
    tail, value = (1 - level) / 2, float(whole.value)
    apart = float(np.quantile(separation, tail, method="median_unbiased"))
    unit = "cluster" if rows.active else "item"
    moving = _moving_units(influence) if se > 1e-12 else 0.0
    usable = np.isfinite(t)
    if moving >= _STUDENTIZED_FROM and (~usable).mean() <= _DEGENERATE_SHARE:
        low, high = np.quantile(t[usable], [tail, 1 - tail], method="median_unbiased")
        lower, upper = min(value - float(high) * se, value), max(value - float(low) * se, value)
        return Limits(value, lower, upper, apart, f"{unit} bootstrap-t")
    half = max(critical(level, max(rows.effective_units() - 1, 1.0)), _few_events(moving, tail)) * se
    return Limits(value, value - half, value + half, apart, f"{unit} linearized error, few clusters move it")


def _moving_units(influence: Floats) -> float:
    """How many equal clusters would have this variance of the squared influences: (sum q)^2 / sum q^2."""
    squares = influence**2
    return float(squares.sum() ** 2 / (squares**2).sum())


def _few_events(count: float, tail: float) -> float:
    """Distance of the exact upper limit of a Poisson count from the count, in its standard errors."""
    from scipy.stats import gamma

    return float((gamma.ppf(1 - tail, count + 1) - count) / count**0.5) if count > 0 else 0.0


def _studentized(totals: Floats, error: float, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Draws of the studentized ratio and of the separation.

    A studentized draw is NaN where its denominator is not positive, or its standard error is nothing
    beside ``error``, that of the data.
    """
    first, second = np.triu_indices(_WEIGHED)
    twice = np.where(first == second, 1.0, 2.0)
    whole = float(_ratio(totals.sum(axis=0)).value)
    columns = totals[:, :_WEIGHED]
    stacked = np.column_stack([totals, columns[:, first] * columns[:, second]])
    units, ts, separations = len(totals), [], []
    for sums in _drawn_sums(stacked, draws, seed):
        ratio = _ratio(sums[:, :_SUMS])
        c = ratio.coefficients
        square = np.einsum("dk,dk,dk->d", c[:, first] * twice, c[:, second], sums[:, _SUMS:])
        with np.errstate(divide="ignore", invalid="ignore"):
            se = np.sqrt(np.maximum(square, 0.0) * units / max(units - 1, 1)) / ratio.denominator
            usable = (ratio.denominator > 0) & (se > _NO_ERROR * error)
            t = np.where(usable, (ratio.value - whole) / se, np.nan)
        ts.append(t)
        separations.append(np.where(np.isfinite(ratio.separation), ratio.separation, -np.inf))
    return np.concatenate(ts), np.concatenate(separations)


def _drawn_sums(stacked: Floats, draws: int, seed: int) -> Iterator[Floats]:
    """Sums over drawn units, in portions of shape (portion, columns).

    Units are put in the order of their totals, so that neither the order of rows
    nor the names of clusters matter. Equal units are drawn together.
    """
    rng = np.random.default_rng([seed, 0])
    # Rounded, because totals that are equal on paper differ in the last digit with the order of rows.
    keys = np.round(stacked / np.maximum(np.abs(stacked).max(axis=0), 1e-300), 9)
    order = np.lexsort(keys.T)
    ordered, keys = stacked[order], keys[order]
    fresh = np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)])
    sizes = np.diff(np.append(np.flatnonzero(fresh), len(ordered)))
    if len(sizes) * 4 <= len(ordered):
        for portion in chunks(draws, len(sizes)):
            counts = rng.multinomial(len(ordered), sizes / len(ordered), size=portion)
            yield counts.astype(float) @ ordered[fresh]
        return
    for portion in chunks(draws, len(ordered)):
        yield bootstrap_counts(rng, portion, len(ordered)) @ ordered


def _crossed(rows: Design, features: Floats, shares: Floats, level: float, draws: int, seed: int) -> Limits:
    parts = [_ratio(weights @ features) for weights in resampled_weights(rows, draws, seed)]
    values = np.concatenate([p.value for p in parts])
    values = values[np.concatenate([p.denominator for p in parts]) > 0]
    separation = np.concatenate([p.separation for p in parts])
    separation = np.where(np.isfinite(separation), separation, -np.inf)
    apart = float(np.quantile(separation, (1 - level) / 2, method="median_unbiased"))
    value = float(_ratio(rows.weights @ features).value)
    single = np.array([(np.bincount(rows.codes[f], shares, rows.levels[f]) ** 2).sum() for f in rows.active])
    freedom = np.array([max(rows.effective[f] - 1, 1.0) for f in rows.active])
    df, inflation = float(freedom.min()), 1.0
    if single.sum() > 0:
        inflation = float(single @ (1 + 1 / freedom) / single.sum())
        df = max(float(single.sum() ** 2 / (single**2 / freedom).sum()), 1.0)
    se = float(values.std(ddof=1)) if len(values) > 1 else float("inf")
    half = critical(level, df) * se * inflation**0.5
    return Limits(value, value - half, value + half, apart, "crossed-factor bootstrap error, t interval")
