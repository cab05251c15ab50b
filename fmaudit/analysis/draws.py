"""Which answers of two subjects were sampled on the same random numbers, and which stand apart.

Base and adapted subjects are sampled on common numbers, from which their paired change
gains. What two subjects share through these is no likeness of theirs, so whatever
speaks of likeness reads answers that share none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.tables import Answers
from fmaudit.plan import DRAWS

NO_RETEST = "no retest of what was sampled, so how far the base repeats itself is not known"
COMMON_DRAWS = (
    "the subjects were sampled on the same random numbers; in a run with references the base is asked again, "
    "and likeness is judged on that"
)


def is_sampled(protocol: Mapping[str, Any]) -> bool:
    """Whether another seed would give other answers."""
    return any(entry["kind"] == "generate" and entry["temperature"] > 0 for entry in _decodings(protocol))


def apart(entries: Iterable[MeasuredRows], references: Iterable[str]) -> tuple[dict[str, Answers], list[str]]:
    """Answers of several subjects to one question, no two of them sampled on the same random numbers.

    Args:
        entries: One measurement a subject, the most wanted first.
        references: Subjects that are references.

    Returns:
        Subject -> its answers, its retest where it has one; and the subjects left out because
        they have only answers on numbers that an earlier subject's answers share.
    """
    unrelated = set(references)
    chosen: dict[str, Answers] = {}
    left_out: list[str] = []
    taken = False
    for entry in entries:
        if not is_sampled(entry.protocol):
            chosen[entry.subject] = entry.answers
        elif entry.retest is not None:
            chosen[entry.subject] = entry.retest
        elif entry.subject in unrelated and _references_draw_apart(entry.protocol):
            chosen[entry.subject] = entry.answers
        elif not taken:
            chosen[entry.subject], taken = entry.answers, True
        else:
            left_out.append(entry.subject)
    return chosen, left_out


def _references_draw_apart(protocol: Mapping[str, Any]) -> bool:
    sampled = [e for e in _decodings(protocol) if e["kind"] == "generate" and e["temperature"] > 0]
    return all(entry.get("draws") == DRAWS for entry in sampled)


def _decodings(protocol: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return protocol.get("decoding") or ()
