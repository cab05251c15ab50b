"""The one correction for many claims: families declared before the run, and what of them holds.

``headline``: every headline number of every adapted subject, against the base and step by step, and its
headline contrasts; Holm's p-values. ``probe, base to adapted``: the slices, other numbers and other
contrasts of one probe and pair; Benjamini and Hochberg's. ``contrasts within X``: those of a base or
reference alone; Holm's. Every kind of number stands in them, and what was not measured counts as p = 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fmaudit import statistics
from fmaudit.analysis.declared import HEADLINE, comparison_family, contrast_family
from fmaudit.analysis.reading import direction_of, limits, reading_of, sense_of_change, sense_of_gap, tested_p
from fmaudit.schema import (
    Comparison,
    ContrastResult,
    Family,
    Measurement,
    MetricInfo,
    Numbers,
    Subject,
)
from fmaudit.schema.metrics import MetricTable, metric_table

WITHIN: Final = "contrasts within "
BESIDE: Final = 0.4
"""Share of the headline's error that a family beside it has: 2 % where the headline has 5 %."""


@dataclass(frozen=True)
class Place:
    """A claim in its family: the family's name and size, and the claim's corrected p-value if it has one."""

    family: str
    size: int
    p_adjusted: float | None

    def shown(self, level: float) -> bool:
        """Whether the test holds after the correction, with headline intervals at ``level``."""
        return self.p_adjusted is not None and self.p_adjusted < alpha_of(self.family, level)


def familywise(family: str) -> bool:
    """Whether a family keeps the chance of any false claim; else it keeps the false discovery rate."""
    return family == HEADLINE or family.startswith(WITHIN)


def alpha_of(family: str, level: float) -> float:
    """What the corrected p-values of a family have to be below for a claim.

    A model that did not change is then called changed anywhere in one probe's numbers in at most 7 % of
    audits: 5 % for the headline and 2 % for what stands beside it.
    """
    return (1 - level) * (1.0 if familywise(family) else BESIDE)


def finest_p(claims: Mapping[str, str], level: float) -> float:
    """The least p-value that tests have to reach so that one claim of the largest family could be shown.

    Half of what is needed, as random assignments end where they just reach it. Step-up families share
    theirs: only those that keep the chance of any false claim ask for more than tests give anyway.
    """
    sizes = Counter(family for family in claims.values() if familywise(family))
    needed = (alpha_of(family, level) / size / 2 for family, size in sizes.items())
    return min([statistics.FINEST, *needed])


def places(claims: Mapping[str, str], ps: Mapping[str, float | None]) -> dict[str, Place]:
    """Every declared claim in its family.

    Args:
        claims: Family of every declared claim by id, measured or not.
        ps: p-values in [0, 1] of what was measured; what is missing here or None counts as 1.
    """
    members: dict[str, list[str]] = {}
    for name, family in claims.items():
        members.setdefault(family, []).append(name)
    found: dict[str, Place] = {}
    for family, names in members.items():
        correct = statistics.holm if familywise(family) else statistics.benjamini_hochberg
        tested = [ps.get(name) for name in names]
        for name, p, adjusted in zip(names, tested, correct(tested), strict=True):
            found[name] = Place(family, len(names), None if p is None else float(adjusted))
    return found


def listed(found: Mapping[str, Place], level: float = 0.95) -> list[Family]:
    """The families as records, in the order in which they first occur."""
    kinds: dict[str, list[Place]] = {}
    for place in found.values():
        kinds.setdefault(place.family, []).append(place)
    return [
        Family(
            name=name,
            correction="holm" if familywise(name) else "benjamini_hochberg",
            alpha=alpha_of(name, level),
            size=len(members),
            unmeasured=sum(place.p_adjusted is None for place in members),
        )
        for name, members in kinds.items()
    ]


def read_contrast(found: ContrastResult, place: Place, metric: MetricInfo | None) -> ContrastResult:
    """A contrast with its family, its corrected p-value and what it then reads."""
    fields, alpha = _fields(found), alpha_of(place.family, found.level)
    within = found.kind == "within_subject"
    return found.model_copy(
        update={
            "family": place.family,
            "family_size": place.size,
            "p_adjusted": place.p_adjusted,
            "direction": direction_of(fields, place.p_adjusted, alpha),
            "reading": reading_of(
                fields, place.p_adjusted, sense_of_gap(metric), alpha, away_of(found.distance), within=within
            ),
        }
    )


def read_comparison(found: Comparison, place: Place, metric: MetricInfo | None) -> Comparison:
    """A comparison with its family, its corrected p-value and what it then reads; its verdict stays."""
    fields, alpha = _fields(found), alpha_of(place.family, found.level)
    return found.model_copy(
        update={
            "family": place.family,
            "family_size": place.size,
            "p_adjusted": place.p_adjusted,
            "direction": direction_of(fields, place.p_adjusted, alpha),
            "reading": reading_of(
                fields, place.p_adjusted, sense_of_change(metric), alpha, away_of(found.distance)
            ),
        }
    )


def away_of(distance: Numbers | Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Interval of the change of the distance from a target; None where it is not known."""
    if distance is None:
        return None
    fields = _fields(distance) if isinstance(distance, Numbers) else distance
    return limits(fields) if fields["state"] == "measured" and fields["conclusive"] else None


def corrected_records(
    comparisons: Sequence[Comparison],
    contrasts: Sequence[ContrastResult],
    metrics: Iterable[MetricInfo],
    subjects: Iterable[Subject],
    measurements: Iterable[Measurement],
) -> tuple[list[Comparison], list[ContrastResult], list[Family]]:
    """Records that no correction was made of, such as those of an earlier release, with today's.

    The list of claims is then that of the records themselves.
    """
    infos = metric_table(metrics, measurements)
    known = {subject.id: subject for subject in subjects}
    base = next((subject.id for subject in known.values() if subject.role == "base"), "")
    claims = {found.id: _family_of(found, infos) for found in comparisons}
    claims |= {
        found.id: contrast_family(found.metric.partition("/")[0], owner, base, found.headline)
        for found in contrasts
        if (owner := _owner(found, known)) is not None
    }
    ps = {found.id: tested_p(_fields(found)) for found in comparisons}
    ps |= {found.id: tested_p(_fields(found)) for found in contrasts}
    found_places = places(claims, ps)
    return (
        [read_comparison(found, found_places[found.id], infos.of(found)) for found in comparisons],
        [
            read_contrast(found, found_places[found.id], infos.of(found))
            if found.id in found_places
            else found
            for found in contrasts
        ],
        listed(found_places),
    )


def _family_of(found: Comparison, infos: MetricTable) -> str:
    info = infos.of(found)
    headline = info is not None and info.headline and not found.slice
    return comparison_family(found.metric.partition("/")[0], found.base, found.adapted, headline)


def _owner(found: ContrastResult, subjects: Mapping[str, Subject]) -> Subject | None:
    """The subject that a contrast speaks of; of a change the adapted one."""
    named = [subjects[term.subject] for term in found.terms if term.subject in subjects]
    adapted = next((subject for subject in named if subject.role == "adapted"), None)
    return adapted or next(iter(named), None)


def _fields(found: Numbers) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Numbers.model_fields}
