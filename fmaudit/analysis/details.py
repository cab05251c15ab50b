"""What stands behind a verdict: agreement, copy fraction, retention, equivalence, severity, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis import pairs
from fmaudit.analysis.controls import Chosen, item_severity
from fmaudit.analysis.draws import COMMON_DRAWS, NO_RETEST
from fmaudit.analysis.numbers import COMPLETE, DRAWS, STATISTIC_DRAWS
from fmaudit.analysis.pedigree import Cell, copied, judged_equivalent
from fmaudit.inheritance.profile import MIN_SLICES, profile_inheritance
from fmaudit.inheritance.retention import retention
from fmaudit.inheritance.severity import Scored, severity_change
from fmaudit.inheritance.tables import pair_statistics
from fmaudit.probe import Measure, Rate
from fmaudit.schema import Agreement, Quantity, ReferenceSlope, quantity

MAX_PROFILE_SLICES = 40


def details(
    metric: Rate, pair: pairs.Pair, cell: Cell, chosen: Chosen, measures: Sequence[Measure]
) -> dict[str, Any]:
    """The inheritance fields of an overall comparison of a rate."""
    found: dict[str, Any] = {"equivalence": _equivalence(cell)}
    rows = _alike(cell)
    if rows.any() and _is_binary(cell, rows):
        found["agreement"] = _agreement(cell, rows)
        found["retention"] = retained(cell, chosen, cell.settings.level)
        found["severity"] = _severity(metric, pair, cell, chosen) if chosen.severity_comparable else None
        found["profiles"] = _profiles(cell, rows)
    return {name: value for name, value in found.items() if value is not None}


def copy_record(cell: Cell, listed: Sequence[ReferenceSlope], level: float) -> dict[str, Any]:
    """The copy fraction at ``level`` as the fields of ``fmaudit.schema.CopyFraction``."""
    found = copied(cell, level)
    if found is None:
        reason = cell.controls.refusal or "no reference is comparable on these items"
        if cell.apart is None and listed:
            reason = NO_RETEST
        return {"references": [entry.model_dump() for entry in listed], "reason": reason}
    slopes = found.reference_slopes
    return {
        "value": found.value,
        "level": found.level,
        "conditional": _span(found.conditional),
        "verdict_interval": _span(found.verdict_interval),
        "verdict_source": found.verdict_source,
        "leave_one_out": None if found.leave_one_out is None else _span(found.leave_one_out),
        "slope_adapted": _finite(found.slope_adapted),
        "slope_self": _finite(found.slope_self),
        "slope_reference": _finite(found.slope_reference),
        "references": [
            entry.model_dump() | ({"slope": _finite(slopes.get(entry.subject))} if entry.used else {})
            for entry in listed
        ],
        "lineages": found.lineages,
        "placebo": None
        if found.placebo is None
        else {"p": found.placebo.p, "floor": found.placebo.floor, "decisive": found.placebo.decisive},
        "reason": found.reason or cell.controls.refusal,
    }


def _span(ends: tuple[float, float] | None) -> dict[str, Any]:
    return {} if ends is None else {"lower": ends[0], "upper": ends[1]}


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _alike(cell: Cell) -> np.ndarray:
    """Items with all answers from which the likeness of base and child is judged."""
    return cell.both if cell.apart is None else cell.both & ~np.isnan(cell.apart)


def _is_binary(cell: Cell, rows: np.ndarray) -> bool:
    sides = [cell.old.values, cell.new.values] + ([] if cell.apart is None else [cell.apart])
    values = np.concatenate([side[rows] for side in sides])
    return bool(np.isin(values, (0.0, 1.0)).all())


def _options(cell: Cell, draws: int = DRAWS) -> dict[str, Any]:
    return {"level": cell.settings.level, "draws": draws, "seed": cell.settings.seed}


def _equivalence(cell: Cell) -> dict[str, Any] | None:
    rows = cell.both
    if not rows.any():
        return None
    kept = cell.rows.take(rows)
    complete = min(cell.old.coverage, cell.new.coverage) >= COMPLETE
    found = statistics.equivalence(
        cell.old.values[rows],
        cell.new.values[rows],
        cell.margin.delta,
        kept.weights,
        kept.clusters,
        alpha=1 - cell.settings.level,
        draws=DRAWS,
        seed=cell.settings.seed,
    )
    lower, upper = found.lower, found.upper
    if cell.scale.turned and lower is not None and upper is not None:
        lower, upper = -upper, -lower
    return {
        "margin": cell.margin.delta,
        "p": found.p,
        "equivalent": found.equivalent and (complete or judged_equivalent(cell, cell.settings.level)),
        "level": 1 - 2 * found.alpha,
        "lower": lower,
        "upper": upper,
    }


def _agreement(cell: Cell, rows: np.ndarray) -> dict[str, Any]:
    if cell.apart is None:
        return dict.fromkeys(Agreement.model_fields, Quantity(reason=COMMON_DRAWS))
    kept = cell.rows.take(rows)
    found = pair_statistics(
        cell.apart[rows], cell.new.values[rows], kept.weights, kept.clusters, **_options(cell)
    )
    names = {
        "persistence": found.persistence,
        "introduction": found.introduction,
        "repair": found.repair,
        "flips": found.flips,
        "negative_flips": found.negative_flips,
        "slope": found.slope,
        "kappa": found.error_consistency,
    }
    return {name: quantity(interval) for name, interval in names.items()}


def retained(cell: Cell, chosen: Chosen, level: float) -> Quantity | None:
    """Retention at ``level``, its interval widened by the variation between lineages."""
    outcomes = chosen.controls.outcomes
    if not outcomes or not _is_binary(cell, _alike(cell)):
        return None
    if cell.apart is None:
        return Quantity(reason=NO_RETEST)
    if chosen.controls.refusal:
        return Quantity(reason=chosen.controls.refusal)
    if set(chosen.severities) != set(outcomes):
        return Quantity(reason="severity is not comparable, so references cannot be cut at the child's rate")
    rows = _alike(cell) & ~np.isnan(np.column_stack([chosen.raw[name] for name in outcomes])).any(axis=1)
    kept = cell.rows.take(rows)
    found = retention(
        cell.apart[rows],
        cell.new.values[rows],
        {name: chosen.raw[name][rows] for name in outcomes},
        {name: chosen.severities[name][rows] for name in outcomes},
        kept.clusters,
        level,
        cell.settings.seed,
        weights=kept.weights,
        lineages=chosen.controls.lineages,
        draws=DRAWS,
    )
    return quantity(found)


def _severity(metric: Rate, pair: pairs.Pair, cell: Cell, chosen: Chosen) -> dict[str, Any] | None:
    if cell.apart is None:
        return None
    rows = _alike(cell)
    first = item_severity(metric, cell.scale, pair.base.take(rows))
    after = item_severity(metric, cell.scale, pair.adapted.take(rows))
    before, again = first, None
    if cell.sampled and chosen.retest is not None:
        before, again = item_severity(metric, cell.scale, chosen.retest.take(rows)), first
    if first is None or before is None or after is None:
        return None
    kept = cell.rows.take(rows)
    found = severity_change(
        Scored(cell.apart[rows], before, again),
        Scored(cell.new.values[rows], after),
        kept.weights,
        kept.clusters,
        **_options(cell),
    )
    noiseless = found.tau.value is None
    return {
        "n": found.persistent,
        "change": quantity(found.change),
        "noise": found.tau.value,
        "amplified": None if noiseless else quantity(found.amplified),
        "mitigated": None if noiseless else quantity(found.mitigated),
        "reason": found.tau.reason if noiseless else "",
    }


def _profiles(cell: Cell, rows: np.ndarray) -> list[dict[str, Any]]:
    if cell.apart is None:
        return []
    kept = cell.rows.take(rows)
    profiles = []
    for column, labels in sorted(kept.slices.items()):
        if not MIN_SLICES <= len(set(labels.tolist())) <= MAX_PROFILE_SLICES:
            continue
        found = profile_inheritance(
            cell.apart[rows],
            cell.new.values[rows],
            labels,
            kept.weights,
            kept.clusters,
            **_options(cell, STATISTIC_DRAWS),
        )
        profiles.append(
            {
                "column": column,
                "slices": len(found.slices),
                "spearman": quantity(found.spearman),
                "cosine": quantity(found.cosine),
                "disattenuated": found.disattenuated.value,
            }
        )
    return profiles
