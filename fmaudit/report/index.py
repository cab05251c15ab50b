"""Look-ups over an audit, and the removal of paths that no document may carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fmaudit.question import Question
from fmaudit.report.numbers import NumberView, number_view, scale_of
from fmaudit.schema import Audit, Estimate, Measurement, Numbers, Subject
from fmaudit.schema.metrics import MetricTable, metrics_of

ROLES = ("base", "adapted", "reference")
_POSIX_PATH = re.compile(r"(?:file://|(?<![\w.:/<]))/(?:[^\s/:'\"<>]+/)+([^\s/:'\"<>]*)")
_WINDOWS_PATH = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\:'\"<>]+\\)+([^\s\\:'\"<>]*)")
_DIGEST = re.compile(r"^(?:sha256:)?([0-9a-f]{16,})$")
_DIGEST_SHOWN = 12
MAX_TEXT = 4000
"""Characters of one text that a document shows."""


def without_paths(audit: Audit, longest: int | None = MAX_TEXT) -> Audit:
    """The audit as documents show it: absolute paths cut down to their last component, texts to a length.

    No document is made for texts of a megabyte; ``audit.json`` holds them. ``longest``: None keeps all,
    for documents that cut by themselves.
    """
    return Audit.model_validate(_cut(audit.model_dump(mode="json", by_alias=True), longest))


def short_digest(digest: object) -> str:
    """The first characters of a digest; other text unchanged."""
    found = _DIGEST.match(str(digest))
    return found.group(1)[:_DIGEST_SHOWN] if found else str(digest)


@dataclass(frozen=True)
class AuditIndex:
    """An audit with the look-ups every view needs."""

    audit: Audit

    @cached_property
    def subjects(self) -> Mapping[str, Subject]:
        """Subjects by id."""
        return {subject.id: subject for subject in self.audit.subjects}

    @cached_property
    def metrics(self) -> MetricTable:
        """What is known of every metric."""
        return metrics_of(self.audit)

    @cached_property
    def measurements(self) -> Mapping[str, Measurement]:
        """Measurements by id."""
        return {measurement.id: measurement for measurement in self.audit.measurements}

    @cached_property
    def ordered_subjects(self) -> tuple[Subject, ...]:
        """Bases first, then adapted, then references."""
        return tuple(sorted(self.audit.subjects, key=lambda subject: ROLES.index(subject.role)))

    @cached_property
    def estimates(self) -> Mapping[tuple[str, Question, str], Estimate]:
        """Overall estimates by subject, question and metric."""
        return {
            (
                estimate.subject,
                self.question(estimate.measurement, estimate.metric),
                estimate.metric,
            ): estimate
            for estimate in self.audit.estimates
            if not estimate.slice
        }

    @cached_property
    def _places(self) -> Mapping[int, str]:
        kinds = ("estimates", "contrasts", "comparisons", "homogenization", "calibrations")
        return {
            id(record): f"/{kind}/{place}"
            for kind in kinds
            for place, record in enumerate(getattr(self.audit, kind))
        }

    def place(self, record: object) -> str:
        """JSON pointer of a record of this audit; empty for any other object."""
        return self._places.get(id(record), "")

    def question(self, measurement: str, metric: str) -> Question:
        """The question behind a measurement id; the metric names the probe where the id is unknown."""
        found = self.measurements.get(measurement)
        return found.question if found else Question(metric.partition("/")[0])

    def protocol(self, measurement: str) -> str:
        """Short digest of a measurement's protocol."""
        found = self.measurements.get(measurement)
        return short_digest(found.protocol.get("digest", "")) if found else ""

    def partial(self, measurement: str) -> bool:
        """Whether the measurement asked only the head of its items."""
        found = self.measurements.get(measurement)
        return bool(found and found.partial)

    def number(self, numbers: Numbers, metric: str, measurement: str, *, difference: bool) -> NumberView:
        """The printable form of an estimate (or difference) of ``metric``."""
        return number_view(
            numbers,
            scale_of(self.metrics.at(metric, measurement), difference=difference),
            partial=self.partial(measurement),
            at=self.place(numbers),
        )

    def metric_title(self, metric: str, variant: str = "") -> str:
        """A metric's title, or its id where the audit has none."""
        found = self.metrics.get(metric, variant)
        return (found.title if found else "") or metric.partition("/")[2] or metric

    def model_phrase(self, subject: str) -> str:
        """How a sentence names a subject: by role, and by name where the role is shared."""
        found = self.subjects.get(subject)
        if found is None:
            return f"model {subject}"
        noun = {"base": "base model", "adapted": "adapted model", "reference": "reference model"}[found.role]
        alone = sum(other.role == found.role for other in self.audit.subjects) == 1
        return f"the {noun}" if alone and found.role != "reference" else f"the {noun} {found.name}"

    def subject_label(self, subject: str) -> str:
        """A short label: the role, and the name where the role is shared."""
        found = self.subjects.get(subject)
        if found is None:
            return subject
        alone = sum(other.role == found.role for other in self.audit.subjects) == 1
        return found.role.capitalize() if alone else f"{found.role.capitalize()} {found.name}"


def levels_text(levels: Mapping[str, str]) -> str:
    """A slice as text: ``column: level``."""
    return ", ".join(f"{column}: {level}" for column, level in sorted(levels.items())) or "all items"


def flat_pairs(values: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested plain data as sorted ``name, text`` pairs with dotted names."""
    pairs: list[tuple[str, str]] = []
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            pairs += flat_pairs(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            pairs.append((f"{prefix}{name}", ", ".join(str(item) for item in value)))
        elif value != "":
            pairs.append((f"{prefix}{name}", "not set" if value is None else str(value)))
    return tuple(pairs)


def _cut(value: Any, longest: int | None) -> Any:
    if isinstance(value, str):
        if longest is not None and len(value) > longest:
            value = f"{value[:longest]} [{len(value) - longest:,} more characters]"
        return _WINDOWS_PATH.sub(r"\1", _POSIX_PATH.sub(r"\1", value))
    if isinstance(value, Mapping):
        return {_cut(key, longest): _cut(item, longest) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item, longest) for item in value]
    return value
