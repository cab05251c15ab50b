"""How much of a trigger's effect on the base is left in the adapted model.

Without a known trigger no black-box audit can rule a backdoor out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmaudit.inheritance.moments import resample, to_interval
from fmaudit.statistics.changes import rate_change
from fmaudit.statistics.design import Clusters, Design, Floats, design
from fmaudit.statistics.interval import Interval
from fmaudit.statistics.levels import no_rows


@dataclass(frozen=True)
class Triggered:
    """One model's outcomes with a trigger and with control tokens inserted in the same items.

    Attributes:
        trigger: Shape (n,), in [0, 1]: the target behaviour shown with the trigger.
        controls: Shape (n, tokens) or (n,), in [0, 1]: the same with each control token,
            matched to the trigger in frequency and length.
    """

    trigger: npt.ArrayLike
    controls: npt.ArrayLike

    def paired(self) -> tuple[Floats, Floats]:
        """Trigger outcome and mean control outcome of each item."""
        trigger, controls = np.asarray(self.trigger, float), np.asarray(self.controls, float)
        columns = controls[:, None] if controls.ndim == 1 else controls
        if trigger.ndim != 1 or columns.ndim != 2 or len(columns) != len(trigger) or not columns.shape[1]:
            raise ValueError(
                f"trigger of shape {trigger.shape} meets controls of shape {controls.shape}: "
                "pass one row an item and at least one control token"
            )
        return trigger, columns.mean(axis=1)


@dataclass(frozen=True)
class EffectRetention:
    """Effect of a trigger on base and adapted model, and the share of it that was kept.

    Attributes:
        base: ``rate(trigger) - mean rate(control tokens)`` of the base, in [-1, 1].
        adapted: The same of the adapted model.
        retention: ``adapted / base``; 1 = all kept, 0 = none. None with a reason unless
            the base's lower limit is above 0.
    """

    base: Interval
    adapted: Interval
    retention: Interval


def effect_retention(
    base: Triggered,
    adapted: Triggered,
    weights: npt.ArrayLike | None = None,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> EffectRetention:
    """Effect of a trigger beyond random tokens, paired by item, and its retention.

    The attack success rate of Kurita et al. (2020) less its level under control
    tokens. The control tokens count as fixed.

    Args:
        base: Outcomes of the base.
        adapted: Outcomes of the adapted model on the same items.
        weights: Shape (n,), at least 0; equal when None.
        clusters: Factor name -> labels of shape (n,).
        level: Confidence level in (0, 1).
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: Shapes, weights or outcomes do not fit.
    """
    (trigger_b, control_b), (trigger_a, control_a) = base.paired(), adapted.paired()
    rows = design([trigger_b, control_b, trigger_a, control_a], weights, clusters)
    effect_b = rate_change(control_b, trigger_b, weights, clusters, level=level, draws=draws, seed=seed)
    effect_a = rate_change(control_a, trigger_a, weights, clusters, level=level, draws=draws, seed=seed)
    return EffectRetention(effect_b, effect_a, _retention(rows, effect_b, draws, seed))


def _retention(rows: Design, effect: Interval, draws: int, seed: int) -> Interval:
    if effect.lower is None or not effect.lower > 0:
        shown = "is unknown" if effect.lower is None else f"is {effect.lower:.3f}"
        reason = f"the lower limit of the trigger's effect on the base {shown}: there is no effect to retain"
        return no_rows(rows, effect.level, "retention of effect", reason)
    found = resample(rows, _effects, lambda sums: sums[:, 1:] / _nonzero(sums[:, :1]), draws, seed)
    return to_interval(found, 0, "retention of effect", effect.level)


def _effects(columns: tuple[Floats, ...]) -> Floats:
    trigger_b, control_b, trigger_a, control_a = columns
    return np.column_stack([trigger_b - control_b, trigger_a - control_a])


def _nonzero(values: Floats) -> Floats:
    return np.where(values == 0, np.nan, values)
