"""Base against adapted, and step by step: every metric and slice, with its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as field_of
from functools import cached_property
from typing import Any

from fmaudit.analysis import pairs
from fmaudit.analysis.controls import SEVERITY, Child, Chosen, Offered, choose
from fmaudit.analysis.declared import (
    Plan,
    Step,
    comparison_family,
    comparison_id,
    contrast_family,
    declared_claims,
    plan_of_measured,
    steps,
)
from fmaudit.analysis.details import details
from fmaudit.analysis.distances import change_of_distance, distance_of_contrast
from fmaudit.analysis.draws import is_sampled
from fmaudit.analysis.families import finest_p, listed, places, read_contrast
from fmaudit.analysis.guard import Capability, bits_per_byte, capability_kept
from fmaudit.analysis.judging import Draft, judged
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings, item_values
from fmaudit.analysis.pedigree import Cell, Margin, scale_of
from fmaudit.analysis.reading import sense_of_change, tested_p
from fmaudit.analysis.records import contrasts, cut_short, defined_contrasts, metric_info, slices, terms
from fmaudit.evidence.directory import first_difference
from fmaudit.inheritance.verdicts import tolerated
from fmaudit.probe import Binary, Gap, Measure, Metric, Probe, Rate, Statistic
from fmaudit.schema import Comparison, ContrastResult, Family, Subject
from fmaudit.schema.metrics import MetricTable

EPS = DELTA = 0.05
DEFAULT_SOURCE = "fmaudit's default"


@dataclass(frozen=True)
class Side:
    """Two measurements of one question: ``old`` of the base or parent, ``new`` of the adapted subject."""

    old: MeasuredRows
    new: MeasuredRows
    step: Step
    pair: pairs.Pair


@dataclass(frozen=True)
class Claims:
    """What may be claimed of a run after the correction for all of it, and the families it was made in."""

    comparisons: tuple[Comparison, ...]
    contrasts: tuple[ContrastResult, ...]
    families: tuple[Family, ...]


@dataclass(frozen=True)
class Field:
    """Everything measured, by subject and key, with the subjects and the plan that it was measured by."""

    subjects: Mapping[str, Subject]
    measured: Mapping[tuple[str, str], MeasuredRows]
    bits: Mapping[str, float]
    settings: Settings
    margins: Mapping[str, Mapping[str, float | None]] = field_of(default_factory=dict)
    plan: Plan = field_of(default_factory=dict)

    @cached_property
    def claims(self) -> Claims:
        """Every comparison and contrast, corrected within the declared families; computed once."""
        return _claims(self)

    def refusal(self, old: MeasuredRows, new: MeasuredRows, metric: Metric) -> str:
        """Why two measurements are not of the same question; empty where they are."""
        return _refusal(old, new, metric, self)


def field(
    measured: Sequence[MeasuredRows],
    subjects: Sequence[Subject],
    settings: Settings,
    margins: Mapping[str, Mapping[str, float | None]] | None = None,
    plan: Plan | None = None,
) -> Field:
    """Index what was measured.

    Args:
        measured: The measurements with rows.
        subjects: Every subject of the run.
        settings: Level of the intervals and seed of their resampling.
        margins: eps and delta by metric, as a policy declared before the run.
        plan: What was to be measured; of what was measured when None.
    """
    return Field(
        {subject.id: subject for subject in subjects},
        {(entry.subject, entry.key): entry for entry in measured},
        bits_per_byte(measured),
        settings,
        margins or {},
        plan_of_measured(measured) if plan is None else plan,
    )


def sides(ground: Field) -> Iterator[Side]:
    """Every adapted subject against the base, then against the subject it was adapted from, if another."""
    for subject, against, step in steps(ground.subjects):
        for (name, key), new in ground.measured.items():
            old = ground.measured.get((against, key))
            if name == subject.id and old is not None:
                yield Side(old, new, step, pairs.pair_up(old.answers, new.answers))


def comparisons(ground: Field) -> list[Comparison]:
    """All comparisons of a run, their verdicts corrected within the declared families."""
    return list(ground.claims.comparisons)


def _claims(ground: Field) -> Claims:
    declared = declared_claims(ground.subjects, ground.plan)
    finest = finest_p(declared, ground.settings.level)
    ground = replace(ground, settings=replace(ground.settings, finest=finest))
    guards: dict[tuple[str, str], Capability] = {}
    drafts: list[Draft] = []
    for side in sides(ground):
        pair = (side.old.subject, side.new.subject)
        if pair not in guards:
            guards[pair] = capability_kept(*pair, ground.measured, ground.settings, ground.refusal)
        drafts += _drafts(side, ground, guards[pair])
    found = [one for entry in ground.measured.values() for one in contrasts(entry, ground.settings)]
    found += _contrast_changes(ground)
    # A number that no list foresaw still is a claim: it makes its family larger, never another's smaller.
    declared |= {draft.id: draft.family for draft in drafts}
    declared |= {one.id: _contrast_family(one, ground) for one in found}
    ps = {draft.id: tested_p(draft.fields) for draft in drafts}
    ps |= {one.id: tested_p(one.model_dump()) for one in found}
    placed = places(declared, ps)
    infos = _infos(ground)
    return Claims(
        tuple(judged(drafts, placed, ground.settings)),
        tuple(read_contrast(one, placed[one.id], infos.of(one)) for one in found),
        tuple(listed(placed, ground.settings.level)),
    )


def _infos(ground: Field) -> MetricTable:
    return MetricTable(
        {
            (info.id, info.variant): info
            for entry in ground.measured.values()
            for info in (metric_info(entry.probe, metric) for metric in entry.probe.metrics)
        },
        {entry.id: entry.probe.variant for entry in ground.measured.values()},
    )


def _contrast_family(found: ContrastResult, ground: Field) -> str:
    base = next((subject.id for subject in ground.subjects.values() if subject.role == "base"), "")
    owner = ground.subjects[found.terms[0].subject]
    return contrast_family(found.metric.partition("/")[0], owner, base, found.headline)


def contrast_changes(ground: Field) -> Iterator[ContrastResult]:
    """How far adaptation moved every contrast, from the base to each adapted subject, corrected."""
    yield from (one for one in ground.claims.contrasts if one.kind == "difference_in_differences")


def _contrast_changes(ground: Field) -> Iterator[ContrastResult]:
    for side in sides(ground):
        if side.step == "from_parent":
            continue
        new, old = side.new, side.old
        for contrast, metric in defined_contrasts(new):
            refusal = _refusal(old, new, metric, ground)
            fields: dict[str, Any]
            if refusal:
                fields = {"state": "unmeasured", "reason": refusal, "conclusive": False}
            else:
                fields = pairs.contrast_of_change(
                    contrast, metric, side.pair, new.probe.measures, ground.settings
                )
                away = distance_of_contrast(contrast, metric, side.pair, new.probe.measures, ground.settings)
                fields |= cut_short(new, fields) | _distance(new, away)
            yield ContrastResult(
                id=f"{new.id}/change/{contrast.id}",
                kind="difference_in_differences",
                title=contrast.title or contrast.id.replace("_", " "),
                measurement=new.id,
                metric=f"{new.probe.id}/{metric.id}",
                terms=terms(new.subject, contrast, 1.0) + terms(old.subject, contrast, -1.0),
                headline=contrast.headline,
                **fields,
            )


def _drafts(side: Side, ground: Field, guard: Capability) -> Iterator[Draft]:
    for metric in side.new.probe.metrics:
        refusal = _refusal(side.old, side.new, metric, ground)
        offered = _offered(side, metric, ground)
        directed, sense = _directed(metric, side.new.probe), sense_of_change(metric)
        # What the two sides share says nothing of what was planned where they were asked different things.
        asked = side.old.answers if refusal else side.pair.base
        for slice_, rows in slices(metric, asked):
            common = _common(side, metric, slice_)
            headline = metric.headline and not slice_
            family = comparison_family(side.new.probe.id, side.old.subject, side.new.subject, headline)
            if refusal:
                unasked = {"state": "unmeasured", "reason": refusal, "conclusive": False}
                yield Draft(common, unasked, family, sense, directed=directed)
                continue
            part = pairs.Pair(side.pair.base.take(rows), side.pair.adapted.take(rows))
            fields = pairs.compare(metric, part, side.new.probe.measures, ground.settings)
            away = change_of_distance(metric, part, side.new.probe.measures, ground.settings)
            fields |= cut_short(side.new, fields) | _distance(side.new, away)
            found = _cell(side, metric, part, fields, offered, guard, ground)
            if found is None:
                kept = common | {"margins": _undeclared(metric)}
                yield Draft(kept, fields, family, sense, directed=directed)
                continue
            cell, chosen = found
            if not slice_ and isinstance(metric, Rate):
                fields |= details(metric, part, cell, chosen, side.new.probe.measures)
            yield Draft(
                common | {"margins": _margins(cell.margin)},
                fields,
                family,
                sense,
                cell,
                chosen,
                directed=True,
                guard=guard.reason,
            )


def _distance(entry: MeasuredRows, fields: dict[str, Any] | None) -> dict[str, Any]:
    return {} if fields is None else {"distance": fields | cut_short(entry, fields)}


def _common(side: Side, metric: Metric, slice_: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": comparison_id(side.new.subject, side.new.key, side.step, metric.id, slice_),
        "base": side.old.subject,
        "adapted": side.new.subject,
        "measurement": side.new.id,
        "metric": f"{side.new.probe.id}/{metric.id}",
        "slice": dict(slice_),
        "step": side.step,
    }


def _cell(
    side: Side,
    metric: Metric,
    part: pairs.Pair,
    fields: Mapping[str, Any],
    offered: Sequence[Offered],
    guard: Capability,
    ground: Field,
) -> tuple[Cell, Chosen] | None:
    """The judgeable form of a rate of a binary measure that has a better direction; None of anything else."""
    if not isinstance(metric, Rate) or fields["state"] != "measured" or not _directed(metric, side.new.probe):
        return None
    scale = scale_of(metric)
    assert scale is not None
    measures, settings = side.new.probe.measures, ground.settings
    chosen = choose(
        metric,
        scale,
        measures,
        {"old": part.base, "new": part.adapted},
        offered,
        _child(side, ground),
    )
    old = scale.defects(item_values(metric, part.base, measures))
    new = scale.defects(item_values(metric, part.adapted, measures))
    cell = Cell(
        rows=part.base,
        old=old,
        new=new,
        scale=scale,
        margin=_margin(side.new.probe.id, metric, int((old.valid & new.valid).sum()), ground),
        controls=chosen.controls,
        capability=guard.state,
        settings=settings,
        stopped="" if fields["conclusive"] else fields["reason"] or "too little evidence",
        imported=side.old.imported or side.new.imported,
        sampled=is_sampled(side.new.protocol),
    )
    return cell, chosen


def _directed(metric: Metric, probe: Probe) -> bool:
    """Whether a metric is a rate of a binary measure of which one side is better: it gets a verdict."""
    if not isinstance(metric, Rate) or scale_of(metric) is None:
        return False
    return any(measure.id == metric.of and isinstance(measure, Binary) for measure in probe.measures)


def _child(side: Side, ground: Field) -> Child:
    found = ground.subjects[side.new.subject]
    parent = ground.subjects[side.old.subject]
    severity = next((m for m in side.new.probe.measures if m.id == SEVERITY), None)
    comparable = severity is None or getattr(severity, "comparable", True)
    return Child(
        verified=found.lineage.from_base if side.step == "from_base" else found.lineage.verified,
        parent_verified=True if parent.role == "base" else parent.lineage.from_base,
        bits=ground.bits.get(found.id),
        sampled=is_sampled(side.new.protocol),
        retest=side.old.retest,
        severity_comparable=comparable or _same_tokenizer(side.old, side.new, ground),
    )


def _margin(probe: str, metric: Rate, answered: int, ground: Field) -> Margin:
    """Margins of the policy, else of the metric, else fmaudit's own; each with who declared it."""
    values, sources = [], []
    for margin, own, default in (("eps", metric.eps, EPS), ("delta", metric.delta, DELTA)):
        declared = ground.margins.get(f"{probe}/{metric.id}", {}).get(margin)
        if declared is not None:
            values.append(declared)
            sources.append("policy")
        else:
            values.append(default if own is None else own)
            sources.append(DEFAULT_SOURCE if own is None else "metric")
    eps, delta = values
    source = sources[0] if len(set(sources)) == 1 else f"eps: {sources[0]}, delta: {sources[1]}"
    floor = tolerated(eps, answered)
    return Margin(floor, delta, f"{source}; eps raised to 3 / n" if floor > eps else source)


def _offered(side: Side, metric: Metric, ground: Field) -> list[Offered]:
    found = []
    for subject in ground.subjects.values():
        if subject.role != "reference":
            continue
        entry = ground.measured.get((subject.id, side.old.key))
        refusal = "it was not measured" if entry is None else _refusal(side.old, entry, metric, ground)
        found.append(
            Offered(subject, None if entry is None else entry.answers, ground.bits.get(subject.id), refusal)
        )
    return found


def _margins(margin: Margin) -> dict[str, Any]:
    return {"eps": margin.eps, "delta": margin.delta, "source": margin.source}


def _undeclared(metric: Metric) -> dict[str, Any]:
    declared = metric.eps is not None or metric.delta is not None
    return {"eps": metric.eps, "delta": metric.delta, "source": "metric" if declared else "none declared"}


def _refusal(old: MeasuredRows, new: MeasuredRows, metric: Metric, ground: Field) -> str:
    """Why the two sides were not asked the same question; empty where they were."""
    # The digest differs whenever a field does, and names none.
    first, second = (
        {name: value for name, value in entry.protocol.items() if name != "digest"} for entry in (old, new)
    )
    differs = first_difference(first, second)
    if differs:
        return f"the protocols differ in {differs}"
    return "" if _same_tokenizer(old, new, ground) else _incomparable(new.probe.measures, metric)


def _same_tokenizer(old: MeasuredRows, new: MeasuredRows, ground: Field) -> bool:
    # A GGUF file holds its own tokenizer: equal weights then mean an equal tokenizer.
    parts = [ground.subjects[entry.subject].parts for entry in (old, new)]
    first, second = (part.get("tokenizer", part.get("weights")) for part in parts)
    return first is not None and first == second


def _incomparable(measures: Sequence[Measure], metric: Metric) -> str:
    names = metric.needs if isinstance(metric, (Statistic, Gap)) else (metric.of,)
    for measure in measures:
        if measure.id in names and not getattr(measure, "comparable", True):
            return f"measure {measure.id} depends on the tokenizer and is not compared across subjects"
    return ""
