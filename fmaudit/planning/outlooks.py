"""What a planned run can decide about each claim of a policy, and how many items the policy needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fmaudit.analysis.sequences import CROSSED, NO_BOUNDS, NO_CONTRAST, NO_STATISTIC
from fmaudit.gate.policy_model import Defaults, Policy
from fmaudit.gate.verdict import two_sided
from fmaudit.planning.assumptions import DEVIATION, Assumption, Basis, approximate, basis
from fmaudit.planning.claims import Model, PlannedClaim
from fmaudit.planning.pilot import Pilot, worst_of
from fmaudit.probe import Gap, Statistic
from fmaudit.statistics.outlook import Outlook
from fmaudit.statistics.proposals import proposed_items
from fmaudit.statistics.sizing import share_of_power

DETECTED = 0.8
_HALVINGS = 12
APPROXIMATE = (
    "approximate, never passes: its measure declares no range, and no interval of its mean holds for every "
    "distribution"
)
NO_WORDS = "an inheritance verdict has no number of items: it takes good references and decided rates"


@dataclass(frozen=True)
class Prospect:
    """A claim before the run; figures are in the metric's own unit, None where they do not exist.

    Attributes:
        claim: What is to be decided, for all its models alike.
        assumptions: What the figures rest on.
        detectable: Smallest true change (of a level: distance beyond its limit) that the interval at
            the policy's confidence shows with 80 % power.
        passes_to: The true value nearest to the limit with which the claim still passes with its
            share of the policy's power.
        fails_from: The true value from which it fails with 80 % power, corrected for all blocking findings.
        chance: Of passing at the assumed truth.
        needed: Items of the number that the policy needs at the assumed truth.
        run_items: Items of the measurement until so many of them count.
        reachable: Tightest limit that all items of the data set show with that power.
        known: Whether figures could be computed; where not, a warning says what they take.
        warnings: What stands in the way, each with what to do.
    """

    claim: PlannedClaim
    assumptions: tuple[Assumption, ...] = ()
    detectable: float | None = None
    passes_to: float | None = None
    fails_from: float | None = None
    chance: float | None = None
    needed: int | None = None
    run_items: int | None = None
    reachable: float | None = None
    known: bool = True
    warnings: tuple[str, ...] = ()


def prospects(
    policy: Policy,
    claims: Sequence[PlannedClaim],
    models: Sequence[Model],
    pilot: Pilot | None,
    advance: Callable[[int], None],
) -> list[Prospect]:
    """The outlook of every claim. ``advance`` is told of each that is done."""
    blocking = blocking_findings(claims)
    roles = {model.id: model.role for model in models}
    found = []
    for claim in claims:
        found.append(_prospect(policy.defaults, claim, roles, blocking, pilot))
        advance(1)
    return found


def blocking_findings(claims: Sequence[PlannedClaim]) -> int:
    """Findings that have to pass together."""
    return sum(len(claim.models) for claim in claims if claim.rule.tier == "block")


def _prospect(
    defaults: Defaults, claim: PlannedClaim, roles: dict[str, str], blocking: int, pilot: Pilot | None
) -> Prospect:
    if claim.entry is None:
        return Prospect(claim, warnings=(f"{claim.reason}: the rule will be inconclusive",))
    if claim.kind == "verdict":
        return Prospect(claim, known=False, warnings=(NO_WORDS,))
    none = _no_interval(defaults, claim)
    if none:
        return Prospect(claim, warnings=(f"{none}: the rule will be inconclusive",))
    if not claim.asked:
        return Prospect(claim, warnings=("the run asks no item of it: the rule will be inconclusive",))
    facts = None
    if pilot is not None:
        own = [pilot.facts(claim, model, roles.get(model, "adapted")) for model in claim.models]
        facts = worst_of([one for one in own if one is not None], claim.limit.min, claim.limit.max)
    found = basis(claim, facts, pilot.name if pilot is not None else "")
    if isinstance(found, str):
        return Prospect(claim, known=False, warnings=(found,))
    return _judged(defaults, claim, found, blocking if claim.rule.tier == "block" else 1)


def _no_interval(defaults: Defaults, claim: PlannedClaim) -> str:
    if defaults.form != "anytime":
        return APPROXIMATE if approximate(claim) else ""
    if claim.contrast is not None:
        return NO_CONTRAST
    return NO_STATISTIC if isinstance(claim.metric, (Statistic, Gap)) else ""


def _judged(defaults: Defaults, claim: PlannedClaim, found: Basis, together: int) -> Prospect:
    aim = found.aim
    # Of a distance the side is chosen by the data, so that each side has half of the error.
    sides = 1 if claim.ideal is None else 2
    confidence = 1 - (1 - defaults.confidence) / sides
    level = two_sided(confidence)
    power = share_of_power(defaults.power, together)
    outlook = Outlook(aim, found.sample, claim.asked, defaults.form)
    if not outlook.exists:
        reason = CROSSED if found.sample.crossed else NO_BOUNDS
        return Prospect(claim, found.assumptions, warnings=(f"{reason}: the rule will be inconclusive",))
    low, high = aim.bounds
    upward = high is not None
    bound = high if high is not None else low
    assert bound is not None
    reference = bound if claim.kind in ("level", "contrast") else 0.0
    correction = together if defaults.multiplicity == "holm" else 1
    failing = 1 - 2 * (1 - confidence) / (correction * claim.limit.sides)
    beyond = outlook.detectable(bound, failing, power=DETECTED, upward=upward)
    sign = 1.0 if upward else -1.0
    needed = proposed_items(
        aim,
        found.sample,
        form=defaults.form,
        confidence=confidence,
        power=defaults.power,
        gated=together,
        min_n=claim.rule.min_n or defaults.min_n,
    )
    whole = Outlook(aim, found.sample, claim.available, defaults.form)
    enough = needed is not None and needed <= claim.available
    least = claim.rule.min_n or defaults.min_n
    can_pass = claim.asked >= least and not (claim.entry is not None and claim.entry.partial)
    prospect = Prospect(
        claim,
        found.assumptions,
        detectable=outlook.detectable(reference, level, power=DETECTED, upward=upward),
        passes_to=_passes_to(outlook, level, power) if can_pass else None,
        fails_from=None if beyond is None else bound + sign * beyond,
        chance=outlook.passes(level) if can_pass else 0.0,
        needed=needed,
        run_items=claim.run_items(needed) if enough and needed is not None else None,
        reachable=None if enough else whole.nearest_bound(level, power=power, upper=upward),
    )
    return _warned(prospect, defaults)


def _passes_to(outlook: Outlook, level: float, power: float) -> float | None:
    """The true value nearest to the limit (the upper of two) with which the claim passes."""
    low, high = outlook.aim.bounds
    if low is None or high is None:
        bound = high if high is not None else low
        assert bound is not None
        room = outlook.room(bound, level, power=power, upper=high is not None)
        return None if room is None else bound - room if high is not None else bound + room

    def enough(truth: float) -> bool:
        return replace(outlook, aim=replace(outlook.aim, truth=truth)).passes(level) >= power

    inner, outer = (low + high) / 2, high
    if not enough(inner):
        return None
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if enough(middle) else (inner, middle)
    return inner


def _or_a_pilot(found: Prospect) -> str:
    guessed = any(one.name == DEVIATION and one.source == "assumed" for one in found.assumptions)
    return f"; its {DEVIATION} is a guess, which a --pilot RUN that measured it replaces" if guessed else ""


def _warned(found: Prospect, defaults: Defaults) -> Prospect:
    claim, notes = found.claim, []
    if claim.entry is not None and claim.entry.partial:
        notes.append(
            f"the run is cut by -L: it asks {claim.asked:,} of {claim.available:,} items and never passes"
        )
    if found.needed is None:
        notes.append(
            "no feasible number of items gives a pass: the assumed truth is not inside the limit, "
            "or too close to it"
        )
    elif found.needed > claim.available:
        tight = "" if found.reachable is None else f"; all of them show a limit of {found.reachable:.3g}"
        notes.append(
            f"the data set has {claim.available:,} items and {found.needed:,} are needed{tight}: "
            f"give more data, or widen the limit before the run{_or_a_pilot(found)}"
        )
    least = claim.rule.min_n or defaults.min_n
    if claim.asked < least:
        notes.append(f"{claim.asked:,} items are asked and the policy wants at least {least:,}")
    return Prospect(**(vars(found) | {"warnings": tuple(notes)}))
