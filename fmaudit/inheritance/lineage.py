"""Was one model adapted from another: verified, refuted or unknown, from evidence others gathered.

A child must be verified before anything is called inherited, and a reference
refuted before it may stand for "unrelated".
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from fmaudit.statistics import Interval, rate
from fmaudit.statistics.multiplicity import holm
from fmaudit.statistics.resampling import sign_flip_p

State = Literal["verified", "refuted", "unknown"]
KeyT = TypeVar("KeyT", bound=Hashable)

ALPHA = 0.05
MARGIN = 0.02
"""Agreement by which two models have to exceed, or may exceed, what unrelated models reach."""
MIN_PASSAGES = 10
_LEAST_LOG = -690.0
_SEED = 0


@dataclass(frozen=True)
class Agreement:
    """Next tokens that two models predict alike: ``hits`` among ``totals`` positions, by passage.

    Raises:
        ValueError: Lengths differ, or a passage has more hits than positions.
    """

    hits: tuple[int, ...]
    totals: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that the counts are possible."""
        if len(self.hits) != len(self.totals):
            raise ValueError(f"{len(self.hits)} passages with hits but {len(self.totals)} with positions")
        if any(not 0 <= hit <= total for hit, total in zip(self.hits, self.totals, strict=True)):
            raise ValueError("a passage has more hits than positions, or fewer than none")

    @property
    def share(self) -> float | None:
        """Share of positions that agree, in [0, 1]; None without positions."""
        return sum(self.hits) / sum(self.totals) if sum(self.totals) else None

    @property
    def passages(self) -> int:
        """Passages with at least one position."""
        return sum(total > 0 for total in self.totals)

    def interval(self, level: float = 1 - ALPHA) -> Interval:
        """The share with its interval; passages are the clusters."""
        passage = np.repeat(np.arange(len(self.totals)), self.totals)
        hit = np.concatenate(
            [np.arange(total) < hit for hit, total in zip(self.hits, self.totals, strict=True)]
        )
        return rate(hit.astype(float), clusters={"passage": passage}, level=level)


@dataclass(frozen=True)
class KinshipEvidence:
    """What is known of one pair of models.

    Attributes:
        identity: Why they are kin beyond doubt (shared weights); empty if nothing says so.
        matching_log_p: Natural log p of "trained independently" by hidden units; None where untested.
        matching: What was matched, or why nothing was.
        agreement: Next tokens that both predict alike; None where unavailable.
        agreement_reason: Why it is unavailable.
        controls: Agreement of unrelated pairs at the same positions of the same passages: of
            each of the two models with each reference model that is kin to neither.
    """

    identity: str = ""
    matching_log_p: float | None = None
    matching: str = ""
    agreement: Agreement | None = None
    agreement_reason: str = ""
    controls: Mapping[str, Agreement] = field(default_factory=dict)


@dataclass(frozen=True)
class LineageFinding:
    """The verdict on one pair.

    Attributes:
        verified: True (verified), False (refuted) or None (unknown).
        evidence: One line with the figures.
        matching_log10_p: Decimal log of the raw p of the unit matching; None where untested.
        matching_adjusted_p: That p after Holm, at least 1e-300.
        agreement_p: Raw p of "agrees no more than the controls plus the margin".
        agreement_adjusted_p: That p after Holm.
        agreement: Share of equal next tokens with its interval.
        controls_maximum: Largest agreement of an unrelated pair; None without controls.
        controls: Number of unrelated pairs.
        tests: Size of the family that Holm corrected for.
    """

    verified: bool | None
    evidence: str
    matching_log10_p: float | None = None
    matching_adjusted_p: float | None = None
    agreement_p: float | None = None
    agreement_adjusted_p: float | None = None
    agreement: Interval | None = None
    controls_maximum: float | None = None
    controls: int = 0
    tests: int = 0

    @property
    def state(self) -> State:
        """The word for ``verified``."""
        words: dict[bool | None, State] = {True: "verified", False: "refuted", None: "unknown"}
        return words[self.verified]


def judge_lineages(
    pairs: Mapping[KeyT, KinshipEvidence], *, alpha: float = ALPHA
) -> dict[KeyT, LineageFinding]:
    """Judge every pair of a run; the tests of all pairs are one Holm family.

    Verified: weights shared, or unit matching significant, or, where shapes do not
    allow matching, agreement above that of every control by more than ``MARGIN``
    (sign flips of whole passages, one-sided, largest p over the controls). Refuted:
    none of these, and the upper limit of agreement below the controls' maximum plus
    ``MARGIN``. Unknown otherwise, and
    where there is no control to compare with. The margin in the test keeps the
    ablest of several unrelated models, which agrees best with everyone, from being
    found kin. After Nikolic et al. (NeurIPS 2025) and Zhu et al. (ICML 2025).

    Args:
        pairs: Evidence by pair.
        alpha: Chance of any false "verified" in the run.
    """
    raw: dict[tuple[KeyT, str], float] = {}
    for key, found in pairs.items():
        if found.identity:
            continue
        if found.matching_log_p is not None:
            raw[key, "matching"] = math.exp(max(found.matching_log_p, _LEAST_LOG))
        p = agreement_p(found)
        if p is not None:
            raw[key, "agreement"] = p
    adjusted = dict(zip(raw, (float(p) for p in holm(list(raw.values()))), strict=True)) if raw else {}
    return {
        key: _finding(
            found,
            adjusted.get((key, "matching")),
            (raw.get((key, "agreement")), adjusted.get((key, "agreement"))),
            len(raw),
            alpha,
        )
        for key, found in pairs.items()
    }


def agreement_p(found: KinshipEvidence) -> float | None:
    """One-sided p of "some unrelated pair agrees as much, up to the margin"; None where untestable.

    Raises:
        ValueError: A control was counted at other positions.
    """
    if found.agreement is None or not found.controls or found.agreement.passages < MIN_PASSAGES:
        return None
    return max(_above(found.agreement, control, name) for name, control in found.controls.items())


def _above(agreement: Agreement, control: Agreement, name: str) -> float:
    if agreement.totals != control.totals:
        raise ValueError(f"control {name!r} was counted at other positions than the pair it is a control for")
    excess = np.subtract(agreement.hits, control.hits) - MARGIN * np.asarray(agreement.totals, dtype=float)
    p, _ = sign_flip_p(excess, _SEED)
    return p / 2 if excess.sum() > 0 else 1 - p / 2


def _finding(
    found: KinshipEvidence,
    matching_adjusted: float | None,
    agreement: tuple[float | None, float | None],
    tests: int,
    alpha: float,
) -> LineageFinding:
    interval = None
    if found.agreement is not None and found.agreement.share is not None:
        interval = found.agreement.interval(1 - alpha)
    shares = [control.share for control in found.controls.values()]
    most = max((share for share in shares if share is not None), default=None)
    # Of a few unrelated pairs one agrees best by chance: agreement decides only without a matching.
    decisive = agreement[1] if matching_adjusted is None else matching_adjusted
    verified: bool | None = None
    if found.identity or (decisive is not None and decisive <= alpha):
        verified = True
    elif agreement[0] is not None and most is not None and _below(interval, most + MARGIN):
        verified = False
    log_p = found.matching_log_p
    return LineageFinding(
        verified=verified,
        evidence="; ".join(_evidence(found, matching_adjusted, interval, most, agreement[1])),
        matching_log10_p=None if log_p is None else log_p / math.log(10),
        matching_adjusted_p=matching_adjusted,
        agreement_p=agreement[0],
        agreement_adjusted_p=agreement[1],
        agreement=interval,
        controls_maximum=most,
        controls=len(found.controls),
        tests=tests,
    )


def _below(interval: Interval | None, limit: float) -> bool:
    return interval is not None and interval.upper is not None and interval.upper < limit


def _evidence(
    found: KinshipEvidence,
    matching_adjusted: float | None,
    interval: Interval | None,
    most: float | None,
    agreement_adjusted: float | None,
) -> list[str]:
    lines = [found.identity] if found.identity else []
    if matching_adjusted is not None:
        lines.append(f"{found.matching}: adjusted p {_figure(matching_adjusted)}")
    elif found.matching and not found.identity:
        lines.append(f"hidden units not matched: {found.matching}")
    if interval is None or interval.value is None:
        why = found.agreement_reason or "no position at which all models predict"
        return [*lines, f"next tokens not compared: {why}"]
    text = f"next-token agreement {interval.value:.3f}"
    if interval.lower is not None and interval.upper is not None:
        text += f" [{interval.lower:.3f}, {interval.upper:.3f}]"
    if most is None:
        return [*lines, f"{text}, without unrelated models to compare with"]
    text += f", unrelated pairs at most {most:.3f}"
    if agreement_adjusted is not None:
        text += f" (adjusted p {_figure(agreement_adjusted)})"
    return [*lines, text]


def _figure(p: float) -> str:
    return "below 1e-99" if p < 1e-99 else f"{p:.2g}"


def group_lineages(references: Sequence[str], related: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Label every reference with its lineage: those found kin, directly or through others, share one.

    Args:
        references: Names, in order; a lineage is called after its first member.
        related: Pairs found kin; names that are no reference join nothing.
    """
    label = {name: name for name in references}
    for one, other in related:
        if one in label and other in label and label[one] != label[other]:
            first, second = sorted((label[one], label[other]), key=list(references).index)
            label = {name: first if known == second else known for name, known in label.items()}
    return label
