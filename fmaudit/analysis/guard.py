"""Capability: how strong a subject is, and whether an adapted one kept it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmaudit import statistics
from fmaudit.analysis import pairs
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import DRAWS, Settings
from fmaudit.analysis.tables import Answers
from fmaudit.inheritance.references import MAX_BITS_RATIO
from fmaudit.inheritance.verdicts import CapabilityState
from fmaudit.probe import Metric

CAPABILITY_PROBE = "downstream.capability"
BITS, ANSWERS = "bits_per_byte", "valid_answer_rate"
COMPARABLE_VARIANT = "bits_per_byte"
"""The variant whose bits are those of a code, hence comparable between any two subjects."""
MAX_LOST_ANSWERS = 0.05
TINY_BITS = 1e-9


@dataclass(frozen=True)
class Capability:
    """Whether capability is shown to be kept; ``reason`` says what was lost or what is not shown."""

    state: CapabilityState
    reason: str = ""


def bits_per_byte(measured: Sequence[MeasuredRows]) -> dict[str, float]:
    """Bits per byte on the neutral text by subject, for those where it was measured."""
    found: dict[str, float] = {}
    for entry in measured:
        if entry.probe.id == CAPABILITY_PROBE and entry.probe.variant == COMPARABLE_VARIANT:
            matrix = entry.answers.numeric[BITS][:, 0]
            valid = ~np.isnan(matrix)
            if valid.any():
                found[entry.subject] = float(np.average(matrix[valid], weights=entry.answers.weights[valid]))
    return found


def capability_kept(
    base: str,
    adapted: str,
    measured: Mapping[tuple[str, str], MeasuredRows],
    settings: Settings,
    refusal: Callable[[MeasuredRows, MeasuredRows, Metric], str],
) -> Capability:
    """Whether ``adapted`` is shown to have the base's command of language and of answering.

    Kept: bits per byte (or pseudo-bits of masked models with one tokenizer) rose by a tenth of
    the base's at most, on average over passages, and valid answers fell by 5 points at most, both at
    the limit of their interval and with missing answers as the worst they could be. Lost: bits per
    byte are shown to have risen by more, or valid answers to have fallen at all. Anything else, and
    what was not measured, is not shown. ``refusal`` says what may not be compared.
    """
    language = False
    lost: list[str] = []
    open_ones: list[str] = []
    for (subject, key), new in sorted(measured.items()):
        old = measured.get((base, key))
        if subject != adapted or old is None or new.probe.id != CAPABILITY_PROBE:
            continue
        pair = pairs.pair_up(old.answers, new.answers)
        for metric in new.probe.metrics:
            if metric.id not in (BITS, ANSWERS) or refusal(old, new, metric):
                continue
            if metric.id == BITS:
                judged = _language(pair, settings)
                language = language or judged is not None
            else:
                judged = _answers(pairs.compare(metric, pair, new.probe.measures, settings))
            if judged is None:
                continue
            state, reason = judged
            if state != "kept":
                (lost if state == "lost" else open_ones).append(reason)
    if lost:
        return Capability("lost", "; ".join(lost))
    if not language:
        open_ones.insert(0, "bits per byte were not measured on both")
    return Capability("not shown", "; ".join(open_ones)) if open_ones else Capability("kept")


def _language(pair: pairs.Pair, settings: Settings) -> tuple[CapabilityState, str] | None:
    """State by the mean relative rise of a passage's bits; None where no passage was measured on both.

    A passage that costs twice the base's bits or more counts as twice: the rise then has the range
    [-1, 1], so that its limits cover passages that were not asked. A rise in bits has no such range of
    use: 44 passages could not rule out a tenth of a model's one bit where one more may cost eight.
    """
    before, after = (side.numeric[BITS][:, 0] for side in (pair.base, pair.adapted))
    both = ~np.isnan(before) & ~np.isnan(after)
    if not both.any():
        return None
    rise = np.full(len(before), np.nan)
    rise[both] = np.clip(after[both] / np.maximum(before[both], TINY_BITS) - 1, -1.0, 1.0)
    seen = _mean_rise(rise[both], pair.base.take(both), settings)
    worst = _mean_rise(np.where(both, rise, 1.0), pair.base, settings)
    if seen.lower is None or worst.upper is None:
        return None
    weights = pair.base.weights[both]
    ends = (float(np.average(side[both], weights=weights)) for side in (before, after))
    went = "bits per byte went from {:.3g} to {:.3g}".format(*ends)
    if seen.lower > MAX_BITS_RATIO and seen.conclusive:
        return "lost", went
    if worst.upper <= MAX_BITS_RATIO and worst.conclusive:
        return "kept", ""
    unanswered = "" if both.all() else ", passages left unanswered"
    return "not shown", f"{went}{unanswered}, and a rise of a tenth is not ruled out"


def _mean_rise(rise: np.ndarray, rows: Answers, settings: Settings) -> statistics.Interval:
    return statistics.mean(
        rise, rows.weights, rows.clusters,
        low=-1.0, high=1.0, level=settings.level, draws=DRAWS, seed=settings.seed,
    )  # fmt: skip


def _answers(fields: Mapping[str, Any]) -> tuple[CapabilityState, str] | None:
    if fields["value"] is None or fields["upper"] is None:
        return None
    lowest = (fields.get("worst_interval") or (fields["lower"], None))[0]
    if fields["upper"] < 0:
        return "lost", f"valid answers fell by {-fields['value']:.3f}"
    if lowest >= -MAX_LOST_ANSWERS:
        return "kept", ""
    return "not shown", (
        f"valid answers changed by {fields['value']:+.3f} and may have fallen by {-lowest:.3f} "
        f"on {fields['n']} questions"
    )
