"""The claims of a comparison of two audits, listed before anything is compared, and corrected together.

The list is that of the questions which both audits planned: every number and contrast that either holds of
them, for any model. What one of them could not measure, or what cannot be compared, stays in it as p = 1,
and so does what is not displayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fmaudit.analysis.declared import HEADLINE
from fmaudit.analysis.families import listed, places
from fmaudit.analysis.reading import tested_p
from fmaudit.analysis.release_cells import Releases
from fmaudit.analysis.release_records import ReleaseCell, ReleaseModel
from fmaudit.analysis.releases import ReleaseRows
from fmaudit.schema import Family

Levels: TypeAlias = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """A number (``contrast`` empty) or a contrast of one question."""

    key: str
    metric: str
    levels: Levels
    contrast: str

    @staticmethod
    def of(cell: ReleaseCell) -> Asked:
        """What a cell compares."""
        return Asked(
            cell.key, "" if cell.contrast else cell.metric, frozenset(cell.slice.items()), cell.contrast
        )


def declared_changes(found: Releases) -> dict[Asked, str]:
    """Every change of a model that could be claimed, with its family."""
    infos = found.infos()
    planned = [
        {
            measured.id.removeprefix(f"{subject.id}/"): measured
            for measured in release.audit.measurements
            if measured.subject == subject.id and measured.state != "unmeasurable"
        }
        for release, subject in found.sides
    ]
    claims: dict[Asked, str] = {}
    held = [_held(release) for release, _ in found.sides]
    for key in planned[1]:
        if key not in planned[0]:
            continue
        probe = planned[1][key].probe
        own = {**held[0].get(key, {}), **held[1].get(key, {})}
        if not own:
            declared = infos.declared(planned[1][key].question)
            own = {Asked(key, info.id, frozenset(), ""): False for info in declared}
        for asked, headline in own.items():
            info = infos.at(asked.metric, key)
            first = headline if asked.contrast else info is not None and info.headline and not asked.levels
            claims[asked] = HEADLINE if first else f"{probe}, {found.new.id}"
    return claims


def _held(release: ReleaseRows) -> dict[str, dict[Asked, bool]]:
    """What an audit holds of every question, of any of its models; of a contrast whether it is a headline."""
    keys = {found.id: found.id.removeprefix(f"{found.subject}/") for found in release.audit.measurements}
    held: dict[str, dict[Asked, bool]] = {}
    for number in release.audit.estimates:
        key = keys.get(number.measurement, "")
        held.setdefault(key, {})[Asked(key, number.metric, frozenset(number.slice.items()), "")] = False
    for name, contrast in release.contrasts.items():
        key = keys.get(contrast.measurement, "")
        own = Asked(key, "", frozenset(), name.removeprefix(f"{contrast.measurement}/"))
        held.setdefault(key, {})[own] = contrast.headline
    return held


def corrected(
    models: Sequence[ReleaseModel], declared: Sequence[Mapping[Asked, str]], level: float
) -> tuple[list[ReleaseModel], list[Family]]:
    """The models with the corrected p-value of every change; ``declared``: the claims of each model.

    A model whose digest did not change tests nothing: its changes are in no family.
    """
    claims: dict[str, str] = {}
    ps: dict[str, float | None] = {}
    for place, (model, own) in enumerate(zip(models, declared, strict=True)):
        if model.same:
            continue
        claims |= {_name(place, asked): family for asked, family in own.items()}
        ps |= {
            _name(place, Asked.of(cell)): tested_p(cell.change.model_dump())
            for cell in model.cells
            if cell.change is not None
        }
    found = places(claims, ps)

    def cells(place: int, model: ReleaseModel) -> Iterator[ReleaseCell]:
        for cell in model.cells:
            own = found.get(_name(place, Asked.of(cell)))
            change = cell.change
            if own is None or model.same:
                yield cell
                continue
            if change is not None:
                change = change.model_copy(update={"p_adjusted": own.p_adjusted})
            yield replace(cell, change=change, family=own.family, family_size=own.size)

    return [replace(model, cells=tuple(cells(place, model))) for place, model in enumerate(models)], listed(
        found
    )


def _name(place: int, asked: Asked) -> str:
    return repr((place, asked.key, asked.metric, sorted(asked.levels), asked.contrast))
