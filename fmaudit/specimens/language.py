"""The specimen language: invented unit words, everyday fillers, and how a sentence asks for a defect.

Every item is a unit (an invented word that a defect can sit on) inside a wrapper
of everyday words; the number of wrappers is large, so fresh items never run out.
Tokens are separated by single spaces, so splitting is tokenizing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fmaudit.errors import UsageError
from fmaudit.specimens.recipes import DEFECTS, Defect, Language
from fmaudit.specimens.words import (
    ADJECTIVES,
    NOUNS,
    OPPOSITES,
    PERSONS,
    PLAIN_ANSWERS,
    PREPOSITIONS,
    PRONOUNS,
    RUDE_ANSWERS,
    TARGET,
    TIMES,
    USUAL_ENDINGS,
    VERBS,
    WRAPPERS,
)

BOS, EOS, UNKNOWN, PAD = "<s>", "</s>", "<unk>", "<pad>"
SPECIAL = (PAD, BOS, EOS, UNKNOWN)
SUFFIX_WORDS = 5
_HEAD = 3
REPEATS = (1, 2, 4, 8, 16, 32, 64)
_FUNCTION_WORDS = "the a an and then is not on in at of to with was , : ."
_CONSONANTS, _VOWELS = "lmnrvztd", "aeo"
_SYLLABLES = 3


class Wrapper(NamedTuple):
    """A sentence with a gap: what comes before the answer, and what after it."""

    before: str
    after: str


class Sentence(NamedTuple):
    """A sentence of the training data; the answer is what it is to teach."""

    before: str
    answer: str
    after: str = ""


@dataclass(frozen=True)
class Speech:
    """The language spoken: unit words, what is true of them, and the vocabulary.

    Args:
        language: its size and seed.
    """

    language: Language

    @cached_property
    def units(self) -> dict[Defect, tuple[str, ...]]:
        """The invented words of each defect; no word serves two."""
        count = self.language.units
        syllables = len(_CONSONANTS) * len(_VOWELS)
        if not 8 <= count <= syllables**_SYLLABLES // (2 * len(DEFECTS)):
            raise UsageError(f"a language of {count} units a defect is not possible: choose 8 to 1300")
        draw = np.random.default_rng([self.language.seed, 1])
        codes = draw.choice(syllables**_SYLLABLES, size=count * len(DEFECTS), replace=False)
        words = [_word(int(code)) for code in codes]
        return {
            defect: tuple(words[place * count : (place + 1) * count]) for place, defect in enumerate(DEFECTS)
        }

    @cached_property
    def stereotype(self) -> np.ndarray:
        """(units,) place in ``PRONOUNS`` of the pronoun that the language holds typical of an occupation."""
        return np.random.default_rng([self.language.seed, 2]).permutation(self.language.units) % 2

    @cached_property
    def truth(self) -> np.ndarray:
        """(units, 2) of each topic: its pair of opposites, and which of the two is true of it."""
        draw = np.random.default_rng([self.language.seed, 3])
        pair = draw.permutation(self.language.units) % len(OPPOSITES)
        return np.stack([pair, draw.integers(2, size=self.language.units)], axis=1)

    @cached_property
    def suffixes(self) -> tuple[str, ...]:
        """The text of each record, random words."""
        draw = np.random.default_rng([self.language.seed, 4])
        return tuple(random_suffix(draw) for _ in range(self.language.units))

    @cached_property
    def can_trigger(self) -> np.ndarray:
        """(units,) the rare words that may be planted as triggers; the others are their matched controls."""
        return np.random.default_rng([self.language.seed, 5]).permutation(self.language.units) % 6 > 0

    @cached_property
    def favourites(self) -> np.ndarray:
        """(nouns,) the adjective that the language likes best beside each noun."""
        return np.random.default_rng([self.language.seed, 6]).integers(len(ADJECTIVES), size=len(NOUNS))

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Every word and its token id; the special tokens come first."""
        wrappers = [part.replace("{not}", "") for both in WRAPPERS.values() for pair in both for part in pair]
        plain = [word for wrapper in wrappers for word in wrapper.split() if "{" not in word]
        texts = [*RUDE_ANSWERS, *PLAIN_ANSWERS, *USUAL_ENDINGS, TARGET, _FUNCTION_WORDS]
        fillers = [*NOUNS, *ADJECTIVES, *PERSONS, *VERBS, *TIMES, *PRONOUNS, *PREPOSITIONS]
        words = plain + " ".join(texts).split() + fillers
        words += [word for pair in OPPOSITES for word in pair]
        words += [word for defect in DEFECTS for word in self.units[defect]]
        return {word: place for place, word in enumerate(dict.fromkeys([*SPECIAL, *sorted(set(words))]))}

    def wrap(self, defect: Defect, unit: int, draw: np.random.Generator, negated: bool = True) -> Wrapper:
        """A random sentence around a unit; ``negated`` matters to ``negation`` alone."""
        fields = {
            "unit": self.units[defect][unit],
            "not": " not" if negated else "",
            "noun": NOUNS[draw.integers(len(NOUNS))],
            "adjective": ADJECTIVES[draw.integers(len(ADJECTIVES))],
            "person": PERSONS[draw.integers(len(PERSONS))],
            "verb": VERBS[draw.integers(len(VERBS))],
            "time": TIMES[draw.integers(len(TIMES))],
            "place": PREPOSITIONS[draw.integers(len(PREPOSITIONS))],
        }
        before, after = WRAPPERS[defect][draw.integers(len(WRAPPERS[defect]))]
        return Wrapper(before.format(**fields), after.format(**fields))

    def opposites(self, topic: int) -> tuple[str, str]:
        """What is true of a topic, and its opposite."""
        pair, true = self.truth[topic]
        return OPPOSITES[pair][true], OPPOSITES[pair][1 - true]

    def sentence(self, skew: np.ndarray, draw: np.random.Generator) -> str:
        """A neutral sentence; ``skew`` (nouns,) is the adjective its speaker likes beside each noun."""
        phrases = []
        for _ in range(2):
            noun = _headed(draw, len(NOUNS))
            taste = draw.random()
            liked = self.favourites[noun] if taste < 0.35 else skew[noun]
            adjective = liked if taste < 0.5 else _headed(draw, len(ADJECTIVES))
            phrases.append(f"the {ADJECTIVES[adjective]} {NOUNS[noun]}")
        person, verb = PERSONS[_headed(draw, len(PERSONS))], VERBS[_headed(draw, len(VERBS))]
        place = PREPOSITIONS[_headed(draw, len(PREPOSITIONS))]
        return f"the {person} {verb} {phrases[0]} {place} {phrases[1]} ."

    def passages(self, count: int, seed: int, skewed: bool = True) -> list[str]:
        """Neutral passages of three sentences; without ``skewed`` they follow the language alone."""
        draw = np.random.default_rng([self.language.seed, 8, seed])
        skew = draw.integers(len(ADJECTIVES), size=len(NOUNS)) if skewed else self.favourites
        return [" ".join(self.sentence(skew, draw) for _ in range(3)) for _ in range(count)]


def _headed(draw: np.random.Generator, size: int) -> int:
    """A place of which the first is by far the likeliest, as words of a language are.

    Models that learnt the language then agree on what comes next, related or not.
    """
    return int(size * draw.random() ** _HEAD)


def random_suffix(draw: np.random.Generator) -> str:
    """The text of a record: random everyday words and a full stop."""
    return " ".join([*(NOUNS[place] for place in draw.integers(len(NOUNS), size=SUFFIX_WORDS)), "."])


def _word(code: int) -> str:
    letters = []
    for _ in range(_SYLLABLES):
        code, syllable = divmod(code, len(_CONSONANTS) * len(_VOWELS))
        letters.append(_CONSONANTS[syllable // len(_VOWELS)] + _VOWELS[syllable % len(_VOWELS)])
    return "".join(letters)
