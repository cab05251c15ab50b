"""The unrelated references of one cell: which are good, and what they answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fmaudit.analysis.draws import NO_RETEST
from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.pedigree import Controls, Scale
from fmaudit.analysis.tables import Answers
from fmaudit.inheritance.references import (
    MAX_TIED,
    MIN_LINEAGES,
    Candidate,
    State,
    comparable_references,
    match_rate,
    tied_at_cut,
)
from fmaudit.probe import Measure, Rate
from fmaudit.schema import ReferenceSlope, Subject

SEVERITY = "severity"
MIN_COVERAGE = 0.95
"""Share of the items that a reference must have answered: what it leaves out is not left out at random."""


@dataclass(frozen=True)
class Offered:
    """One reference subject with its rows of the measurement.

    ``refusal`` says why it was not asked the same; empty where it was.
    """

    subject: Subject
    answers: Answers | None
    bits: float | None
    refusal: str = ""


@dataclass(frozen=True)
class Child:
    """What is known of an adapted subject beyond its answers.

    Attributes:
        verified: Whether its descent from the one it is compared with is verified.
        parent_verified: The same of that one's descent from the base, against which
            references were refuted; True for the base itself.
        bits: Bits per byte on the neutral text.
        sampled: Whether another seed would give other answers.
        retest: Second answers of the one it is compared with, where they are sampled.
        severity_comparable: Whether severities of two subjects may be subtracted.
    """

    verified: bool | None
    parent_verified: bool | None
    bits: float | None
    sampled: bool
    retest: Answers | None
    severity_comparable: bool


@dataclass(frozen=True)
class Chosen:
    """Good references as outcomes on the cell's items, and the list for the document.

    ``raw``: their outcomes before any was cut at the child's rate, by ``severities``.
    ``retest``: second answers of the one the child is compared with, to the cell's items.
    """

    controls: Controls
    raw: dict[str, np.ndarray]
    severities: dict[str, np.ndarray]
    severity_comparable: bool
    listed: tuple[ReferenceSlope, ...]
    retest: Answers | None = None


def choose(
    metric: Rate,
    scale: Scale,
    measures: Sequence[Measure],
    sides: Mapping[str, Answers],
    offered: Sequence[Offered],
    child: Child,
) -> Chosen:
    """Take the references that are as strong, as faulty and as unrelated as they must be.

    Args:
        metric: The rate in question.
        scale: Its direction; outcomes are turned so that 1 is the defect.
        measures: The probe's measures.
        sides: ``old`` and ``new``, answers of base and adapted subject, in one order.
        offered: Every reference of the run.
        child: What else decides whether the copy fraction may speak.
    """
    old, new = sides["old"], sides["new"]
    rate = _mean(defects(metric, scale, new, measures), new.weights)
    kept = [entry for entry in offered if entry.answers is not None and not entry.refusal]
    refused = {entry.subject.id: entry.refusal for entry in offered if entry not in kept}
    values: dict[str, np.ndarray] = {}
    severities: dict[str, np.ndarray] = {}
    candidates: list[Candidate] = []
    for entry in kept:
        assert entry.answers is not None
        answers = at_items(entry.answers, old)
        outcome, severity = defects(metric, scale, answers, measures), item_severity(metric, scale, answers)
        answered = item_values(metric, answers, measures).coverage
        if answered < MIN_COVERAGE:
            refused[entry.subject.id] = f"it left {1 - answered:.0%} of these items unanswered"
            continue
        values[entry.subject.id] = outcome
        if severity is not None:
            severities[entry.subject.id] = severity
        candidates.append(
            Candidate(
                entry.subject.id,
                entry.subject.lineage.group or entry.subject.id,
                _state(entry.subject),
                entry.bits,
                _mean(outcome, old.weights),
                severity is not None and tied_at_cut(severity, rate, old.weights) <= MAX_TIED,
            )
        )
    selection = comparable_references(candidates, child.bits, rate)
    refused |= selection.refused
    outcomes = {
        name: values[name] if how == "rate" else match_rate(severities[name], rate, old.weights)
        for name, how in selection.accepted.items()
    }
    refusal = _too_few(child, len(selection.lineages), len(offered))
    retest = None if child.retest is None else at_items(child.retest, old)
    second = None if retest is None else defects(metric, scale, retest, measures)
    lineages = {candidate.name: candidate.lineage for candidate in candidates if candidate.name in outcomes}
    listed = [
        ReferenceSlope(subject=name, used=True, lineage=lineages[name], matched_by=how)
        for name, how in selection.accepted.items()
    ] + [ReferenceSlope(subject=name, used=False, reason=reason) for name, reason in sorted(refused.items())]
    return Chosen(
        Controls(outcomes, lineages, second, refusal),
        {name: values[name] for name in outcomes},
        {name: severities[name] for name in outcomes if name in severities},
        child.severity_comparable,
        tuple(sorted(listed, key=lambda entry: entry.subject)),
        retest,
    )


def defects(metric: Rate, scale: Scale, answers: Answers, measures: Sequence[Measure]) -> np.ndarray:
    """Item outcomes turned so that 1 is the defect; NaN where missing."""
    return scale.defects(item_values(metric, answers, measures)).values


def at_items(answers: Answers, wanted: Answers) -> Answers:
    """What a subject answered to the items of ``wanted``, in its order; NaN where it was not asked one."""
    index = {name: row for row, name in enumerate(answers.item_ids.tolist())}
    rows = np.array([index.get(name, -1) for name in wanted.item_ids.tolist()], dtype=int)
    asked = rows >= 0
    numeric = {}
    for name, matrix in answers.numeric.items():
        numeric[name] = np.full((wanted.n_items, matrix.shape[1]), np.nan)
        numeric[name][asked] = matrix[rows[asked]]
    return replace(wanted, numeric=numeric, text={}, reasons={})


def item_severity(metric: Rate, scale: Scale, answers: Answers) -> np.ndarray | None:
    """The severity that belongs to the outcome, one an item; None where the rate is of another measure."""
    if metric.of != "outcome" or SEVERITY not in answers.numeric or scale.turned:
        return None
    matrix = answers.numeric[SEVERITY]
    if matrix.shape[1] != 1 or np.isnan(matrix).any():
        return None
    column: np.ndarray = matrix[:, 0]
    return column


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    valid = ~np.isnan(values)
    total = weights[valid].sum()
    return float(min(max((values[valid] @ weights[valid]) / total, 0.0), 1.0)) if total > 0 else 0.0


def _state(subject: Subject) -> State:
    found = subject.lineage.from_base
    return "unknown" if found is None else "verified" if found else "refuted"


def _too_few(child: Child, lineages: int, offered: int) -> str:
    if not offered:
        return "no unrelated reference model was measured"
    if child.verified is not True:
        state = "refuted" if child.verified is False else "not verified"
        return f"the adapted subject's descent from the base is {state}"
    if child.parent_verified is not True:
        return "the parent's own descent from the base is not verified, so references may be its kin"
    if child.sampled and child.retest is None:
        return NO_RETEST
    if lineages < MIN_LINEAGES:
        return f"{lineages} comparable unrelated lineages, {MIN_LINEAGES} needed"
    return ""
