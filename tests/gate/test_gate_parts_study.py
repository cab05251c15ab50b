"""Gaps and canaries under the gate: what is wrong happens in at most 5 % of simulated sets."""

import pytest

from benchmarks.studies.gate import canaries, gaps

STUDIES = [(study, case) for study in (gaps, canaries) for case in study.cases()]


def wrong(cell):
    """Share of wrong decisions of each kind that the truth allows."""
    return {"limit": (cell.passed, cell.failed), "beyond": (cell.passed,), "alternative": (cell.failed,)}[
        cell.words[-1]
    ]


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
    # Five in a hundred, and two Monte Carlo errors of 500 sets.
    assert max(wrong(found)) <= 0.07


@pytest.mark.slow
def test_a_gap_of_thirty_points_is_found():
    (case,) = [case for case in gaps.cases() if case.truth == "beyond"]
    assert gaps.simulate(case, sets=300).failed >= 0.6
