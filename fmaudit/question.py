"""One name for what was asked and judged: probe, data set, variant, format and instrument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RAW: Final = "raw"


@dataclass(frozen=True, order=True)
class Question:
    """What several subjects can be asked alike; what it names of one subject is a measurement.

    Attributes:
        probe: The probe's id.
        dataset: Data set id; empty where a probe brings its own items.
        variant: The scoring variant; empty where a probe has none.
        format: How a prompt is written: ``raw`` text, or ``native`` through the subject's chat template.
        instrument: The instrument that judged the answers; empty where the probe itself does.
    """

    probe: str
    dataset: str = ""
    variant: str = ""
    format: str = RAW
    instrument: str = ""

    @property
    def key(self) -> str:
        """Name within a subject, fit for a folder: ``probe@dataset+variant,format~instrument``."""
        parts = (self.probe, f"@{self.dataset}", f"+{self.variant}", f",{self.format}", f"~{self.instrument}")
        shown = (True, self.dataset, self.variant, self.format != RAW, self.instrument)
        return "".join(part for part, there in zip(parts, shown, strict=True) if there)

    @property
    def label(self) -> str:
        """Everything but the probe, for people; empty where there is nothing else to tell."""
        format_ = "" if self.format == RAW else self.format
        return " · ".join(part for part in (self.variant, self.dataset, format_, self.instrument) if part)

    def of(self, subject: str) -> str:
        """Id of the measurement of ``subject``."""
        return measurement_id(subject, self.key)


def measurement_id(subject: str, key: str) -> str:
    """Id of the measurement that a subject's record names by ``key``."""
    return f"{subject}/{key}"


def record_id(record: Mapping[str, Any]) -> str:
    """Id of the measurement that a record of ``run.json`` is of."""
    return measurement_id(record["subject"], record["key"])


def question_of(record: Mapping[str, Any]) -> Question:
    """The question of a measurement as ``run.json`` records it."""
    dataset = record.get("dataset")
    return Question(
        probe=record["probe"],
        dataset=dataset["id"] if dataset else "",
        variant=record.get("variant", ""),
        format=record.get("format", RAW),
        instrument=record.get("instrument", ""),
    )
