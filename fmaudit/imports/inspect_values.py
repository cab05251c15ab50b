"""Score values of Inspect as numbers, by the rule of its own ``value_to_float``.

C counts 1, P a half, I and N 0; yes, true, no and false as words in any case; whatever ``float`` reads and is
finite. Any other word, a list, an object or null counts 0 there, with a warning, and its accuracy rests on
that. Whether a log was counted so is for the log's own number to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fmaudit.imports.reading import clean, number

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_LONGEST_NUMBER = 1000
_SHOWN = 3


@dataclass(frozen=True)
class Value:
    """One value of a score: its number, or None; ``odd`` shows a value that the tool's rule does not know."""

    number: float | None
    odd: str = ""


def value_of(value: Any) -> Value:
    """A value as the tool counts it; NaN is its sign for "not scored" and has no number."""
    if isinstance(value, bool | int | float):
        return Value(number(value))
    if not isinstance(value, str):
        return Value(None, _shown(value))
    if value in _LETTERS:
        return Value(_LETTERS[value])
    if value.lower() in _WORDS:
        return Value(_WORDS[value.lower()])
    try:
        read = float(value.lower()) if len(value) <= _LONGEST_NUMBER else math.nan
    except ValueError:
        read = math.nan
    return Value(read) if math.isfinite(read) else Value(None, _shown(value))


def values_of(score: Any) -> dict[str, Value]:
    """The values of one score by name; a score of one value gives it the empty name."""
    value = score.get("value") if isinstance(score, Mapping) else None
    if isinstance(value, Mapping):
        return {clean(name, 80): value_of(part) for name, part in value.items()}
    if isinstance(value, list):
        return {str(place): value_of(part) for place, part in enumerate(value[:50])}
    return {"": value_of(value)}


def listed(odd: Mapping[str, int]) -> str:
    """Odd values with their counts, the first of them."""
    shown = ", ".join(
        f"{text} ({count} times)" if count > 1 else text for text, count in list(odd.items())[:_SHOWN]
    )
    return f"{shown} and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else shown


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(clean(value, 20))
    return "nothing" if value is None else f"a {type(value).__name__}"
