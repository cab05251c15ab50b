"""Gaps and canaries under the gate: what is wrong happens in at most 5 % of simulated sets."""

from pathlib import Path

import pytest

from benchmarks.studies.gate import canaries, gaps
from benchmarks.studies.gate.canaries import EXPOSURE, PERCENTILE
from benchmarks.studies.gate.page import sections
from benchmarks.studies.gate.study import parsed

TABLE = Path(__file__).parents[2] / "docs" / "studies" / "gate.md"

ALIKE = {(f"{groups} of {positives}", "0.8") for groups in (2, 5, 10) for positives in (30, 100)}
STUDIES = [(study, case) for study in (gaps, canaries) for case in study.cases()]


def wrong(cell):
    """Share of wrong decisions of each kind that the truth allows."""
    return {"limit": (cell.passed, cell.failed), "beyond": (cell.passed,), "alternative": (cell.failed,)}[
        cell.words[-1]
    ]


def committed(study):
    """The cells of the study's table."""
    return parsed(sections(TABLE.read_text(encoding="utf-8"))[study.TITLE], len(study.COLUMNS))


@pytest.mark.parametrize("study", [gaps, canaries])
def test_no_row_of_the_committed_table_is_out_of_bounds(study):
    cells = committed(study)
    assert len(cells) == len(list(study.cases()))
    assert all(cell.sets >= 2000 for cell in cells)
    # Five in a hundred, and the Monte Carlo error of 2,000 sets.
    assert not [cell for cell in cells if max(wrong(cell)) > 0.06]


def test_groups_without_a_gap_fail_in_at_most_five_of_a_hundred():
    alike = [cell for cell in committed(gaps) if cell.words[:2] in ALIKE]
    assert len(alike) == len(ALIKE)
    assert max(cell.failed for cell in alike) <= 0.05


def test_the_rank_of_canaries_is_decided_and_their_exposure_is_not():
    cells = committed(canaries)
    ranked, exposed = ([c for c in cells if c.words[0] == metric] for metric in (PERCENTILE, EXPOSURE))
    assert {c.inconclusive for c in exposed} == {1.0}
    (inside,) = (c for c in ranked if c.words[-1] == "alternative")
    (beyond,) = (c for c in ranked if c.words[-1] == "beyond")
    assert inside.passed > 0.9
    assert beyond.failed > 0.9


@pytest.mark.parametrize("study", [gaps, canaries])
def test_a_few_sets_of_a_case_have_shares(study):
    case = next(iter(study.cases()))
    found = study.simulate(case, sets=4)
    assert len(found.words) == len(study.COLUMNS)
    assert found.passed + found.failed + found.inconclusive == pytest.approx(1)
    assert max(wrong(found)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("study", "case"), STUDIES)
def test_wrong_decisions_are_rare(study, case):
    found = study.simulate(case, sets=500)
    # What the page holds with 2,000 sets, and two Monte Carlo errors of 500.
    assert max(wrong(found)) <= 0.08


@pytest.mark.slow
def test_a_gap_of_thirty_points_is_found():
    (case,) = [case for case in gaps.cases() if case.truth == "beyond"]
    assert gaps.simulate(case, sets=300).failed >= 0.6
