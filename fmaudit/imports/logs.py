"""What a log says, in one shape for every tool that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmaudit.errors import DataError
from fmaudit.imports.reading import clean


@dataclass(frozen=True)
class Answer:
    """One answer to an item.

    ``values``: by metric, the number as logged; None where the log has none.
    ``failed``: why nothing of it counts; empty where it does. ``text``: what the
    model wrote, where the log keeps it. ``epoch`` counts from 0.
    """

    values: Mapping[str, float | None]
    text: str | None = None
    failed: str = ""
    epoch: int = 0


@dataclass(frozen=True)
class LoggedItem:
    """One question with its answers.

    ``hashes``: by field (document, prompt, target), what must be equal for it to be the
    same question; empty where the log lists the item and kept nothing of it.
    ``labels``: the fields the user named as clusters or slices.
    """

    id: str
    hashes: Mapping[str, str]
    answers: tuple[Answer, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoggedMetric:
    """One metric of a task.

    ``reported`` is the log's own number and ``averaged`` whether that is the plain mean over
    items (None: the log does not say). ``unusable`` says why there is no number an item.
    ``low`` and ``high`` are the ends it cannot leave, where they are known. ``counted``: on how many
    items the log's own number rests, where it says so.
    """

    name: str
    title: str
    higher_is_better: bool | None = None
    ideal: float | None = None
    reported: float | None = None
    averaged: bool | None = None
    unusable: str = ""
    low: float | None = None
    high: float | None = None
    counted: int | None = None


@dataclass(frozen=True)
class TaskLog:
    """One task under one filter or scorer (``variant``), as one log has it.

    ``identity``: fields in which two logs must agree to be imported together.
    ``protocol``: everything known of how it was asked, null where unknown.
    ``n_items``: items of the task; fewer were asked where ``partial`` says why.
    """

    task: str
    variant: str
    variant_kind: str
    file: str
    identity: Mapping[str, Any]
    protocol: Mapping[str, Any]
    metrics: tuple[LoggedMetric, ...]
    items: tuple[LoggedItem, ...]
    n_items: int
    dataset: str = ""
    partial: str = ""
    limits: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Task and variant."""
        return self.task, self.variant


@dataclass(frozen=True)
class Log:
    """Everything read of one subject: ``digest`` is of the log's files, not of a model."""

    format: str
    model: str
    digest: str
    tasks: tuple[TaskLog, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Fields of the document (or of the sample's metadata) that cut items into slices and clusters."""

    clusters: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()

    def labels(self, fields: object, place: str) -> dict[str, str]:
        """The values of these fields. Raises DataError, naming ``place``, where one is missing."""
        found: dict[str, str] = {}
        for name in dict.fromkeys((*self.clusters, *self.slices)):
            value = fields.get(name) if isinstance(fields, Mapping) else None
            if value is None or not isinstance(value, str | int | float | bool):
                raise DataError(f"{place} has no plain field {name!r}: check --cluster and --slice")
            found[name] = clean(str(value), 200)
        return found
