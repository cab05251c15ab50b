"""The ladder: which specimens are trained, and which items and probes they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from fmaudit.canonical import digest
from fmaudit.cards import load_card
from fmaudit.data import Dataset, dataset_from_rows
from fmaudit.errors import UsageError
from fmaudit.plan import PlannedMeasurement, plan_measurements
from fmaudit.plugins import card_folder, expand, load_probe, select
from fmaudit.probe import Probe, Rate
from fmaudit.running.parties import ANSWERS
from fmaudit.specimens.items import TARGETS, make_items
from fmaudit.specimens.language import Speech
from fmaudit.specimens.plants import draw_plant
from fmaudit.specimens.presets import standard_base
from fmaudit.specimens.recipes import DEFECTS, BaseRecipe, Defect, DefectDose, plant_seed, reseeded

DOSES = (0.0, 0.1, 0.2, 0.4, 0.8)
SEEDS = 10
ITEMS = 1000
SIZES = (100, 300, 1000)
_SEEDS_FROM = 20_000
_ITEMS_FROM = 2_000_000


@dataclass(frozen=True, slots=True)
class Ladder:
    """What a calibration measures.

    ``doses``: ascending, 0 the first. ``seeds``: models trained at every dose.
    ``items``: items a model is asked for each defect, those that carry it.
    ``sizes``: audits of so many items are resampled, besides ``items``. ``audits``:
    resampled audits of a model and size. ``samples``: continuations a prompt.
    ``make``: size and training of every model.
    """

    doses: tuple[float, ...] = DOSES
    seeds: int = SEEDS
    items: int = ITEMS
    sizes: tuple[int, ...] = SIZES
    audits: int = 200
    samples: int = 5
    make: BaseRecipe = field(default_factory=lambda: standard_base(0, "small"))

    def __post_init__(self) -> None:
        """Refuse a ladder that shows nothing. Raises UsageError."""
        if len(self.doses) < 2 or self.doses[0] != 0 or list(self.doses) != sorted(set(self.doses)):
            listed = ",".join(f"{dose:g}" for dose in self.doses)
            raise UsageError(f"doses are {listed}: give 0 and larger ones, each once, smallest first")
        if self.doses[-1] > 1:
            raise UsageError(f"a dose is {self.doses[-1]:g}: doses are shares between 0 and 1")

    def audit_sizes(self) -> tuple[int, ...]:
        """Every n whose audits are resampled, ascending; the pool itself is the last."""
        return (*(n for n in self.sizes if n < self.items), self.items)

    def recipe(self) -> str:
        """What was trained, in words, and the digest of all that decides it."""
        training, units = self.make.training, self.make.language.units
        return (
            f"{units} units a defect, {training.exposures} exposures, {training.passages} passages, "
            f"width {self.make.width}, {self.make.layers} layers; {self.digest()}"
        )

    def digest(self) -> str:
        """Digest of the ladder and of the recipes of its models."""
        recipes = [specimen.recipe.digest() for specimen in specimens(self)]
        return digest({"ladder": asdict(self), "recipes": recipes})


@dataclass(frozen=True, slots=True)
class Specimen:
    """One model of the ladder: which training seed it is, and how much it carries of each defect."""

    seed: int
    recipe: BaseRecipe

    def dose(self, defect: Defect) -> float:
        """The dose planted."""
        return next(dose.dose for dose in self.recipe.doses if dose.defect == defect)


@dataclass(frozen=True, slots=True)
class Asked:
    """A defect and the probe that is to find it, ready to be planned."""

    defect: Defect
    probe: Probe

    @property
    def metric(self) -> Rate:
        """The probe's headline rate."""
        return next(metric for metric in self.probe.metrics if isinstance(metric, Rate) and metric.headline)


def specimens(ladder: Ladder) -> list[Specimen]:
    """The models: every training seed at every dose of every defect.

    A model carries all defects, each at another step of the ladder, so that dose
    zero of one is seen beside the others and no model is free of all.
    """
    steps = len(ladder.doses)
    found = []
    for seed in range(ladder.seeds):
        for step in range(steps):
            doses = tuple(
                DefectDose(defect, ladder.doses[(step + place) % steps], 0)
                for place, defect in enumerate(DEFECTS)
            )
            base = replace(ladder.make, doses=doses)
            found.append(Specimen(seed, reseeded(base, _SEEDS_FROM + seed)))
    return found


def chosen(patterns: Sequence[str], samples: int) -> list[Asked]:
    """The defects whose probes are asked for, each with the variant that a causal model answers.

    Raises:
        UsageError: no such probe has specimens.
        ProbeError: a pattern matches no probe.
    """
    names = select(list(patterns))
    found = []
    for defect, target in TARGETS.items():
        if target.probe not in names:
            continue
        probe = next(
            one
            for one in expand(load_probe(target.probe))
            if {kind.__name__.lower() for kind in one.request_kinds} <= ANSWERS["causal"]
        )
        if hasattr(probe, "samples"):
            probe.samples = samples
        found.append(Asked(defect, probe))
    if not found:
        known = ", ".join(target.probe for target in TARGETS.values())
        raise UsageError(f"no specimen carries a defect for {', '.join(patterns)}; choose among {known}")
    return found


def plan(asked: Asked, specimen: Specimen, items: int) -> PlannedMeasurement:
    """What the specimen is asked: ``items`` fresh items that carry the defect, and their controls.

    Every record is called a member, so that a dose is the share of the called
    members that training did hold, and the rate does not depend on the ladder.
    """
    target = TARGETS[asked.defect]

    def load(probe: Probe, name: str) -> Dataset:
        speech = Speech(specimen.recipe.language)
        whole = DefectDose(asked.defect, 1.0, plant_seed(specimen.recipe.seed, asked.defect))
        count = 2 * items if asked.defect == "backdoor" else items
        seed = _ITEMS_FROM + specimen.seed
        made = make_items(speech, asked.defect, count, seed, draw_plant(speech, whole))
        return dataset_from_rows(load_card(name, card_folder(type(probe))), (item.row for item in made))

    (planned,) = plan_measurements(
        [asked.probe], load, limit=None, seed=specimen.seed, datasets=[target.dataset]
    )
    return planned
