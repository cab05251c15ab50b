"""Gaps between groups: the rows of a ``Gap`` for the estimators of pairs of groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fmaudit.analysis.numbers import (
    COMPLETE,
    DRAWS,
    Settings,
    bounds_of_complete,
    number_fields,
)
from fmaudit.analysis.tables import Answers, among_items, item_means
from fmaudit.errors import ProbeError
from fmaudit.probe import Gap
from fmaudit.statistics.gaps import GapResult, GroupRates, gap, gap_change


def gap_estimate(metric: Gap, answers: Answers, settings: Settings) -> dict[str, Any]:
    """The fields of an estimate of ``metric`` on ``answers``."""
    rates, counted = group_rates(metric, answers)
    found = gap(
        rates, group_columns(metric, answers), answers.weights, answers.clusters,
        signed=metric.signed, level=settings.level, draws=DRAWS, seed=settings.seed,
    )  # fmt: skip
    coverage = _coverage(~np.isnan(rates.values), counted, answers.weights)
    return _fields(found, answers.samples, coverage)


def gap_comparison(
    metric: Gap, base: Answers, adapted: Answers, settings: Settings, *, mirrored: bool = False
) -> dict[str, Any]:
    """The fields of a comparison of ``metric`` on items in one order, without a table.

    ``mirrored``: from the mirror image of the base's signed difference, that of its complements.
    """
    (old, before), (new, after) = group_rates(metric, base), group_rates(metric, adapted)
    both = ~np.isnan(old.values) & ~np.isnan(new.values)
    same = bool((before == after).all())
    if same:
        # A change is paired: what one of the two left unanswered is left out of both.
        old, new = (replace(side, values=np.where(both, side.values, np.nan)) for side in (old, new))
    if mirrored:
        old = old.complements()
    found = gap_change(
        old, new, group_columns(metric, base), base.weights, base.clusters,
        signed=metric.signed, level=settings.level, draws=DRAWS, seed=settings.seed,
    )  # fmt: skip
    covers = [
        _coverage(~np.isnan(side.values), mask, base.weights) for side, mask in ((old, before), (new, after))
    ]
    fields = _fields(found, base.samples, min(covers))
    fields["base_value"], fields["adapted_value"] = found.values or (None, None)
    return fields


def group_columns(metric: Gap, answers: Answers) -> dict[str, np.ndarray]:
    """The slice columns that hold groups."""
    return {name: levels for name, levels in answers.slices.items() if name.startswith(metric.columns)}


def group_rates(metric: Gap, answers: Answers) -> tuple[GroupRates, np.ndarray]:
    """Values by item with the missing counted both ways, and the items that count or could."""
    if metric.of not in answers.numeric:
        raise ProbeError(f"metric {metric.id} is of measure {metric.of!r}, which its probe does not declare")
    counted = among_items(metric.among, answers)
    known = among_items(metric.among, answers, certain=True)
    matrix = answers.numeric[metric.of]
    values = np.where(known, item_means(matrix), np.nan)
    low, high = (
        np.where(counted, item_means(np.where(np.isnan(matrix) | ~known[:, None], end, matrix)), np.nan)
        for end in (0.0, 1.0)
    )
    return GroupRates(values, low, high), counted


def _coverage(answered: np.ndarray, counted: np.ndarray, weights: np.ndarray) -> float:
    total = weights[counted].sum()
    return float(weights[answered & counted].sum() / total) if total > 0 else 0.0


def _fields(found: GapResult, samples: int, coverage: float) -> dict[str, Any]:
    fields = number_fields(found.interval, samples, coverage)
    if found.worst is None:
        return fields
    if coverage >= COMPLETE:
        return fields | bounds_of_complete(fields)
    low, high, lower, upper = found.worst
    return fields | {"worst": (low, high), "worst_interval": (lower, upper)}
