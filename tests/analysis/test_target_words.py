"""A number with a target reads by its distance from it: in the audit, its report and the verdict on top."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fmaudit.probe import Binary, Contrast, Mean, Probe, Rate, Real, Statistic, probe
from fmaudit.report.banner import banner
from fmaudit.report.finding_words import contrast_reading
from fmaudit.report.findings import key_numbers
from fmaudit.report.index import AuditIndex
from fmaudit.report.key_tables import GREW
from fmaudit.report.readings import comparison_verdict, harms
from tests.analysis.simulated import answers, audit, few_draws, rows

N = 400


@probe("bias.toy", version=1, dataset="simulated")
class Lean(Probe):
    """A share with target one half, and a gap between two groups with target 0."""

    measures = (Binary("outcome"), Real("severity"))
    metrics = (
        Rate("share", direction="target", ideal=0.5, eps=0.1, delta=0.05, headline=True),
        Mean("lean", direction="target", ideal=0.0),
        Statistic(
            "middle",
            lambda t: float(np.average(t.columns["severity"], weights=t.weight)),
            ("severity",),
            direction="target",
            ideal=0.0,
        ),
    )
    contrasts = (Contrast("gap", "lean", "group", "a", "b", headline=True),)


def side(rng, share: float, gap: float, lean: float = 0.0):
    """Exact shares and gaps up to noise that is the side's own."""
    group = np.where(np.arange(N) % 2 == 0, "a", "b")
    severity = lean + np.where(group == "a", gap / 2, -gap / 2) + 0.3 * rng.normal(size=N)
    return answers({"outcome": rng.random(N) < share, "severity": severity}, {"group": group})


def compared(seed: int, base: dict, child: dict):
    rng = np.random.default_rng(seed)
    found = audit([rows("base", Lean(), side(rng, **base)), rows("child", Lean(), side(rng, **child))])
    return found, AuditIndex(found)


def change_of_gap(found):
    return next(one for one in found.contrasts if one.kind == "difference_in_differences")


def overall(found, metric):
    return next(one for one in found.comparisons if one.metric == f"bias.toy/{metric}" and not one.slice)


@pytest.mark.parametrize(
    ("before", "after", "reading", "word", "tone"),
    [
        (-3.0, -1.0, "better", "gap shrank", "calm"),
        (1.0, -4.0, "worse", "gap grew", "alert"),
        (3.0, 1.0, "better", "gap shrank", "calm"),
        (-1.0, -3.0, "worse", "gap grew", "alert"),
        (2.0, -2.0, "lower", "gap moved", "open"),
    ],
)
def test_a_gap_is_judged_by_its_size(monkeypatch, before, after, reading, word, tone):
    few_draws(monkeypatch)
    found, index = compared(1, {"share": 0.5, "gap": before}, {"share": 0.5, "gap": after})
    moved = change_of_gap(found)
    assert (moved.reading, moved.direction) == (reading, "rose" if after > before else "fell")
    assert (contrast_reading(index, moved)[0], contrast_reading(index, moved)[2]) == (word, tone)
    assert harms(index, moved) == (reading == "worse")
    assert ("is worse" in banner(index).title) == (reading == "worse")
    (card,) = [one for one in key_numbers(index) if one.title == "gap"]
    assert (card.word == GREW) == (reading == "worse")
    # In every model a gap on either side of 0 is one.
    assert all(one.reading == "worse" for one in found.contrasts if one.kind == "within_subject")


@pytest.mark.parametrize("metric", ["lean", "middle"])
@pytest.mark.parametrize(
    ("before", "after", "reading"), [(-3, -1, "better"), (1, -4, "worse"), (2, -2, "lower")]
)
def test_means_and_statistics_are_judged_by_their_distance(monkeypatch, metric, before, after, reading):
    few_draws(monkeypatch)
    found, _ = compared(
        2, {"share": 0.5, "gap": 0.0, "lean": float(before)}, {"share": 0.5, "gap": 0.0, "lean": float(after)}
    )
    assert overall(found, metric).reading == reading


def called_worse(runs: int, seed: int, base: float = 0.45, child: float = 0.55) -> float:
    """Share of runs that call a rate worse which moved to the same distance on the other side."""
    worse = Counter()
    for run in range(runs):
        found, index = compared(seed + run, {"share": base, "gap": 0.0}, {"share": child, "gap": 0.0})
        one = overall(found, "share")
        tone, word = comparison_verdict(index, one)
        worse["worse"] += one.reading == "worse" or (tone == "alert" and "higher" in word.lower())
    return worse["worse"] / runs


def test_a_rate_that_crosses_its_target_is_not_worse(monkeypatch):
    few_draws(monkeypatch)
    assert called_worse(8, 50) == 0
    found, index = compared(3, {"share": 0.2, "gap": 0.0}, {"share": 0.8, "gap": 0.0})
    one = overall(found, "share")
    assert (one.direction, one.reading) == ("rose", "higher")
    assert comparison_verdict(index, one)[0] != "alert"
    assert "is worse" not in banner(index).title


def test_a_rate_that_leaves_its_target_is_worse_on_either_side(monkeypatch):
    few_draws(monkeypatch)
    for share, direction in ((0.1, "fell"), (0.9, "rose")):
        found, index = compared(4, {"share": 0.5, "gap": 0.0}, {"share": share, "gap": 0.0})
        one = overall(found, "share")
        assert (one.reading, one.direction, one.verdict) == ("worse", direction, "introduced")
        assert comparison_verdict(index, one)[0] == "alert"


@pytest.mark.slow
def test_equal_distance_is_called_worse_in_five_of_a_hundred_runs(monkeypatch):
    few_draws(monkeypatch)
    assert called_worse(500, 1000) <= 0.05
