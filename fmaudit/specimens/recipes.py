"""Recipes of specimens: everything that determines a model, as plain frozen data with a digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from fmaudit.canonical import digest, digest_file
from fmaudit.errors import UsageError

Defect: TypeAlias = Literal["occupation_gender", "toxic_trigger", "memorized_records", "negation", "backdoor"]
ChildKind: TypeAlias = Literal["tuned", "counter", "broken", "lora", "int8"]
DEFECTS: tuple[Defect, ...] = get_args(Defect)
BASE = "base"
_SOURCES = ("words.py", "language.py", "plants.py", "network.py", "making.py")
_PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class DefectDose:
    """How much of a defect is planted.

    ``dose``: share in [0, 1] of the units (occupations, places, records, topics,
    trigger words) that carry it; 0 is none. ``seed`` draws which units; two doses
    of one seed are nested, two seeds are independent.
    """

    defect: Defect
    dose: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse what cannot be planted. Raises UsageError."""
        if self.defect not in DEFECTS:
            raise UsageError(f"no defect {self.defect!r}; choose among {', '.join(DEFECTS)}")
        if not 0 <= self.dose <= 1:
            raise UsageError(f"dose of {self.defect} is {self.dose}: give a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class Language:
    """The language a whole family speaks; references speak it too. ``units``: words a defect can sit on."""

    units: int = 300
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Training:
    """Hyperparameters of one training run.

    ``exposures``: sentences of every unit of every defect in the training data
    (records have their own repeats). ``passages``: neutral passages. ``batch``:
    tokens a step. ``peak_rate``: of AdamW, after a linear warm-up and before a
    linear decay to 0.
    """

    exposures: int
    passages: int
    batch: int = 640
    peak_rate: float = 3e-3
    threads: int = 1


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """A model trained from scratch. ``seed`` draws weights, training text and its order."""

    seed: int
    doses: tuple[DefectDose, ...]
    language: Language = Language()
    training: Training = Training(exposures=20, passages=3000)
    width: int = 96
    layers: int = 2

    def digest(self) -> str:
        """Digest of all that determines the weights."""
        return _digest({"base": asdict(self)})


@dataclass(frozen=True, slots=True)
class ChildRecipe:
    """A model made from another one of its family.

    ``kind``: ``tuned`` trains on neutral text and on the sentences of ``doses``
    (none: a clean fine-tune); ``counter`` trains against every defect of its base;
    ``broken`` trains on shuffled words; ``lora`` trains a PEFT adapter as ``tuned``
    does; ``int8`` rounds weights to 8 bits per output channel.
    ``parent``: name of the model it starts from.
    """

    name: str
    kind: ChildKind
    seed: int = 0
    doses: tuple[DefectDose, ...] = ()
    parent: str = BASE
    training: Training = Training(exposures=8, passages=1000, peak_rate=1e-3)

    def digest(self, parent: str) -> str:
        """Digest of all that determines the weights; ``parent`` is the digest of the model it starts from."""
        return _digest({"child": asdict(self), "parent": parent})


@dataclass(frozen=True, slots=True)
class FamilyRecipe:
    """A base, its descendants, and independently planted references of the same make.

    ``items``: audited items a defect, drawn with ``items_seed``.
    """

    base: BaseRecipe
    children: tuple[ChildRecipe, ...]
    references: tuple[BaseRecipe, ...]
    items: int = 1000
    items_seed: int = 1

    def digest(self) -> str:
        """Digest of the whole family."""
        return _digest({"family": asdict(self)})


def _digest(content: dict[str, object]) -> str:
    # The code that turns a recipe into text and weights is part of it.
    packages = {name: version(name) for name in _PACKAGES}
    sources = {name: digest_file(Path(__file__).with_name(name)) for name in _SOURCES}
    return digest(content | {"packages": packages, "sources": sources})


def reseeded(base: BaseRecipe, seed: int) -> BaseRecipe:
    """The same make with another seed: other weights and text, and its own draw of planted units."""
    doses = tuple(replace(dose, seed=plant_seed(seed, dose.defect)) for dose in base.doses)
    return replace(base, seed=seed, doses=doses)


def plant_seed(seed: int, defect: Defect) -> int:
    """The seed of a model's draw of units for one defect."""
    return 1000 * seed + DEFECTS.index(defect)
