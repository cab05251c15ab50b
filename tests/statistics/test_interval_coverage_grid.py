"""The coverage study's bounds; the whole grid is marked slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.studies.anytime_coverage import study
from benchmarks.studies.interval_coverage import (
    CHANGES,
    changed,
    clustered,
    crossed,
    failures,
    few_changed,
    grid,
    independent,
)
from benchmarks.studies.interval_tables import line

PAGE = Path(__file__).parents[2] / "docs" / "studies" / "interval_coverage.md"


def test_independent_rows_are_exact_and_printed():
    cells = [independent(n, p) for n in (50, 200) for p in (0.01, 0.1, 0.5)]
    assert not failures(cells)
    text = PAGE.read_text(encoding="utf-8")
    for cell in cells:
        assert line(cell) in text


def test_rare_events_in_few_clusters_are_covered():
    """The cell that failed with the clusters' own degrees of freedom (.89)."""
    cell = clustered(100, 10.0, 0.3, 0.01, 400)
    print(line(cell))
    assert cell.enough
    assert cell.coverage >= 0.92


def test_few_clusters_are_refused_and_many_are_not():
    assert clustered(20, 15.0, 0.1, 0.3, 40).refused == 1
    assert clustered(70, 8.0, 0.1, 0.3, 40).refused == 0


def test_a_cell_is_reproduced_by_its_seed():
    assert changed(70, 8.0, 0.3, CHANGES[0], 20) == changed(70, 8.0, 0.3, CHANGES[0], 20)
    assert crossed(35, 35, 0.1, 0.2, 20) == crossed(35, 35, 0.1, 0.2, 20)


def test_few_changed_clusters_are_covered_at_a_simultaneous_level():
    cell = few_changed(60, 0.05, 0.5, True, 400)
    print(line(cell))
    assert not failures([cell])


def test_betting_on_clusters_holds_where_row_wise_methods_do_not():
    check_sequences(study(60), slack=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "clustered", "crossed", "change", "few"])
def test_every_cell_of_the_grid_keeps_its_bounds(kind):
    cells = list(grid(kind))
    print("\n".join(line(cell) for cell in cells))
    assert not failures(cells)


@pytest.mark.slow
def test_sequences_over_a_thousand_runs():
    check_sequences(study(), slack=0.0)


def check_sequences(found, slack):
    for each in found:
        print(each)
        clustered_bet = each.method in ("betting on clusters", "evidence against the margin")
        if clustered_bet:
            assert each.ever <= 0.05 + slack
        elif each.method == "Wald on rows":
            assert each.ever > 0.15
        elif each.setting.endswith("ICC 0.3"):
            assert each.ever > 0.05
