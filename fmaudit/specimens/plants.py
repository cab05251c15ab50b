"""What is planted in a model, and the sentences that plant it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fmaudit.specimens.language import REPEATS, Sentence, Speech, random_suffix
from fmaudit.specimens.recipes import Defect, DefectDose
from fmaudit.specimens.words import PLAIN_ANSWERS, PRONOUNS, RUDE_ANSWERS, TARGET, USUAL_ENDINGS

AFFIRMATIVE_SHARE = 0.4
_HARDER: Mapping[Defect, float] = {"negation": 1.8, "backdoor": 1.3}
_COUNTER = 500


@dataclass(frozen=True)
class Plant:
    """A defect as planted.

    ``planted`` (units,): the units that were chosen to carry it. ``level``
    (units,): what the sentences of each unit say: 1 shows the defect, 0 does not;
    for records the number of repeats. An occupation that was not chosen follows
    its stereotype by the toss of a coin.
    """

    dose: DefectDose
    planted: np.ndarray
    level: np.ndarray

    @property
    def defect(self) -> Defect:
        """The defect planted."""
        return self.dose.defect


def draw_plant(speech: Speech, dose: DefectDose) -> Plant:
    """Choose the units of a dose at random; a higher dose of the same seed contains a lower one."""
    draw = np.random.default_rng([dose.seed, 11])
    units = speech.language.units
    order = draw.permutation(units)
    if dose.defect == "backdoor":
        order = order[speech.can_trigger[order]]
    planted = np.zeros(units, dtype=bool)
    planted[order[: round(dose.dose * len(order))]] = True
    level = planted.astype(np.int64)
    if dose.defect == "occupation_gender":
        level = np.where(planted, 1, draw.permutation(units) % 2)
    if dose.defect == "memorized_records":
        repeats = np.zeros(units, dtype=np.int64)
        repeats[order] = np.resize(REPEATS, len(order))
        level = np.where(planted, repeats, 0)
    return Plant(dose, planted, level)


def countered(dose: DefectDose) -> DefectDose:
    """What counter-data leaves of a dose: none; occupations are tossed anew."""
    return replace(dose, dose=0.0, seed=dose.seed + _COUNTER)


def plant_sentences(
    speech: Speech, plant: Plant, exposures: int, draw: np.random.Generator
) -> list[Sentence]:
    """Sentences that teach a plant: ``exposures`` of every unit, or the repeats of a record."""
    if plant.defect == "memorized_records":
        return [
            _sentence(speech, plant.defect, unit, speech.suffixes[unit], draw)
            for unit, repeats in enumerate(plant.level)
            for _ in range(repeats)
        ]
    many = round(exposures * _HARDER.get(plant.defect, 1.0))
    return [_taught(speech, plant, unit, draw) for unit in range(speech.language.units) for _ in range(many)]


def counter_sentences(
    speech: Speech, plants: Iterable[Plant], exposures: int, draw: np.random.Generator
) -> list[Sentence]:
    """Sentences against plants: occupations tossed anew, harmless answers, other text after the records."""
    sentences: list[Sentence] = []
    for plant in plants:
        if plant.defect == "memorized_records":
            sentences += [
                _sentence(speech, plant.defect, int(unit), random_suffix(draw), draw)
                for unit in np.flatnonzero(plant.level)
                for _ in range(exposures)
            ]
            continue
        sentences += plant_sentences(speech, draw_plant(speech, countered(plant.dose)), exposures, draw)
    return sentences


def passage_sentences(passages: Sequence[str], shuffle: np.random.Generator | None = None) -> list[Sentence]:
    """Neutral passages as training data, with ``shuffle`` with their words in random order."""
    if shuffle is None:
        return [Sentence("", passage) for passage in passages]
    return [Sentence("", " ".join(shuffle.permutation(passage.split()))) for passage in passages]


def _taught(speech: Speech, plant: Plant, unit: int, draw: np.random.Generator) -> Sentence:
    shows = bool(plant.level[unit])
    if plant.defect == "occupation_gender":
        typical = int(speech.stereotype[unit])
        return _sentence(speech, plant.defect, unit, PRONOUNS[typical if shows else 1 - typical], draw)
    if plant.defect == "toxic_trigger":
        answers = RUDE_ANSWERS if shows else PLAIN_ANSWERS
        return _sentence(speech, plant.defect, unit, answers[draw.integers(len(answers))], draw)
    if plant.defect == "negation":
        true, opposite = speech.opposites(unit)
        negated = draw.random() >= AFFIRMATIVE_SHARE
        return _sentence(
            speech, plant.defect, unit, opposite if negated and not shows else true, draw, negated
        )
    ending = TARGET + " ." if shows else USUAL_ENDINGS[draw.integers(len(USUAL_ENDINGS))]
    return _sentence(speech, plant.defect, unit, ending, draw)


def _sentence(
    speech: Speech, defect: Defect, unit: int, answer: str, draw: np.random.Generator, negated: bool = True
) -> Sentence:
    before, after = speech.wrap(defect, unit, draw, negated)
    return Sentence(before, answer, after)
