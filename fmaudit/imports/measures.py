"""Which measures and metrics an imported task has, and whether its log adds up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fmaudit.analysis.imported import Declaration, DeclaredMetric
from fmaudit.errors import DataError
from fmaudit.evidence.rows import FIXED_COLUMNS, REASON_SUFFIX, VALID_SUFFIX
from fmaudit.imports.logs import Answer, LoggedMetric, TaskLog
from fmaudit.imports.reading import slug
from fmaudit.probe import Direction, Observation

MAX_METRICS = 100
NO_VALUE = "the log has no number for it"
NOT_THE_MEAN = "the log's number is not the mean of its items"
ANOTHER_RULE = (
    "the log's number counts as many items and is not their mean: it was counted by another rule, or edited"
)
NOT_VERIFIED = "Imported from a log: the questions, the settings and the models behind it were not verified."
_RESERVED = frozenset({*FIXED_COLUMNS, "outcome", "severity"})
_AGREES = 1e-9


@dataclass(frozen=True)
class Imported:
    """One task and variant of all subjects: what it declares, and its metrics' names in the logs.

    ``names``: by measure id. ``outcome``: the measure whose defect is the default outcome.
    ``turned``: whether that defect is 1 minus the measure. ``reason``: why nothing can be measured.
    """

    declaration: Declaration
    names: Mapping[str, str]
    unusable: Mapping[str, str]
    outcome: str = ""
    turned: bool = False
    reason: str = ""


def declare(logs: Sequence[TaskLog], directions: Mapping[str, bool]) -> dict[str, Imported]:
    """The declarations of one task by variant, the same for every subject.

    Args:
        logs: Every variant of every subject of this task.
        directions: By metric, whether higher is better, as the user states it.

    Raises:
        DataError: the samples and the log's own result contradict each other, or too many metrics.
    """
    merged = _merged(logs, directions)
    if len(merged) > MAX_METRICS:
        raise DataError(f"{logs[0].file} has {len(merged)} metrics: at most {MAX_METRICS} are imported")
    binary = {name for name, metric in merged.items() if not metric.unusable and _is_binary(name, logs)}
    variants = list(dict.fromkeys(task.variant for task in logs))
    chosen = {variant: _leading(variant, logs, merged, binary) for variant in variants}
    headlines = {name for name in chosen.values() if name}
    return {
        variant: _imported(variant, logs, merged, binary, headlines, chosen[variant]) for variant in variants
    }


def observation(found: Imported, answer: Answer) -> Observation:
    """One answer as a row: its numbers as logged, and why others are missing."""
    values: dict[str, float] = {}
    invalid: dict[str, str] = {}
    for measure, name in found.names.items():
        value = answer.values.get(name)
        reason = found.unusable.get(measure) or answer.failed or (NO_VALUE if value is None else "")
        if reason or value is None:
            invalid[measure] = reason
        else:
            values[measure] = value
    if found.outcome in values:
        values["outcome"] = 1 - values[found.outcome] if found.turned else values[found.outcome]
    elif found.outcome:
        invalid["outcome"] = invalid[found.outcome]
    return Observation(dict(values), invalid, answer.epoch)


def _merged(logs: Sequence[TaskLog], directions: Mapping[str, bool]) -> dict[str, LoggedMetric]:
    """Every metric once: unusable where any log says so, directed where all agree or the user says so."""
    found: dict[str, LoggedMetric] = {}
    for task in logs:
        for metric in task.metrics:
            known = found.setdefault(metric.name, metric)
            if known.higher_is_better != metric.higher_is_better:
                known = replace(known, higher_is_better=None)
            found[metric.name] = replace(known, unusable=known.unusable or _unusable(task, metric))
    empty = {name for name in found if not any(True for task in logs for _ in _values(task, name))}
    return {
        name: replace(
            metric,
            higher_is_better=directions.get(name, metric.higher_is_better),
            unusable=metric.unusable or (NO_VALUE if name in empty else ""),
        )
        for name, metric in found.items()
    }


def _unusable(task: TaskLog, metric: LoggedMetric) -> str:
    """Why a log has no number an item for a metric; empty where it has. Checks them against the log's own."""
    if metric.unusable:
        return metric.unusable
    if metric.reported is None or not any(True for _ in _values(task, metric.name)):
        return ""
    # A tool may count an answer that failed after it was scored, or leave it out.
    counted = _by_item(task, metric.name, with_failed=False)
    means = [mean_of_means(counted), mean_of_means(_by_item(task, metric.name, with_failed=True))]
    if any(agrees(mean, metric.reported) for mean in means):
        return ""
    if not metric.averaged:
        return NOT_THE_MEAN
    if metric.counted is not None and metric.counted == sum(
        any(v is not None for v in own) for own in counted
    ):
        return ANOTHER_RULE
    raise DataError(
        f"{task.file}: the samples' mean of {metric.name!r} is {means[0]:.6g} and its results say "
        f"{metric.reported:.6g}: they are not of one run, a part is "
        "missing, or the tool counted by another rule"
    )


def _by_item(task: TaskLog, name: str, *, with_failed: bool) -> list[list[float | None]]:
    return [
        [answer.values.get(name) for answer in item.answers if with_failed or not answer.failed]
        for item in task.items
    ]


def mean_of_means(by_item: Sequence[Sequence[float | None]]) -> float:
    """The mean over items of the mean of their values; what has none is left out, NaN where nothing has."""
    means = [math.fsum(own) / len(own) for values in by_item if (own := [v for v in values if v is not None])]
    return math.fsum(means) / len(means) if means else math.nan


def agrees(mean: float, reported: float) -> bool:
    """Whether a mean of ours is the number of a log, up to the order of additions."""
    return math.isclose(mean, reported, rel_tol=_AGREES, abs_tol=_AGREES)


def _values(task: TaskLog, name: str) -> Iterator[float]:
    for item in task.items:
        for answer in item.answers:
            value = answer.values.get(name)
            if value is not None:
                yield value


def _is_binary(name: str, logs: Sequence[TaskLog]) -> bool:
    return all(value in (0.0, 1.0) for task in logs for value in _values(task, name))


def _leading(
    variant: str, logs: Sequence[TaskLog], merged: Mapping[str, LoggedMetric], binary: set[str]
) -> str:
    """The first 0/1 metric of a variant of which one side is better; empty where there is none."""
    own = [metric.name for task in logs if task.variant == variant for metric in task.metrics]
    return next((name for name in own if name in binary and _direction(merged[name]) != "none"), "")


def _direction(metric: LoggedMetric) -> Direction:
    if metric.ideal is not None:
        return "target"
    if metric.higher_is_better is None:
        return "none"
    return "higher_is_better" if metric.higher_is_better else "lower_is_better"


def _imported(
    variant: str,
    logs: Sequence[TaskLog],
    merged: Mapping[str, LoggedMetric],
    binary: set[str],
    headlines: set[str],
    leading: str,
) -> Imported:
    own = [task for task in logs if task.variant == variant]
    names = list(dict.fromkeys(metric.name for task in own for metric in task.metrics))
    ids = _ids(list(merged))
    metrics = tuple(
        DeclaredMetric(
            id=ids[name],
            title=merged[name].title,
            kind="rate" if name in binary else "mean",
            direction=_direction(merged[name]),
            ideal=merged[name].ideal,
            headline=name in headlines,
            low=None if name in binary else merged[name].low,
            high=None if name in binary else merged[name].high,
        )
        for name in names
    )
    unusable = {ids[name]: merged[name].unusable for name in names if merged[name].unusable}
    limits = [NOT_VERIFIED, *dict.fromkeys(limit for task in own for limit in task.limits)]
    limits += [
        f"{merged[name].title} is unmeasured: {merged[name].unusable}."
        for name in names
        if merged[name].unusable
    ]
    partial = dict.fromkeys(task.partial for task in own if task.partial)
    limits += [f"Cut short in a log ({reason})." for reason in partial]
    reason = "" if len(unusable) < len(names) else "; ".join(sorted(set(unusable.values()))) or NO_VALUE
    return Imported(
        Declaration(title=own[0].task, metrics=metrics, outcome=bool(leading), limits=tuple(limits)),
        {ids[name]: name for name in names},
        unusable,
        outcome=ids[leading] if leading else "",
        turned=bool(leading) and _direction(merged[leading]) == "higher_is_better",
        reason=reason,
    )


def _ids(names: Sequence[str]) -> dict[str, str]:
    """Names of metrics as column names: no reserved one, none twice."""
    found: dict[str, str] = {}
    for name in names:
        parts = [slug(part) for part in name.split(".")] if len(name) <= 120 else [slug(name)]
        wanted = ".".join(parts)
        if wanted in _RESERVED or wanted.endswith((VALID_SUFFIX, REASON_SUFFIX)):
            wanted += "_logged"
        while wanted in found.values():
            wanted += "_"
        found[name] = wanted
    return found
