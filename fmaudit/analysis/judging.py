"""The verdict of every comparison, at the level and with the p-value of its family."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fmaudit import statistics
from fmaudit.analysis.controls import Chosen
from fmaudit.analysis.details import copy_record, retained
from fmaudit.analysis.families import Place, alpha_of, away_of, familywise
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.pedigree import Cell, Judgement, judge
from fmaudit.analysis.reading import NEITHER, Sense, direction_of, reading_of
from fmaudit.inheritance.verdicts import CAPABILITY_FELL, CAPABILITY_UNSHOWN, NOT_EQUIVALENT
from fmaudit.schema import Comparison, Quantity

UNRESOLVED: Final = "inconclusive"
CHANGED: Final = "changed, size unresolved"
NO_CLAIM = frozenset({"inconclusive", "clean"})
MOVED = frozenset({"introduced", "amplified", "mitigated", "repaired", CHANGED})
"""Verdicts that say that the number moved, so that its own test has to hold too."""
NO_WORD = "no defect of this kind has a verdict: its change is reported"
OF_INHERITED_ORIGIN = "of inherited origin"
NOT_AFTER_CORRECTION = "not shown after the correction for many numbers"


@dataclass(frozen=True)
class Draft:
    """A comparison before its verdict; ``cell`` is None where none can be formed.

    ``family``: the family that it was declared in. ``sense``: what is worse of its metric. ``directed``: it
    was planned to get a verdict. ``guard``: why capability counts as lost; empty where it was kept.
    """

    common: Mapping[str, Any]
    fields: Mapping[str, Any]
    family: str
    sense: Sense = NEITHER
    cell: Cell | None = None
    chosen: Chosen | None = None
    directed: bool = False
    guard: str = ""

    @property
    def id(self) -> str:
        """The comparison's id."""
        return str(self.common["id"])


def judged(drafts: Sequence[Draft], places: Mapping[str, Place], settings: Settings) -> list[Comparison]:
    """Comparisons in the order of the drafts; ``places``: every draft's place in its family, by id."""
    families: dict[str, list[int]] = {}
    for position, draft in enumerate(drafts):
        families.setdefault(draft.family, []).append(position)
    found: dict[int, Comparison] = {}
    for name, positions in families.items():
        members = [drafts[position] for position in positions]
        for position, comparison in zip(positions, _family(name, members, places, settings), strict=True):
            found[position] = comparison
    return [found[position] for position in range(len(drafts))]


def _family(
    name: str, members: Sequence[Draft], places: Mapping[str, Place], settings: Settings
) -> Iterator[Comparison]:
    @cache
    def at(member: int, level: float) -> Judgement:
        cell = members[member].cell
        assert cell is not None
        return judge(cell, level)

    def claims(member: int, level: float) -> bool:
        """Whether a defect is spoken of; what is clean at the plain level is no claim at any."""
        # Declared claims beyond the drafts (contrasts, what was not measured) never speak of a defect.
        if member >= len(members) or members[member].cell is None:
            return False
        if at(member, settings.level).decision.word in NO_CLAIM:
            return False
        return at(member, level).decision.word not in NO_CLAIM

    size = places[members[0].id].size
    if familywise(name):
        level, kept = statistics.simultaneous_level(settings.level, size), frozenset(range(size))
    else:
        kept, level = statistics.claims_at_fdr(claims, size, settings.level)
    for member, draft in enumerate(members):
        place = places[draft.id]
        if draft.cell is None:
            yield _without_verdict(draft, place, settings)
            continue
        plain = at(member, settings.level).decision.word
        lost = member not in kept and plain not in NO_CLAIM
        yield _comparison(draft, at(member, level), place, lost, settings)


def _comparison(draft: Draft, found: Judgement, place: Place, lost: bool, settings: Settings) -> Comparison:
    cell, decision = draft.cell, found.decision
    assert cell is not None
    word, reason, flags = decision.word, decision.reason, list(decision.flags)
    if lost or (word in MOVED and not place.shown(settings.level)):
        word, flags = UNRESOLVED, [NOT_AFTER_CORRECTION]
    if {CAPABILITY_FELL, CAPABILITY_UNSHOWN} & set(flags) and draft.guard:
        reason = f"{reason} ({draft.guard})"
    fields, chosen = dict(draft.fields), draft.chosen
    assert chosen is not None
    if word in ("amplified", "mitigated") and _kept(retained(cell, chosen, found.level)):
        flags.append(OF_INHERITED_ORIGIN)
    if chosen.listed and (not draft.common["slice"] or word in ("inherited", "coincident")):
        fields["copy_fraction"] = copy_record(cell, chosen.listed, found.level)
    if found.change is not None and fields["value"] is not None:
        change = cell.scale.as_printed(found.change)
        fields |= {
            "adjusted_level": found.level,
            "adjusted_lower": min(change.lower, fields["value"]),
            "adjusted_upper": max(change.upper, fields["value"]),
        }
    return Comparison(
        **draft.common,
        **fields,
        **_read(draft, place, settings),
        judged=True,
        verdict=word,
        verdict_reason=reason,
        flags=flags,
        items_needed=_needed(cell, fields, found.level) if reason == NOT_EQUIVALENT else None,
    )


def _kept(retention: Quantity | None) -> bool:
    return retention is not None and (retention.lower or 0.0) > 0


def _without_verdict(draft: Draft, place: Place, settings: Settings) -> Comparison:
    """Numbers that nobody called a defect, and what was not measured."""
    fields = draft.fields
    read = _read(draft, place, settings)
    if fields["state"] != "measured":
        return Comparison(**draft.common, **fields, **read, judged=draft.directed, verdict="unmeasured")
    return Comparison(
        **draft.common,
        **fields,
        **read,
        judged=draft.directed,
        verdict=CHANGED if read["direction"] in ("rose", "fell") else UNRESOLVED,
        verdict_reason=NO_WORD,
    )


def _read(draft: Draft, place: Place, settings: Settings) -> dict[str, Any]:
    alpha = alpha_of(place.family, settings.level)
    fields = _complete(draft.fields)
    return {
        "family": place.family,
        "family_size": place.size,
        "p_adjusted": place.p_adjusted,
        "direction": direction_of(fields, place.p_adjusted, alpha),
        "reading": reading_of(fields, place.p_adjusted, draft.sense, alpha, away_of(fields.get("distance"))),
    }


def _complete(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with nothing left out that an unmeasured number does not have."""
    return {"value": None, "lower": None, "upper": None, "coverage": 0.0, "p": None, **fields}


def _needed(cell: Cell, fields: Mapping[str, Any], level: float) -> int | None:
    """Items with which equivalence within delta would be shown in 95 of 100 runs."""
    both = cell.both
    if not both.any() or not fields["n_eff"]:
        return None
    moved = abs(cell.new.values[both] - cell.old.values[both])
    discordance = float((moved * cell.rows.weights[both]).sum() / cell.rows.weights[both].sum())
    effect = max(fields["n"] / fields["n_eff"], 1.0)
    if not 0 < discordance < 1 or not math.isfinite(effect):
        return None
    return statistics.items_for_equivalence(
        discordance, cell.margin.delta, alpha=1 - level, design_effect=effect
    )
