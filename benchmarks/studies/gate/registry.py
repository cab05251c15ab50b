"""The studies of the page, in its order. A new study adds its module here."""

from __future__ import annotations

from benchmarks.studies.gate import canaries, contrasts, gaps, mean_changes, means, rates, targets
from benchmarks.studies.gate.study import GateStudy

STUDIES: tuple[GateStudy, ...] = (
    rates.STUDY,
    means.STUDY,
    mean_changes.STUDY,
    contrasts.STUDY,
    gaps.STUDY,
    targets.STUDY,
    canaries.STUDY,
)
