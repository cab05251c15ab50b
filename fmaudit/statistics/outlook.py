"""What a run of n items can decide about one number: chances, and the smallest differences it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fmaudit.statistics.levels import RARE
from fmaudit.statistics.looks import stopping_clusters
from fmaudit.statistics.power import Bounds, IntervalModel
from fmaudit.statistics.power_clusters import ClusteredRate
from fmaudit.statistics.proposals import Aim, GateForm, Sample, clustered, scaled
from fmaudit.statistics.sizing import chance_beyond, chance_inside, detectable, room_needed, smallest

REPLICATES = 500
"""Simulated runs of a sequence for each difference that is tried."""
RARE_REPLICATES = 1000
"""Simulated runs of a clustered rate with few events."""
MOST_SIMULATED = 5000
"""Clusters up to which a clustered rate with few events is simulated."""


@dataclass(frozen=True)
class Outlook:
    """A claim, how its items come, and how many of them there are.

    Attributes:
        aim: The claim.
        sample: How items come.
        items: Items of the run.
        form: ``fixed`` or ``anytime``.
    """

    aim: Aim
    sample: Sample
    items: int
    form: GateForm = "fixed"

    @property
    def exists(self) -> bool:
        """Whether the claim has an interval of this form."""
        return self.form == "fixed" or clustered(self.aim, self.sample) is not None

    def passes(self, level: float) -> float:
        """Chance that the whole interval at ``level`` lies inside the bounds at the aim's truth."""
        return self._inside(self.aim.truth, self.aim.bounds, level)

    def fails(self, truth: float, level: float) -> float:
        """Chance that it lies beyond one of the bounds when the truth is ``truth``."""
        return self._beyond(truth, self.aim.bounds, level)

    def detectable(
        self, reference: float, level: float, *, power: float = 0.8, upward: bool = True
    ) -> float | None:
        """Smallest true distance from ``reference`` that the interval shows: the minimum detectable effect.

        None where no possible value is far enough.
        """
        if self.form == "fixed":
            found = detectable(self._model, reference, self.items, level, power=power, upward=upward)
            if found is None or not self._rare(reference + found if upward else reference - found):
                return found
        bounds: Bounds = (None, reference) if upward else (reference, None)
        sign = 1.0 if upward else -1.0
        return self._smallest(
            lambda distance: self._beyond(reference + sign * distance, bounds, level),
            reference,
            upward,
            power,
        )

    def room(self, bound: float, level: float, *, power: float, upper: bool) -> float | None:
        """How far inside ``bound`` the truth must lie for the interval to lie inside with ``power``."""
        if self.form == "fixed":
            found = room_needed(self._model, bound, self.items, level, power=power, upper=upper)
            if found is None or not self._rare(bound - found if upper else bound + found):
                return found
        bounds: Bounds = (None, bound) if upper else (bound, None)
        sign = -1.0 if upper else 1.0
        return self._smallest(
            lambda distance: self._inside(bound + sign * distance, bounds, level), bound, not upper, power
        )

    def nearest_bound(self, level: float, *, power: float, upper: bool) -> float | None:
        """The tightest bound inside which the interval lies with ``power`` at the aim's truth."""
        low, high = self._range
        truth = self.aim.truth
        reach = high - truth if upper else truth - low

        def chance(distance: float) -> float:
            bound = truth + distance if upper else truth - distance
            return self._inside(truth, (None, bound) if upper else (bound, None), level)

        precision = 1e-6 if self.form == "fixed" and not self._rare(truth) else 5e-3
        found = smallest(chance, reach, power, precision=precision)
        if found is None:
            return None
        return truth + found if upper else truth - found

    @property
    def _model(self) -> IntervalModel:
        return self.aim.model(self.sample.layout)

    @property
    def _range(self) -> tuple[float, float]:
        low, high = self._model.range
        return float(low), float(high)

    def _inside(self, truth: float, bounds: Bounds, level: float) -> float:
        if self.form != "fixed":
            return self._stopped(truth, bounds, level, beyond=False)
        if self._rare(truth):
            return self._simulated(truth, bounds, level)
        return float(chance_inside(self._model, truth, self.items, bounds, level)[0])

    def _beyond(self, truth: float, bounds: Bounds, level: float) -> float:
        if self.form != "fixed":
            return self._stopped(truth, bounds, level, beyond=True)
        low, high = bounds
        inner = (low is None or low < 1) and (high is None or high > 0)
        if self._rare(truth) and inner:
            over = 0.0 if high is None else self._simulated(truth, (high, None), level)
            under = 0.0 if low is None else self._simulated(truth, (None, low), level)
            return min(over + under, 1.0)
        return float(chance_beyond(self._model, truth, self.items, bounds, level)[0])

    def _rare(self, truth: float) -> bool:
        """Whether so few events of a clustered rate are expected that no closed form follows its interval."""
        sample = self.sample
        if self.aim.kind != "rate" or sample.layout.simple or sample.crossed:
            return False
        events = min(truth, 1 - truth) * float(sample.layout.effective(self.items))
        return 0 < events < RARE and 1 < self._clusters <= MOST_SIMULATED

    def _simulated(self, truth: float, bounds: Bounds, level: float) -> float:
        sample = self.sample
        law = ClusteredRate(truth, sample.sizes, sample.mass, sample.icc)
        return law.power(self._clusters, bounds, level, replicates=RARE_REPLICATES)

    def _stopped(self, truth: float, bounds: Bounds, level: float, *, beyond: bool) -> float:
        law = clustered(replace(self.aim, truth=truth), self.sample)
        clusters = self._clusters
        if law is None or clusters < 1:
            return 0.0
        times = stopping_clusters(
            law, scaled(self.aim, bounds), level, clusters=clusters, beyond=beyond, replicates=REPLICATES
        )
        return float(np.mean(times <= clusters))

    @property
    def _clusters(self) -> int:
        """Whole clusters among the items."""
        found = self.sample.clusters(self.items)
        return found if self.sample.items(found) <= self.items else found - 1

    def _smallest(
        self, chance: Callable[[float], float], start: float, upward: bool, power: float
    ) -> float | None:
        low, high = self._range
        return smallest(chance, high - start if upward else start - low, power, precision=5e-3)
