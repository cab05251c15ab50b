"""What ``audit.json`` says of base against adapted subject: pairs, pedigree, families, calibration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fmaudit.schema.records import Direction, Distance, Numbers, Quantity, Reading, Record


class PairedTable(Record):
    """Paired 0/1 outcomes: first digit base, second digit adapted, 1 = defect.

    Where answers were sampled these are the first ones, on common random numbers: the
    change is read from them, agreement is not.
    """

    n11: int
    n10: int
    n01: int
    n00: int


class Margins(Record):
    """Which margins a verdict used, and who declared them."""

    eps: float | None = None
    delta: float | None = None
    source: str = ""


class Span(Record):
    """Two ends."""

    lower: float | None = None
    upper: float | None = None


class ReferenceSlope(Record):
    """What one reference showed, or why it was not used."""

    subject: str
    used: bool
    slope: float | None = None
    lineage: str = ""
    matched_by: str = ""
    reason: str = ""


class Placebo(Record):
    """Rank of the copy fraction among the references' own; ``floor`` is the least p it could have had."""

    p: float
    floor: float
    decisive: bool


class CopyFraction(Record):
    """Share of the base's item outcomes that the adapted subject repeats beyond unrelated references.

    ``conditional``: these references as given. ``verdict_interval``: with the
    variation between reference lineages, from ``verdict_source``.
    """

    value: float | None = None
    level: float = 0.95
    conditional: Span = Span()
    verdict_interval: Span = Span()
    verdict_source: str = ""
    leave_one_out: Span | None = None
    slope_adapted: float | None = None
    slope_self: float | None = None
    slope_reference: float | None = None
    references: list[ReferenceSlope] = Field(default_factory=list)
    lineages: int = 0
    placebo: Placebo | None = None
    reason: str = ""


class Equivalence(Record):
    """Two one-sided tests of a change within plus or minus ``margin``."""

    margin: float
    p: float | None = None
    equivalent: bool = False
    level: float = 0.9
    lower: float | None = None
    upper: float | None = None


class Profile(Record):
    """Whether base and adapted subject fail on the same slices: rank correlation of their disparities."""

    column: str
    slices: int
    spearman: Quantity
    cosine: Quantity
    disattenuated: float | None = None


class Severity(Record):
    """Severity on the items both fail: mean change, and the shares that moved beyond retest noise."""

    n: int
    change: Quantity
    noise: float | None = None
    amplified: Quantity | None = None
    mitigated: Quantity | None = None
    reason: str = ""


class Agreement(Record):
    """How base and adapted subject agree item by item, corrected for chance and not.

    Where answers were sampled, those of the base are its retest, which shares no random numbers.
    """

    persistence: Quantity
    introduction: Quantity
    repair: Quantity
    flips: Quantity
    negative_flips: Quantity
    slope: Quantity
    kappa: Quantity


Verdict = Literal[
    "inherited",
    "coincident",
    "association",
    "amplified",
    "mitigated",
    "introduced",
    "repaired",
    "changed, size unresolved",
    "clean",
    "inconclusive",
    "unmeasured",
]


class Comparison(Numbers):
    """One metric on the items two subjects answered; the numbers are the change.

    ``step``: ``from_base`` compares with the audit's base; ``from_parent`` with
    the subject this one was adapted from, where that is another.
    ``distance``: of a metric with a target, how much further from it the adapted subject is.
    ``family``: the declared family of claims that it was corrected in, with its size. ``judged``: whether
    ``verdict`` is a word of the decision table; else it only says whether the number moved.
    ``direction`` and ``reading``: what is shown after that correction, with the missing answers counted both
    ways; ``reading`` is "worse" or "better" where one direction is better, else "higher" or "lower".
    """

    id: str
    base: str
    adapted: str
    measurement: str
    metric: str
    slice: dict[str, str] = Field(default_factory=dict)
    base_value: float | None = None
    adapted_value: float | None = None
    distance: Distance | None = None
    step: Literal["from_base", "from_parent"] = "from_base"
    table: PairedTable | None = None
    agreement: Agreement | None = None
    copy_fraction: CopyFraction | None = None
    retention: Quantity | None = None
    equivalence: Equivalence | None = None
    profiles: list[Profile] = Field(default_factory=list)
    severity: Severity | None = None
    margins: Margins = Margins()
    family: str = ""
    family_size: int = 0
    items_needed: int | None = None
    judged: bool = False
    verdict: Verdict
    verdict_reason: str = ""
    direction: Direction = "unknown"
    reading: Reading = "inconclusive"
    flags: list[str] = Field(default_factory=list)


class Family(Record):
    """Claims that were corrected together, as declared before the run.

    ``size`` counts every claim of the list, ``unmeasured`` those of them without a test, which count as
    p = 1. ``correction``: Holm's keeps the chance of any false claim, Benjamini and Hochberg's the false
    discovery rate. ``alpha``: what a corrected p-value of the family has to be below for a claim.
    """

    name: str
    correction: Literal["holm", "benjamini_hochberg"]
    alpha: float
    size: int
    unmeasured: int


class Homogenization(Record):
    """How often all subjects of a family fail together, beside unrelated subjects of the same number.

    ``ratio`` is observed over expected under independence. ``histogram``: share of
    items by number of subjects that fail; ``independent``: the same if they failed
    independently (Poisson-binomial). ``family_effect``: ``ratio`` over ``control_ratio``.
    No two subjects were sampled on the same random numbers; ``reason`` names those left out for it.
    """

    id: str
    measurement: str
    metric: str
    subjects: list[str]
    control_subjects: list[str] = Field(default_factory=list)
    n: int = 0
    observed: float | None = None
    expected: float | None = None
    ratio: Quantity
    control_ratio: Quantity
    family_effect: Quantity
    histogram: list[float] = Field(default_factory=list)
    independent: list[float] = Field(default_factory=list)
    group_forms: dict[str, float | None] = Field(default_factory=dict)
    reason: str = ""


class AuditPower(Record):
    """What audits of ``n`` items find at each dose of the ladder, over items and training seeds."""

    n: int
    power_items: list[Quantity]
    false_alarms: Quantity
    smallest_dose_found: float | None = None
    reason: str = ""


class Calibration(Record):
    """What a probe found on specimens of known dose: its power and its false alarms.

    ``n``: audited items that the headline rate counts. ``response``: mean headline
    rate at each dose; ``rates``: that of every training seed. ``power_items``: share of
    resampled audits of ``n`` items that find the defect, averaged over training
    seeds; ``power_seeds``: share of training seeds whose whole pool finds it.
    ``smallest_dose_found``: from it on every dose has 80 % power over items;
    ``reason`` says why there is none. ``false_alarms``: share found at dose zero.
    ``audits``: resampled audits of each seed. ``sizes``: the same at other n.
    ``settings``: the probe's own settings.
    """

    probe: str
    probe_version: int
    metric: str = ""
    defect: str
    n: int
    doses: list[float]
    response: list[Quantity]
    rates: list[list[float]] = Field(default_factory=list)
    power_items: list[Quantity]
    power_seeds: list[Quantity]
    smallest_dose_found: float | None = None
    reason: str = ""
    false_alarms: Quantity
    training_seeds: int
    audits: int = 0
    sizes: list[AuditPower] = Field(default_factory=list)
    margins: Margins = Margins()
    settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    recipe: str = ""
