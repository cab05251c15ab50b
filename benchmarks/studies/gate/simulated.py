"""What the gate reads of simulated rows, in place of a run's audit."""

from __future__ import annotations

from dataclasses import dataclass, field

from fmaudit.analysis.claims import Claim, RunNumbers
from fmaudit.gate.evaluate import NO_RELEASE
from fmaudit.schema import Comparison, Numbers


@dataclass
class Simulated:
    """The gate's numbers from simulated rows: computed as those of a run, and stated as computed."""

    numbers: RunNumbers
    known: dict[tuple[str, float], Numbers] = field(default_factory=dict)

    def number(self, claim: Claim, level: float) -> Numbers:
        """The number to decide on."""
        place = (repr(claim), level)
        if place not in self.known:
            self.known[place] = self.numbers.number(claim, level)
        return self.known[place]

    def printed(self, claim: Claim, level: float) -> Numbers:
        """The same: the audit here holds what it was computed from."""
        return self.number(claim, level)

    def release_change(self, claim: Claim, level: float) -> Numbers | str:
        """There is no release."""
        return NO_RELEASE

    def word(self, comparison: Comparison) -> str:
        """The word as it stands."""
        return comparison.verdict
