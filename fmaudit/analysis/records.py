"""What the audit lists of subjects, measurements and metrics, and their own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from fmaudit.analysis import numbers, pairs
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers, among_items
from fmaudit.plan import MAX_LEVELS
from fmaudit.probe import Binary, Contrast, Gap, Mean, Metric, Probe, Rate, Real, Statistic
from fmaudit.question import Question, question_of, record_id
from fmaudit.schema import ContrastResult, Estimate, Measurement, MetricInfo, Subject, Term


def subject(entry: Mapping[str, Any]) -> Subject:
    """A subject as run.json recorded it."""
    return Subject(**entry)


def measurement(
    entry: Mapping[str, Any],
    probes: Mapping[Question, Probe],
    measured: Mapping[str, MeasuredRows],
    limits: Sequence[str] = (),
) -> Measurement:
    """One measurement, measured or not; ``limits``: what limits all measurements of the run."""
    probe = probes[question_of(entry)]
    name = record_id(entry)
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
        assurance=entry.get("assurance", "measured"),
        state="unmeasured" if failed else entry["state"],
        reason=entry["reason"],
        partial=entry["partial"],
        coverage=None if found is None else _row_coverage(found),
        n_rows=0 if found is None else found.answers.n_items * found.answers.samples,
        invalid={} if found is None else _invalid(found.answers),
        limits=[*limits, *probe.limits],
    )


def _row_coverage(found: MeasuredRows) -> float:
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


def metrics(probes: Iterable[Probe]) -> list[MetricInfo]:
    """Every metric of these probes, once a variant."""
    found = {
        (info.id, info.variant): info
        for probe in probes
        for info in (metric_info(probe, metric) for metric in probe.metrics)
    }
    return [found[name] for name in sorted(found)]


def metric_info(probe: Probe, metric: Metric) -> MetricInfo:
    """What a number of a probe is."""
    kind: Literal["rate", "mean", "statistic"]
    low: float | None
    high: float | None
    if isinstance(metric, (Statistic, Gap)):
        kind, unit, (low, high) = "statistic", metric.unit, metric.worst or (None, None)
    else:
        kind = "rate" if isinstance(metric, Rate) else "mean"
        unit, low, high = _scale(probe, metric)
    return MetricInfo(
        id=f"{probe.id}/{metric.id}",
        probe=probe.id,
        variant=probe.variant,
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


def slices(metric: Metric, answers: Answers) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """The items that carry the defect, then every level of every slice column, as masks."""
    carrying = np.ones(answers.n_items, dtype=bool)
    where = metric.where if isinstance(metric, Rate) else None
    if where is not None and where[0] in answers.slices:
        carrying = answers.slices[where[0]] == where[1]
    counted = among_items(metric.among if isinstance(metric, Rate) else None, answers)
    carrying &= counted
    known = {column: pairs.levels(answers, column) for column in answers.slices}
    for slice_ in levels_of_slices(metric, known):
        if not slice_:
            yield {}, carrying
            continue
        ((column, level),) = slice_.items()
        chosen = answers.slices[column] == level
        own = where is not None and column == where[0]
        yield slice_, chosen & (counted if own else carrying)


def levels_of_slices(metric: Metric, known: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """All items, then every level of every slice column, of a metric whose columns have these levels."""
    yield {}
    if isinstance(metric, Statistic | Gap) and not metric.by_slice:
        return
    for column in sorted(known):
        if 2 <= len(known[column]) <= MAX_LEVELS:
            for level in known[column]:
                yield {column: level}


def label(slice_: Mapping[str, str]) -> str:
    """A slice as part of an id."""
    return "".join(f"[{column}={level}]" for column, level in slice_.items())


def estimates(entry: MeasuredRows, settings: Settings) -> Iterator[Estimate]:
    """Every metric of one measurement, overall and by slice."""
    for metric in entry.probe.metrics:
        for slice_, rows in slices(metric, entry.answers):
            fields = numbers.estimate(metric, entry.answers.take(rows), entry.probe.measures, settings)
            fields |= cut_short(entry, fields)
            yield Estimate(
                id=f"{entry.id}/{metric.id}{label(slice_)}",
                subject=entry.subject,
                measurement=entry.id,
                metric=f"{entry.probe.id}/{metric.id}",
                slice=slice_,
                **fields,
            )


def cut_short(entry: MeasuredRows, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is concluded from a part of the items."""
    if not entry.partial:
        return {}
    return {"conclusive": False, "reason": fields["reason"] or "the run was cut short (-L)"}


def defined_contrasts(entry: MeasuredRows) -> Iterator[tuple[Contrast, Metric]]:
    """The contrasts whose two levels occur."""
    metrics = {metric.id: metric for metric in entry.probe.metrics}
    for contrast in entry.probe.contrasts:
        if {contrast.plus, contrast.minus} <= set(pairs.levels(entry.answers, contrast.column)):
            yield contrast, metrics[contrast.metric]


def contrasts(entry: MeasuredRows, settings: Settings) -> Iterator[ContrastResult]:
    """The contrasts within one subject."""
    for contrast, metric in defined_contrasts(entry):
        fields = pairs.contrast(contrast, metric, entry.answers, entry.probe.measures, settings)
        fields |= cut_short(entry, fields)
        yield ContrastResult(
            id=f"{entry.id}/{contrast.id}",
            kind="within_subject",
            title=contrast.title or contrast.id.replace("_", " "),
            measurement=entry.id,
            metric=f"{entry.probe.id}/{metric.id}",
            terms=terms(entry.subject, contrast, 1.0),
            headline=contrast.headline,
            **fields,
        )


def terms(subject: str, contrast: Contrast, sign: float) -> list[Term]:
    """The signed parts of a contrast."""
    return [
        Term(subject=subject, slice={contrast.column: contrast.plus}, coefficient=sign),
        Term(subject=subject, slice={contrast.column: contrast.minus}, coefficient=-sign),
    ]
