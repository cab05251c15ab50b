"""What an adapted model got from its base: paired tables, agreement, copy fraction, retention, verdicts.

Pure numpy and scipy: arrays in, frozen results out. Nothing here knows a model,
a probe or a file.
"""

from fmaudit.inheritance.agreement import Capa, capa, error_consistency
from fmaudit.inheritance.copy_fraction import CopyFraction, carries_inheritance, copy_fraction, copy_fractions
from fmaudit.inheritance.effect import EffectRetention, Triggered, effect_retention
from fmaudit.inheritance.group_homogenization import failure_histogram, group_homogenization
from fmaudit.inheritance.homogenization import homogenization, homogenization_with_control
from fmaudit.inheritance.profile import ProfileInheritance, profile_inheritance
from fmaudit.inheritance.references import (
    MIN_LINEAGES,
    Candidate,
    Selection,
    comparable_references,
    match_rate,
)
from fmaudit.inheritance.retention import Retention, retention
from fmaudit.inheritance.severity import Scored, SeverityChange, severity_change
from fmaudit.inheritance.slopes import slope
from fmaudit.inheritance.tables import PairStatistics, pair_statistics
from fmaudit.inheritance.verdicts import Case, Decision, Limits, decide
from fmaudit.statistics import paired_table

__all__ = [
    "MIN_LINEAGES",
    "Candidate",
    "Capa",
    "Case",
    "CopyFraction",
    "Decision",
    "EffectRetention",
    "Limits",
    "PairStatistics",
    "ProfileInheritance",
    "Retention",
    "Scored",
    "Selection",
    "SeverityChange",
    "Triggered",
    "capa",
    "carries_inheritance",
    "comparable_references",
    "copy_fraction",
    "copy_fractions",
    "decide",
    "effect_retention",
    "error_consistency",
    "failure_histogram",
    "group_homogenization",
    "homogenization",
    "homogenization_with_control",
    "match_rate",
    "pair_statistics",
    "paired_table",
    "profile_inheritance",
    "retention",
    "severity_change",
    "slope",
]
