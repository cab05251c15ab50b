"""Capability: how strong a subject is, and whether an adapted one kept it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmaudit.analysis import pairs
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import COMPLETE, Settings
from fmaudit.inheritance.references import MAX_BITS_RATIO
from fmaudit.inheritance.verdicts import CapabilityState
from fmaudit.probe import Metric

CAPABILITY_PROBE = "downstream.capability"
BITS, ANSWERS = "bits_per_byte", "valid_answer_rate"
COMPARABLE_VARIANT = "bits_per_byte"
"""The variant whose bits are those of a code, hence comparable between any two subjects."""
MAX_LOST_ANSWERS = 0.05


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

    Kept: the upper limit of the paired change of bits per byte (or pseudo-bits of masked models
    with one tokenizer) is a tenth at most, and the lower limit of that of valid answers -5
    points at least, with missing answers as the worst they could be. Lost: bits per byte are shown to
    have risen by more, or valid answers to have fallen at all. Anything else, and what was not
    measured, is not shown. ``refusal`` says what may not be compared.
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
            fields = pairs.compare(metric, pair, new.probe.measures, settings)
            if fields["value"] is None or fields["upper"] is None:
                continue
            judge = _language if metric.id == BITS else _answers
            language = language or metric.id == BITS
            state, reason = judge(fields)
            if state != "kept":
                (lost if state == "lost" else open_ones).append(reason)
    if lost:
        return Capability("lost", "; ".join(lost))
    if not language:
        open_ones.insert(0, "bits per byte were not measured on both")
    return Capability("not shown", "; ".join(open_ones)) if open_ones else Capability("kept")


def _language(fields: Mapping[str, Any]) -> tuple[CapabilityState, str]:
    before, after, worst = fields["base_value"], fields["adapted_value"], fields.get("worst_interval")
    went = f"bits per byte went from {before:.3g} to {after:.3g}"
    if fields["lower"] > MAX_BITS_RATIO * before:
        return "lost", went
    if worst is not None and worst[1] <= MAX_BITS_RATIO * before:
        return "kept", ""
    unanswered = ", passages left unanswered" if fields["coverage"] < COMPLETE else ""
    return "not shown", f"{went}{unanswered}, and a rise of a tenth is not ruled out"


def _answers(fields: Mapping[str, Any]) -> tuple[CapabilityState, str]:
    lowest = (fields.get("worst_interval") or (fields["lower"], None))[0]
    if fields["upper"] < 0:
        return "lost", f"valid answers fell by {-fields['value']:.3f}"
    if lowest >= -MAX_LOST_ANSWERS:
        return "kept", ""
    return "not shown", (
        f"valid answers changed by {fields['value']:+.3f} and may have fallen by {-lowest:.3f} "
        f"on {fields['n']} questions"
    )
