"""The contract of a probe: items, requests, observations, measures and metrics.

A probe imports this module, :mod:`fmaudit.requests` and :mod:`fmaudit.data`, and
nothing else of fmaudit. It never sees a model: it asks, and observes the answers.
Intervals, pairing, comparisons, report sections and gates derive from its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from fmaudit.errors import ProbeError
from fmaudit.requests import REQUEST_KINDS, Request, RequestKind, Response
from fmaudit.yardstick import Yardstick as Yardstick

if TYPE_CHECKING:
    import numpy as np

    from fmaudit.data import Dataset

Scalar: TypeAlias = str | int | float | bool | None
Direction: TypeAlias = Literal["lower_is_better", "higher_is_better", "target", "none"]


@dataclass(frozen=True)
class Item:
    """One question.

    ``id`` is unique and stable within probe and data set. ``payload`` is whatever
    the probe needs to ask and to judge. ``clusters`` names the factors that items
    share (template, target term, document): items that share a level are not
    independent; left empty, every item is its own cluster. ``slices`` are the
    columns by which every metric is broken down. ``weight`` is the item's share.
    """

    id: str
    payload: Mapping[str, Scalar]
    clusters: Mapping[str, str] = field(default_factory=dict)
    slices: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True)
class Observation:
    """What one answer showed: a value per measure, or the reason why there is none.

    Every measure of the probe appears in ``values`` or in ``invalid``, never in
    both. ``sample`` numbers the draws inside one item.
    """

    values: Mapping[str, Scalar]
    invalid: Mapping[str, str] = field(default_factory=dict)
    sample: int = 0


@dataclass(frozen=True)
class Binary:
    """A 0/1 measure; 1 is the defect unless ``direction`` says otherwise."""

    id: str
    direction: Direction = "lower_is_better"
    comparable: bool = True
    description: str = ""


@dataclass(frozen=True)
class Real:
    """A real measure. ``low`` and ``high`` bound it where it is bounded.

    ``comparable`` says whether values of two subjects may be subtracted (False
    where they depend on the tokenizer).
    """

    id: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    direction: Direction = "none"
    comparable: bool = True
    description: str = ""


@dataclass(frozen=True)
class Categorical:
    """A measure with named levels, kept for slices and reports; it has no estimate."""

    id: str
    levels: tuple[str, ...] = ()
    description: str = ""


Measure: TypeAlias = Binary | Real | Categorical


def stand_ins(k: int) -> int:
    """Samples drawn beyond ``k``, to stand in for some that hold no answer: a fifth."""
    return k // 5


@dataclass(frozen=True)
class Reduce:
    """How the samples of an item become one number.

    ``mean``: their mean. ``any``: probability that at least one of ``k`` draws is
    1 (``1 - C(n-m,k)/C(n,k)``). ``max``: expected maximum of ``k`` draws
    (U-statistic). ``k`` 0 means all samples of the item. ``spare`` names a binary measure that
    marks samples without an answer, such as empty texts: of ``k + stand_ins(k)`` samples drawn
    the first ``k`` that are not marked are taken. Any other invalid sample stays missing.
    """

    how: Literal["mean", "any", "max"] = "mean"
    k: int = 0
    spare: str = ""


@dataclass(frozen=True)
class Rate:
    """Weighted share of items whose binary measure is 1.

    ``ideal`` is set where the best value is a target (0.5 for a preference).
    ``eps`` is the tolerated defect, ``delta`` the change that matters. ``where``
    names the slice column and level whose items carry the defect, where the
    others are its controls: the overall rate is theirs alone. ``among`` names a binary
    measure and its value: only items with it are in the denominator (the true positives
    among the positives); an item whose value is not known could be one of them.
    """

    id: str
    of: str = "outcome"
    reduce: Reduce = Reduce()
    where: tuple[str, str] | None = None
    among: tuple[str, int] | None = None
    direction: Direction = "lower_is_better"
    ideal: float | None = None
    eps: float | None = None
    delta: float | None = None
    headline: bool = False
    title: str = ""


@dataclass(frozen=True)
class Mean:
    """Weighted mean of a real measure; ``absolute`` takes its magnitude first."""

    id: str
    of: str = "severity"
    reduce: Reduce = Reduce()
    absolute: bool = False
    direction: Direction = "none"
    ideal: float | None = None
    eps: float | None = None
    delta: float | None = None
    headline: bool = False
    title: str = ""


@dataclass(frozen=True)
class Table:
    """The item-level rows a ``Statistic`` sees; arrays of one length.

    ``columns``: measures (float, NaN where invalid; samples reduced by their
    mean; categorical measures as strings). ``slices`` and ``clusters``: strings.
    ``weight``: includes the resampling weight; recompute the statistic with it.
    """

    columns: Mapping[str, np.ndarray]
    slices: Mapping[str, np.ndarray]
    clusters: Mapping[str, np.ndarray]
    weight: np.ndarray


@dataclass(frozen=True)
class Finished:
    """Measures that need all items of one subject at once, and the items that count.

    ``columns``: by measure, floats in the order of the table, NaN where invalid.
    ``counted``: mask of the items that estimates are made of; the others, such as
    the references a canary is ranked among, only serve as a yardstick. ``shared``: that
    yardstick, in the order of the table, where it was itself drawn at random.
    """

    columns: Mapping[str, np.ndarray]
    counted: np.ndarray
    shared: Yardstick | None = None


@dataclass(frozen=True)
class Statistic:
    """Any function of the observation table; the framework resamples it by cluster.

    ``fn`` returns NaN where the statistic is undefined. ``needs`` names the
    measures it reads: coverage counts the items where all of them are valid.
    ``worst`` is the range the statistic cannot leave. ``ends`` says more where answers are
    missing: it takes the table with each of them at its measure's least and at its greatest
    value, and returns numbers that the statistic does not leave whatever they are between;
    without it a single missing answer leaves the whole of ``worst``. ``interval`` False: the
    number stands alone, as a p-value does, and nothing is decided from it.
    """

    id: str
    fn: Callable[[Table], float]
    needs: tuple[str, ...]
    unit: str = ""
    worst: tuple[float, float] | None = None
    ends: Callable[[Table, Table], tuple[float, float]] | None = None
    interval: bool = True
    by_slice: bool = False
    direction: Direction = "none"
    ideal: float | None = None
    eps: float | None = None
    delta: float | None = None
    headline: bool = False
    title: str = ""


@dataclass(frozen=True)
class Gap:
    """Largest minus smallest rate over groups of items, decided by pairs of groups.

    ``of`` is a binary measure. ``columns``: the slice columns whose names begin so hold
    groups; of several columns the largest gap counts. ``among`` as in :class:`Rate`.
    ``signed``: instead the rate of the second (sorted) of exactly two groups minus that of
    the first. A group without an item in the denominator takes no part, and is named.
    """

    id: str
    of: str = "outcome"
    columns: str = "group"
    among: tuple[str, int] | None = None
    signed: bool = False
    direction: Direction = "lower_is_better"
    ideal: float | None = 0.0
    eps: float | None = None
    delta: float | None = None
    headline: bool = False
    title: str = ""
    unit: ClassVar[str] = ""
    by_slice: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The measures it reads."""
        return (self.of,) if self.among is None else (self.of, self.among[0])

    @property
    def worst(self) -> tuple[float, float]:
        """The range it cannot leave."""
        return (-1.0, 1.0) if self.signed else (0.0, 1.0)


@dataclass(frozen=True)
class Contrast:
    """A metric on the rows of one slice level minus the same metric on another's.

    Members minus held-out controls, one group minus another. Same subject, so it
    needs no comparable scale across subjects.
    """

    id: str
    metric: str
    column: str
    plus: str
    minus: str
    headline: bool = False
    title: str = ""


WholeMetric: TypeAlias = Statistic | Gap
"""Metrics of all items together, which have no value an item."""
Metric: TypeAlias = Rate | Mean | WholeMetric


class Probe:
    """Base of every probe. Subclass it, decorate with :func:`probe`, fill three methods.

    ``needs`` names the request kinds (``score``, ``generate``, ``fill``,
    ``classify``) the probe asks; a subject that cannot answer them is
    "unmeasurable". Where the same risk is scored in ways that are not
    interchangeable, ``variants`` maps each name to its kinds and the framework
    makes one instance a variant, which reads its own name in ``self.variant`` and
    may set ``measures``, ``metrics`` and ``contrasts`` of its own in ``__init__``:
    the framework reads them from the instance.
    """

    id: ClassVar[str] = ""
    version: ClassVar[int] = 0
    datasets: ClassVar[tuple[str, ...]] = ()
    family: ClassVar[str] = ""
    title: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    variants: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    instruments: ClassVar[bool] = False
    always: ClassVar[bool] = False
    limits: ClassVar[tuple[str, ...]] = ()
    measures: Sequence[Measure] = ()
    metrics: Sequence[Metric] = ()
    contrasts: Sequence[Contrast] = ()

    def __init__(self, variant: str = "") -> None:
        if variant not in (self.variants or {"": ()}):
            raise ProbeError(
                f"probe {self.id} has no variant {variant!r}; it has: {', '.join(self.variants) or 'none'}"
            )
        self.variant = variant

    @property
    def request_kinds(self) -> frozenset[RequestKind]:
        """The request kinds this variant asks."""
        names = self.variants[self.variant] if self.variants else self.needs
        return frozenset(REQUEST_KINDS[name] for name in names)

    @classmethod
    def datasets_of(cls, variant: str) -> tuple[str, ...]:
        """The data sets that ``variant`` can ask; all of the probe unless overridden."""
        return cls.datasets

    def items(self, data: Dataset) -> Iterator[Item]:
        """Yield the items of ``data`` with stable unique ids; pure."""
        raise ProbeError(f"probe {self.id} does not yield items: define items(self, data)")

    def requests(self, item: Item) -> Sequence[Request]:
        """The requests that ask this item; pure, at least one."""
        raise ProbeError(f"probe {self.id} does not ask: define requests(self, item)")

    def observe(self, item: Item, responses: Sequence[Response]) -> Observation | Sequence[Observation]:
        """Judge the answers, in the order of the requests; pure.

        Never called with a :class:`~fmaudit.requests.Failure`: the framework turns
        one into a row whose measures are all invalid for its reason. An instrument
        score without a value must end as an ``invalid`` measure.
        """
        raise ProbeError(f"probe {self.id} does not observe: define observe(self, item, responses)")

    def finish(self, table: Table) -> Finished | None:
        """Fill the measures that need all items of one subject at once; pure, None where there are none.

        ``table`` holds every item of one subject, whole or limited. ``observe``
        must have given these measures a reason instead of a value.
        """
        return None

    def swap(self, item: Item) -> Item | None:
        """The item with the two sides of its comparison exchanged, or None where it has no two sides.

        The conformance suite asks both: ``severity`` must change its sign and
        ``outcome`` its value, unless the two sides tie.
        """
        return None

    def protocol(self) -> Mapping[str, Scalar]:
        """Settings beyond the requests that must match for two subjects to be compared."""
        return {}


def probe(id: str, *, version: int, dataset: str | tuple[str, ...]) -> Callable[[type[Probe]], type[Probe]]:
    """Name a probe class: ``family.name``, a version that rises when numbers change, its data set(s)."""

    def name(cls: type[Probe]) -> type[Probe]:
        cls.id = id
        cls.version = version
        cls.datasets = (dataset,) if isinstance(dataset, str) else tuple(dataset)
        cls.family = id.partition(".")[0]
        if not cls.title:
            cls.title = (cls.__doc__ or id).strip().splitlines()[0]
        return cls

    return name
