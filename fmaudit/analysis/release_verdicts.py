"""Pedigree verdicts of one adapted model in two audits."""

from __future__ import annotations

from collections.abc import Iterator

from fmaudit.analysis.release_cells import Releases
from fmaudit.analysis.release_records import VerdictChange
from fmaudit.schema import Comparison


def release_verdicts(releases: Releases, *, by_slice: bool) -> Iterator[VerdictChange]:
    """The verdicts on every judged number, changed or not; ``by_slice``: also those of slices."""
    infos = releases.infos()
    sides = []
    for release, subject in releases.sides:
        sides.append(
            {
                (
                    found.measurement.removeprefix(f"{subject.id}/"),
                    found.metric,
                    frozenset(found.slice.items()),
                ): found
                for found in release.audit.comparisons
                # Where none was judged there is no verdict, only a word that holds its place.
                if found.adapted == subject.id
                and found.step == "from_base"
                and found.judged
                and (by_slice or not found.slice)
            }
        )
    for place in dict.fromkeys([*sides[1], *sides[0]]):
        key, metric, levels = place
        first, second = sides[0].get(place), sides[1].get(place)
        info = infos.at(metric, key)
        yield VerdictChange(
            key=key,
            metric=metric,
            title=(info.title if info else "") or metric.partition("/")[2],
            slice=dict(levels),
            older="not judged" if first is None else str(first.verdict),
            newer="not judged" if second is None else str(second.verdict),
            note=_differs(releases, first, second),
        )


def _differs(releases: Releases, old: Comparison | None, new: Comparison | None) -> str:
    if old is None or new is None:
        return ""
    said = []
    bases = releases.older.subjects.get(old.base), releases.newer.subjects.get(new.base)
    if bases[0] is None or bases[1] is None or bases[0].digest != bases[1].digest:
        said.append("the base is not the same model")
    for name in ("eps", "delta"):
        before, after = getattr(old.margins, name), getattr(new.margins, name)
        if before != after:
            said.append(f"{name} was {_number(before)}, is {_number(after)}")
    lineages = [found.copy_fraction.lineages if found.copy_fraction else 0 for found in (old, new)]
    if lineages[0] != lineages[1]:
        said.append(f"lineages of references were {lineages[0]}, are {lineages[1]}")
    return "; ".join(said)


def _number(value: float | None) -> str:
    return "not set" if value is None else f"{value:g}"
