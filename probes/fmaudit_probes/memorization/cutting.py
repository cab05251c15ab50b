"""Cut text into prefix and suffix by characters at word boundaries.

Subjects with different tokenizers get the same question only when the cut is
made in the text. The suffix keeps the white space before its first word, so that
the border is one between tokens for the usual tokenizers.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

PREFIX_CHARACTERS = 200
SUFFIX_CHARACTERS = 200


class Passage(NamedTuple):
    """A context and its continuation; joined they are the original text."""

    prefix: str
    suffix: str


def word_end(text: str, at: int) -> int:
    """The last position up to ``at`` where a word has just ended, else the first after it, else ``at``."""
    if at >= len(text):
        return len(text)
    for position in chain(range(at, 0, -1), range(at + 1, len(text))):
        if text[position].isspace() and not text[position - 1].isspace():
            return position
    return at


def cut_passage(
    text: str, prefix_characters: int = PREFIX_CHARACTERS, suffix_characters: int = SUFFIX_CHARACTERS
) -> Passage:
    """Cut the head of ``text`` into a prefix and a suffix of at most these lengths.

    Text too short for both is cut at the same proportion. Raises ValueError for
    a single short word.
    """
    text = text.strip()
    total = prefix_characters + suffix_characters
    # A long text without white space is of a script that writes none; it is cut where it stands.
    if len(text) < prefix_characters and len(text.split()) < 2:
        raise ValueError("too short to be cut into a prefix and a suffix: it needs at least two words")
    text = text[: word_end(text, min(total, len(text)))]
    border = word_end(
        text, prefix_characters if len(text) >= total * 3 // 4 else len(text) * prefix_characters // total
    )
    return Passage(text[:border], text[border:])


def cut_document(text: str, pieces: int) -> list[Passage]:
    """At most ``pieces`` passages of full length that do not overlap, spread evenly over ``text``."""
    length = PREFIX_CHARACTERS + SUFFIX_CHARACTERS
    text = text.strip()
    possible = min(pieces, len(text) // length)
    spare = len(text) - possible * length
    passages = []
    for piece in range(possible):
        gap = spare * piece // max(possible - 1, 1)
        start = piece * length + gap
        begin = start if start == 0 else word_end(text, start)
        passages.append(cut_passage(text[begin:]))
    return passages
