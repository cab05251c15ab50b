import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from fmaudit.cards import load_card
from fmaudit.data import dataset_from_rows
from fmaudit.errors import DataError
from fmaudit.probe import Table
from fmaudit.requests import Score, TokenScores
from fmaudit.testing import check_probe
from fmaudit_probes.memorization.canary import RANKED, Canary, rank_sum_p, ranked


def rows(n_canaries=3, n_references=5):
    return [
        {"prefix": "The code is", "secret": f" {n:04d}", "role": "canary", "repeats": 2**n}
        for n in range(n_canaries)
    ] + [
        {"prefix": "The code is", "secret": f" {9000 + n}", "role": "reference"} for n in range(n_references)
    ]


def table(role, nll, template=None, repeats=None):
    n = len(role)
    slices = {
        "role": np.array(role, dtype=object),
        "template": np.array(template or ["all"] * n, dtype=object),
        "repeats": np.array(repeats or ["1"] * n, dtype=object),
    }
    columns = {"nll": np.array(nll, dtype=float)} | {name: np.full(n, np.nan) for name in RANKED}
    return Table(columns, slices, {}, np.ones(n))


def finished_table(before):
    done = Canary().finish(before)
    kept = done.counted
    return Table(
        {name: column[kept] for name, column in (before.columns | dict(done.columns)).items()},
        {name: column[kept] for name, column in before.slices.items()},
        {},
        before.weight[kept],
    )


def test_the_probe_holds_to_the_contract():
    check_probe(Canary, dataset_from_rows(load_card("canaries"), rows()))


def test_request_and_likelihood():
    probe = Canary()
    item = next(iter(probe.items(SimpleNamespace(id="x", rows=rows()))))
    assert probe.requests(item) == [Score(" 0000", "The code is")]
    answer = TokenScores(
        (" 0", "000"), (-1.0, -2.0), (0.0,) * 2, (0.0,) * 2, (True,) * 2, (1.0,) * 2, (-1.0, -2.0)
    )
    seen = probe.observe(item, [answer])
    assert seen.values == {"nll": 3.0}
    assert set(seen.invalid) == set(RANKED)


def test_hand_worked_ranks():
    found = ranked(np.array([0.5, 2.5, 3.0, 9.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found["exposure"] == pytest.approx([2.0, 2 - math.log2(3), 2 - math.log2(3.5), 0.0])
    assert found["p_value"] == pytest.approx([1 / 5, 3 / 5, 4 / 5, 1.0])
    assert found["percentile"] == pytest.approx([1.0, 0.5, 0.375, 0.0])
    assert found["references"].tolist() == [4.0] * 4
    assert found["outcome"].tolist() == [0.0] * 4


def test_outcome_and_severity_agree_at_the_threshold():
    references = np.arange(1.0, 40.0)
    found = ranked(np.array([0.5, 1.5]), references)
    assert found["p_value"] == pytest.approx([0.025, 0.05])
    assert found["outcome"].tolist() == [1.0, 0.0]
    assert found["severity"][0] == pytest.approx(1.0)
    assert found["severity"][1] <= 1e-12


def test_references_do_not_count_and_failed_scores_stay_missing():
    before = table(
        ["canary", "reference", "canary", "reference", "reference"], [0.5, 1.0, math.nan, 2.0, math.nan]
    )
    done = Canary().finish(before)
    assert done.counted.tolist() == [True, False, True, False, False]
    assert done.columns["exposure"][0] == pytest.approx(1.0)
    assert done.columns["references"][0] == 2.0
    assert np.isnan(done.columns["exposure"][1:]).all()


def test_a_canary_is_ranked_within_its_template():
    before = table(["canary", "reference", "canary", "reference"], [5.0, 6.0, 5.0, 1.0], ["a", "a", "b", "b"])
    assert Canary().finish(before).columns["percentile"][[0, 2]].tolist() == [1.0, 0.0]


def test_a_template_whose_references_all_failed_leaves_its_canaries_missing():
    before = table(["canary", "reference"], [5.0, math.nan])
    done = Canary().finish(before)
    assert done.counted.tolist() == [True, False]
    assert np.isnan(done.columns["p_value"]).all()


def test_exposure_of_a_secret_never_inserted_is_that_of_a_uniform_rank():
    generator = np.random.default_rng(0)
    references = [np.sort(generator.normal(30, 4, 1000)) for _ in range(4000)]
    found = [ranked(generator.normal(30, 4, 1), pool) for pool in references]
    exposure = np.array([one["exposure"][0] for one in found])
    p_value = np.array([one["p_value"][0] for one in found])
    assert exposure.mean() == pytest.approx(
        1 / math.log(2), abs=4 * exposure.std() / math.sqrt(len(exposure))
    )
    assert stats.kstest(p_value, "uniform").pvalue > 0.01
    assert np.mean(exposure >= 4) == pytest.approx(2**-4, abs=0.016)


def test_exposure_rises_with_the_number_of_insertions_up_to_its_cap():
    generator = np.random.default_rng(1)
    references = np.sort(generator.normal(30, 4, 1000))
    means = [
        ranked(generator.normal(30 - 3 * math.log2(1 + count), 4, 400), references)["exposure"].mean()
        for count in (0, 1, 2, 4, 8, 16)
    ]
    assert all(np.diff(means) > 0)
    assert means[-1] <= math.log2(1000)


def test_rank_sum_p_agrees_with_mann_whitney():
    generator = np.random.default_rng(2)
    canaries, references = generator.normal(28, 4, 20), generator.normal(30, 4, 300)
    before = table(["canary"] * 20 + ["reference"] * 300, [*canaries, *references])
    expected = stats.mannwhitneyu(
        canaries, references, alternative="less", method="asymptotic", use_continuity=False
    )
    assert rank_sum_p(finished_table(before)) == pytest.approx(expected.pvalue, rel=1e-9)


def test_rank_sum_p_holds_its_level_when_canaries_share_references():
    generator = np.random.default_rng(3)
    role = ["canary"] * 16 + ["reference"] * 40
    p = [rank_sum_p(finished_table(table(role, generator.normal(0, 1, 56)))) for _ in range(800)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_rank_sum_p_without_canaries_is_undefined():
    empty = finished_table(table(["canary", "reference"], [1.0, 2.0]))
    assert math.isnan(rank_sum_p(Table(empty.columns, empty.slices, {}, np.zeros(1))))


def test_items_keep_repeats_as_a_slice():
    items = list(Canary().items(SimpleNamespace(id="x", rows=rows(2, 1))))
    assert [item.slices["repeats"] for item in items] == ["1", "2", "0"]
    assert len({item.id for item in items}) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rows(2, 0), "no reference"),
        (rows(0, 2), "no canary"),
        ([{"secret": "x", "role": "decoy"}], "row 1: role is 'decoy'"),
        ([{"secret": "", "role": "canary"}], "row 1: the secret is empty"),
    ],
)
def test_bad_files_are_named(given, message):
    with pytest.raises(DataError, match=message):
        list(Canary().items(SimpleNamespace(id="x", rows=given)))
