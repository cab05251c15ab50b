"""What items are ranked against where all of them share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Yardstick:
    """Sampled items that others are held against: their chance is in every number, and shared.

    The items of the yardstick are parted into groups. ``without``: by measure, shape (items,
    groups), the measure with that group left out. ``stratum``: shape (groups,), the part of the
    yardstick a group belongs to, and ``sizes`` how many items it has. ``part``: shape (items,), the
    part that an item is held against. ``range``: least and greatest value by measure, where they
    are known. ``stepwise``: measures that jump when one item of the yardstick is left out, so
    that their numbers get no interval.
    """

    without: Mapping[str, np.ndarray]
    stratum: np.ndarray
    sizes: np.ndarray
    part: np.ndarray
    range: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    stepwise: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> Yardstick:
        """The same for some of the items."""
        kept = {name: values[rows] for name, values in self.without.items()}
        return replace(self, without=kept, part=self.part[rows])

    def like(self, other: Yardstick) -> bool:
        """Whether two subjects were held against the same items, of which one may have failed on some."""
        one, two = self.stratum, other.stratum
        return len(one) == len(two) and bool((one == two).all())

    def groups_of_rows(self) -> np.ndarray:
        """Mask of the groups that these items are held against."""
        import numpy

        return numpy.isin(self.stratum, self.part)

    def size(self, groups: np.ndarray) -> int:
        """Items of the yardstick in these groups."""
        return int(self.sizes[groups].sum())
