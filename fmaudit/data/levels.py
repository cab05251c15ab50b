"""Levels of slices and clusters that look alike: ``A`` and ``A ``, ``1`` and ``1.0``, ``US`` and ``us``.

They are counted as what the file says, apart; joining them would be a guess, and leaving it unsaid a trap.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from fmaudit.probe import Item

_SHOWN = 3
_INVISIBLE = frozenset({"Cf", "Cc", "Zs", "Zl", "Zp"})


def alike_levels(items: Iterable[Item]) -> tuple[str, ...]:
    """One sentence for each column of slices or clusters that has levels which look alike; usually none."""
    counts: dict[str, Counter[str]] = {}
    for item in items:
        for name, level in {**item.clusters, **item.slices}.items():
            counts.setdefault(name, Counter())[level] += 1
    sentences = []
    for name in sorted(counts):
        together: dict[str, list[str]] = {}
        for level in counts[name]:
            together.setdefault(_seen(level), []).append(level)
        twins = [levels for levels in together.values() if len(levels) > 1]
        if twins:
            shown = "; ".join(
                " and ".join(f"{level[:40]!r} ({counts[name][level]} items)" for level in sorted(levels))
                for levels in sorted(twins)[:_SHOWN]
            )
            more = f", and {len(twins) - _SHOWN} more" if len(twins) > _SHOWN else ""
            sentences.append(
                f"Levels of {name} that look alike are counted apart: {shown}{more}. "
                "Make them one in the file if they mean one."
            )
    return tuple(sentences)


def _seen(level: str) -> str:
    """What a reader sees of a level: no case, no invisible character, a number by its value."""
    text = unicodedata.normalize("NFKC", level)
    text = "".join(char for char in text if unicodedata.category(char) not in _INVISIBLE).casefold()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return f"number {number.normalize()}" if number.is_finite() else text
