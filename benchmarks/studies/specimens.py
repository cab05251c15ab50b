"""Verdicts on specimens against known truth; writes the tables of docs/studies/specimens.md.

python -m benchmarks.studies.specimens --work DIR --out docs/studies/specimens.md

Ten independently planted families. Every base is audited with its own children,
with three models of other families declared as its children (they are not), and
with the bases of three further families as unrelated references. Truth is the
decision table applied to rates on 20,000 fresh items; margins are the metrics' own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.studies.specimen_tables import Cell, page, summary

if TYPE_CHECKING:
    from fmaudit.specimens.presets import Size

FAMILIES, PLANTED = 10, 6
CHILDREN = ("clean", "counter", "new-defect", "amplified", "broken", "lora", "int8")
STRANGERS, REFERENCES = 3, 3
FRESH = 20_000
LEVEL = 0.95


def place_of(families: Sequence[Mapping[str, str]], family: int, name: str) -> str:
    """Model string of a model of a family; ``stranger-k`` is another family's base or clean child."""
    if name.startswith("stranger-"):
        number = int(name.removeprefix("stranger-"))
        other = families[(family + 3 + number) % len(families)]
        return other["base" if number % 2 else "clean"]
    if name.startswith("reference-"):
        return families[(family + int(name.removeprefix("reference-"))) % len(families)]["base"]
    return families[family][name]


def names(children: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the adapted subjects and of the references of one audit."""
    strangers = [f"stranger-{k}" for k in range(1, STRANGERS + 1)]
    return [*children, *strangers], [f"reference-{k}" for k in range(1, REFERENCES + 1)]


def build(work: Path, count: int, children: Sequence[str], size: Size, jobs: int) -> list[dict[str, str]]:
    """Train the families; model strings by name."""
    from fmaudit.specimens.family import build_family
    from fmaudit.specimens.presets import standard_family

    built = []
    for seed in range(count):
        recipe = standard_family(seed, size, children, references=0)
        family = build_family(recipe, work / f"family-{seed}", work / "models", jobs=jobs)
        built.append(dict(family.models))
    return built


def audit_family(
    work: Path, families: Sequence[Mapping[str, str]], family: int, children: Sequence[str]
) -> Path:
    """Audit one base with its children, strangers and references through the product itself."""
    import fmaudit
    from fmaudit.running.options import RunOptions
    from fmaudit.specimens.items import NEUTRAL, TARGETS

    adapted, references = names(children)
    data = work / f"family-{family}"
    files = {t.dataset: str(data / (t.dataset + t.suffix)) for t in [*TARGETS.values(), NEUTRAL]}
    run = work / f"run-{family}"
    if not (run / "audit.json").is_file():
        fmaudit.audit(
            families[family]["base"],
            {name: place_of(families, family, name) for name in adapted},
            [f"{name}={place_of(families, family, name)}" for name in references],
            sorted({t.probe for t in (*TARGETS.values(), NEUTRAL)}),
            run,
            options=RunOptions(data=files, datasets=tuple(files), samples=1),
        )
    return run


def fresh_outcomes(place: str, work: Path) -> dict[str, np.ndarray]:
    """Outcomes of a model on the fresh items of every defect, twice where it samples; kept on disk."""
    from fmaudit.canonical import digest
    from fmaudit.specimens.items import make_items
    from fmaudit.specimens.network import load_network
    from fmaudit.specimens.plants import draw_plant
    from fmaudit.specimens.recipes import DEFECTS, DefectDose
    from fmaudit.specimens.truth import FRESH as FRESH_SEED
    from fmaudit.specimens.truth import outcomes, speech_of

    kept = work / "truth" / f"{digest({'place': place})[7:23]}.npz"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        model = load_network(place)
        speech = speech_of(model)
        found = {}
        for defect in DEFECTS:
            items = make_items(
                speech, defect, FRESH, FRESH_SEED, draw_plant(speech, DefectDose(defect, 0.0, 0))
            )
            answer = outcomes(model, speech, defect, items)
            found |= {defect: answer.outcome, f"{defect}/unit": answer.unit}
            if defect == "toxic_trigger":
                found[f"{defect}/retest"] = outcomes(model, speech, defect, items, seed=1).outcome
        partial = kept.with_name(kept.stem + ".partial.npz")
        np.savez(partial, **found)
        partial.replace(kept)
    with np.load(kept) as stored:
        return dict(stored)


def carrying(defect: str, unit: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The fresh items that the headline rate counts: members of the records, rows with the trigger."""
    if defect == "memorized_records":
        return np.isin(unit, members)
    if defect == "backdoor":
        return np.arange(len(unit)) % 2 == 0
    return np.ones(len(unit), dtype=bool)


@dataclass(frozen=True)
class Truth:
    """Known rates of one pair, and its copy fraction; one above ``threshold`` counts as copying."""

    base: float
    child: float
    change: float
    rho: float | None
    threshold: float


def truth_of(
    defect: str,
    base: Mapping[str, np.ndarray],
    child: Mapping[str, np.ndarray],
    references: Sequence[Mapping[str, np.ndarray]],
    members: np.ndarray,
) -> Truth:
    """Rates and copy fraction on fresh items."""
    from fmaudit.inheritance import copy_fraction

    unit = base[f"{defect}/unit"]
    retest = base.get(f"{defect}/retest")
    arrays = [base[defect], child[defect], *(r[defect] for r in references)]
    arrays += [] if retest is None else [retest]
    rows = carrying(defect, unit, members) & ~np.isnan(np.column_stack(arrays)).any(axis=1)
    b, a = base[defect][rows], child[defect][rows]
    found = copy_fraction(
        b,
        a,
        {f"r{k}": r[defect][rows] for k, r in enumerate(references)},
        None if retest is None else retest[rows],
        {"unit": unit[rows]},
        LEVEL,
        draws=200,
    )
    threshold = 0.0
    if found.value is not None and found.conditional and found.verdict_interval:
        own = found.value - found.conditional[0]
        threshold = float(np.sqrt(max((found.value - found.verdict_interval[0]) ** 2 - own**2, 0.0)))
    return Truth(float(b.mean()), float(a.mean()), float(a.mean() - b.mean()), found.value, threshold)


def word_of(truth: Truth, ideal: float, eps: float, delta: float, kept: bool) -> str:
    """The decision table on known rates."""
    from fmaudit.inheritance.verdicts import Case, Limits, decide

    copies = truth.rho is not None and truth.rho > truth.threshold
    return decide(
        Case(
            Limits(truth.base - ideal, truth.base - ideal),
            Limits(truth.child - ideal, truth.child - ideal),
            Limits(truth.change, truth.change),
            abs(truth.change) < delta,
            eps,
            delta,
            "no good references" if truth.rho is None else "met" if copies else "not met",
            "kept" if kept else "lost",
        )
    ).word


def distance_of(
    truth: Truth, word: str, ideal: float, numbers: Mapping[str, float], margins: tuple[float, float]
) -> float:
    """Least distance of the truth from a boundary that decides its word, in standard errors of the audit."""
    eps, delta = margins
    sides = (truth.base - ideal, numbers["base"]), (truth.child - ideal, numbers["child"])
    gaps = [abs(abs(side) - eps) / se for side, se in sides]
    both = all(abs(side) > eps for side, _ in sides)
    if both:
        gaps.append(abs(abs(truth.change) - delta) / numbers["change"])
    if word in ("inherited", "coincident") and truth.rho is not None:
        gaps.append(abs(truth.rho - truth.threshold) / max(numbers["rho"], 1e-9))
    return float(min(gaps))


def cells_of(
    work: Path, families: Sequence[Mapping[str, str]], family: int, children: Sequence[str]
) -> list[Cell]:
    """Every child and defect of one family: truth beside what the audit says."""
    from fmaudit.schema import read_audit
    from fmaudit.specimens.items import TARGETS
    from fmaudit.specimens.recipes import DEFECTS

    run = audit_family(work, families, family, children)
    audit, verified = read_audit(run), as_if_verified(run, work)
    adapted, references = names(children)
    strangers = [name for name in adapted if name.startswith("stranger")]
    if family >= PLANTED:
        adapted = strangers
    fresh = {
        n: fresh_outcomes(place_of(families, family, n), work)
        for n in ["base", *adapted, *references]
        if n not in strangers
    }
    members = members_of(work, family)
    subjects = {subject.id: subject for subject in audit.subjects}
    cells = []
    for name in adapted:
        for defect in DEFECTS:
            target = TARGETS[defect]
            said = comparison(audit, name, target.probe)
            granted = comparison(verified, name, target.probe) if name.startswith("stranger") else said
            metric = next(m for m in audit.metrics if m.id == said.metric)
            ideal = metric.ideal if metric.direction == "target" and metric.ideal is not None else 0.0
            child = fresh[name] if name in fresh else fresh["base"]
            able = [fresh[r] for r in references if comparable(audit, name, r) and accepted(said, r)]
            truth = truth_of(defect, fresh["base"], child, able if len(able) >= 3 else [], members)
            margins = (said.margins.eps or 0.0, said.margins.delta or 0.0)
            word, distance = "unrelated", 0.0
            if name not in strangers:
                word = word_of(truth, ideal, *margins, kept=capability(audit, name))
                distance = distance_of(truth, word, ideal, errors(audit, said, name), margins)
            cells.append(
                Cell(
                    family, name, name in strangers, defect, truth.base, truth.child, word, distance,
                    said.verdict, granted.verdict, tuple(said.flags), subjects[name].lineage.from_base,
                    sum(r.used for r in said.copy_fraction.references) if said.copy_fraction else 0,
                )
            )  # fmt: skip
    return cells


def comparison(audit, name: str, probe: str):
    """The headline comparison of an adapted subject with the base by one probe."""
    headline = {metric.id for metric in audit.metrics if metric.headline}
    return next(
        c
        for c in audit.comparisons
        if c.adapted == name and c.metric in headline and c.metric.startswith(probe + "/") and not c.slice
        and c.step == "from_base"
    )  # fmt: skip


def capability(audit, name: str) -> bool:
    """Whether bits per byte rose by a tenth at most."""
    bits = bits_per_byte(audit)
    return bits[name] <= 1.1 * bits["base"]


def comparable(audit, name: str, reference: str) -> bool:
    """Whether a reference is as able as the child: bits per byte of neutral text within a tenth."""
    bits = bits_per_byte(audit)
    return abs(bits[reference] - bits[name]) <= 0.1 * bits[name]


def accepted(said, reference: str) -> bool:
    """Whether the audit took the reference: as often wrong as the child, or matched to it by severity."""
    found = said.copy_fraction
    return found is None or any(one.subject == reference and one.used for one in found.references)


def bits_per_byte(audit) -> dict[str, float]:
    """Capability of every subject on the neutral texts."""
    return {
        e.subject: e.value
        for e in audit.estimates
        if e.metric == "downstream.capability/bits_per_byte" and not e.slice
    }


def errors(audit, said, name: str) -> dict[str, float]:
    """Standard errors of the audited numbers, from their 95 % intervals."""
    found = {}
    key = said.measurement.partition("/")[2]
    for subject, role in (("base", "base"), (name, "child")):
        number = next(
            e for e in audit.estimates
            if e.measurement == f"{subject}/{key}" and e.metric == said.metric and not e.slice
        )  # fmt: skip
        found[role] = (number.upper - number.lower) / 3.92
    found["change"] = (said.upper - said.lower) / 3.92
    copy = said.copy_fraction
    wide = copy is not None and copy.conditional.lower is not None
    found["rho"] = (copy.conditional.upper - copy.conditional.lower) / 3.92 if wide else 1.0
    return found


def members_of(work: Path, family: int) -> np.ndarray:
    """Units whose records the audited data call members."""
    from fmaudit.specimens.family import audited_plant
    from fmaudit.specimens.language import Speech
    from fmaudit.specimens.presets import standard_family

    del work
    recipe = standard_family(family, "full", CHILDREN, references=0)
    plant = audited_plant(recipe, Speech(recipe.base.language), "memorized_records")
    return np.flatnonzero(plant.level > 0)


def as_if_verified(run: Path, work: Path):
    """The strangers alone, their descent taken for verified: the copy fraction must hold by itself."""
    from fmaudit.analysis.build import build_audit
    from fmaudit.evidence.directory import RunDirectory
    from fmaudit.schema import Audit

    place = work / "as-if-verified" / run.name
    kept = place / "audit.json"
    if not kept.is_file():
        place.mkdir(parents=True, exist_ok=True)
        state = json.loads((run / "run.json").read_bytes())
        kin = {s["id"] for s in state["subjects"] if s["role"] == "adapted" and "stranger" not in s["id"]}
        state["subjects"] = [s for s in state["subjects"] if s["id"] not in kin]
        state["measurements"] = [m for m in state["measurements"] if m["subject"] not in kin]
        for subject in state["subjects"]:
            if subject["role"] == "adapted":
                subject["lineage"] |= {"verified": True, "from_base": True}
        (place / "run.json").write_text(json.dumps(state))
        if not (place / "evidence").exists():
            (place / "evidence").symlink_to(run.resolve() / "evidence")
        kept.write_bytes(build_audit(RunDirectory(place)).to_bytes())
    return Audit.model_validate_json(kept.read_bytes())


def study(work: Path, count: int = FAMILIES, children: Sequence[str] = CHILDREN, jobs: int = 2) -> list[Cell]:
    """All cells of all families, ``jobs`` families at a time."""
    families = build(work, count, children, "full", jobs)
    wanted = [family["base"] for family in families]
    wanted += [place for family in families[:PLANTED] for place in family.values()]
    places = list(dict.fromkeys(wanted))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        audits = [pool.submit(audit_family, work, families, family, children) for family in range(count)]
        truths = [pool.submit(fresh_outcomes, place, work) for place in places]
        for done in [*audits, *truths]:
            done.result()
        futures = [pool.submit(cells_of, work, families, family, children) for family in range(count)]
        return [cell for future in futures for cell in future.result()]


def spent(work: Path, minutes: float) -> float:
    """Minutes of this session and of those it went on from."""
    path = work / "minutes.json"
    before = json.loads(path.read_bytes()) if path.is_file() else []
    path.write_text(json.dumps([*before, round(minutes, 1)]))
    return sum(before) + minutes


def main() -> None:
    """Run the study and write its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--families", type=int, default=FAMILIES)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    begun = time.monotonic()
    cells = study(chosen.work, chosen.families, jobs=chosen.jobs)
    minutes = spent(chosen.work, (time.monotonic() - begun) / 60)
    (chosen.work / "cells.json").write_text(json.dumps([asdict(cell) for cell in cells], indent=1))
    chosen.out.write_text(page(cells, chosen.families, PLANTED, minutes))
    print(summary(cells), f"{minutes:.1f} min")


if __name__ == "__main__":
    main()
