"""How often the gate is right on means, changes of means and contrasts: parts of the studies run again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.gate import contrasts, mean_changes, means
from benchmarks.studies.gate.page import sections
from benchmarks.studies.gate.registry import STUDIES
from benchmarks.studies.gate.single import MEAN, Rows, number, verdict
from benchmarks.studies.gate.study import parsed
from fmaudit.gate.verdict import Limit, fails
from fmaudit.probe import Real

TABLE = Path(__file__).parents[2] / "docs" / "studies" / "gate.md"
ERROR, WITH_MONTE_CARLO = 0.05, 0.06
STUDIED = (means, mean_changes, contrasts)
LEVEL = (Real("x", low=0.0, high=1.0),)


def wrong(cell, bound=WITH_MONTE_CARLO):
    """What a cell breaks; its last word says where the truth lies."""
    faults = []
    if cell.words[-1] != "alternative" and cell.passed > bound:
        faults.append(f"{cell.words} passes in {cell.passed}")
    if cell.words[-1] != "beyond" and cell.failed > bound:
        faults.append(f"{cell.words} fails in {cell.failed}")
    return faults


@pytest.mark.parametrize("study", STUDIED, ids=lambda study: study.STUDY.name)
def test_no_row_of_the_committed_table_is_out_of_bounds(study):
    section = sections(TABLE.read_text(encoding="utf-8"))[study.STUDY.title]
    cells = parsed(section, len(study.STUDY.columns))
    assert len(cells) == len(list(study.cases()))
    assert all(cell.sets >= 2000 for cell in cells)
    assert not [fault for cell in cells for fault in wrong(cell)]


@pytest.mark.parametrize("study", STUDIED, ids=lambda study: study.STUDY.name)
def test_a_few_data_sets_at_the_limit_keep_the_bounds(study):
    cases = [case for case in study.cases() if case.truth == "limit"][:3]
    assert not [fault for case in cases for fault in wrong(study.simulate(case, 60), 0.15)]


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIED, ids=lambda study: study.STUDY.name)
def test_two_thousand_data_sets_at_the_limit_keep_the_bounds(study):
    cases = [case for case in study.cases() if case.truth == "limit"]
    assert not [fault for case in cases for fault in wrong(study.simulate(case, 2000))]


def test_far_beyond_the_limit_fails_and_far_inside_passes():
    rng = np.random.default_rng(0)
    high = number(Rows(0.3 + 0.1 * rng.random(300)), MEAN, LEVEL)
    low = number(Rows(0.001 * rng.random(300)), MEAN, LEVEL)
    assert verdict(high, Limit(None, 0.05)) == "fail"
    assert verdict(low, Limit(None, 0.05)) == "pass"
    assert "lies beyond" in fails(high, Limit(None, 0.05), 1).reason


def test_nothing_is_decided_from_a_mean_without_a_range():
    rows = Rows(np.random.default_rng(0).random(300))
    found = number(rows, MEAN, (Real("x", low=0.0),))
    assert found.approximate
    assert verdict(found, Limit(None, 100.0)) == verdict(found, Limit(None, -100.0)) == "inconclusive"


def test_forty_zeros_do_not_pass_at_a_limit_of_one_percent():
    assert verdict(number(Rows(np.zeros(40)), MEAN, LEVEL), Limit(None, 0.01)) == "inconclusive"


def test_studies_have_their_own_names_and_titles():
    for attribute in ("name", "title"):
        names = [getattr(study, attribute) for study in STUDIES]
        assert len(set(names)) == len(names)
