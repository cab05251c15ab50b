"""Limits fit to decide on: intervals of counts whose error at a limit stays below its nominal level.

Score intervals (Wilson, Tango) and the bootstrap keep their error on average over true
values; at one true value they miss a little more or less than they say, because counts
come in steps. A gate is asked about exactly one value, its limit, so it decides on the
exact interval of a rate of independent rows, and on continuity-corrected ones elsewhere:
half an effective answer for a rate, one for a paired change (Edwards 1948).
"""

from __future__ import annotations

from typing import Any

from fmaudit.statistics import clopper_pearson

RATE_STEP, CHANGE_STEP = 0.5, 1.0
EXACT = "Clopper-Pearson"
_SCORE = "Wilson"


def decisive_rate(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` of a rate with limits to decide on."""
    if fields["value"] is None or fields["lower"] is None or not fields["n_eff"]:
        return fields
    if fields["method"].startswith(EXACT):
        return fields
    if fields["method"] == _SCORE:
        lower, upper = clopper_pearson(round(fields["value"] * fields["n"]), fields["n"], fields["level"])
        return _with(fields, lower, upper, EXACT, 0.0, 1.0, RATE_STEP / fields["n"])
    step = RATE_STEP / fields["n_eff"]
    lower, upper = fields["lower"] - step, fields["upper"] + step
    return _with(fields, lower, upper, _corrected(fields), 0.0, 1.0, step)


def decisive_change(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` of a paired change of a rate with limits to decide on."""
    if fields["value"] is None or fields["lower"] is None or not fields["n_eff"]:
        return fields
    step = CHANGE_STEP / fields["n_eff"]
    lower, upper = fields["lower"] - step, fields["upper"] + step
    return _with(fields, lower, upper, _corrected(fields), -1.0, 1.0, step)


def decisive_contrast_change(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` of the change of a contrast of a rate with limits to decide on.

    Contrasts of levels and of means need no step: their groups' limits are exact or wider.
    """
    if fields["value"] is None or fields["lower"] is None or not fields["n_eff"]:
        return fields
    step = CHANGE_STEP / fields["n_eff"]
    lower, upper = fields["lower"] - step, fields["upper"] + step
    return _with(fields, lower, upper, _corrected(fields), -2.0, 2.0, step)


def _corrected(fields: dict[str, Any]) -> str:
    return f"{fields['method']}, continuity-corrected"


def _with(
    fields: dict[str, Any], lower: float, upper: float, method: str, least: float, most: float, step: float
) -> dict[str, Any]:
    worst = fields.get("worst_interval")
    complete = worst is not None and tuple(worst) == (fields["lower"], fields["upper"])
    lower, upper = max(lower, least), min(upper, most)
    if complete:
        worst = (lower, upper)
    elif worst is not None:
        worst = (max(worst[0] - step, least), min(worst[1] + step, most))
    return fields | {"lower": lower, "upper": upper, "worst_interval": worst, "method": method}
