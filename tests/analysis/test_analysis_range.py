from __future__ import annotations

from fmaudit.analysis.numbers import within
from fmaudit.statistics import Interval, mean


def interval(lower, upper):
    return Interval(0.16, lower, upper, 0.95, "bootstrap-t", "items sampled", 3, 3.0)


def test_interval_does_not_leave_the_range_of_its_metric():
    cut = within(interval(-0.37, 1.2), 0.0, 1.0)
    assert (cut.lower, cut.value, cut.upper) == (0.0, 0.16, 1.0)


def test_one_sided_range_cuts_one_side():
    cut = within(interval(-0.37, 1.2), 0.0, None)
    assert (cut.lower, cut.upper) == (0.0, 1.2)


def test_no_interval_stays_none():
    assert within(mean([0.5]), 0.0, 1.0).lower is None
