"""The studies of the page, in its order. A new study adds its module here."""

from __future__ import annotations

from benchmarks.studies.gate import rates, targets
from benchmarks.studies.gate.study import GateStudy

STUDIES: tuple[GateStudy, ...] = (rates.STUDY, targets.STUDY)
