"""A statistic as a function of row weights: on the answers at hand and with the missing counted both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from fmaudit.analysis.tables import Answers
from fmaudit.errors import ProbeError
from fmaudit.probe import Binary, Measure, Real, Statistic

OfWeights: TypeAlias = Callable[[np.ndarray], float]
"""Takes resampled row weights of shape (n,); NaN where the statistic is undefined under them."""


def bind(metric: Statistic, answers: Answers) -> OfWeights:
    """The statistic as a function of the resampled weights alone, NaN where it divides by zero.

    Raises ProbeError when the probe's function fails in any other way.
    """
    table = answers.table()
    return _guarded(metric, lambda weight: metric.fn(replace(table, weight=weight)))


def bind_ends(
    metric: Statistic, answers: Answers, measures: Sequence[Measure]
) -> tuple[OfWeights, OfWeights] | None:
    """Least and greatest value that the missing answers leave, as functions of the weights.

    None where the statistic does not say how they move it, or a measure has no bounds for them.
    """
    low, high = (_filled(metric, answers, measures, least=least) for least in (True, False))
    if metric.ends is None or low is None or high is None:
        return None
    ends, first, last = metric.ends, low.table(), high.table()

    def end(which: int) -> OfWeights:
        return _guarded(
            metric, lambda weight: ends(replace(first, weight=weight), replace(last, weight=weight))[which]
        )

    return end(0), end(1)


def _guarded(metric: Statistic, of_weights: OfWeights) -> OfWeights:
    def value(weight: np.ndarray) -> float:
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                return float(of_weights(weight))
        except ZeroDivisionError:
            return float("nan")
        except Exception as error:
            raise ProbeError(
                f"metric {metric.id} could not be computed ({type(error).__name__}): "
                "report it to the probe's author"
            ) from error

    return value


def _filled(
    metric: Statistic, answers: Answers, measures: Sequence[Measure], *, least: bool
) -> Answers | None:
    known = {measure.id: measure for measure in measures}
    numeric = dict(answers.numeric)
    for name in metric.needs:
        if name not in numeric:
            if (answers.text[name] == "").any():
                return None
            continue
        matrix = numeric[name]
        missing = np.isnan(matrix)
        if not missing.any():
            continue
        limits = _limits(known.get(name), matrix)
        if limits is None:
            return None
        numeric[name] = np.where(missing, limits[0] if least else limits[1], matrix)
    return replace(answers, numeric=numeric)


def _limits(measure: Measure | None, matrix: np.ndarray) -> tuple[float, float] | None:
    """The measure's declared range; None without one, or where an answer breaks it."""
    if isinstance(measure, Binary):
        return 0.0, 1.0
    bounds = honest_bounds(measure, matrix) if isinstance(measure, Real) else (None, None)
    return None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1])


def honest_bounds(measure: Real, matrix: np.ndarray) -> tuple[float | None, float | None]:
    """The declared bounds; none where an observed value breaks them, as a missing one then could too."""
    seen = matrix[~np.isnan(matrix)]
    low, high = measure.low, measure.high
    if low is None or high is None or not len(seen):
        return low, high
    slack = 1e-6 * (high - low)
    return (low, high) if seen.min() >= low - slack and seen.max() <= high + slack else (None, None)
