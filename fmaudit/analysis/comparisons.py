"""Base against adapted, and step by step: every metric and slice, with its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as field_of
from typing import Any, Literal

from fmaudit.analysis import pairs
from fmaudit.analysis.controls import SEVERITY, Child, Chosen, Offered, choose
from fmaudit.analysis.details import details
from fmaudit.analysis.families import Draft, judged
from fmaudit.analysis.guard import Capability, bits_per_byte, capability_kept
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings, item_values
from fmaudit.analysis.pedigree import Cell, Margin, scale_of
from fmaudit.analysis.records import cut_short, defined_contrasts, label, slices, terms
from fmaudit.evidence.directory import first_difference
from fmaudit.inheritance.verdicts import tolerated
from fmaudit.probe import Binary, Gap, Measure, Metric, Probe, Rate, Statistic
from fmaudit.schema import Comparison, ContrastResult, Subject

EPS = DELTA = 0.05
DEFAULT_SOURCE = "fmaudit's default"
Step = Literal["from_base", "from_parent"]


@dataclass(frozen=True)
class Side:
    """Two measurements of one question: ``old`` of the base or parent, ``new`` of the adapted subject."""

    old: MeasuredRows
    new: MeasuredRows
    step: Step
    pair: pairs.Pair


@dataclass(frozen=True)
class Field:
    """Everything measured, by subject and key, with the subjects."""

    subjects: Mapping[str, Subject]
    measured: Mapping[tuple[str, str], MeasuredRows]
    bits: Mapping[str, float]
    settings: Settings
    margins: Mapping[str, Mapping[str, float | None]] = field_of(default_factory=dict)

    def refusal(self, old: MeasuredRows, new: MeasuredRows, metric: Metric) -> str:
        """Why two measurements are not of the same question; empty where they are."""
        return _refusal(old, new, metric, self)


def field(
    measured: Sequence[MeasuredRows],
    subjects: Sequence[Subject],
    settings: Settings,
    margins: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Field:
    """Index what was measured. ``margins``: eps and delta by metric, as a policy declared before the run."""
    return Field(
        {subject.id: subject for subject in subjects},
        {(entry.subject, entry.key): entry for entry in measured},
        bits_per_byte(measured),
        settings,
        margins or {},
    )


def sides(ground: Field) -> Iterator[Side]:
    """Every adapted subject against the base, then against the subject it was adapted from, if another."""
    base = next(subject.id for subject in ground.subjects.values() if subject.role == "base")
    for subject in ground.subjects.values():
        if subject.role != "adapted":
            continue
        steps: list[tuple[str, Step]] = [(base, "from_base")]
        if subject.base not in (None, base) and subject.base in ground.subjects:
            steps.append((str(subject.base), "from_parent"))
        for against, step in steps:
            for (name, key), new in ground.measured.items():
                old = ground.measured.get((against, key))
                if name == subject.id and old is not None:
                    yield Side(old, new, step, pairs.pair_up(old.answers, new.answers))


def comparisons(ground: Field) -> list[Comparison]:
    """All comparisons of a run, their verdicts corrected within the declared families."""
    guards: dict[tuple[str, str], Capability] = {}
    drafts: list[Draft] = []
    for side in sides(ground):
        pair = (side.old.subject, side.new.subject)
        if pair not in guards:
            guards[pair] = capability_kept(*pair, ground.measured, ground.settings, ground.refusal)
        drafts += _drafts(side, ground, guards[pair])
    return judged(drafts, ground.settings)


def contrast_changes(ground: Field) -> Iterator[ContrastResult]:
    """How far adaptation moved every contrast, from the base to each adapted subject."""
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
                fields |= cut_short(new, fields)
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
        directed = _directed(metric, side.new.probe)
        for slice_, rows in slices(metric, side.pair.base):
            common = _common(side, metric, slice_)
            headline = directed and metric.headline and not slice_
            if refusal:
                unasked = {"state": "unmeasured", "reason": refusal, "conclusive": False}
                yield Draft(common, unasked, directed=directed, headline=headline)
                continue
            part = pairs.Pair(side.pair.base.take(rows), side.pair.adapted.take(rows))
            fields = pairs.compare(metric, part, side.new.probe.measures, ground.settings)
            fields |= cut_short(side.new, fields)
            found = _cell(side, metric, part, fields, offered, guard, ground)
            if found is None:
                kept = common | {"margins": _undeclared(metric)}
                yield Draft(kept, fields, directed=directed, headline=headline)
                continue
            cell, chosen = found
            if not slice_ and isinstance(metric, Rate):
                fields |= details(metric, part, cell, chosen, side.new.probe.measures)
            yield Draft(
                common | {"margins": _margins(cell.margin)},
                fields,
                cell,
                chosen,
                directed=True,
                headline=headline,
                guard=guard.reason,
            )


def _common(side: Side, metric: Metric, slice_: Mapping[str, str]) -> dict[str, Any]:
    place = "/step" if side.step == "from_parent" else ""
    return {
        "id": f"{side.new.id}{place}/{metric.id}{label(slice_)}",
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
        sampled=_sampled(side.new.protocol),
        retest=side.old.retest,
        severity_comparable=comparable or _same_tokenizer(side.old, side.new, ground),
    )


def _sampled(protocol: Mapping[str, Any]) -> bool:
    decodings = protocol.get("decoding") or ()
    return any(entry["kind"] == "generate" and entry["temperature"] > 0 for entry in decodings)


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
