"""How often models are loaded in a run and how long that takes; a run holds one model at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fmaudit.planning.timing import WIDTH
from fmaudit.running.parties import Party
from fmaudit.subjects.files import SubjectFiles

READ_A_SECOND = 400e6
HASHED_A_SECOND = 500e6
UNPACKED_A_SECOND = 15e6
"""Parameters of a quantized file that are unpacked in a second."""
PRINTED_A_SECOND = 1e9
"""Bytes of loaded weights that the lineage check digests in a second."""
BUILDING = 1.0
"""Seconds of a load that do not grow with the model."""


def loading_seconds(files: SubjectFiles, parameters: int) -> float:
    """Seconds of one load of a subject's base weights."""
    seconds = BUILDING + _size(files.weights) / READ_A_SECOND
    return seconds + parameters / UNPACKED_A_SECOND if files.is_gguf else seconds


def hashing_seconds(subjects: Sequence[SubjectFiles]) -> float:
    """Seconds in which every file of weights is hashed once."""
    files = {path for one in subjects for path in (*one.weights, one.adapter_weights) if path is not None}
    return _size(sorted(files)) / HASHED_A_SECOND


def printing_seconds(parameters: int, dtype: str) -> float:
    """Seconds in which the lineage check reads all weights of a model."""
    return parameters * WIDTH.get(dtype, 4) / PRINTED_A_SECOND


def loads_by_home(parties: Sequence[Party], homes: Mapping[str, str]) -> Counter[str]:
    """How often each loaded model comes into memory, by the subject that names it.

    The order is that of a run: the checks, the lineage, the divergence of each adapted
    model from the base, and the measurements.
    """
    base = next(party for party in parties if party.role == "base")
    checks = sorted(parties, key=lambda one: (one is not base, homes[one.id] != homes[base.id]))
    order = list(checks)
    if len(parties) > 1:
        order += checks
        for party in parties:
            if party.role == "adapted":
                order += [base, party]
    order += parties
    loads: Counter[str] = Counter()
    held = ""
    for party in order:
        if homes[party.id] != held:
            held = homes[party.id]
            loads[held] += 1
    return loads


def _size(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)
