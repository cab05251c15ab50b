"""From a run directory to ``audit.json``: a pure function of run.json and the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fmaudit.analysis import numbers, pairs
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers, read_answers
from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RunDirectory, first_difference
from fmaudit.plugins import expand, load_probe
from fmaudit.probe import Binary, Contrast, Mean, Metric, Probe, Rate, Real, Statistic
from fmaudit.schema import (
    Audit,
    Comparison,
    ContrastResult,
    Estimate,
    InstrumentCard,
    Lineage,
    Margins,
    Measurement,
    MetricInfo,
    Subject,
    Term,
)

MAX_LEVELS = 40
"""A slice column with more levels than this is an id, not a slice."""


@dataclass(frozen=True)
class _Measured:
    """One measurement with its rows."""

    id: str
    subject: str
    key: str
    probe: Probe
    protocol: Mapping[str, Any]
    answers: Answers
    partial: bool


def build_audit(run: RunDirectory, settings: Settings | None = None) -> Audit:
    """Compute every number of a run. Raises ExecutionError when rows are missing or damaged."""
    state = run.read_state() or {}
    settings = settings or Settings(seed=int(state["plan"]["seed"]))
    subjects = [_subject(entry) for entry in state["subjects"]]
    order = {subject.id: place for place, subject in enumerate(subjects)}
    records = sorted(state["measurements"], key=lambda entry: (order[entry["subject"]], entry["key"]))
    probes = _probes(records)
    measured = [
        _measured(run, entry, probes[entry["probe"], entry["variant"]])
        for entry in records
        if entry["state"] == "measured"
    ]
    by_id = {entry.id: entry for entry in measured}
    return Audit(
        tool=state["tool"],
        subjects=subjects,
        measurements=[_measurement(entry, probes, by_id) for entry in records],
        metrics=_metrics(probes),
        estimates=[estimate for entry in measured for estimate in _estimates(entry, settings)],
        contrasts=[found for entry in measured for found in _contrasts(entry, settings)]
        + [
            found
            for base, adapted in _pairs(measured, subjects)
            for found in _contrast_changes(base, adapted, _same_tokenizer(base, adapted, subjects), settings)
        ],
        comparisons=[
            found
            for base, adapted in _pairs(measured, subjects)
            for found in _comparisons(base, adapted, _same_tokenizer(base, adapted, subjects), settings)
        ],
        instruments=[InstrumentCard(**card) for card in state["instruments"]],
    )


def _probes(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Probe]:
    classes = {entry["probe"]: load_probe(entry["probe"]) for entry in records}
    return {(name, probe.variant): probe for name in sorted(classes) for probe in expand(classes[name])}


def _subject(entry: Mapping[str, Any]) -> Subject:
    fields = {name: value for name, value in entry.items() if name != "lineage"}
    return Subject(**fields, lineage=Lineage(**entry["lineage"]))


def _measured(run: RunDirectory, entry: Mapping[str, Any], probe: Probe) -> _Measured:
    name = f"{entry['subject']}/{entry['key']}"
    if probe.version != entry["version"]:
        raise ExecutionError(
            f"{name} was measured by version {entry['version']} of {probe.id} and version {probe.version} is "
            "installed: install the former, or run anew in another folder"
        )
    answers = read_answers(run.evidence(entry["subject"], entry["key"]), probe.measures)
    asked = entry["dataset"]["n_asked"]
    if answers.n_items != asked:
        raise ExecutionError(
            f"evidence of {name} is incomplete: {answers.n_items} of {asked} items; "
            "repeat the fmaudit run command"
        )
    return _Measured(
        id=name,
        subject=entry["subject"],
        key=entry["key"],
        probe=probe,
        protocol=entry["protocol"],
        answers=finished(probe, answers),
        partial=entry["partial"],
    )


def finished(probe: Probe, answers: Answers) -> Answers:
    """The answers with the measures that need all items at once, limited to the items that count."""
    done = probe.finish(answers.table())
    if done is None:
        return answers
    columns = {name: np.asarray(column, dtype=float)[:, None] for name, column in done.columns.items()}
    reasons = {
        name: {"not defined for this item": int(np.isnan(columns[name][done.counted]).sum())}
        if np.isnan(columns[name][done.counted]).any()
        else {}
        for name in columns
    }
    whole = replace(answers, numeric={**answers.numeric, **columns}, reasons={**answers.reasons, **reasons})
    return whole.take(np.asarray(done.counted, dtype=bool))


def _measurement(
    entry: Mapping[str, Any], probes: Mapping[tuple[str, str], Probe], measured: Mapping[str, _Measured]
) -> Measurement:
    probe = probes[entry["probe"], entry["variant"]]
    name = f"{entry['subject']}/{entry['key']}"
    found = measured.get(name)
    failed = entry["state"] == "failed"
    return Measurement(
        id=name,
        subject=entry["subject"],
        probe=probe.id,
        version=entry["version"],
        variant=entry["variant"],
        title=probe.title,
        family=probe.family,
        dataset=entry["dataset"],
        protocol=dict(entry["protocol"]),
        instruments=entry["instruments"],
        state="unmeasured" if failed else entry["state"],
        reason=entry["reason"],
        partial=entry["partial"],
        coverage=None if found is None else _row_coverage(found),
        n_rows=0 if found is None else found.answers.n_items * found.answers.samples,
        invalid={} if found is None else _invalid(found.answers),
        limits=list(probe.limits),
    )


def _row_coverage(found: _Measured) -> float:
    default = "outcome" if "outcome" in found.answers.numeric else next(iter(found.answers.numeric), None)
    if default is None or not found.answers.n_items:
        return 0.0
    return float((~np.isnan(found.answers.numeric[default])).mean())


def _invalid(answers: Answers) -> dict[str, int]:
    total: dict[str, int] = {}
    for reasons in answers.reasons.values():
        for reason, count in reasons.items():
            total[reason] = max(total.get(reason, 0), count)
    return dict(sorted(total.items()))


def _metrics(probes: Mapping[tuple[str, str], Probe]) -> list[MetricInfo]:
    found: dict[str, MetricInfo] = {}
    for (name, _), probe in sorted(probes.items()):
        for metric in probe.metrics:
            found.setdefault(f"{name}/{metric.id}", _metric(probe, metric))
    return [found[name] for name in sorted(found)]


def _metric(probe: Probe, metric: Metric) -> MetricInfo:
    kind: Literal["rate", "mean", "statistic"]
    low: float | None
    high: float | None
    if isinstance(metric, Statistic):
        kind, unit, (low, high) = "statistic", metric.unit, metric.worst or (None, None)
    else:
        kind = "rate" if isinstance(metric, Rate) else "mean"
        unit, low, high = _scale(probe, metric)
    return MetricInfo(
        id=f"{probe.id}/{metric.id}",
        probe=probe.id,
        title=metric.title or metric.id.replace("_", " "),
        unit=unit,
        range=(low, high),
        kind=kind,
        direction=metric.direction,
        ideal=metric.ideal,
        eps=metric.eps,
        delta=metric.delta,
        headline=metric.headline,
    )


def _scale(probe: Probe, metric: Rate | Mean) -> tuple[str, float | None, float | None]:
    measure = next(measure for measure in probe.measures if measure.id == metric.of)
    if isinstance(measure, Binary):
        return "", 0.0, 1.0
    if not isinstance(measure, Real):
        return "", None, None
    absolute = isinstance(metric, Mean) and metric.absolute
    return measure.unit, 0.0 if absolute else measure.low, measure.high


def _slices(metric: Metric, answers: Answers) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    yield {}, np.ones(answers.n_items, dtype=bool)
    if isinstance(metric, Statistic) and not metric.by_slice:
        return
    for column in sorted(answers.slices):
        levels = pairs.levels(answers, column)
        if 2 <= len(levels) <= MAX_LEVELS:
            for level in levels:
                yield {column: level}, answers.slices[column] == level


def _label(slice_: Mapping[str, str]) -> str:
    return "".join(f"[{column}={level}]" for column, level in slice_.items())


def _estimates(entry: _Measured, settings: Settings) -> Iterator[Estimate]:
    for metric in entry.probe.metrics:
        for slice_, rows in _slices(metric, entry.answers):
            fields = numbers.estimate(metric, entry.answers.take(rows), entry.probe.measures, settings)
            fields |= _cut_short(entry, fields)
            yield Estimate(
                id=f"{entry.id}/{metric.id}{_label(slice_)}",
                subject=entry.subject,
                measurement=entry.id,
                metric=f"{entry.probe.id}/{metric.id}",
                slice=slice_,
                **fields,
            )


def _cut_short(entry: _Measured, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is concluded from a part of the items."""
    if not entry.partial:
        return {}
    return {"conclusive": False, "reason": fields["reason"] or "the run was cut short (-L)"}


def _defined_contrasts(entry: _Measured) -> Iterator[tuple[Contrast, Metric]]:
    metrics = {metric.id: metric for metric in entry.probe.metrics}
    for contrast in entry.probe.contrasts:
        if {contrast.plus, contrast.minus} <= set(pairs.levels(entry.answers, contrast.column)):
            yield contrast, metrics[contrast.metric]


def _contrasts(entry: _Measured, settings: Settings) -> Iterator[ContrastResult]:
    for contrast, metric in _defined_contrasts(entry):
        fields = pairs.contrast(contrast, metric, entry.answers, entry.probe.measures, settings)
        fields |= _cut_short(entry, fields)
        yield ContrastResult(
            id=f"{entry.id}/{contrast.id}",
            kind="within_subject",
            title=contrast.title or contrast.id.replace("_", " "),
            measurement=entry.id,
            metric=f"{entry.probe.id}/{metric.id}",
            terms=_terms(entry.subject, contrast, 1.0),
            headline=contrast.headline,
            **fields,
        )


def _terms(subject: str, contrast: Contrast, sign: float) -> list[Term]:
    return [
        Term(subject=subject, slice={contrast.column: contrast.plus}, coefficient=sign),
        Term(subject=subject, slice={contrast.column: contrast.minus}, coefficient=-sign),
    ]


def _pairs(
    measured: Sequence[_Measured], subjects: Sequence[Subject]
) -> Iterator[tuple[_Measured, _Measured]]:
    found = {(entry.subject, entry.key): entry for entry in measured}
    bases = [subject.id for subject in subjects if subject.role == "base"]
    for subject in subjects:
        if subject.role != "adapted":
            continue
        for entry in measured:
            if entry.subject == subject.id and (bases[0], entry.key) in found:
                yield found[bases[0], entry.key], entry


def _contrast_changes(
    base: _Measured, adapted: _Measured, same_tokenizer: bool, settings: Settings
) -> Iterator[ContrastResult]:
    pair = pairs.pair_up(base.answers, adapted.answers)
    for contrast, metric in _defined_contrasts(adapted):
        refusal = _refusal(base, adapted, metric, same_tokenizer)
        fields: dict[str, Any]
        if refusal:
            fields = {"state": "unmeasured", "reason": refusal, "conclusive": False}
        else:
            fields = pairs.contrast_of_change(contrast, metric, pair, adapted.probe.measures, settings)
            fields |= _cut_short(adapted, fields)
        yield ContrastResult(
            id=f"{adapted.id}/change/{contrast.id}",
            kind="difference_in_differences",
            title=contrast.title or contrast.id.replace("_", " "),
            measurement=adapted.id,
            metric=f"{adapted.probe.id}/{metric.id}",
            terms=_terms(adapted.subject, contrast, 1.0) + _terms(base.subject, contrast, -1.0),
            headline=contrast.headline,
            **fields,
        )


def _same_tokenizer(base: _Measured, adapted: _Measured, subjects: Sequence[Subject]) -> bool:
    parts = {subject.id: subject.parts for subject in subjects}
    # A GGUF file holds its own tokenizer: equal weights then mean an equal tokenizer.
    old, new = (
        parts[side.subject].get("tokenizer", parts[side.subject].get("weights")) for side in (base, adapted)
    )
    return old is not None and old == new


def _comparisons(
    base: _Measured, adapted: _Measured, same_tokenizer: bool, settings: Settings
) -> Iterator[Comparison]:
    pair = pairs.pair_up(base.answers, adapted.answers)
    for metric in adapted.probe.metrics:
        refusal = _refusal(base, adapted, metric, same_tokenizer)
        for slice_, rows in _slices(metric, pair.base):
            name = f"{adapted.id}/{metric.id}{_label(slice_)}"
            common: dict[str, Any] = {
                "id": name,
                "base": base.subject,
                "adapted": adapted.subject,
                "measurement": adapted.id,
                "metric": f"{adapted.probe.id}/{metric.id}",
                "slice": slice_,
            }
            if refusal:
                yield Comparison(
                    **common, state="unmeasured", reason=refusal, conclusive=False, verdict="unmeasured"
                )
                continue
            part = pairs.Pair(pair.base.take(rows), pair.adapted.take(rows))
            fields = pairs.compare(metric, part, adapted.probe.measures, settings)
            fields |= _cut_short(adapted, fields)
            yield Comparison(**common, **fields, **_reading(fields), margins=_margins(metric))


def _refusal(base: _Measured, adapted: _Measured, metric: Metric, same_tokenizer: bool) -> str:
    """Why the two sides were not asked the same question; empty where they were."""
    # The digest differs whenever a field does, and names none.
    old, new = (
        {name: value for name, value in side.protocol.items() if name != "digest"} for side in (base, adapted)
    )
    differs = first_difference(old, new)
    if differs:
        return f"the protocols differ in {differs}"
    return "" if same_tokenizer else _incomparable(adapted.probe, metric)


def _incomparable(probe: Probe, metric: Metric) -> str:
    names = metric.needs if isinstance(metric, Statistic) else (metric.of,)
    for measure in probe.measures:
        if measure.id in names and not getattr(measure, "comparable", True):
            return f"measure {measure.id} depends on the tokenizer and is not compared across subjects"
    return ""


def _reading(fields: Mapping[str, Any]) -> dict[str, Any]:
    if fields["state"] != "measured":
        return {"verdict": "unmeasured", "direction": "unknown"}
    lower, upper = fields["lower"], fields["upper"]
    if lower is None or upper is None:
        return {"verdict": "inconclusive", "direction": "unknown"}
    direction = "rose" if lower > 0 else "fell" if upper < 0 else "no change shown"
    return {"verdict": "association" if fields["conclusive"] else "inconclusive", "direction": direction}


def _margins(metric: Metric) -> Margins:
    declared = metric.eps is not None or metric.delta is not None
    return Margins(eps=metric.eps, delta=metric.delta, source="metric" if declared else "none declared")
