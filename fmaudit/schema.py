"""The schema of ``audit.json``: the contract that every reader after it relies on.

Canonical results of a run: no wall-clock time, no policy result, no absolute
path, user or host name; NaN never, ``null`` with a reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fmaudit.canonical import canonical_bytes
from fmaudit.errors import UsageError

SCHEMA = "fmaudit/1"
State = Literal["measured", "unmeasured", "unmeasurable"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lineage(_Record):
    """Which subject this one was adapted from, as declared, and what was verified."""

    declared: str | None = None
    verified: bool | None = None
    evidence: str = ""


class Subject(_Record):
    """One audited model; ``digest`` covers weights, adapter, tokenizer and chat template."""

    id: str
    role: Literal["base", "adapted", "reference"]
    kind: Literal["causal", "masked", "classifier"]
    name: str
    digest: str
    base: str | None = None
    recipe: str | None = None
    training_seed: int | None = None
    lineage: Lineage = Lineage()
    parts: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class DatasetRef(_Record):
    """The data set a measurement asked; ``pinned`` says whether it matches its card."""

    id: str
    digest: str
    n_items: int
    n_asked: int
    pinned: bool
    source: Literal["embedded", "local", "hub"]
    title: str = ""
    licence: str = ""
    limits: list[str] = Field(default_factory=list)


class Measurement(_Record):
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


class MetricInfo(_Record):
    """What a number is: ``id`` is ``probe/metric``."""

    id: str
    probe: str
    title: str
    unit: str = ""
    range: tuple[float | None, float | None] = (None, None)
    kind: Literal["rate", "mean", "statistic"]
    direction: Literal["lower_is_better", "higher_is_better", "target", "none"]
    ideal: float | None = None
    eps: float | None = None
    delta: float | None = None
    headline: bool = False


class Resampling(_Record):
    """How an interval was resampled."""

    draws: int
    seed: int


class Numbers(_Record):
    """A value and everything it may not travel without."""

    state: State
    reason: str = ""
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float = 0.95
    adjusted_level: float | None = None
    method: str = ""
    resampling: Resampling | None = None
    estimand: str = ""
    n: int = 0
    n_eff: float = 0.0
    clusters: dict[str, int] = Field(default_factory=dict)
    samples_per_item: int = 1
    coverage: float = 0.0
    worst: tuple[float, float] | None = None
    worst_interval: tuple[float, float] | None = None
    mde: float | None = None
    conclusive: bool = True
    p: float | None = None


class Estimate(Numbers):
    """One metric of one subject, overall (empty ``slice``) or at one slice level."""

    id: str
    subject: str
    measurement: str
    metric: str
    slice: dict[str, str] = Field(default_factory=dict)


class Term(_Record):
    """One signed part of a contrast."""

    subject: str
    slice: dict[str, str]
    coefficient: float


class ContrastResult(Numbers):
    """A signed sum of the same metric: members minus controls, and its change from base to adapted."""

    id: str
    kind: Literal["within_subject", "difference_in_differences"]
    title: str
    measurement: str
    metric: str
    terms: list[Term]
    headline: bool = False


class PairedTable(_Record):
    """Paired 0/1 outcomes: first digit base, second digit adapted, 1 = defect."""

    n11: int
    n10: int
    n01: int
    n00: int


class Margins(_Record):
    """Which margins a verdict used, and who declared them."""

    eps: float | None = None
    delta: float | None = None
    source: str = ""


class Comparison(Numbers):
    """One metric, base against adapted, on the items both answered; the numbers are the change."""

    id: str
    base: str
    adapted: str
    measurement: str
    metric: str
    slice: dict[str, str] = Field(default_factory=dict)
    base_value: float | None = None
    adapted_value: float | None = None
    table: PairedTable | None = None
    copy_fraction: None = None
    retention: None = None
    margins: Margins = Margins()
    verdict: Literal["association", "inconclusive", "unmeasured"]
    direction: Literal["rose", "fell", "no change shown", "unknown"] = "unknown"
    flags: list[str] = Field(default_factory=list)


class InstrumentCard(_Record):
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


class Audit(_Record):
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
    instruments: list[InstrumentCard]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_bytes(self) -> bytes:
        """RFC 8785 bytes: the same rows give the same bytes."""
        return canonical_bytes(self.model_dump(mode="json", by_alias=True))


def read_audit(run: Path) -> Audit:
    """Read ``audit.json`` of a run directory. Raises UsageError naming what is wrong with it."""
    path = run / "audit.json" if run.is_dir() else run
    if not path.is_file():
        raise UsageError(
            f"no audit.json in {run.name}: finish the run first (repeat the same fmaudit run command)"
        )
    try:
        return Audit.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path.name} is not an fmaudit audit: {place or 'file'}: {first['msg']}") from None
