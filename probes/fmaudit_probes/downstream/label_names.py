"""What a label in a user's file means among the names of a classifier's labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_WHOLE = re.compile(r"[0-9]+(\.0+)?")


class UnknownLabel(Exception):
    """A label of the file that the classifier does not have."""


def label_position(label: str, names: Sequence[str]) -> int:
    """Position of ``label`` among the classifier's ``names``.

    A name counts before all else; then a name that is the same number (a spreadsheet
    writes 1.0 for 1) or differs by blanks at its ends; only where no name is a number
    is a number the position of a label. Raises UnknownLabel.
    """
    if label in names:
        return names.index(label)
    trimmed = [place for place, name in enumerate(names) if name.strip() == label.strip()]
    if len(trimmed) == 1:
        return trimmed[0]
    number, numbers = whole_number(label), [whole_number(name) for name in names]
    if number is not None:
        same = [place for place, other in enumerate(numbers) if other == number]
        if len(same) == 1:
            return same[0]
        if not names_are_numbers(names) and number < len(names):
            return number
    raise UnknownLabel(f"label {label!r} is none of the classifier's: {', '.join(names)}")


def other_numbering(numbers: Mapping[str, int], names: Sequence[str]) -> str:
    """Why the numbers in a file are not this classifier's; empty where they can be.

    Where names are numbers, a file with a number that is no name but could be a
    position counts its labels otherwise, so that its other numbers may fit by chance alone.

    Args:
        numbers: Every label of the file that is a whole number, with the first row that has it.
        names: The classifier's labels.
    """
    if not names_are_numbers(names):
        return ""
    known = {whole_number(name) for name in names}
    for label, row in sorted(numbers.items(), key=lambda item: item[1]):
        number = whole_number(label)
        if number is not None and number not in known and number < len(names):
            return (
                f"row {row} has the label {label!r}, which is none of the classifier's "
                f"({', '.join(names)}): these are names and no positions; write the names in column label"
            )
    return ""


def names_are_numbers(names: Sequence[str]) -> bool:
    """Whether a label is named by a number, so that numbers are names and not positions."""
    return any(whole_number(name) is not None for name in names)


def whole_number(text: str) -> int | None:
    """The whole number that a text stands for, if it does: ``2``, ``02``, ``2.0``."""
    found = _WHOLE.fullmatch(text.strip())
    return int(found[0].partition(".")[0]) if found else None
