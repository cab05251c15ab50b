"""A whole plan: what a run would cost and what it could decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmaudit.gate.checks import check_names, check_policy
from fmaudit.gate.policy import PolicyFile, load_policy
from fmaudit.planning.claims import Model, PlannedClaim, planned_claims, planned_names
from fmaudit.planning.costs import RunCosts, run_costs
from fmaudit.planning.costs_text import cost_lines
from fmaudit.planning.outlooks import Prospect, blocking_findings, prospects
from fmaudit.planning.pilot import Pilot
from fmaudit.planning.policy_text import plain_prospects, prospect_lines, summary_line
from fmaudit.plugins import declared_names, metric_directions
from fmaudit.report.plain_table import wrapped
from fmaudit.running.choices import planned_measurements
from fmaudit.running.options import Progress, RunOptions, token_budget_of
from fmaudit.running.parties import can_answer, open_parties
from fmaudit.subjects import LoadOptions

SCHEMA = "fmaudit/plan/1"


@dataclass(frozen=True)
class PlanRequest:
    """The models and options of the run, the pilot, and how long timing may take; None for no timing."""

    base: str
    adapted: Sequence[str]
    references: Sequence[str]
    options: RunOptions
    pilot: Path | None = None
    timing_seconds: float | None = None


@dataclass(frozen=True)
class WholePlan:
    """What was found; ``policy`` is None where none was given."""

    costs: RunCosts
    policy: PolicyFile | None
    prospects: tuple[Prospect, ...]
    blocking: int

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        found: dict[str, Any] = {"schema": SCHEMA, "costs": self.costs.plain()}
        if self.policy is not None:
            found |= plain_prospects(self.policy, self.prospects, self.blocking)
        return found


def plan_of(request: PlanRequest, progress: Progress) -> WholePlan:
    """Plan a run. No weights are loaded and nothing is written.

    Raises UsageError where ``fmaudit run`` or ``fmaudit gate`` would refuse models, data or policy,
    and for a pilot that is no finished run.
    """
    options = request.options
    policy = None
    if options.policy is not None:
        policy = load_policy(options.policy)
        check_policy(policy, metric_directions())
    pilot = Pilot(request.pilot) if request.pilot is not None else None
    planned = planned_measurements(options)
    load = LoadOptions(options.device, options.dtype, options.allow_pickle, options.allow_remote_code)
    progress.say("checking the models' files")
    parties = open_parties(request.base, request.adapted, request.references, load)
    models = [
        Model(party.id, party.role, frozenset(entry.key for entry in planned if can_answer(party, entry)))
        for party in parties
    ]
    claims: list[PlannedClaim] = []
    if policy is not None:
        check_names(policy, planned_names(planned, models).joined(declared_names()))
        claims = planned_claims(policy.policy, planned, models)
    budget = options.token_budget or token_budget_of(load.resolve_device())
    costs = run_costs(
        parties, planned, options, load, budget, timing_seconds=request.timing_seconds, say=progress.say
    )
    if policy is None:
        return WholePlan(costs, None, (), 0)
    progress.start("power of the rules", len(claims))
    found = prospects(policy.policy, claims, models, pilot, progress.advance)
    progress.finish()
    return WholePlan(costs, policy, tuple(found), blocking_findings(claims))


def plan_lines(found: WholePlan, width: int) -> list[str]:
    """The plan as text."""
    costs = [*cost_lines(found.costs, width), ""]
    if found.policy is None:
        note = "No policy was given (--policy): what the run could decide is not known."
        return [*costs, wrapped(note, width)]
    lines = costs + prospect_lines(found.policy, found.prospects, found.blocking, width)
    return [*lines, "", wrapped(summary_line(found.prospects), width)]
