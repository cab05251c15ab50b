"""Capability: how strong a subject is, and whether an adapted one kept it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fmaudit.analysis import pairs
from fmaudit.analysis.measured import MeasuredRows
from fmaudit.analysis.numbers import COMPLETE, Settings
from fmaudit.inheritance.references import MAX_BITS_RATIO
from fmaudit.probe import Metric

CAPABILITY_PROBE = "downstream.capability"
BITS, ANSWERS = "bits_per_byte", "valid_answer_rate"
COMPARABLE_VARIANT = "bits_per_byte"
"""The variant whose bits are those of a code, hence comparable between any two subjects."""
MAX_LOST_ANSWERS = 0.05


@dataclass(frozen=True)
class Capability:
    """Whether capability was kept; ``reason`` says what was lost or could not be told."""

    kept: bool
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
    """Whether ``adapted`` still has the base's command of language and of answering.

    Bits per byte (or pseudo-bits of masked models with one tokenizer) may rise by a
    tenth at most, by the upper limit of the paired change; valid answers may not
    fall by more than 5 points, nor significantly by any. Missing answers count as
    the worst they could be. Unmeasured is not kept; ``refusal`` says what may not be compared.
    """
    language = False
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
            worst = fields.get("worst_interval")
            if metric.id == BITS:
                language = worst is not None
                if worst is None or worst[1] > MAX_BITS_RATIO * fields["base_value"]:
                    before, after = fields["base_value"], fields["adapted_value"]
                    unanswered = "" if fields["coverage"] >= COMPLETE else ", passages left unanswered"
                    return Capability(
                        False, f"bits per byte went from {before:.3g} to {after:.3g}{unanswered}"
                    )
            elif fields["value"] < -MAX_LOST_ANSWERS or fields["upper"] < 0:
                return Capability(False, f"valid answers fell by {-fields['value']:.3f}")
    return Capability(True) if language else Capability(False, "bits per byte were not measured on both")
