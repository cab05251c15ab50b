"""How often the gate is right: the study's committed table, and a part of the study run again.

Every bound on a share gets the Monte Carlo allowance of its simulation: `SIGMAS` standard errors at
the bound itself, sqrt(p (1 - p) / releases). A share that equals its bound exactly then fails in
about 2 % of seeds; the seeds are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.studies.gate import rates as study
from benchmarks.studies.gate.page import sections
from benchmarks.studies.gate.study import parsed

TABLE = Path(__file__).parents[2] / "docs" / "studies" / "gate.md"
ERROR, UNDECIDED = 0.05, 1 - study.POWER
SIGMAS = 2.0
RELEASES = 1000
ROWS, EQUAL, UNEQUAL = study.DESIGNS


@dataclass(frozen=True)
class Found:
    """Shares of one case, from the table or from a simulation."""

    case: study.Case
    n: int
    passed: float
    failed: float
    inconclusive: float
    releases: int


def allowed(bound, releases):
    return bound + SIGMAS * (bound * (1 - bound) / releases) ** 0.5


def out_of_bounds(found):
    """What a case breaks, in words; empty where it keeps the study's promises."""
    faults = []
    error, undecided = allowed(ERROR, found.releases), allowed(UNDECIDED, found.releases)
    if found.case.truth != "alternative" and found.passed > error:
        faults.append(f"passes in {found.passed}")
    if found.case.truth != "one beyond" and found.failed > error:
        faults.append(f"fails in {found.failed}")
    if found.case.truth == "alternative" and found.case.scale == 1 and found.inconclusive > undecided:
        faults.append(f"is inconclusive in {found.inconclusive}")
    return [f"{found.case}: {fault}" for fault in faults]


def noise(first, second, share):
    """Three standard errors of a difference of shares, as dozens are compared, and one release."""
    shares = [(getattr(one, share), one.releases) for one in (first, second)]
    return 3 * sum(p * (1 - p) / n for p, n in shares) ** 0.5 + 1 / min(n for _, n in shares)


def worse_with_fewer_items(whole, part):
    """What breaks between a case and the same with a part of the items."""
    faults = []
    # At the limit hardly any release is decided, however many items there are: no less often undecided then.
    decidable = whole.case.truth == "alternative"
    slack = 0.0 if decidable else -noise(whole, part, "inconclusive")
    if part.inconclusive <= whole.inconclusive + slack:
        faults.append(f"inconclusive {part.inconclusive} with fewer items, {whole.inconclusive} with all")
    for verdict in ["failed"] if decidable else ["failed", "passed"]:
        few, many = getattr(part, verdict), getattr(whole, verdict)
        if few > many + noise(whole, part, verdict):
            faults.append(f"wrongly {verdict} in {few} with fewer items, {many} with all")
    return [f"{whole.case}: {fault}" for fault in faults]


def words(case):
    truth = case.truth if case.scale == 1 else f"{case.truth}, a quarter of the items"
    return case.design.name, case.form, case.gated, truth


def committed():
    assert TABLE.is_file(), "write it: python -m benchmarks.studies.gate docs/studies/gate.md"
    whole = sections(TABLE.read_text(encoding="utf-8"))
    cells = parsed(whole[study.STUDY.title], len(study.STUDY.columns))
    rows = {cell.words: cell for cell in cells}
    assert len(rows) == len(cells)
    known = {words(case): case for case in study.cases()}
    assert set(rows) == set(known), "the table does not hold the cases of the study"
    found = []
    for key, cell in rows.items():
        found.append(Found(known[key], cell.n, cell.passed, cell.failed, cell.inconclusive, cell.sets))
    return found


def simulated(case, releases):
    got = study.simulate(case, releases)
    return Found(case, got.n, got.passed, got.failed, got.inconclusive, got.releases)


def faults_of(found):
    """Every fault among cases, alone and against the same case with fewer items."""
    by_case = {one.case: one for one in found}
    faults = [fault for one in found for fault in out_of_bounds(one)]
    for part in found:
        whole = by_case.get(study.Case(part.case.design, part.case.form, part.case.gated, part.case.truth))
        if part.case.scale < 1 and whole is not None:
            faults += worse_with_fewer_items(whole, part)
    return faults


def test_no_row_of_the_committed_table_is_out_of_bounds():
    found = committed()
    assert not faults_of(found)
    for one in found:
        assert one.releases >= RELEASES, one
        assert one.passed + one.failed + one.inconclusive == pytest.approx(1, abs=0.0016), one


def test_the_committed_table_has_the_numbers_of_items_that_are_proposed_now():
    for one in committed():
        n = study.planned(one.case.design, one.case.form, one.case.gated)
        assert one.n == max(round(n * one.case.scale), 1), one


def test_bounds_notice_a_gate_that_is_wrong_too_often():
    limit = study.Case(ROWS, "fixed", "a rate", "all at the limit")
    good = study.Case(ROWS, "fixed", "a rate", "alternative")
    beyond = study.Case(ROWS, "fixed", "a rate", "one beyond")
    few = study.Case(ROWS, "fixed", "a rate", "alternative", study.UNDERPOWERED)
    assert out_of_bounds(Found(limit, 361, 0.07, 0.04, 0.89, 1000))
    assert out_of_bounds(Found(limit, 361, 0.04, 0.07, 0.89, 1000))
    assert out_of_bounds(Found(good, 361, 0.87, 0.0, 0.13, 1000))
    assert out_of_bounds(Found(good, 361, 0.93, 0.07, 0.0, 1000))
    assert out_of_bounds(Found(beyond, 361, 0.07, 0.9, 0.03, 1000))
    assert not out_of_bounds(Found(beyond, 361, 0.0, 0.97, 0.03, 1000))
    assert not out_of_bounds(Found(few, 90, 0.16, 0.0, 0.84, 1000))
    whole = Found(good, 361, 0.94, 0.0, 0.06, 1000)
    assert worse_with_fewer_items(whole, Found(few, 90, 0.95, 0.0, 0.05, 1000))
    assert worse_with_fewer_items(whole, Found(few, 90, 0.1, 0.02, 0.88, 1000))
    assert not worse_with_fewer_items(whole, Found(few, 90, 0.1, 0.0, 0.9, 1000))


@pytest.mark.parametrize("design", [ROWS, EQUAL], ids=lambda design: design.name)
def test_a_few_hundred_releases_keep_the_bounds(design):
    cases = [
        study.Case(design, "fixed", "a rate and two changes", "one at the limit"),
        study.Case(design, "fixed", "a rate and two changes", "alternative"),
        study.Case(design, "fixed", "a rate and two changes", "alternative", study.UNDERPOWERED),
    ]
    assert not faults_of([simulated(case, 200) for case in cases])


def test_releases_far_beyond_a_limit_fail():
    got = simulated(study.Case(ROWS, "fixed", "a change", "one beyond"), 200)
    assert got.failed >= 0.9
    assert got.passed == 0


@pytest.mark.slow
@pytest.mark.parametrize("gated", study.GATED)
@pytest.mark.parametrize("design", [ROWS, EQUAL], ids=lambda design: design.name)
def test_a_thousand_releases_of_a_fixed_run_keep_the_bounds(design, gated):
    cases = [
        case
        for case in study.cases()
        if case.design == design and case.form == "fixed" and case.gated == gated
    ]
    assert len(cases) >= 5
    assert not faults_of([simulated(case, RELEASES) for case in cases])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "gated", "truths"),
    [
        (ROWS, "a rate", ("alternative",)),
        (EQUAL, "a rate", ("all at the limit", "alternative")),
        (EQUAL, "a change", ("all at the limit", "alternative")),
        (EQUAL, "a rate and two changes", ("alternative",)),
        (UNEQUAL, "a rate", ("all at the limit",)),
    ],
    ids=lambda value: getattr(value, "name", None) or str(value),
)
def test_a_thousand_releases_of_a_growing_run_keep_the_bounds(design, gated, truths):
    cases = [
        study.Case(design, "anytime", gated, truth, scale)
        for truth in truths
        for scale in (1.0, study.UNDERPOWERED)
    ]
    assert not faults_of([simulated(case, RELEASES) for case in cases])
