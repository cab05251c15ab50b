"""Anytime-valid limits of the change of a number between two releases."""

from __future__ import annotations

from collections.abc import Mapping

from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.releases import ReleasePair, slice_items
from fmaudit.analysis.sequences import NO_STATISTIC, Units, sequence_of_change, without_sequence
from fmaudit.analysis.shared import NO_SEQUENCE, yardstick_of
from fmaudit.probe import Gap, Statistic
from fmaudit.schema import Numbers


def release_sequence(
    number: Numbers,
    pair: ReleasePair,
    metric: str,
    slice: Mapping[str, str],
    units: Units | None,
    level: float,
) -> Numbers:
    """``number``, the change of ``metric``, with the limits of its sequence instead of its interval."""
    fields = number.model_dump()
    chosen = next(one for one in pair.new.probe.metrics if f"{pair.new.probe.id}/{one.id}" == metric)
    if isinstance(chosen, (Statistic, Gap)):
        return Numbers(**without_sequence(fields, NO_STATISTIC))
    mask = slice_items(chosen, pair.whole.base, slice)
    assert mask is not None
    old, new = pair.whole.base.take(mask), pair.whole.adapted.take(mask)
    if yardstick_of(chosen, old) is not None:
        return Numbers(**without_sequence(fields, NO_SEQUENCE))
    measures = pair.new.probe.measures
    before, after = (item_values(chosen, side, measures) for side in (old, new))
    return Numbers(**sequence_of_change(fields, before, after, old, units, level))
