"""Checks of what a probe declares, and of observed values against it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from fmaudit.probe import (
    Binary,
    Categorical,
    Gap,
    Item,
    Mean,
    Measure,
    Metric,
    Observation,
    Probe,
    Rate,
    Real,
    Scalar,
    Statistic,
)
from fmaudit.requests import REQUEST_KINDS

_ID = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
_NAME = re.compile(r"[a-z0-9_]+")


def check_declarations(probe: Probe, name: str) -> None:
    """Ids, measures, metrics and contrasts fit together. Raises AssertionError."""
    assert _ID.fullmatch(probe.id), f"{name}: the id is not family.name in lower case"
    assert probe.version >= 1, f"{name}: version {probe.version}: start at 1"
    assert probe.title.strip(), f"{name}: no title: give the class a docstring or a title"
    asked = probe.variants[probe.variant] if probe.variants else probe.needs
    assert asked, f"{name}: declares no request kind: set needs or variants"
    unknown = set(asked) - set(REQUEST_KINDS)
    kinds = ", ".join(REQUEST_KINDS)
    assert not unknown, f"{name}: unknown request kind {sorted(unknown)[0]!r}; known: {kinds}"
    assert probe.measures, f"{name}: declares no measures"
    measures = {measure.id: measure for measure in probe.measures}
    metrics = {metric.id: metric for metric in probe.metrics}
    _check_names([measure.id for measure in probe.measures], "measure", name)
    _check_names([metric.id for metric in probe.metrics], "metric", name)
    _check_names([contrast.id for contrast in probe.contrasts], "contrast", name)
    assert isinstance(measures.get("outcome", Binary("outcome")), Binary), f"{name}: outcome must be Binary"
    assert isinstance(measures.get("severity", Real("severity")), Real), f"{name}: severity must be Real"
    for metric in probe.metrics:
        _check_metric(metric, measures, f"{name}: metric {metric.id}")
    for contrast in probe.contrasts:
        assert contrast.metric in metrics, (
            f"{name}: contrast {contrast.id} is of metric {contrast.metric!r}, which is not declared"
        )
        assert contrast.plus != contrast.minus, f"{name}: contrast {contrast.id} takes a level from itself"


def _check_names(names: Sequence[str], what: str, name: str) -> None:
    for one in names:
        assert _NAME.fullmatch(one), f"{name}: {what} {one!r} is not lower_case_with_underscores"
        assert names.count(one) == 1, f"{name}: two {what}s are called {one!r}"


def _check_metric(metric: Metric, measures: dict[str, Measure], name: str) -> None:
    if isinstance(metric, (Statistic, Gap)):
        assert metric.needs, f"{name} names no measure it needs"
        missing = [need for need in metric.needs if need not in measures]
        assert not missing, f"{name} needs {missing[:1]}, which is not declared"
    else:
        measure = measures.get(metric.of)
        assert measure is not None, f"{name} is of {metric.of!r}, which is not declared"
        if isinstance(metric, Rate):
            assert isinstance(measure, Binary), f"{name} is a Rate: {metric.of} is not Binary"
        if isinstance(metric, Mean):
            assert not isinstance(measure, Categorical), f"{name} is a Mean: {metric.of} is Categorical"
        spare = metric.reduce.spare
        assert not spare or isinstance(measures.get(spare), Binary), f"{name}: spare {spare!r} is not Binary"
        if metric.reduce.how == "any":
            assert isinstance(measure, Binary), f"{name}: 'any' needs a Binary measure"
    if metric.direction == "target":
        assert metric.ideal is not None, f"{name}: direction target needs an ideal"
    assert metric.eps is None or metric.eps >= 0, f"{name}: eps {metric.eps} is negative"
    assert metric.delta is None or metric.delta > 0, f"{name}: delta {metric.delta} is not positive"


def check_contrasts(probe: Probe, items: Sequence[Item], name: str) -> None:
    """Every contrast's column is a slice of the items. Raises AssertionError."""
    slices = items[0].slices
    for contrast in probe.contrasts:
        assert contrast.column in slices, (
            f"{name}: contrast {contrast.id} splits by {contrast.column!r}; "
            f"the items' slices are {', '.join(slices) or 'none'}"
        )


def check_values(probe: Probe, observation: Observation, where: str) -> None:
    """An observation holds every measure once, within its type and range. Raises AssertionError."""
    declared = {measure.id: measure for measure in probe.measures}
    values, invalid = observation.values, observation.invalid
    both = sorted(set(values) & set(invalid))
    assert not both, f"{where}: measure {both[0]} is both valued and invalid"
    missing = sorted(set(declared) - set(values) - set(invalid))
    assert not missing, f"{where}: measure {missing[0]} is neither valued nor invalid"
    undeclared = sorted((set(values) | set(invalid)) - set(declared))
    assert not undeclared, f"{where}: {undeclared[0]} is not a declared measure"
    for measure, reason in invalid.items():
        assert reason.strip(), f"{where}: measure {measure} is invalid without a reason"
    for measure_id, value in values.items():
        _check_value(declared[measure_id], value, f"{where}: {measure_id}")
    _check_sign(values.get("outcome"), values.get("severity"), where)


def _check_value(measure: Measure, value: Scalar, where: str) -> None:
    if isinstance(measure, Categorical):
        assert isinstance(value, str), f"{where} is {value!r}, not a string"
        assert not measure.levels or value in measure.levels, f"{where} {value!r} is not a declared level"
        return
    assert isinstance(value, int | float), f"{where} is {value!r}, not a number; make it invalid instead"
    if isinstance(measure, Binary):
        assert value in (0, 1), f"{where} is {value!r}, not 0 or 1"
        return
    assert math.isfinite(value), f"{where} is {value!r}; make it invalid instead"
    low = -math.inf if measure.low is None else measure.low
    high = math.inf if measure.high is None else measure.high
    assert low <= value <= high, f"{where} {value!r} is outside {low} to {high}"


def _check_sign(outcome: Scalar, severity: Scalar, where: str) -> None:
    if not isinstance(outcome, int | float) or not isinstance(severity, int | float):
        return
    agrees = severity >= 0 if outcome else severity <= 0
    assert agrees, f"{where}: outcome {outcome} with severity {severity}: positive means 1"
