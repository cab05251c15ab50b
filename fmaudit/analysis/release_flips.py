"""Which items changed sides between two audits; ids only, never a text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fmaudit.analysis.numbers import item_values
from fmaudit.analysis.pedigree import scale_of
from fmaudit.analysis.releases import ReleasePair, slice_items
from fmaudit.probe import Binary, Rate

BROKEN_FIXED = ("broken", "fixed")
RISEN_FALLEN = ("risen", "fallen")


@dataclass(frozen=True)
class Flips:
    """Items whose answer to one rate moved.

    ``words`` names ``up`` and ``down``: broken and fixed where one side is better, so that ``up`` are
    those that became a defect; else risen and fallen. ``unanswered``: items without a value on a side.
    ``whole``: every value is 0 or 1; otherwise items are means of samples and move by chance.
    """

    words: tuple[str, str]
    up: tuple[str, ...]
    down: tuple[str, ...]
    unchanged: int
    unanswered: int
    whole: bool


def release_flips(found: ReleasePair, metric: str) -> Flips | None:
    """The flipped items of one rate over all its items, sorted by id; None for what is no rate of a binary
    measure.

    ``metric`` is its id within the probe.
    """
    probe = found.new.probe
    chosen = next((one for one in probe.metrics if one.id == metric), None)
    if not isinstance(chosen, Rate):
        return None
    if not any(measure.id == chosen.of and isinstance(measure, Binary) for measure in probe.measures):
        return None
    mask = slice_items(chosen, found.whole.base, {})
    assert mask is not None
    scale = scale_of(chosen)
    directed = scale is not None and not scale.two_sided
    old, new = (
        item_values(chosen, side.take(mask), probe.measures)
        for side in (found.whole.base, found.whole.adapted)
    )
    if scale is not None:
        old, new = scale.defects(old), scale.defects(new)
    ids, both = found.whole.base.item_ids[mask], old.valid & new.valid
    moved = np.where(both, new.values - old.values, 0.0)
    values = np.concatenate([old.values[both], new.values[both]])
    return Flips(
        words=BROKEN_FIXED if directed else RISEN_FALLEN,
        up=tuple(sorted(str(name) for name in ids[moved > 0])),
        down=tuple(sorted(str(name) for name in ids[moved < 0])),
        unchanged=int((both & (moved == 0)).sum()),
        unanswered=int((~both).sum()),
        whole=bool(np.isin(values, (0.0, 1.0)).all()),
    )
