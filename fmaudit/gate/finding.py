"""What a gate found: one rule held against one number, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fmaudit.canonical import digest
from fmaudit.errors import ExitCode
from fmaudit.gate.policy_model import Policy, Severity, Tier
from fmaudit.gate.verdict import Limit, Verdict
from fmaudit.schema import Numbers

Kind = Literal["level", "change", "release change", "contrast", "contrast change", "verdict"]


@dataclass(frozen=True)
class Finding:
    """One rule held against one number, or against its absence (``missing``).

    ``number`` has the interval that the verdict rests on. ``blocked_words`` and ``word``,
    the comparison's own, belong to rules on inheritance verdicts. ``ideal``: where the number is
    the change of the distance to a target, that target. ``waiver``: id of the
    waiver that covers it; the verdict stays what it is.
    """

    rule: str
    tier: Tier
    kind: Kind
    metric: str
    subject: str
    model_digest: str
    variant: str
    dataset: str
    slice: dict[str, str]
    contrast: str
    limit: Limit
    verdict: Verdict
    reason: str
    action: str
    number: Numbers | None
    protocol: str
    line: int
    missing: bool = False
    blocked_words: tuple[str, ...] = ()
    word: str = ""
    severity: Severity = "high"
    controls: tuple[str, ...] = ()
    waiver: str = ""
    ideal: float | None = None

    @property
    def fingerprint(self) -> str:
        """Which finding this is, whatever its number: the same in every run of the same policy rule."""
        named = [self.rule, self.kind, self.metric, self.subject, self.variant, self.dataset, self.contrast]
        return digest([*named, self.slice]).rpartition(":")[2]

    @property
    def blocks(self) -> bool:
        """Whether it stands in the way of a pass."""
        return self.tier == "block" and self.verdict != "pass" and not self.waiver


@dataclass(frozen=True)
class GateResult:
    """All findings of a policy and what they add up to."""

    policy: Policy
    policy_digest: str
    policy_name: str
    findings: tuple[Finding, ...]
    exit_code: ExitCode

    @property
    def verdict(self) -> str:
        """The exit code as a word."""
        return {
            ExitCode.PASS: "pass",
            ExitCode.GATE_FAILED: "fail",
            ExitCode.INCONCLUSIVE: "inconclusive",
        }.get(self.exit_code, "nothing evaluated")
