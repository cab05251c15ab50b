"""Build a family of specimens: models in a cache, data files, and the ground truth beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from fmaudit.canonical import digest_file
from fmaudit.errors import UsageError
from fmaudit.evidence.atomic import write_atomically
from fmaudit.specimens.items import NEUTRAL, TARGETS, make_items, neutral_rows, write_items, write_rows
from fmaudit.specimens.language import Speech
from fmaudit.specimens.making import Job, make
from fmaudit.specimens.network import Progress
from fmaudit.specimens.plants import Plant, countered, draw_plant
from fmaudit.specimens.recipes import BASE, BaseRecipe, ChildRecipe, Defect, DefectDose, FamilyRecipe

TRUTH_FILE = "specimen.json"
NEUTRAL_PASSAGES = 200
HELD_OUT = 90_000
REFERENCE = "reference-{}"
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Family:
    """A family as built.

    ``models``: model string by name, the base first, then its descendants.
    ``parents``: what each descendant was made from. ``references``: model strings
    by name. ``data``: file by data set. ``truth``: the file with recipes and plants.
    """

    recipe: FamilyRecipe
    models: Mapping[str, str]
    parents: Mapping[str, str]
    references: Mapping[str, str]
    data: Mapping[str, Path]
    truth: Path


def build_family(
    recipe: FamilyRecipe,
    out: Path,
    cache: Path | None = None,
    progress: Progress | None = None,
    jobs: int = 2,
) -> Family:
    """Train what is not in the cache, and write the data files and the ground truth.

    Args:
        recipe: the family.
        out: folder for data files and ``specimen.json``; made where missing.
        cache: folder of models, each named by the digest of its recipe; ``out/models`` by default.
        progress: told of every model made, with one job of every training step too.
        jobs: models made at the same time, each in a process with the recipe's threads.

    Raises:
        UsageError: a child's parent does not exist, or a name is given twice.
        ExecutionError: a training diverged.
    """
    tell = progress or (lambda what, step, total: None)
    planned = plan_jobs(recipe, cache or out / "models")
    _run(planned, tell, jobs)
    places = {job.name: _place(job) for job in planned}
    names = [BASE, *(child.name for child in recipe.children)]
    out.mkdir(parents=True, exist_ok=True)
    family = Family(
        recipe,
        models={name: places[name] for name in names},
        parents={child.name: child.parent for child in recipe.children},
        references={name: place for name, place in places.items() if name not in names},
        data=_write_data(recipe, out),
        truth=out / TRUTH_FILE,
    )
    write_atomically(family.truth, json.dumps(_truth(family), indent=1).encode())
    return family


def plan_jobs(recipe: FamilyRecipe, cache: Path) -> list[Job]:
    """What has to be made, parents before children."""
    digests = {BASE: recipe.base.digest()}
    base = Job(BASE, recipe.base, _folder(cache, BASE, digests[BASE]))
    jobs = {BASE: base}
    for child in recipe.children:
        if child.parent not in jobs:
            raise UsageError(f"child {child.name} starts from {child.parent!r}, which is not made before it")
        if child.name in jobs:
            raise UsageError(f"two children are called {child.name!r}: name them differently")
        digests[child.name] = child.digest(digests[child.parent])
        target = _folder(cache, child.name, digests[child.name])
        carried = tuple(doses_of(recipe, child.parent).values())
        jobs[child.name] = Job(child.name, recipe.base, target, child, _place(jobs[child.parent]), carried)
    for number, reference in enumerate(recipe.references, 1):
        name = REFERENCE.format(number)
        jobs[name] = Job(name, reference, _folder(cache, BASE, reference.digest()))
    return list(jobs.values())


def doses_of(recipe: FamilyRecipe, name: str) -> dict[Defect, DefectDose]:
    """What a model of the family was taught to carry, by defect."""
    if name == BASE:
        return {dose.defect: dose for dose in recipe.base.doses}
    child = next(child for child in recipe.children if child.name == name)
    doses = doses_of(recipe, child.parent)
    if child.kind == "counter":
        doses = {defect: countered(dose) for defect, dose in doses.items()}
    return doses | {dose.defect: dose for dose in child.doses}


def audited_plant(recipe: FamilyRecipe, speech: Speech, defect: Defect) -> Plant:
    """The plant whose records the data file calls members: the base's, or the first child's that has one."""
    names = [BASE, *(child.name for child in recipe.children)]
    doses = [doses_of(recipe, name)[defect] for name in names if defect in doses_of(recipe, name)]
    planted = [dose for dose in doses if dose.dose > 0]
    return draw_plant(speech, (planted or doses or [DefectDose(defect, 0.0, recipe.base.seed)])[0])


def _run(jobs: list[Job], tell: Progress, workers: int) -> None:
    waiting = [job for job in jobs if not job.target.is_dir()]
    if not waiting:
        return
    if workers == 1:
        for job in waiting:
            make(job, tell)
        return
    total = len(waiting)
    tell(f"building {total} specimens", 0, 0)
    running: dict[Future[Path], Job] = {}
    with ProcessPoolExecutor(min(workers, total), mp_context=get_context("spawn")) as pool:
        try:
            while waiting or running:
                for job in list(_ready(waiting)):
                    waiting.remove(job)
                    running[pool.submit(make, job, _silent)] = job
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    name = running.pop(future).name
                    tell(f"building specimens ({name})", total - len(waiting) - len(running), total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ready(waiting: list[Job]) -> Iterator[Job]:
    """Jobs whose parent is there; one model that two names share is made once."""
    for job in waiting:
        needed = [Path(part) for part in job.parent.split("::adapter=") if part]
        if all(path.is_dir() for path in needed):
            yield job


def _silent(what: str, step: int, total: int) -> None:
    """Progress of a worker: what it does is told when it has ended."""


def _place(job: Job) -> str:
    """The model string of what a job makes; an adapter lies on its parent."""
    if job.child is not None and job.child.kind == "lora":
        return f"{job.parent}::adapter={job.target}"
    return str(job.target)


def _folder(cache: Path, name: str, digest: str) -> Path:
    return cache / f"{name}-{digest.removeprefix('sha256:')[:_DIGITS]}"


def _write_data(recipe: FamilyRecipe, out: Path) -> dict[str, Path]:
    speech = Speech(recipe.base.language)
    data = {}
    for defect, target in TARGETS.items():
        items = make_items(
            speech, defect, recipe.items, recipe.items_seed, audited_plant(recipe, speech, defect)
        )
        data[target.dataset] = write_items(items, out / (target.dataset + target.suffix))
    rows = neutral_rows(speech, NEUTRAL_PASSAGES, HELD_OUT + recipe.items_seed)
    data[NEUTRAL.dataset] = write_rows(rows, out / (NEUTRAL.dataset + NEUTRAL.suffix))
    return data


def _truth(family: Family) -> dict[str, object]:
    recipe, speech = family.recipe, Speech(family.recipe.base.language)
    planted = {name: _planted(speech, doses_of(recipe, name)) for name in family.models}
    for name, reference in zip(family.references, recipe.references, strict=True):
        planted[name] = _planted(speech, {dose.defect: dose for dose in reference.doses})
    return {
        "digest": recipe.digest(),
        "recipe": asdict(recipe),
        "models": dict(family.models),
        "parents": dict(family.parents),
        "references": dict(family.references),
        "data": {
            name: {"file": path.name, "digest": digest_file(path)} for name, path in family.data.items()
        },
        "planted": planted,
    }


def _planted(speech: Speech, doses: Mapping[Defect, DefectDose]) -> dict[str, object]:
    """By defect: dose, seed, the units chosen, and the units that show it (records: with their repeats)."""
    truth: dict[str, object] = {}
    for defect, dose in doses.items():
        plant, words = draw_plant(speech, dose), speech.units[defect]
        levels = {word: int(level) for word, level in zip(words, plant.level, strict=True) if level}
        truth[defect] = {
            "dose": dose.dose,
            "seed": dose.seed,
            "planted": [word for word, chosen in zip(words, plant.planted, strict=True) if chosen],
            "shows": levels if defect == "memorized_records" else list(levels),
        }
    return truth


__all__ = ["BaseRecipe", "ChildRecipe", "Family", "build_family", "doses_of", "plan_jobs"]
