"""How often a whole family fails together, beside as many unrelated subjects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis.controls import at_items, defects
from fmaudit.analysis.draws import COMMON_DRAWS, apart
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import DRAWS, Settings
from fmaudit.analysis.pedigree import scale_of
from fmaudit.analysis.records import slices
from fmaudit.inheritance.group_homogenization import failure_histogram, group_homogenization
from fmaudit.inheritance.homogenization import homogenization, homogenization_with_control
from fmaudit.probe import Metric, Rate
from fmaudit.schema import Homogenization, Quantity, Subject, quantity


@dataclass(frozen=True)
class _Ecosystem:
    """Outcomes of family and unrelated set on the items that all of them answered.

    No two subjects were sampled on the same random numbers; ``left_out`` would have been.
    """

    key: str
    metric: Rate
    probe: str
    family: Sequence[str]
    control: Sequence[str]
    outcomes: Mapping[str, np.ndarray]
    rows: Any
    left_out: Sequence[str]


def homogenizations(
    measured: Mapping[tuple[str, str], MeasuredRows],
    subjects: Sequence[Subject],
    settings: Settings,
    refusal: Callable[[MeasuredRows, MeasuredRows, Metric], str],
) -> Iterator[Homogenization]:
    """One entry for every headline rate of 0/1 outcomes that at least two subjects of the family answered.

    ``refusal`` says why two measurements are not of the same question; empty where they are.
    """
    base = next(subject.id for subject in subjects if subject.role == "base")
    adapted = [s.id for s in subjects if s.role == "adapted" and s.lineage.from_base is not False]
    for (name, key), entry in measured.items():
        if name != base:
            continue
        for metric in entry.probe.metrics:
            asked = {
                s.id
                for s in subjects
                if (s.id, key) in measured and not refusal(entry, measured[s.id, key], metric)
            }
            family = [base, *(s for s in adapted if s in asked)]
            control = [base, *_one_a_lineage([s for s in subjects if s.id in asked])]
            if isinstance(metric, Rate) and metric.headline and len(family) > 1:
                found = _ecosystem(entry, metric, family, control, measured)
                if found is not None:
                    yield _record(found, settings) if len(found.family) > 1 else _unmeasured(found)


def _one_a_lineage(subjects: Sequence[Subject]) -> list[str]:
    seen: dict[str, str] = {}
    for subject in subjects:
        if subject.role == "reference" and subject.lineage.from_base is False:
            seen.setdefault(subject.lineage.group or subject.id, subject.id)
    return list(seen.values())


def _ecosystem(
    entry: MeasuredRows,
    metric: Rate,
    family: Sequence[str],
    control: Sequence[str],
    measured: Mapping[tuple[str, str], MeasuredRows],
) -> _Ecosystem | None:
    scale = scale_of(metric)
    if scale is None:
        return None
    _, whole = next(iter(slices(metric, entry.answers)))
    rows = entry.answers.take(whole)
    asked = dict.fromkeys([*family, *control])
    answers, left_out = apart((measured[name, entry.key] for name in asked), set(control) - set(family))
    outcomes = {
        name: defects(metric, scale, at_items(found, rows), entry.probe.measures)
        for name, found in answers.items()
    }
    complete = ~np.isnan(np.column_stack(list(outcomes.values()))).any(axis=1)
    kept = {name: values[complete] for name, values in outcomes.items()}
    if not complete.any() or not all(np.isin(values, (0.0, 1.0)).all() for values in kept.values()):
        return None
    members, unrelated = ([name for name in names if name in kept] for names in (family, control))
    members_out = [name for name in left_out if name in family]
    return _Ecosystem(
        entry.key, metric, entry.probe.id, members, unrelated, kept, rows.take(complete), members_out
    )


def _unmeasured(found: _Ecosystem) -> Homogenization:
    nothing = Quantity(reason=COMMON_DRAWS)
    return Homogenization(
        id=f"{found.key}/{found.metric.id}",
        measurement=found.key,
        metric=f"{found.probe}/{found.metric.id}",
        subjects=[*found.family, *found.left_out],
        n=found.rows.n_items,
        ratio=nothing,
        control_ratio=nothing,
        family_effect=nothing,
        reason=COMMON_DRAWS,
    )


def _record(found: _Ecosystem, settings: Settings) -> Homogenization:
    size = min(len(found.family), len(found.control))
    fields: dict[str, Any] = {}
    reasons: list[str] = []
    if found.left_out:
        reasons.append(f"left out, sampled on the random numbers of another: {', '.join(found.left_out)}")
    options: dict[str, Any] = {"level": settings.level, "draws": DRAWS, "seed": settings.seed}
    where = (found.rows.weights, found.rows.clusters)
    family = np.column_stack([found.outcomes[name] for name in found.family])
    whole = homogenization(family, *where, names=list(found.family), **options)
    missing = Quantity(reason="too few unrelated references")
    fields |= {"control_ratio": missing, "family_effect": missing}
    if size >= 2:
        ours, theirs = list(found.family)[:size], list(found.control)[:size]
        compared = homogenization_with_control(
            np.column_stack([found.outcomes[name] for name in ours]),
            np.column_stack([found.outcomes[name] for name in theirs]),
            *where,
            names=(ours, theirs),
            **options,
        )
        fields |= {
            "control_ratio": quantity(compared.unrelated.all_fail.ratio),
            "family_effect": quantity(compared.all_fail),
        }
        if size < len(found.family):
            reasons.append(
                f"family effect and control on {size} subjects each: {', '.join(ours)} "
                f"against {', '.join(theirs)}"
            )
    histogram = failure_histogram(family, *where, **options)
    return Homogenization(
        id=f"{found.key}/{found.metric.id}",
        measurement=found.key,
        metric=f"{found.probe}/{found.metric.id}",
        subjects=list(found.family),
        control_subjects=list(found.control)[:size] if size >= 2 else [],
        n=found.rows.n_items,
        observed=whole.all_fail.observed.value,
        expected=whole.all_fail.expected.value,
        ratio=quantity(whole.all_fail.ratio),
        histogram=[_share(interval) for interval in histogram.observed],
        independent=[_share(interval) for interval in histogram.expected],
        group_forms=_group_forms(found, family, options),
        reason="; ".join(reasons),
        **fields,
    )


def _share(interval: statistics.Interval) -> float:
    return interval.value or 0.0


def _group_forms(found: _Ecosystem, family: np.ndarray, options: dict[str, Any]) -> dict[str, float | None]:
    forms: dict[str, float | None] = {}
    for column, labels in sorted(found.rows.slices.items()):
        if len(set(labels.tolist())) < 2:
            continue
        groups = group_homogenization(family, labels, found.rows.weights, found.rows.clusters, **options)
        forms |= {
            f"{column}: average": groups.average.value,
            f"{column}: uniform": groups.uniform.value,
            f"{column}: worst": groups.worst.value,
        }
    return forms
