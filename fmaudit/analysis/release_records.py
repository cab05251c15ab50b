"""What a comparison of two audits says: numbers, flips, verdicts, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fmaudit.analysis.release_flips import Flips
from fmaudit.analysis.releases import Refusal, Release
from fmaudit.schema import ContrastResult, Estimate, MetricInfo, Numbers, Subject

Reading: TypeAlias = Literal[
    "worse", "better", "higher", "lower", "no change shown", "inconclusive", "not compared"
]


@dataclass(frozen=True)
class ReleaseCell:
    """One number in both audits; ``contrast`` is its id where it is one.

    ``change`` carries the p-value adjusted over all changes of the comparison, or ``refusal`` says why
    there is none. ``imported``: one of the audits has it from another tool's log.
    """

    key: str
    metric: str
    title: str
    slice: Mapping[str, str]
    contrast: str
    older: Estimate | ContrastResult | None
    newer: Estimate | ContrastResult | None
    change: Numbers | None
    refusal: Refusal | None
    flips: Flips | None
    info: MetricInfo | None
    protocol: str
    imported: bool = False

    @property
    def reading(self) -> Reading:
        """What the change says after the correction for the number of changes."""
        # A gap may be bad on either side of 0, whatever the direction of the metric.
        return reading_of(self.change, None if self.contrast else self.info)


@dataclass(frozen=True)
class VerdictChange:
    """The pedigree verdict on one number, base against adapted model, in each audit.

    ``note``: where the two were not reached by one rule, what differed.
    """

    key: str
    metric: str
    title: str
    slice: Mapping[str, str]
    older: str
    newer: str
    note: str


@dataclass(frozen=True)
class OneSided:
    """A question that only one audit measured; ``reason``: what became of it in the other."""

    key: str
    measured_in: Release
    reason: str


@dataclass(frozen=True)
class ReleaseModel:
    """One model in both audits; ``same``: its digest did not change, so that its changes test nothing.

    ``verdicts``: those that changed; ``kept_verdicts``: how many did not.
    """

    older: Subject
    newer: Subject
    same: bool
    cells: tuple[ReleaseCell, ...]
    verdicts: tuple[VerdictChange, ...]
    kept_verdicts: int
    one_sided: tuple[OneSided, ...]


@dataclass(frozen=True)
class ReleaseComparison:
    """Two audits. ``older`` and ``newer`` are digests of audit.json; ``tests``: changes adjusted together."""

    older: str
    newer: str
    models: tuple[ReleaseModel, ...]
    only_earlier: tuple[Subject, ...]
    only_later: tuple[Subject, ...]
    tests: int
    level: float


def reading_of(change: Numbers | None, metric: MetricInfo | None) -> Reading:
    """What a change says: shown only where the interval leaves 0 out and the adjusted p-value is small."""
    if change is None:
        return "not compared"
    if change.value is None or not change.conclusive or change.lower is None or change.upper is None:
        return "inconclusive"
    alpha = 1 - change.level
    tested = [p for p in (change.p, change.p_adjusted) if p is not None]
    if change.lower <= 0 <= change.upper or any(p >= alpha for p in tested):
        return "no change shown"
    if metric is not None and metric.direction in ("lower_is_better", "higher_is_better"):
        rises = change.value > 0
        return "worse" if rises == (metric.direction == "lower_is_better") else "better"
    return "higher" if change.value > 0 else "lower"
