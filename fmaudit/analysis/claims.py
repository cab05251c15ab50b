"""Any number of a finished run at any level of confidence, computed again from its rows.

``audit.json`` holds every number at one level; who decides at another (a gate with its
own confidence, or with a correction for many rules) must not bend that interval but take
the one of the level it decides at, in the form that is fit to decide on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fmaudit.analysis import distances, numbers, pairs
from fmaudit.analysis.comparisons import field as field_of
from fmaudit.analysis.decisive import decisive_change, decisive_contrast_change, decisive_rate
from fmaudit.analysis.measured import MeasuredRows, probe_of, read_measured
from fmaudit.analysis.numbers import Settings, item_values
from fmaudit.analysis.records import cut_short, defined_contrasts, slices, subject
from fmaudit.analysis.sequences import (
    NO_CONTRAST,
    NO_STATISTIC,
    Units,
    sequence_of_change,
    sequence_of_level,
    without_sequence,
)
from fmaudit.analysis.shared import NO_SEQUENCE, yardstick_of
from fmaudit.analysis.tables import Answers
from fmaudit.errors import ExecutionError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.probe import Contrast, Gap, Metric, Rate, Statistic
from fmaudit.question import record_id
from fmaudit.schema import Numbers, Subject

Form = Literal["fixed", "anytime"]
ClaimKind = Literal["level", "change", "contrast", "contrast change"]


@dataclass(frozen=True)
class Claim:
    """Which number: of a subject's measurement (``subject/key``), or its change from ``base``.

    ``distance``: instead of a change, that of the distance to the metric's ideal.
    """

    kind: ClaimKind
    subject: str
    measurement: str
    metric: str
    slice: Mapping[str, str] = field(default_factory=dict)
    contrast: str = ""
    base: str = ""
    distance: bool = False

    @property
    def key(self) -> str:
        """Name of the measurement within its subject."""
        return self.measurement.removeprefix(self.subject + "/")


@dataclass
class RunNumbers:
    """Numbers of one run's claims; rows are read once, when they are needed.

    ``form``: ``fixed`` for intervals of a run of fixed size, ``anytime`` for sequences that
    hold however often one looks while the run grows.
    """

    directory: RunDirectory
    form: Form = "fixed"
    _rows: dict[str, MeasuredRows] = field(default_factory=dict)
    _state: dict[str, Any] = field(default_factory=dict)

    def number(self, claim: Claim, level: float) -> Numbers:
        """The number of ``claim`` with its two-sided interval at ``level``, to decide on.

        Raises ExecutionError where the rows are missing, damaged or do not hold such a claim.
        """
        return self._numbers(claim, level, self.form)

    def printed(self, claim: Claim, level: float) -> Numbers:
        """The number as ``audit.json`` holds it at that level."""
        return self._numbers(claim, level, None)

    def _numbers(self, claim: Claim, level: float, form: Form | None) -> Numbers:
        new = self.rows(claim.measurement)
        settings = Settings(level, self._seed())
        if claim.kind in ("contrast", "contrast change"):
            fields = self._contrast(claim, new, settings)
            if form and claim.kind == "contrast change" and isinstance(_named_contrast(claim, new)[1], Rate):
                fields = decisive_contrast_change(fields)
            if form == "anytime":
                fields = without_sequence(fields, NO_CONTRAST)
        else:
            measure = self._change if claim.kind == "change" else self._level
            fields = measure(claim, _metric(claim, new), new, settings, form)
        fields |= cut_short(new, fields)
        return Numbers(**{name: value for name, value in fields.items() if name in Numbers.model_fields})

    def rows(self, measurement: str) -> MeasuredRows:
        """The rows of a measurement. Raises ExecutionError where there are none or they are damaged."""
        if measurement not in self._rows:
            self._rows[measurement] = self._read(measurement)
        return self._rows[measurement]

    def units(self, measurement: str) -> Units | None:
        """What a sequence needs to know of the clusters of a measurement beforehand."""
        return Units.of(self._record(measurement), self.rows(measurement).answers)

    def _read(self, measurement: str) -> MeasuredRows:
        record = self._record(measurement)
        try:
            return read_measured(self.directory, record, probe_of(record))
        except (KeyError, TypeError, ValueError) as error:
            raise ExecutionError(
                f"evidence of {measurement} cannot be read ({type(error).__name__}): run the audit anew"
            ) from error

    def _record(self, measurement: str) -> Mapping[str, Any]:
        for record in self._loaded().get("measurements", ()):
            if record_id(record) == measurement and record["state"] == "measured":
                found: Mapping[str, Any] = record
                return found
        raise ExecutionError(f"run.json holds no measurement {measurement}: audit.json is of another run")

    def _seed(self) -> int:
        return int((self._loaded().get("plan") or {}).get("seed", 0))

    def _loaded(self) -> Mapping[str, Any]:
        if not self._state:
            self._state |= self.directory.read_state() or {}
        return self._state

    def _level(
        self, claim: Claim, metric: Metric, new: MeasuredRows, settings: Settings, form: Form | None
    ) -> dict[str, Any]:
        answers = new.answers.take(_mask(claim, metric, new.answers))
        fields = numbers.estimate(metric, answers, new.probe.measures, settings)
        if form != "anytime":
            return decisive_rate(fields) if form and isinstance(metric, Rate) else fields
        if isinstance(metric, (Statistic, Gap)):
            return without_sequence(fields, NO_STATISTIC)
        if yardstick_of(metric, answers) is not None:
            return without_sequence(fields, NO_SEQUENCE)
        values = item_values(metric, answers, new.probe.measures)
        return sequence_of_level(fields, values, answers, self.units(new.id), settings.level)

    def _change(
        self, claim: Claim, metric: Metric, new: MeasuredRows, settings: Settings, form: Form | None
    ) -> dict[str, Any]:
        old = self.rows(f"{claim.base}/{claim.key}")
        self._refuse_other_question(old, new, metric, settings)
        whole = pairs.pair_up(old.answers, new.answers)
        chosen = _mask(claim, metric, whole.base)
        pair = pairs.Pair(whole.base.take(chosen), whole.adapted.take(chosen))
        if claim.distance:
            return self._distance(metric, pair, new, settings, form)
        fields = pairs.compare(metric, pair, new.probe.measures, settings)
        if form != "anytime":
            return decisive_change(fields) if form and isinstance(metric, Rate) else fields
        if isinstance(metric, (Statistic, Gap)):
            return without_sequence(fields, NO_STATISTIC)
        if yardstick_of(metric, pair.base) is not None:
            return without_sequence(fields, NO_SEQUENCE)
        base, adapted = (item_values(metric, side, new.probe.measures) for side in (pair.base, pair.adapted))
        return sequence_of_change(fields, base, adapted, pair.base, self.units(new.id), settings.level)

    def _distance(
        self, metric: Metric, pair: pairs.Pair, new: MeasuredRows, settings: Settings, form: Form | None
    ) -> dict[str, Any]:
        limits = distances.PRINTED if form is None else distances.DECISIVE
        if form == "anytime":
            limits = distances.sequential(self.units(new.id))
        found = distances.change_of_distance(metric, pair, new.probe.measures, settings, limits)
        if found is None:
            raise ExecutionError(
                f"the installed probe {new.probe.id} has no target for {metric.id} and audit.json has: "
                "repeat the fmaudit run command, which computes it anew"
            )
        return found

    def _contrast(self, claim: Claim, new: MeasuredRows, settings: Settings) -> dict[str, Any]:
        contrast, metric = _named_contrast(claim, new)
        if claim.kind == "contrast":
            return pairs.contrast(contrast, metric, new.answers, new.probe.measures, settings)
        old = self.rows(f"{claim.base}/{claim.key}")
        self._refuse_other_question(old, new, metric, settings)
        whole = pairs.pair_up(old.answers, new.answers)
        if claim.distance:
            away = distances.distance_of_contrast(contrast, metric, whole, new.probe.measures, settings)
            assert away is not None
            return away
        return pairs.contrast_of_change(contrast, metric, whole, new.probe.measures, settings)

    def _refuse_other_question(
        self, old: MeasuredRows, new: MeasuredRows, metric: Metric, settings: Settings
    ) -> None:
        refusal = field_of([old, new], self._subjects(), settings).refusal(old, new, metric)
        if refusal:
            raise ExecutionError(f"{new.id} cannot be compared with {old.subject}: {refusal}")

    def _subjects(self) -> list[Subject]:
        return [subject(entry) for entry in self._loaded()["subjects"]]


def _metric(claim: Claim, rows: MeasuredRows) -> Metric:
    for metric in rows.probe.metrics:
        if f"{rows.probe.id}/{metric.id}" == claim.metric:
            return metric
    raise ExecutionError(f"the installed probe {rows.probe.id} does not have {claim.metric}")


def _mask(claim: Claim, metric: Metric, answers: Answers) -> np.ndarray:
    for slice_, rows in slices(metric, answers):
        if slice_ == dict(claim.slice):
            return rows
    raise ExecutionError(f"the rows of {claim.measurement} have no slice {dict(claim.slice)}")


def _named_contrast(claim: Claim, rows: MeasuredRows) -> tuple[Contrast, Metric]:
    for contrast, metric in defined_contrasts(rows):
        if contrast.id == claim.contrast:
            return contrast, metric
    raise ExecutionError(f"the rows of {claim.measurement} have no contrast {claim.contrast}")
