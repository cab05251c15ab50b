"""The study of docs/studies/copy_fraction.md holds its bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies import common_draws
from benchmarks.studies import copy_fraction as study

PAGE = Path(__file__).parents[2] / "docs" / "studies" / "copy_fraction.md"


@pytest.mark.slow
@pytest.mark.parametrize("rho", study.RHOS)
def test_truth_is_recovered_and_covered(rho):
    cell = study.cell(rho, 0.0, 3, 2000)
    assert cell.undefined == 0
    assert abs(cell.mean - rho) <= 0.01
    assert 0.93 <= cell.covered.mean() <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("spread", study.SPREADS)
@pytest.mark.parametrize("lineages", study.LINEAGES)
def test_an_unrelated_child_is_rarely_called_inherited(spread, lineages):
    cell = study.cell(0.0, spread, lineages, 2000)
    assert cell.share_inherited <= 0.025
    assert cell.upper <= 0.035


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 5, 25])
def test_the_same_sampled_model_is_a_whole_copy(k):
    value, naive, _, undefined = study.sampled(k, 400)
    assert undefined <= 8
    assert abs(value.mean() - 1) < 0.05
    assert naive.mean() < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("references", [0.0, common_draws.COUPLED])
@pytest.mark.parametrize("k", common_draws.SAMPLES)
def test_common_random_numbers_make_no_stranger_a_copy(k, references):
    null, part = (common_draws.coupled(k, references, rho, 2000) for rho in (0.0, 0.6))
    assert null.share_inherited <= 0.025
    assert null.undefined <= 100
    assert abs(null.mean) <= 0.03
    assert abs(part.mean - 0.6) <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("k", "references"), common_draws.SETTINGS)
def test_whole_audits_call_no_stranger_inherited(k, references):
    said = common_draws.audited(k, references, 60)
    assert said.words["inherited"] <= 1
    assert abs(np.nanmean(said.copied)) <= 0.05


def test_two_models_with_nothing_in_common_agree_by_chance():
    said = common_draws.audited(1, common_draws.COUPLED, 6, alike=False)
    assert said.words["inherited"] == 0
    assert abs(said.kappa.mean()) < 0.04
    assert abs(said.ratio.mean() - 1) < 0.06
    assert said.first_kappa.mean() > 0.2
    assert said.first_ratio.mean() > 1.3


@pytest.mark.slow
@pytest.mark.parametrize("bad", [0.2, 0.5, 0.8])
def test_retention_of_all_and_of_nothing(bad):
    assert abs(study.kept(study.KINDS[0], bad, 100)[0].mean() - 1) < 0.05
    assert abs(study.kept(study.KINDS[1], bad, 400)[0].mean()) < 0.05
    assert study.kept(study.KINDS[2], bad, 100)[0].mean() < 0.05


def test_the_simulated_slopes_are_those_asked_for():
    from fmaudit.inheritance import slope

    rng = np.random.default_rng(0)
    for target in (study.SAME - 0.2, study.SAME, study.SAME + 0.2):
        found = []
        for _ in range(60):
            world = study.World.drawn(rng)
            found.append(slope(world.base, world.unrelated(rng, target)))
        assert np.mean(found) == pytest.approx(target, abs=0.02)


def test_a_small_cell_has_its_figures():
    cell = study.cell(0.6, 0.0, 3, 30)
    assert abs(cell.mean - 0.6) < 0.05
    assert cell.share_inherited > 0.5


def committed(heading, columns):
    """Rows of the table under a heading of the page, as lists of cells."""
    (section,) = [part for part in PAGE.read_text("utf-8").split("\n## ") if part.startswith(heading)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    return [row for row in rows if len(row) == columns and row[0][:1].isdigit()]


def test_the_committed_page_calls_no_stranger_on_common_numbers_inherited():
    rows = committed("Models on common random numbers", 12)
    assert {row[0] for row in rows} == {"1", "5", "25"}
    assert len(rows) == 6
    for k, _, _, _, inherited, upper, _, _, part, _, _, runs in rows:
        assert int(runs) >= 2000
        assert float(inherited.split()[0]) <= float(upper) <= 2.5
        # Three Monte Carlo errors at five samples.
        assert abs(float(part) - 0.6) <= (0.004 if k == "5" else 0.03)


def test_the_committed_whole_audits_call_no_stranger_inherited():
    rows = committed("Models on common random numbers", 6)
    assert len(rows) == 4
    assert all((int(row[3]), int(row[5])) == (0, 60) for row in rows)


def test_the_committed_word_inherited_keeps_its_level():
    rows = committed('The word "inherited"', 8)
    assert len(rows) == len(study.SPREADS) * len(study.LINEAGES)
    assert all(float(row[2].split()[0]) <= 2.5 and int(row[4]) >= 2000 for row in rows)
