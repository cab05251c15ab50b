"""Families of claims, declared before the run: which verdicts hold after correction for their number.

``headline``: every headline rate of every adapted subject, against the base and
step by step; simultaneous (Bonferroni) intervals, Holm's p-values. ``probe x
subject``: its slices and other rates; claims at a false discovery rate, with intervals whose false
coverage is kept too (Benjamini and Yekutieli 2005).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from fmaudit import statistics
from fmaudit.analysis.controls import Chosen
from fmaudit.analysis.details import copy_record, retained
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.pedigree import Cell, Judgement, judge
from fmaudit.inheritance.verdicts import CAPABILITY_FELL, CAPABILITY_UNSHOWN, NOT_EQUIVALENT
from fmaudit.schema import Comparison, Quantity

UNRESOLVED: Final = "inconclusive"
CHANGED: Final = "changed, size unresolved"
NO_CLAIM = frozenset({"inconclusive", "clean"})
NO_WORD = "no defect of this kind has a verdict: its change is reported"
Direction: TypeAlias = Literal["rose", "fell", "no change shown", "unknown"]
OF_INHERITED_ORIGIN = "of inherited origin"
NOT_AFTER_CORRECTION = "claim lost to the correction for many slices"


@dataclass(frozen=True)
class Draft:
    """A comparison before its verdict; ``cell`` is None where none can be formed.

    ``directed``: it was planned to get a verdict, so that it counts in its family
    even where it was not measured. ``guard``: why capability counts as lost or as not
    shown to be kept; empty where it is shown.
    """

    common: Mapping[str, Any]
    fields: Mapping[str, Any]
    cell: Cell | None = None
    chosen: Chosen | None = None
    directed: bool = False
    headline: bool = False
    guard: str = ""

    @property
    def family(self) -> str:
        """Name of the family its claim belongs to."""
        if self.headline:
            return "headline"
        probe = self.common["metric"].partition("/")[0]
        pair = f"{self.common['base']} to {self.common['adapted']}"
        return f"{probe}, {pair}"


def judged(drafts: Sequence[Draft], settings: Settings) -> list[Comparison]:
    """Comparisons in the order of the drafts."""
    families: dict[str, list[int]] = {}
    for place, draft in enumerate(drafts):
        if draft.directed:
            families.setdefault(draft.family, []).append(place)
    found: dict[int, Comparison] = {}
    for name, places in families.items():
        members = [drafts[place] for place in places]
        headline = members[0].headline
        for place, comparison in zip(places, _family(name, members, headline, settings), strict=True):
            found[place] = comparison
    return [found[place] if place in found else _without_verdict(draft) for place, draft in enumerate(drafts)]


def _family(name: str, members: Sequence[Draft], headline: bool, settings: Settings) -> Iterator[Comparison]:
    @cache
    def at(place: int, level: float) -> Judgement:
        cell = members[place].cell
        assert cell is not None
        return judge(cell, level)

    def claims(place: int, level: float) -> bool:
        """Whether a defect is spoken of; what is clean at the plain level is no claim at any."""
        if members[place].cell is None or at(place, settings.level).decision.word in NO_CLAIM:
            return False
        return at(place, level).decision.word not in NO_CLAIM

    size = len(members)
    ps = [draft.fields.get("p") for draft in members]
    if headline:
        level, kept = statistics.simultaneous_level(settings.level, size), frozenset(range(size))
        adjusted = statistics.holm(ps)
    else:
        kept, level = statistics.claims_at_fdr(claims, size, settings.level)
        adjusted = statistics.benjamini_hochberg(ps)
    family = {"family": name, "family_size": size}
    for place, draft in enumerate(members):
        if draft.cell is None:
            yield _without_verdict(draft, family)
            continue
        lost = place not in kept and at(place, settings.level).decision.word not in NO_CLAIM
        p = float(adjusted[place]) if ps[place] is not None else None
        yield _comparison(draft, at(place, level), p, family, lost)


def _comparison(
    draft: Draft, found: Judgement, p: float | None, family: Mapping[str, Any], lost: bool
) -> Comparison:
    cell, decision = draft.cell, found.decision
    assert cell is not None
    word, reason, flags = decision.word, decision.reason, list(decision.flags)
    if lost:
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
        **family,
        p_adjusted=p,
        verdict=word,
        verdict_reason=reason,
        direction=_direction(draft.fields),
        flags=flags,
        items_needed=_needed(cell, fields, found.level) if reason == NOT_EQUIVALENT else None,
    )


def _kept(retention: Quantity | None) -> bool:
    return retention is not None and (retention.lower or 0.0) > 0


def _without_verdict(draft: Draft, family: Mapping[str, Any] | None = None) -> Comparison:
    """Numbers that nobody called a defect, and what was not measured."""
    fields, family = draft.fields, family or {}
    if fields["state"] != "measured":
        return Comparison(**draft.common, **fields, **family, verdict="unmeasured")
    direction = _direction(fields)
    moved = fields["conclusive"] and direction in ("rose", "fell")
    return Comparison(
        **draft.common,
        **fields,
        **family,
        verdict=CHANGED if moved else UNRESOLVED,
        verdict_reason=NO_WORD,
        direction=direction,
    )


def _direction(fields: Mapping[str, Any]) -> Direction:
    lower, upper = fields["lower"], fields["upper"]
    if lower is None or upper is None:
        return "unknown"
    return "rose" if lower > 0 else "fell" if upper < 0 else "no change shown"


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
