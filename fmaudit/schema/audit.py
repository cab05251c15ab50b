"""The whole of ``audit.json``: subjects, measurements, metrics, estimates and what was concluded of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from fmaudit.canonical import canonical_bytes
from fmaudit.errors import UsageError
from fmaudit.question import Question
from fmaudit.schema.pedigree import Calibration, Comparison, Family, Homogenization
from fmaudit.schema.records import Direction, Distance, Numbers, Quantity, Reading, Record, State
from fmaudit.schema.versions import SCHEMA as SCHEMA
from fmaudit.schema.versions import lacks_readings, upgrade


class Lineage(Record):
    """Which subject this one was adapted from, as declared, and what was verified.

    ``verified`` speaks of ``declared``, ``from_base`` of the audit's base: True
    where it is a descendant, False where that was refuted, None where neither is
    shown. ``group``: references of one group are kin and count as one.
    """

    declared: str | None = None
    verified: bool | None = None
    evidence: str = ""
    from_base: bool | None = None
    from_base_evidence: str = ""
    group: str = ""
    divergence_bits: Quantity | None = None


class Subject(Record):
    """One audited model; ``digest`` covers weights, adapter, tokenizer and chat template.

    Of a subject that is known from an imported log alone, no weights were seen: its ``kind``
    is unknown and its ``digest`` empty, and ``parts`` holds the digest of the log.
    """

    id: str
    role: Literal["base", "adapted", "reference"]
    kind: Literal["causal", "masked", "classifier", "unknown"]
    name: str
    digest: str
    base: str | None = None
    recipe: str | None = None
    training_seed: int | None = None
    lineage: Lineage = Lineage()
    parts: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class DatasetRef(Record):
    """The data set a measurement asked; ``pinned`` says whether it matches its card."""

    id: str
    digest: str
    n_items: int
    n_asked: int
    pinned: bool
    source: Literal["embedded", "local", "hub", "imported"]
    title: str = ""
    licence: str = ""
    limits: list[str] = Field(default_factory=list)


class Measurement(Record):
    """One probe, variant and data set under one protocol, for one subject."""

    id: str
    subject: str
    probe: str
    version: int
    variant: str = ""
    title: str = ""
    family: str = ""
    dataset: DatasetRef | None = None
    protocol: dict[str, Any] = Field(default_factory=dict)
    instruments: list[str] = Field(default_factory=list)
    assurance: Literal["measured", "imported"] = "measured"
    state: State
    reason: str = ""
    partial: bool = False
    coverage: float | None = None
    n_rows: int = 0
    invalid: dict[str, int] = Field(default_factory=dict)
    limits: list[str] = Field(default_factory=list)

    @property
    def question(self) -> Question:
        """What was asked and judged, whoever answered."""
        return Question(self.probe, self.dataset.id if self.dataset else "", self.variant)


class MetricInfo(Record):
    """What a number is: ``id`` is ``probe/metric``, the same for every variant of the probe."""

    id: str
    probe: str
    variant: str = ""
    title: str
    unit: str = ""
    range: tuple[float | None, float | None] = (None, None)
    kind: Literal["rate", "mean", "statistic"]
    direction: Literal["lower_is_better", "higher_is_better", "target", "none"]
    ideal: float | None = None
    eps: float | None = None
    delta: float | None = None
    headline: bool = False


class Estimate(Numbers):
    """One metric of one subject, overall (empty ``slice``) or at one slice level."""

    id: str
    subject: str
    measurement: str
    metric: str
    slice: dict[str, str] = Field(default_factory=dict)


class Term(Record):
    """One signed part of a contrast."""

    subject: str
    slice: dict[str, str]
    coefficient: float


class ContrastResult(Numbers):
    """A signed sum of the same metric: members minus controls, and its change from base to adapted.

    ``distance``: of a change, where the metric has a target, how much further the contrast is from 0.
    ``family``, ``direction`` and ``reading`` as in a comparison. A gap within one subject reads "worse" where
    it lies on the side of the defect.
    """

    id: str
    kind: Literal["within_subject", "difference_in_differences"]
    title: str
    measurement: str
    metric: str
    terms: list[Term]
    headline: bool = False
    distance: Distance | None = None
    family: str = ""
    family_size: int = 0
    direction: Direction = "unknown"
    reading: Reading = "inconclusive"


class InstrumentCard(Record):
    """What an instrument is and how often it is wrong."""

    id: str
    digest: str
    title: str
    measures: str
    warning: str = ""
    labelled_set: str = ""
    n: int = 0
    sensitivity: float | None = None
    specificity: float | None = None
    threshold: float = 0.5
    groups: dict[str, float] = Field(default_factory=dict)


class Audit(Record):
    """The whole of ``audit.json``."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    tool: dict[str, str]
    context: dict[str, Any] = Field(default_factory=dict)
    subjects: list[Subject]
    measurements: list[Measurement]
    metrics: list[MetricInfo]
    estimates: list[Estimate]
    contrasts: list[ContrastResult]
    comparisons: list[Comparison]
    families: list[Family] = Field(default_factory=list)
    homogenization: list[Homogenization] = Field(default_factory=list)
    calibrations: list[Calibration] = Field(default_factory=list)
    instruments: list[InstrumentCard]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_bytes(self) -> bytes:
        """RFC 8785 bytes: the same rows give the same bytes."""
        return canonical_bytes(self.model_dump(mode="json", by_alias=True))


def read_audit(run: Path) -> Audit:
    """Read ``audit.json`` of a run directory, of this or an earlier release.

    Raises UsageError naming what is wrong with it.
    """
    path = run / "audit.json" if run.is_dir() else run
    if not path.is_file():
        raise UsageError(
            f"no audit.json in {run.name}: finish the run first (repeat the same fmaudit run command)"
        )
    try:
        document = upgrade(from_json(path.read_bytes(), allow_inf_nan=False))
        audit = Audit.model_validate(document)
        return _with_readings(audit) if lacks_readings(document) else audit
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path.name} is not an fmaudit audit: {place or 'file'}: {first['msg']}") from None
    except ValueError as error:
        raise UsageError(f"{path.name} is not an fmaudit audit: no JSON: {error}") from None


def _with_readings(audit: Audit) -> Audit:
    """An audit of an earlier release with its numbers read after one correction, of the p-values it holds.

    What it recorded of its comparisons stays as it was.
    """
    # Not at the top: the analysis reads these records.
    from fmaudit.analysis.families import corrected_records

    read, contrasts, families = corrected_records(
        audit.comparisons, audit.contrasts, audit.metrics, audit.subjects, audit.measurements
    )
    comparisons = [
        old.model_copy(update={"reading": new.reading})
        for old, new in zip(audit.comparisons, read, strict=True)
    ]
    found = {"comparisons": comparisons, "contrasts": contrasts, "families": families}
    return audit.model_copy(update=found)
