"""Intervals and tests for clustered, weighted and paired measurements.

Pure numpy and scipy: nothing here knows a probe, a model or a file. Every
estimator takes one value a row, optional weights and optional cluster labels,
and returns an :class:`Interval` that names its method and its estimand.
"""

from fmaudit.statistics.changes import mean_change, paired_table, rate_change
from fmaudit.statistics.contrasts import contrast
from fmaudit.statistics.design import Clusters, effective_clusters, kish
from fmaudit.statistics.functionals import statistic, statistic_change
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval, mde
from fmaudit.statistics.levels import mean, rate
from fmaudit.statistics.proportions import (
    clopper_pearson,
    exact_mcnemar,
    korn_graubard,
    square_and_add,
    tango,
    wilson,
)
from fmaudit.statistics.samples import bounds, reduce_samples, sample_coverage

__all__ = [
    "MIN_CLUSTERS",
    "Clusters",
    "Interval",
    "bounds",
    "clopper_pearson",
    "contrast",
    "effective_clusters",
    "exact_mcnemar",
    "kish",
    "korn_graubard",
    "mde",
    "mean",
    "mean_change",
    "paired_table",
    "rate",
    "rate_change",
    "reduce_samples",
    "sample_coverage",
    "square_and_add",
    "statistic",
    "statistic_change",
    "tango",
    "wilson",
]
