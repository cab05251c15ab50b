"""One number in two audits: its paired change on the same items, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isclose, isfinite, nan
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from fmaudit.analysis.comparisons import field
from fmaudit.analysis.distances import Form, change_of_distance, distance_of_contrast
from fmaudit.analysis.gaps import gap_estimate
from fmaudit.analysis.measured import MeasuredRows, probe_of, read_measured
from fmaudit.analysis.numbers import Settings, item_values, usable_items
from fmaudit.analysis.pairs import Pair, compare, contrast_of_change, pair_up
from fmaudit.analysis.records import defined_contrasts, slices
from fmaudit.analysis.statistic_ends import bind
from fmaudit.analysis.tables import Answers
from fmaudit.canonical import digest_file
from fmaudit.errors import FmauditError
from fmaudit.evidence.directory import AUDIT_FILE, RUN_FILE, RunDirectory, first_difference
from fmaudit.probe import Contrast, Gap, Measure, Metric, Statistic
from fmaudit.question import record_id
from fmaudit.schema import Audit, ContrastResult, Estimate, Measurement, Numbers, Subject, read_audit

_SAME = 1e-9
"""Relative and absolute: sums of one set of rows in another order."""
Release: TypeAlias = Literal["earlier", "later"]
_EARLIER: Final = "earlier"
_LATER: Final = "later"
_BOTH: tuple[Release, Release] = (_EARLIER, _LATER)
CUT_SHORT = "a run was cut short (-L)"


@dataclass(frozen=True)
class Refusal:
    """Why two audits are not subtracted.

    ``fields``: where their protocols differ. ``audit``: whose fault it is, where it is that of one.
    ``detail``: what the reader of the rows said, if anything.
    """

    reason: str
    fields: tuple[str, ...] = ()
    audit: Release | None = None
    detail: str = ""

    @property
    def text(self) -> str:
        """Reason and detail."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class ReleaseRows:
    """One audit on disk; rows are read when they are needed and kept until :meth:`forget`.

    Args:
        run: The run directory; its rows may be missing, then every change is refused.
        audit: Its audit; read from the directory when None.

    Raises:
        UsageError: ``audit.json`` is missing or broken.
    """

    def __init__(self, run: RunDirectory, audit: Audit | None = None) -> None:
        self.run = run
        self.audit = audit or read_audit(run.path)
        self._read: dict[str, MeasuredRows | str] = {}

    @cached_property
    def digest(self) -> str:
        """Digest of the bytes of ``audit.json``."""
        path = self.run.path
        return digest_file(path / AUDIT_FILE if path.is_dir() else path)

    @cached_property
    def subjects(self) -> Mapping[str, Subject]:
        """Subjects by id."""
        return {subject.id: subject for subject in self.audit.subjects}

    @cached_property
    def measurements(self) -> Mapping[str, Measurement]:
        """Measurements by id, which is ``subject/key``."""
        return {found.id: found for found in self.audit.measurements}

    @cached_property
    def estimates(self) -> Mapping[tuple[str, str, frozenset[tuple[str, str]]], Estimate]:
        """Estimates by measurement, metric and slice."""
        return {
            (found.measurement, found.metric, frozenset(found.slice.items())): found
            for found in self.audit.estimates
        }

    @cached_property
    def contrasts(self) -> Mapping[str, ContrastResult]:
        """Contrasts within one subject by id, which is ``subject/key/contrast``."""
        return {found.id: found for found in self.audit.contrasts if found.kind == "within_subject"}

    def measurement(self, subject: str, key: str) -> Measurement | None:
        """What the audit says of one question asked of one of its subjects."""
        return self.measurements.get(f"{subject}/{key}") if subject in self.subjects else None

    def estimate(self, measurement: str, metric: str, slice: Mapping[str, str]) -> Estimate | None:
        """The audit's own number."""
        return self.estimates.get((measurement, metric, frozenset(slice.items())))

    def rows(self, measurement: Measurement) -> MeasuredRows | str:
        """The rows behind a measurement, or why they are not at hand; empty where there are none."""
        if measurement.id not in self._read:
            self._read[measurement.id] = self._load(measurement)
        return self._read[measurement.id]

    def forget(self) -> None:
        """Let go of the rows that were read."""
        self._read.clear()

    def _load(self, measurement: Measurement) -> MeasuredRows | str:
        path = self.run.path
        if not (path / RUN_FILE).is_file() or not (path / "evidence").is_dir():
            return ""
        try:
            record = self._record(measurement)
            if record is None:
                return f"{RUN_FILE} does not say that it was measured"
            return read_measured(self.run, record, probe_of(record))
        except FmauditError as error:
            return str(error)

    def _record(self, measurement: Measurement) -> dict[str, Any] | None:
        for record in (self.run.read_state() or {}).get("measurements", ()):
            if record_id(record) == measurement.id and record["state"] == "measured":
                found: dict[str, Any] = record
                return found
        return None


@dataclass(frozen=True)
class ReleasePair:
    """The rows of one question in two audits, the items in one order; subjects are named by their audit."""

    old: MeasuredRows
    new: MeasuredRows
    subjects: tuple[Subject, Subject]
    whole: Pair

    @property
    def partial(self) -> bool:
        """Whether a limit cut the items."""
        return self.old.partial or self.new.partial


def release_change(
    older: ReleaseRows,
    newer: ReleaseRows,
    older_subject: str,
    newer_subject: str,
    key: str,
    metric: str,
    slice: Mapping[str, str],
    settings: Settings,
    distance: Form | None = None,
) -> Numbers | Refusal:
    """The later number minus the earlier one on the items both audits asked, the missing counted both ways.

    Args:
        older: The earlier audit.
        newer: The later audit.
        older_subject: Id of the model in the earlier audit.
        newer_subject: Id of the model in the later audit.
        key: The measurement within its subject: ``probe@dataset+variant``.
        metric: ``probe/metric``.
        slice: Slice column and level; empty for all items.
        settings: Level of the interval and seed of its resampling.
        distance: Which limits the change of the distance to the metric's ideal gets; None for the
            change of the number itself.

    Returns:
        The change in the metric's own unit, or the refusal: protocols differ (with the fields),
        items differ, one side was not measured, or rows do not give their audit's own number.
    """
    found = release_pair(older, newer, older_subject, newer_subject, key)
    if isinstance(found, Refusal):
        return found
    chosen = next((one for one in found.new.probe.metrics if _name(found, one) == metric), None)
    if chosen is None:
        return Refusal("the installed probe does not have this number")
    refusal = _incomparable(found, chosen, settings)
    if refusal is not None:
        return refusal
    for word, release, side in zip(_BOTH, (older, newer), (found.old, found.new), strict=True):
        stated = release.estimate(side.id, metric, slice)
        mask = slice_items(chosen, side.answers, slice)
        if stated is None or mask is None:
            return Refusal(f"the {word} audit does not hold this number", audit=word)
        if not _same(stated.value, _value(chosen, side.answers.take(mask), side.probe.measures)):
            return _not_its_own(word)
    mask = slice_items(chosen, found.whole.base, slice)
    assert mask is not None
    part = Pair(found.whole.base.take(mask), found.whole.adapted.take(mask))
    measures = found.new.probe.measures
    if distance is None:
        return _numbers(compare(chosen, part, measures, settings), found)
    away = change_of_distance(chosen, part, measures, settings, distance)
    return Refusal("the installed probe has no target for it") if away is None else _numbers(away, found)


def release_contrast_change(
    older: ReleaseRows,
    newer: ReleaseRows,
    older_subject: str,
    newer_subject: str,
    key: str,
    contrast: str,
    settings: Settings,
    *,
    distance: bool = False,
) -> Numbers | Refusal:
    """How far a contrast (members minus controls, group minus group) moved between two audits.

    A difference in differences on the items both asked. ``contrast`` is its id within the probe;
    ``distance``: how much further from 0 it is. The other arguments, and what is refused, are those of
    :func:`release_change`.
    """
    found = release_pair(older, newer, older_subject, newer_subject, key)
    if isinstance(found, Refusal):
        return found
    defined = [
        next((pair for pair in defined_contrasts(side) if pair[0].id == contrast), None)
        for side in (found.old, found.new)
    ]
    for word, release, side, own in zip(_BOTH, (older, newer), (found.old, found.new), defined, strict=True):
        stated = release.contrasts.get(f"{side.id}/{contrast}")
        if stated is None or own is None:
            return Refusal(f"the {word} audit does not hold this contrast", audit=word)
        if not _same(stated.value, _contrast_value(*own, side)):
            return _not_its_own(word)
    assert defined[1] is not None
    chosen, metric = defined[1]
    refusal = _incomparable(found, metric, settings)
    if refusal is not None:
        return refusal
    measures = found.new.probe.measures
    if not distance:
        return _numbers(contrast_of_change(chosen, metric, found.whole, measures, settings), found)
    away = distance_of_contrast(chosen, metric, found.whole, measures, settings)
    return Refusal("the installed probe has no target for it") if away is None else _numbers(away, found)


def release_pair(
    older: ReleaseRows, newer: ReleaseRows, older_subject: str, newer_subject: str, key: str
) -> ReleasePair | Refusal:
    """The rows of one question in both audits, where they were asked alike; arguments as in
    :func:`release_change`.
    """
    first, second = older.measurement(older_subject, key), newer.measurement(newer_subject, key)
    for word, found in zip(_BOTH, (first, second), strict=True):
        if found is None:
            return Refusal(f"the {word} audit did not ask it", audit=word)
        if found.state != "measured":
            why = found.reason or "no reason recorded"
            return Refusal(f"{found.state} in the {word} audit: {why}", audit=word)
    assert first is not None
    assert second is not None
    differing = differing_fields(first.protocol, second.protocol)
    if differing:
        named = "their digest" if differing == ("digest",) else ", ".join(differing)
        return Refusal(f"the protocols differ in {named}{_asked_parts(first, second)}", differing)
    sides = []
    for word, release, found in zip(_BOTH, (older, newer), (first, second), strict=True):
        rows = release.rows(found)
        if isinstance(rows, str):
            gone = f"the rows of evidence of the {word} audit are not at hand"
            return Refusal(gone, audit=word, detail=rows)
        sides.append(rows)
    old, new = sides
    if not np.array_equal(old.answers.item_ids, new.answers.item_ids) and sorted(
        old.answers.item_ids.tolist()
    ) != sorted(new.answers.item_ids.tolist()):
        return Refusal("the rows of evidence are not of the same items")
    # Both subjects may have one id: they are told apart by which audit they are of.
    subjects = (
        older.subjects[older_subject].model_copy(update={"id": _EARLIER}),
        newer.subjects[newer_subject].model_copy(update={"id": _LATER}),
    )
    return ReleasePair(old, new, subjects, pair_up(old.answers, new.answers))


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields in which two protocols differ; empty where they are the same protocol.

    The digest differs whenever a field does, and is named only where none is.
    """
    names = sorted((set(first) | set(second)) - {"digest"})
    found = (first_difference(first.get(name), second.get(name), name) for name in names)
    differing = tuple(place for place in found if place)
    if not differing and first.get("digest") != second.get("digest"):
        return ("digest",)
    return differing


def slice_items(metric: Metric, answers: Answers, slice: Mapping[str, str]) -> np.ndarray | None:
    """Mask of the items that a number at this slice is taken of; None where the audit has no such slice."""
    return next((rows for levels, rows in slices(metric, answers) if levels == dict(slice)), None)


def _asked_parts(first: Measurement, second: Measurement) -> str:
    """How many items each audit asked, where a limit cut one of them."""
    if not (first.partial or second.partial) or first.dataset is None or second.dataset is None:
        return ""
    asked = [f"{found.n_asked:,} of {found.n_items:,}" for found in (first.dataset, second.dataset)]
    return f" (a run was cut by -L: the earlier audit asked {asked[0]} items, the later {asked[1]})"


def _incomparable(found: ReleasePair, metric: Metric, settings: Settings) -> Refusal | None:
    old, new = replace(found.old, subject=_EARLIER), replace(found.new, subject=_LATER)
    reason = field([old, new], found.subjects, settings).refusal(old, new, metric)
    return Refusal(reason) if reason else None


def _name(found: ReleasePair, metric: Metric) -> str:
    return f"{found.new.probe.id}/{metric.id}"


def _numbers(fields: Mapping[str, Any], found: ReleasePair) -> Numbers:
    kept = {name: value for name, value in fields.items() if name in Numbers.model_fields}
    if found.partial:
        kept |= {"conclusive": False, "reason": kept["reason"] or CUT_SHORT}
    return Numbers(**kept)


def _not_its_own(word: Release) -> Refusal:
    return Refusal(f"the rows of evidence do not give the {word} audit's own number", audit=word)


def _same(stated: float | None, found: float) -> bool:
    """Whether rows give the value that the audit holds: else they are not the rows it was made from."""
    if stated is None or not isfinite(found):
        return stated is None and not isfinite(found)
    return isclose(found, stated, rel_tol=_SAME, abs_tol=_SAME)


def _value(metric: Metric, answers: Answers, measures: Sequence[Measure]) -> float:
    if isinstance(metric, Gap):
        value = gap_estimate(metric, answers, Settings())["value"]
        return nan if value is None else float(value)
    if isinstance(metric, Statistic):
        kept = answers.take(usable_items(metric, answers))
        return bind(metric, kept)(kept.weights)
    values = item_values(metric, answers, measures)
    return _mean(values.values, answers.weights, values.valid)


def _contrast_value(contrast: Contrast, metric: Metric, side: MeasuredRows) -> float:
    if isinstance(metric, (Statistic, Gap)):
        return nan
    column = side.answers.slices[contrast.column]
    within = side.answers.take(np.isin(column, [contrast.plus, contrast.minus]))
    found, levels = item_values(metric, within, side.probe.measures), within.slices[contrast.column]
    plus, minus = (
        _mean(found.values, within.weights, found.valid & (levels == level))
        for level in (contrast.plus, contrast.minus)
    )
    return plus - minus


def _mean(values: np.ndarray, weights: np.ndarray, rows: np.ndarray) -> float:
    total = weights[rows].sum()
    return float(values[rows] @ weights[rows] / total) if total > 0 else nan
