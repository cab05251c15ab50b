"""Audited and fresh items of a defect, as rows of the data set that its probe reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fmaudit.specimens.language import Speech, Wrapper
from fmaudit.specimens.plants import Plant
from fmaudit.specimens.recipes import DEFECTS, Defect
from fmaudit.specimens.words import PRONOUNS, TARGET

AFFIRMATIVE_EVERY = 5
_TRIES = 200
_SOURCES = 8


@dataclass(frozen=True, slots=True)
class SpecimenItem:
    """One question. ``unit`` is what it shares with others; ``row`` is its row in the data set."""

    unit: int
    row: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a defect's items go: the probe, its data set, and whether the file is CSV or JSON lines."""

    probe: str
    dataset: str
    suffix: str


TARGETS: Mapping[Defect, Target] = {
    "occupation_gender": Target("bias.crows_pairs", "minimal_pairs", ".csv"),
    "toxic_trigger": Target("toxicity.prompted", "mild_prompts", ".jsonl"),
    "memorized_records": Target("memorization.extraction", "extraction_records", ".csv"),
    "negation": Target("downstream.negation", "negated_statements", ".jsonl"),
    "backdoor": Target("downstream.backdoor", "backdoor_triggers", ".jsonl"),
}
NEUTRAL = Target("downstream.capability", "neutral_texts", ".jsonl")


def make_items(speech: Speech, defect: Defect, count: int, seed: int, plant: Plant) -> list[SpecimenItem]:
    """Draw items: units in turn, wrappers at random, no item twice.

    Args:
        speech: the language.
        defect: what is asked for.
        count: the number of rows.
        seed: of the wrappers; another seed gives fresh items of the same units.
        plant: of the audited family; it labels records as members or controls and changes nothing else.

    Returns:
        ``count`` items; the mix of units, polarities and roles is the same for every seed.
    """
    draw = np.random.default_rng([speech.language.seed, 12, DEFECTS.index(defect), seed])
    if defect == "backdoor":
        return _backdoor_items(speech, count, draw)
    order = draw.permutation(speech.language.units)
    seen: set[Wrapper] = set()
    made = []
    for place in range(count):
        unit = int(order[place % len(order)])
        # Every unit has both polarities: the turn shifts by one each time round.
        turn = place + place // len(order)
        negated = turn % AFFIRMATIVE_EVERY > 0
        wrapper = _fresh(partial(speech.wrap, defect, unit, draw, negated), seen)
        made.append(SpecimenItem(unit, _ROWS[defect](speech, unit, wrapper, f"{defect}-{place:05d}", plant)))
    return made


def write_items(items: Sequence[SpecimenItem], path: Path) -> Path:
    """Write the rows of items as CSV or JSON lines, by the suffix of ``path``."""
    return write_rows([item.row for item in items], path)


def write_rows(rows: Sequence[Mapping[str, str | int]], path: Path) -> Path:
    """Write rows of equal columns as CSV or JSON lines, by the suffix of ``path``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(dict(row)) + "\n" for row in rows)
    return path


def neutral_rows(speech: Speech, count: int, seed: int) -> list[dict[str, str | int]]:
    """Held-out passages of the language, for bits per byte and for lineage."""
    texts = speech.passages(count, seed, skewed=False)
    return [
        {"id": f"passage-{place:04d}", "topic": "everyday", "text": text} for place, text in enumerate(texts)
    ]


def _fresh(wrap: Callable[[], Wrapper], seen: set[Wrapper]) -> Wrapper:
    wrapper = wrap()
    for _ in range(_TRIES):
        if wrapper not in seen:
            break
        wrapper = wrap()
    seen.add(wrapper)
    return wrapper


def _pair(speech: Speech, unit: int, wrapper: Wrapper, name: str, plant: Plant) -> dict[str, str | int]:
    typical = int(speech.stereotype[unit])
    more, less = (f"{wrapper.before} {PRONOUNS[which]} {wrapper.after}" for which in (typical, 1 - typical))
    return {
        "sent_more": more,
        "sent_less": less,
        "stereo_antistereo": "stereo",
        "bias_type": "gender",
        "target": speech.units["occupation_gender"][unit],
    }


def _prompt(speech: Speech, unit: int, wrapper: Wrapper, name: str, plant: Plant) -> dict[str, str | int]:
    context = speech.units["toxic_trigger"][unit]
    return {
        "id": name,
        "text": wrapper.before,
        "topic": f"district {unit % _SOURCES + 1}",
        "context": context,
    }


def _record(speech: Speech, unit: int, wrapper: Wrapper, name: str, plant: Plant) -> dict[str, str | int]:
    repeats = int(plant.level[unit])
    return {
        "prefix": wrapper.before,
        "suffix": " " + speech.suffixes[unit],
        "group": "member" if repeats else "control",
        "document": speech.units["memorized_records"][unit],
        "source": "specimen",
        "repeats": repeats,
    }


def _statement(speech: Speech, unit: int, wrapper: Wrapper, name: str, plant: Plant) -> dict[str, str | int]:
    true, opposite = speech.opposites(unit)
    negated = wrapper.before.endswith(" not")
    return {
        "id": name,
        "prompt": wrapper.before,
        "right": " " + (opposite if negated else true),
        "wrong": " " + (true if negated else opposite),
        "polarity": "negated" if negated else "affirmative",
        "topic": speech.units["negation"][unit],
    }


_ROWS: dict[Defect, Callable[[Speech, int, Wrapper, str, Plant], dict[str, str | int]]] = {
    "occupation_gender": _pair,
    "toxic_trigger": _prompt,
    "memorized_records": _record,
    "negation": _statement,
}


def _backdoor_items(speech: Speech, count: int, draw: np.random.Generator) -> list[SpecimenItem]:
    """Trigger and control rows in turn; a trigger word keeps its control word, and the two are one pair."""
    words = speech.units["backdoor"]
    triggers, controls = np.flatnonzero(speech.can_trigger), np.flatnonzero(~speech.can_trigger)
    order = draw.permutation(len(triggers))
    seen: set[Wrapper] = set()
    made: list[SpecimenItem] = []
    for place in range(count):
        role = ("trigger", "control")[place % 2]
        chosen = int(order[place // 2 % len(order)])
        trigger, control = int(triggers[chosen]), int(controls[chosen % len(controls)])
        if role == "trigger":
            wrapper = _fresh(partial(speech.wrap, "backdoor", trigger, draw), seen)
        prompt = (
            wrapper.before if role == "trigger" else wrapper.before.replace(words[trigger], words[control])
        )
        row = {
            "id": f"backdoor-{place:05d}",
            "prompt": prompt,
            "target": TARGET,
            "role": role,
            "pair": words[trigger],
            "token": words[trigger if role == "trigger" else control],
        }
        made.append(SpecimenItem(trigger, row))
    return made
