"""Intervals and tests for clustered, weighted and paired measurements.

Pure numpy and scipy: nothing here knows a probe, a model or a file. Every
estimator takes one value a row, optional weights and optional cluster labels,
and returns an :class:`Interval` that names its method and its estimand.
"""

from fmaudit.statistics.anytime import (
    change_sequence,
    cluster_totals,
    confidence_sequence,
    evidence_against_margin,
)
from fmaudit.statistics.changes import mean_change, paired_table, rate_change
from fmaudit.statistics.contrasts import contrast, contrast_of_changes
from fmaudit.statistics.design import Clusters, effective_clusters, kish
from fmaudit.statistics.distances import distance_change, distance_ends, rate_distance_change
from fmaudit.statistics.equivalence import Equivalence, equivalence, noninferiority
from fmaudit.statistics.functionals import statistic, statistic_change
from fmaudit.statistics.group_tests import FINEST
from fmaudit.statistics.interval import MIN_CLUSTERS, Interval, mde
from fmaudit.statistics.levels import mean, rate
from fmaudit.statistics.multiplicity import (
    benjamini_hochberg,
    claims_at_fdr,
    e_bh,
    false_coverage_level,
    holm,
    simultaneous_level,
)
from fmaudit.statistics.planning import (
    items_for_absence,
    items_for_change,
    items_for_equivalence,
    items_for_rate,
)
from fmaudit.statistics.proportions import (
    clopper_pearson,
    exact_mcnemar,
    korn_graubard,
    square_and_add,
    tango,
    wilson,
)
from fmaudit.statistics.samples import bounds, reduce_samples, sample_coverage, without_spares

__all__ = [
    "FINEST",
    "MIN_CLUSTERS",
    "Clusters",
    "Equivalence",
    "Interval",
    "benjamini_hochberg",
    "bounds",
    "change_sequence",
    "claims_at_fdr",
    "clopper_pearson",
    "cluster_totals",
    "confidence_sequence",
    "contrast",
    "contrast_of_changes",
    "distance_change",
    "distance_ends",
    "e_bh",
    "effective_clusters",
    "equivalence",
    "evidence_against_margin",
    "exact_mcnemar",
    "false_coverage_level",
    "holm",
    "items_for_absence",
    "items_for_change",
    "items_for_equivalence",
    "items_for_rate",
    "kish",
    "korn_graubard",
    "mde",
    "mean",
    "mean_change",
    "noninferiority",
    "paired_table",
    "rate",
    "rate_change",
    "rate_distance_change",
    "reduce_samples",
    "sample_coverage",
    "simultaneous_level",
    "square_and_add",
    "statistic",
    "statistic_change",
    "tango",
    "wilson",
    "without_spares",
]
