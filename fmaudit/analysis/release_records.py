"""What a comparison of two audits says: numbers, flips, verdicts, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fmaudit.analysis.declared import HEADLINE
from fmaudit.analysis.families import alpha_of, away_of
from fmaudit.analysis.reading import Sense, reading_of, sense_of_change, sense_of_gap
from fmaudit.analysis.release_flips import Flips
from fmaudit.analysis.releases import Refusal, Release
from fmaudit.schema import ContrastResult, Estimate, Family, MetricInfo, Numbers, Subject

Reading: TypeAlias = Literal[
    "worse", "better", "higher", "lower", "no change shown", "unclear", "inconclusive", "not compared"
]


@dataclass(frozen=True)
class ReleaseCell:
    """One number in both audits; ``contrast`` is its id where it is one.

    ``change`` carries the p-value corrected within ``family``, or ``refusal`` says why there is none.
    ``distance``: of a number with a target, how much further from it the later one is. ``imported``: one of
    the audits has it from another tool's log.
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
    distance: Numbers | None = None
    family: str = ""
    family_size: int = 0

    @property
    def reading(self) -> Reading:
        """What the change says after the correction for the number of changes."""
        sense = sense_of_gap(self.info) if self.contrast else sense_of_change(self.info)
        return release_reading(self.change, sense, self.distance, self.family)


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
    """Two audits.

    ``older`` and ``newer`` are digests of audit.json; ``families``: changes corrected together.
    """

    older: str
    newer: str
    models: tuple[ReleaseModel, ...]
    only_earlier: tuple[Subject, ...]
    only_later: tuple[Subject, ...]
    families: tuple[Family, ...]
    level: float

    @property
    def tests(self) -> int:
        """How many changes were tested, whether they are displayed or not."""
        return sum(family.size - family.unmeasured for family in self.families)


def release_reading(
    change: Numbers | None, sense: Sense, distance: Numbers | None = None, family: str = HEADLINE
) -> Reading:
    """What a change says, in the words of the analysis."""
    if change is None:
        return "not compared"
    fields = change.model_dump()
    found = reading_of(fields, change.p_adjusted, sense, alpha_of(family, change.level), away_of(distance))
    return _WORDS.get(found, "inconclusive")


_WORDS: Mapping[str, Reading] = {
    "worse": "worse",
    "better": "better",
    "higher": "higher",
    "lower": "lower",
    "not shown": "no change shown",
    "unclear": "unclear",
}
