"""What a policy file holds: which numbers may not leave which limits, and how sure one has to be."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fmaudit.probe import Direction
from fmaudit.question import Question
from fmaudit.schema import Verdict as Word

SCHEMA = "fmaudit/policy/1"
Tier = Literal["block", "warn", "monitor"]
Severity = Literal["low", "medium", "high", "critical"]
Form = Literal["fixed", "anytime"]
OnUndecided = Literal["inconclusive", "fail"]
Slice: TypeAlias = dict[str, str]
EVERY = "*"
"""As the level of a slice column: each of its levels."""

SAFE_WORDS: tuple[Word, ...] = ("clean", "mitigated", "repaired")
_STATEABLE = frozenset(get_args(Word)) - {"inconclusive", "unmeasured"}


class Section(BaseModel):
    """Frozen, and strict about its fields and their types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Defaults(Section):
    """What holds for every rule.

    ``confidence`` is one-sided. ``form``: ``fixed`` for a run of a size that was set before
    it began; ``anytime`` for one that is looked at while it grows. ``multiplicity``: how
    failing is corrected over the blocking rules; passing needs all of them and no
    correction. ``power`` is what ``fmaudit plan`` aims at: the chance that a model as good
    as the rules' alternatives passes all of them. ``waiver_days``: longest life of a waiver.
    """

    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="One-sided confidence.")
    form: Form = Field(default="fixed", description="fixed, or anytime for runs that grow between looks.")
    multiplicity: Literal["holm", "none"] = Field(
        default="holm", description="Correction of failing over the blocking rules."
    )
    min_n: int = Field(default=30, ge=1, description="Items below which nothing is decided.")
    min_coverage: float = Field(default=0.0, ge=0, le=1, description="Share of usable answers needed.")
    on_missing: OnUndecided = Field(default="inconclusive", description="What unmeasured evidence counts as.")
    on_inconclusive: OnUndecided = Field(
        default="inconclusive", description="What evidence that does not decide counts as."
    )
    power: float = Field(default=0.9, gt=0.5, lt=1, description="What fmaudit plan aims at.")
    waiver_days: int = Field(default=90, ge=1, description="Longest life of a waiver, in days.")


class Margin(Section):
    """How far a number may move, in the metric's own unit; both are at least 0.

    Of a metric with a target ``max_increase`` bounds how much further from it the number may be.
    """

    max_increase: float | None = Field(default=None, ge=0)
    max_decrease: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _has_limit(self) -> Margin:
        if self.max_increase is None and self.max_decrease is None:
            raise ValueError("give max_increase, max_decrease or both")
        return self


class Words(Section):
    """Inheritance verdicts that block, and those that pass; any other is inconclusive."""

    block: list[Word] = Field(min_length=1)
    allow: list[Word] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Words:
        for word in (*self.block, *(self.allow or ())):
            if word not in _STATEABLE:
                raise ValueError(f"{word!r} is the lack of a verdict: it is always inconclusive, remove it")
        both = sorted(set(self.block) & set(self.allow or ()))
        if both:
            raise ValueError(f"contradiction: {both[0]!r} is both blocked and allowed")
        return self

    @property
    def passing(self) -> tuple[Word, ...]:
        """The words that pass."""
        allowed: tuple[Word, ...] = SAFE_WORDS if self.allow is None else tuple(self.allow)
        return tuple(word for word in allowed if word not in self.block)


class Alternative(Section):
    """A model good enough to pass: what ``fmaudit plan`` sizes the run for."""

    level: float | None = None
    change: float = 0.0


class Rule(Section):
    """Limits of one metric. ``min`` and ``max`` bound the number, ``vs_base`` and ``vs_release`` its change.

    Of a metric with a target ``within`` bounds the number's distance to it, to either side, and
    ``max_increase`` the change of that distance; a limit of one side alone is refused.
    ``vs_release`` is the change from the subject of the same name in the last release.
    With ``contrast`` they bound that contrast (within the subject, and from base to adapted)
    instead of the metric. ``verdicts`` blocks by the word of the comparison with the base.
    ``slices`` are held one by one; the level ``*`` stands for every level of its column.
    Numbers imported from another tool's log pass only with ``accept_imported``.
    """

    id: str = Field(min_length=1)
    metric: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="probe/metric, as fmaudit ls probes shows.")
    variant: str | None = None
    dataset: str | None = None
    subject: str = Field(default="adapted", description="base, adapted, reference, or a model of the run.")
    slice: Slice = Field(default_factory=dict)
    slices: list[Slice] | None = Field(default=None, min_length=1)
    direction: Direction | None = Field(default=None, description="Checked against metric and limits.")
    min: float | None = None
    max: float | None = None
    within: float | None = Field(
        default=None, ge=0, description="Largest distance to the target of a metric that has one."
    )
    vs_base: Margin | None = None
    vs_release: Margin | None = None
    contrast: str | None = None
    verdicts: Words | None = None
    alternative: Alternative = Alternative()
    tier: Tier = "block"
    severity: Severity = "high"
    controls: list[str] = Field(default_factory=list, description="framework/id of fmaudit's catalogue.")
    accept_imported: bool = False

    def asks(self, question: Question) -> bool:
        """Whether the rule speaks of a question; what it does not name is any."""
        return (
            question.probe == self.metric.partition("/")[0]
            and self.variant in (None, question.variant)
            and self.dataset in (None, question.dataset)
        )

    min_n: int | None = Field(default=None, ge=1)
    min_coverage: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Rule:
        if not any((self.bounded, self.vs_base, self.vs_release, self.verdicts)):
            raise ValueError("no limit: give min, max, within, vs_base, vs_release or verdicts")
        if self.within is not None and (self.min is not None or self.max is not None):
            raise ValueError("within bounds both sides of the target: remove min and max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"contradictory limits: min {self.min:g} is above max {self.max:g}")
        if self.slice and self.slices is not None:
            raise ValueError("give slice or slices, not both")
        if self.contrast is not None and (self.slice or self.slices):
            raise ValueError("a contrast names its own slices: remove slice")
        if self.contrast is not None and self.verdicts is not None:
            raise ValueError("a contrast has no inheritance verdict: put verdicts into a rule of its own")
        for name, part in (("vs_base", self.vs_base), ("verdicts", self.verdicts)):
            if part is not None and self.subject in ("base", "reference"):
                raise ValueError(f"{name} needs an adapted subject, not {self.subject}")
        self._check_direction()
        self._check_alternative()
        return self

    @property
    def bounded(self) -> bool:
        """Whether the number itself has a limit."""
        return self.min is not None or self.max is not None or self.within is not None

    @property
    def margins(self) -> dict[str, Margin]:
        """The margins given, by name."""
        found = {"vs_base": self.vs_base, "vs_release": self.vs_release}
        return {name: margin for name, margin in found.items() if margin is not None}

    @property
    def every_slice(self) -> list[Slice]:
        """The slices to hold, as written."""
        return self.slices if self.slices is not None else [self.slice]

    def wrong_side(self, direction: str) -> tuple[str, str]:
        """The field that limits an improvement, with what is wrong; empty where none does."""
        wanted = {"lower_is_better": ("max", "max_increase"), "higher_is_better": ("min", "max_decrease")}
        if direction not in wanted:
            return "", ""
        side, move = wanted[direction]
        if self.within is not None:
            return "within", f"within is for metrics with a target, and here {_words(direction)}: give {side}"
        if self.bounded and getattr(self, side) is None:
            other = "min" if side == "max" else "max"
            return other, f"{other} has the wrong sign for a metric where {_words(direction)}: give {side}"
        for name, margin in self.margins.items():
            if getattr(margin, move) is None:
                return name, f"the margin has the wrong sign where {_words(direction)}: give {move}"
        return "", ""

    def one_sided(self) -> tuple[str, str]:
        """The field that limits one side of a target alone, with what to write; empty where none does."""
        if self.direction not in (None, "target"):
            return "direction", f"contradiction: the metric has a target, so no side is {self.direction}"
        if self.within is None and (self.min is None) != (self.max is None):
            side = "min" if self.max is None else "max"
            problem = f"{side} alone lets the number leave its target on the other side: give within"
            return side, f"{problem} (the largest distance to the target), or both min and max"
        for name, margin in self.margins.items():
            if margin.max_decrease is not None:
                problem = "the change of a metric with a target is that of its distance to it, which may fall"
                return name, f"{problem}: give max_increase alone"
        return "", ""

    def _check_direction(self) -> None:
        if self.direction is not None and self.contrast is None:
            _, problem = self.wrong_side(self.direction)
            if problem:
                raise ValueError(problem)

    def _check_alternative(self) -> None:
        level, change = self.alternative.level, self.alternative.change
        if level is not None:
            low_enough = self.max is None or level < self.max
            high_enough = self.min is None or level > self.min
            if not (low_enough and high_enough):
                raise ValueError(f"contradiction: alternative.level {level:g} is not inside the limits")
        for name, margin in self.margins.items():
            above = margin.max_increase is not None and change >= margin.max_increase
            below = margin.max_decrease is not None and -change >= margin.max_decrease
            if change and (above or below):
                raise ValueError(
                    f"contradiction: alternative.change {change:g} is not inside the margins of {name}"
                )


class MetricMargins(Section):
    """Margins of one metric's verdicts: ``eps``, tolerated defect; ``delta``, the change that matters."""

    eps: float | None = Field(default=None, ge=0, lt=1)
    delta: float | None = Field(default=None, gt=0, lt=1)


class Policy(Section):
    """The whole file. ``margins`` count where the policy was given to the run itself, before it measured."""

    schema_: Literal["fmaudit/policy/1"] = Field(alias="schema")
    id: str = Field(min_length=1)
    description: str = ""
    defaults: Defaults = Defaults()
    margins: dict[str, MetricMargins] = Field(default_factory=dict)
    rules: list[Rule] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_unique_ids(self) -> Policy:
        ids = [rule.id for rule in self.rules]
        twice = next((id for id in ids if ids.count(id) > 1), None)
        if twice is not None:
            raise ValueError(f"two rules have the id {twice!r}")
        return self

    def meaning(self) -> dict[str, Any]:
        """What the digest covers: the file without its layout, and without defaults.

        A field added later then leaves the digests of older policies as they were.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"schema": self.schema_}


def _words(direction: str) -> str:
    return direction.replace("_", " ")
