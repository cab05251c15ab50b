"""What the two outcomes of a paired table are called."""

from __future__ import annotations

from fmaudit.schema import Comparison, MetricInfo

FAILS = ("fails", "passes")
PASSES = ("passes", "fails")
OCCURS = ("yes", "no")


def outcomes_of(metric: MetricInfo | None, found: Comparison) -> tuple[str, str]:
    """Names of the outcomes 1 and 0 of a paired table.

    1 is the defect, so that a rate of which more is better is counted turned around. Audits of early
    releases hold it as it was: there the margins of the table are the rates themselves, not what they lack.
    A rate with a target, or without a direction, has no outcome that fails.
    """
    if metric is None or metric.direction in ("none", "target"):
        return OCCURS
    return PASSES if metric.direction == "higher_is_better" and _as_it_was(found) else FAILS


def _as_it_was(found: Comparison) -> bool:
    table = found.table
    if table is None or found.base_value is None or found.adapted_value is None:
        return False
    total = table.n11 + table.n10 + table.n01 + table.n00
    if not total:
        return False
    sides = (
        ((table.n11 + table.n10) / total, found.base_value),
        ((table.n11 + table.n01) / total, found.adapted_value),
    )
    same = sum(abs(share - rate) for share, rate in sides)
    turned = sum(abs(share - (1 - rate)) for share, rate in sides)
    return same < turned
