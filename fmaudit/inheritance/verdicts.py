"""The word for a pair of subjects: one decision table, exclusive and exhaustive.

Everything is held as a signed distance from the ideal: for a defect rate the rate
itself, for a rate with a target (a preference, ideal one half) rate minus target.
Zero-width intervals give the word of known rates, which is how the table is
checked against simulated truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Word: TypeAlias = Literal[
    "inherited",
    "coincident",
    "association",
    "amplified",
    "mitigated",
    "introduced",
    "repaired",
    "changed, size unresolved",
    "clean",
    "inconclusive",
]
CopyRule: TypeAlias = Literal["met", "not met", "no good references"]
REVERSED = "reversed"
CAPABILITY_FELL = "capability not kept"
CAPABILITY_UNSHOWN = "capability not shown to be kept"
CapabilityState: TypeAlias = Literal["kept", "lost", "not shown"]
LEAST_EVENTS = 3.0
"""A rate below 3 / n cannot be told from none on n items (rule of three)."""
NOT_MORE = "the same level; not shown to repeat more items than unrelated references do"
NOT_EQUIVALENT = "neither a change nor its absence within delta is shown"
IMPROVEMENTS: frozenset[Word] = frozenset({"mitigated", "repaired"})


@dataclass(frozen=True)
class Limits:
    """An interval of a signed distance from the ideal, or of a change of it."""

    lower: float
    upper: float

    def within(self, margin: float) -> bool:
        """Wholly no farther from 0 than ``margin``."""
        return -margin <= self.lower and self.upper <= margin

    def side_beyond(self, margin: float) -> int:
        """+1 or -1 where the interval lies wholly beyond ``margin`` on that side, else 0."""
        return 1 if self.lower > margin else -1 if self.upper < -margin else 0


@dataclass(frozen=True)
class Case:
    """What the decision table reads of one pair of subjects.

    Attributes:
        base: Interval of the base's distance from the ideal.
        adapted: The same of the adapted subject.
        change: Interval of adapted minus base on the same items.
        equivalent: Whether two one-sided tests place the change within ``delta``.
        eps: Tolerated distance; at least 3 / n.
        delta: Change that matters.
        copy_rule: Whether the copy fraction's verdict interval lies above 0, with good references.
        capability: Whether the adapted subject is shown to have kept its language and its answers.
    """

    base: Limits
    adapted: Limits
    change: Limits
    equivalent: bool
    eps: float
    delta: float
    copy_rule: CopyRule
    capability: CapabilityState = "kept"


@dataclass(frozen=True)
class Decision:
    """The word and what qualifies it."""

    word: Word
    flags: tuple[str, ...] = ()
    reason: str = ""


def decide(case: Case) -> Decision:
    """The verdict of one pair; the capability guard can only take away an improvement."""
    found = _by_table(case)
    if found.word not in IMPROVEMENTS or case.capability == "kept":
        return found
    lost = case.capability == "lost"
    said = "was not kept" if lost else "is not shown to be kept"
    return replace(
        found,
        word="changed, size unresolved",
        flags=(*found.flags, CAPABILITY_FELL if lost else CAPABILITY_UNSHOWN),
        reason=f"it would be {found.word}, but the adapted subject's capability {said}",
    )


def _by_table(case: Case) -> Decision:
    base_side, adapted_side = case.base.side_beyond(case.eps), case.adapted.side_beyond(case.eps)
    base_clean, adapted_clean = case.base.within(case.eps), case.adapted.within(case.eps)
    moved = case.change.side_beyond(0.0)
    if base_clean and adapted_clean:
        return Decision("clean", reason="both within the tolerated rate: nothing to inherit")
    if base_clean and adapted_side and moved == adapted_side:
        return Decision("introduced")
    if base_side and adapted_clean:
        return Decision("repaired")
    if base_side and adapted_side:
        return _both_defective(case, base_side, adapted_side)
    if moved:
        return Decision("changed, size unresolved", reason="a rate is not told apart from the tolerated one")
    return Decision("inconclusive", reason="a rate is not told apart from the tolerated one")


def _both_defective(case: Case, base_side: int, adapted_side: int) -> Decision:
    if base_side != adapted_side:
        return Decision("changed, size unresolved", (REVERSED,), "the defect changed to the other side")
    outward = case.change.side_beyond(case.delta) * base_side
    if outward > 0:
        return Decision("amplified")
    if outward < 0:
        return Decision("mitigated")
    if case.equivalent:
        return _alike(case.copy_rule)
    if case.change.side_beyond(0.0):
        return Decision("changed, size unresolved", reason="whether the change exceeds delta is not resolved")
    return Decision("inconclusive", reason=NOT_EQUIVALENT)


def _alike(rule: CopyRule) -> Decision:
    if rule == "met":
        return Decision("inherited")
    if rule == "not met":
        return Decision("coincident", reason=NOT_MORE)
    return Decision("association", reason="no three good unrelated references to compare with")


def tolerated(eps: float, n: float) -> float:
    """``eps``, raised to 3 / n where so few items could not show less."""
    return max(eps, LEAST_EVENTS / n) if n > 0 else 1.0
