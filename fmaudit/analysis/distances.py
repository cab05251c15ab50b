"""How much further from its ideal a number is after adaptation, with what it may not travel without.

Made from plain paired changes: of the two numbers, and of the adapted one and the base's mirror
image (:mod:`fmaudit.statistics.distances`). A missing answer counts as it hurts most in each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from fmaudit import statistics
from fmaudit.analysis import pairs
from fmaudit.analysis.decisive import decisive_change, decisive_rate
from fmaudit.analysis.gaps import gap_comparison
from fmaudit.analysis.numbers import DRAWS, ItemValues, Settings, estimate, item_values
from fmaudit.analysis.sequences import (
    NO_STATISTIC,
    Units,
    sequence_of_change,
    sequence_of_level,
    without_sequence,
)
from fmaudit.analysis.tables import Answers
from fmaudit.probe import Contrast, Gap, Mean, Measure, Metric, Rate, Statistic
from fmaudit.statistics.distances import Ends, distance_ends, distance_p, sides_ends

Fields: TypeAlias = dict[str, Any]
FieldsAt: TypeAlias = Callable[[float], Fields]
CONTRAST_IDEAL = 0.0
"""Where a contrast of a metric with a target ought to be: both groups alike."""
_NO_INTERVAL = "a part of the distance has no interval"


@dataclass(frozen=True)
class Form:
    """Which limits the parts of a distance get, from their fields, values and rows at a level.

    ``no_statistic``: why a statistic of all items has none; empty where it keeps its own.
    """

    change: Callable[[Fields, ItemValues, ItemValues, Answers, float], Fields]
    level: Callable[[Fields, ItemValues, Answers, float], Fields]
    no_statistic: str = ""


PRINTED = Form(lambda fields, *_: fields, lambda fields, *_: fields)
"""The estimators' own limits, as audit.json holds them."""
DECISIVE = Form(lambda fields, *_: decisive_change(fields), lambda fields, *_: decisive_rate(fields))
"""Limits of a rate that are fit to decide on."""


def sequential(units: Units | None) -> Form:
    """Limits that hold at every look while a run grows."""
    return Form(
        lambda fields, base, adapted, rows, level: sequence_of_change(
            fields, base, adapted, rows, units, level
        ),
        lambda fields, found, rows, level: sequence_of_level(fields, found, rows, units, level),
        NO_STATISTIC,
    )


@dataclass(frozen=True)
class Parts:
    """Fields of the numbers that a change of distance is made of, at any level.

    ``difference``: of p_A - p_B; ``total``: of p_A - ideal + p_B - ideal; ``base``: of p_B - ideal.
    """

    difference: FieldsAt
    total: FieldsAt
    base: FieldsAt


def target_of(metric: Metric) -> float | None:
    """The ideal of a metric that can be missed on either side; None of any other."""
    return metric.ideal if metric.direction == "target" else None


def change_of_distance(
    metric: Metric,
    pair: pairs.Pair,
    measures: Sequence[Measure],
    settings: Settings,
    form: Form = PRINTED,
) -> Fields | None:
    """The fields of a :class:`fmaudit.schema.Distance`; None where the metric has no target."""
    ideal = target_of(metric)
    if ideal is None:
        return None
    if isinstance(metric, Statistic | Gap):
        about = (ideal, pair, measures, settings.seed)
        parts = _of_gap(metric, *about) if isinstance(metric, Gap) else _of_statistic(metric, *about)
        found = _combined(parts, ideal, settings.level)
        return without_sequence(found, form.no_statistic) if form.no_statistic else found
    if isinstance(metric, Mean) and form is DECISIVE:
        form = PRINTED
    parts = _of_items(metric, ideal, pair, measures, settings.seed, form)
    return _combined(parts, ideal, settings.level)


def distance_of_contrast(
    entry: Contrast, metric: Metric, pair: pairs.Pair, measures: Sequence[Measure], settings: Settings
) -> Fields | None:
    """The same of a contrast, whose ideal is 0; None where the metric has no target."""
    if target_of(metric) is None:
        return None
    base, adapted, within = pairs.contrast_items(entry, metric, pair, measures)
    turned = _mirrored(base, _centre(base, adapted, CONTRAST_IDEAL))
    at = _settings(settings.seed)
    # The mirror's centre is in both groups and cancels.
    parts = Parts(
        lambda level: pairs.contrast_of_items(entry, base, adapted, within, at(level)),
        lambda level: pairs.contrast_of_items(entry, turned, adapted, within, at(level)),
        lambda level: pairs.contrast(entry, metric, pair.base, measures, at(level)),
    )
    return _combined(parts, CONTRAST_IDEAL, settings.level)


def _settings(seed: int) -> Callable[[float], Settings]:
    return lambda level: Settings(level, seed)


def _of_items(
    metric: Rate | Mean, ideal: float, pair: pairs.Pair, measures: Sequence[Measure], seed: int, form: Form
) -> Parts:
    base, adapted = item_values(metric, pair.base, measures), item_values(metric, pair.adapted, measures)
    twice = _centre(base, adapted, ideal)
    turned, at = _mirrored(base, twice), _settings(seed)

    def change(before: ItemValues, level: float) -> Fields:
        fields = pairs.change_of_items(metric, before, adapted, pair, at(level), mirrored=before is not base)
        return form.change(fields, before, adapted, pair.base, level)

    def total(level: float) -> Fields:
        fields = change(turned, level)
        if twice == 2 * ideal:
            return fields
        return _shifted(fields, twice - 2 * ideal) | {"p": _p_about(ideal, base, adapted, pair.base, seed)}

    def own(level: float) -> Fields:
        fields = estimate(metric, pair.base, measures, at(level))
        return _shifted(form.level(fields, base, pair.base, level), -ideal)

    return Parts(lambda level: change(base, level), total, own)


def _of_statistic(
    metric: Statistic, ideal: float, pair: pairs.Pair, measures: Sequence[Measure], seed: int
) -> Parts:
    at = _settings(seed)
    return Parts(
        lambda level: pairs.change_of_statistic(metric, pair, measures, at(level)),
        lambda level: pairs.change_of_statistic(metric, pair, measures, at(level), mirror=2 * ideal),
        lambda level: _shifted(estimate(metric, pair.base, measures, at(level)), -ideal),
    )


def _of_gap(metric: Gap, ideal: float, pair: pairs.Pair, measures: Sequence[Measure], seed: int) -> Parts:
    at = _settings(seed)
    # A signed difference of two groups is centred at 0; its mirror image is that of the complements.
    return Parts(
        lambda level: gap_comparison(metric, pair.base, pair.adapted, at(level)),
        lambda level: _shifted(
            gap_comparison(metric, pair.base, pair.adapted, at(level), mirrored=True), -2 * ideal
        ),
        lambda level: _shifted(estimate(metric, pair.base, measures, at(level)), -ideal),
    )


def _centre(base: ItemValues, adapted: ItemValues, ideal: float) -> float:
    """Twice the point that values are mirrored about: of their range, so that they stay in it."""
    low, high = base.limits
    if low is None or high is None or base.limits != adapted.limits:
        return 2 * ideal
    return low + high


def _mirrored(found: ItemValues, twice: float) -> ItemValues:
    low, high = found.limits
    return replace(
        found,
        values=twice - found.values,
        low=None if found.high is None else twice - found.high,
        high=None if found.low is None else twice - found.low,
        limits=(None if high is None else twice - high, None if low is None else twice - low),
    )


def _p_about(ideal: float, base: ItemValues, adapted: ItemValues, rows: Answers, seed: int) -> float | None:
    """Two-sided p-value of ``p_A = 2 ideal - p_B`` by sign flips."""
    both = base.valid & adapted.valid
    kept = rows.take(both)
    before, after = 2 * ideal - base.values[both], adapted.values[both]
    return statistics.mean_change(before, after, kept.weights, kept.clusters, draws=DRAWS, seed=seed).p


def _shifted(fields: Fields, by: float) -> Fields:
    ends = {name: None if fields[name] is None else fields[name] + by for name in ("value", "lower", "upper")}
    spans = {
        name: (fields[name][0] + by, fields[name][1] + by)
        for name in ("worst", "worst_interval")
        if fields.get(name) is not None
    }
    return fields | ends | spans


def _combined(parts: Parts, ideal: float, level: float) -> Fields:
    difference, total, base = cache(parts.difference), cache(parts.total), cache(parts.base)
    apart, both = difference(level), total(level)
    if apart["value"] is None or both["value"] is None:
        gone = {"value": None, "lower": None, "upper": None, "p": None, "ideal": ideal}
        return apart | gone | {"state": "unmeasured", "conclusive": False}
    away, before = (both["value"] + apart["value"]) / 2, (both["value"] - apart["value"]) / 2

    def ends(name: str) -> Ends | None:
        limits = _limits_of if name == "interval" else _worst_of
        return distance_ends(
            lambda at: limits(difference(at)),
            lambda at: limits(total(at)),
            lambda at: limits(base(at)),
            level,
        )

    def settled(at: float) -> bool:
        side = _limits_of(base(at))
        return side is not None and not side[0] <= 0 <= side[1]

    value, found, worst = abs(away) - abs(before), ends("interval"), ends("worst")
    weaker = apart if not apart["conclusive"] else both
    fields = apart | {
        "value": value,
        "lower": None if found is None else min(found[0], value),
        "upper": None if found is None else max(found[1], value),
        "p": None,
        "mde": (apart if away * before >= 0 else both)["mde"],
        "method": f"both sides of the ideal; {apart['method']}",
        "estimand": f"distance to {ideal:g}, {apart['estimand']}",
        "conclusive": apart["conclusive"] and both["conclusive"] and found is not None,
        "reason": weaker["reason"] or ("" if found else _NO_INTERVAL),
        "ideal": ideal,
        "base": abs(before),
        "adapted": abs(away),
        "worst": None,
        "worst_interval": None if worst is None else (min(worst[0], value), max(worst[1], value)),
    }
    if apart["p"] is not None and both["p"] is not None:
        fields["p"] = distance_p(value, apart["p"], both["p"], settled)
    if apart.get("worst") is not None and both.get("worst") is not None:
        fields["worst"] = sides_ends(apart["worst"], both["worst"])
    return fields


def _limits_of(fields: Fields) -> Ends | None:
    lower, upper = fields["lower"], fields["upper"]
    return None if lower is None or upper is None else (lower, upper)


def _worst_of(fields: Fields) -> Ends | None:
    span: Ends | None = fields.get("worst_interval")
    return span
