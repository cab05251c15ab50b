"""One metric on one set of answers: edges, missing answers, statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fmaudit.analysis import numbers, pairs
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.tables import Answers, answers_from
from fmaudit.canonical import canonical_bytes
from fmaudit.errors import ExecutionError, ProbeError
from fmaudit.evidence.rows import Row, parquet_bytes
from fmaudit.probe import (
    Binary,
    Contrast,
    Item,
    Mean,
    Observation,
    Rate,
    Real,
    Reduce,
    Statistic,
    Table,
)

MEASURES = (Binary("outcome"), Real("score", low=0.0, high=1.0), Real("nats"))
RATE, SCORE, NATS = Rate("rate"), Mean("score", of="score"), Mean("nats", of="nats")
NAN = float("nan")
SETTINGS = Settings()


def _estimate(metric: Any, answers: Answers) -> dict[str, Any]:
    fields = numbers.estimate(metric, answers, MEASURES, SETTINGS)
    canonical_bytes(
        fields | {name: list(fields[name]) for name in ("worst", "worst_interval") if name in fields}
    )
    return fields


@pytest.mark.parametrize("metric", [RATE, SCORE, NATS, Statistic("s", lambda t: 1.0, needs=("score",))])
def test_no_item_is_undefined_with_a_reason_and_coverage_zero(
    make_answers: Callable[..., Answers], metric: Any
) -> None:
    none = make_answers(outcome=np.empty((0, 1)), score=np.empty((0, 1)), nats=np.empty((0, 1)))
    fields = _estimate(metric, none)
    assert (fields["state"], fields["value"], fields["coverage"], fields["n"]) == ("unmeasured", None, 0.0, 0)
    assert fields["reason"]
    assert not fields["conclusive"]


def test_nothing_valid_is_unmeasured_and_the_rate_could_be_anything(
    make_answers: Callable[..., Answers],
) -> None:
    fields = _estimate(RATE, make_answers(outcome=[NAN] * 40))
    assert (fields["state"], fields["coverage"], fields["worst"]) == ("unmeasured", 0.0, (0.0, 1.0))


def test_one_item_has_a_value_and_no_conclusion(make_answers: Callable[..., Answers]) -> None:
    rate = _estimate(RATE, make_answers(outcome=[1]))
    assert (rate["value"], rate["conclusive"]) == (1.0, False)
    assert rate["lower"] < 0.05
    mean = _estimate(NATS, make_answers(nats=[2.5]))
    assert (mean["value"], mean["lower"], mean["upper"], mean["conclusive"]) == (2.5, None, None, False)
    assert mean["reason"]


def test_equal_values_of_many_items_say_that_the_interval_has_no_width(
    make_answers: Callable[..., Answers],
) -> None:
    mean = _estimate(NATS, make_answers(nats=[2.5] * 40))
    assert (mean["lower"], mean["value"], mean["upper"]) == (2.5, 2.5, 2.5)
    assert "no variation" in mean["reason"]
    rate = _estimate(RATE, make_answers(outcome=[0] * 40))
    assert rate["value"] == 0.0
    assert 0.05 < rate["upper"] < 0.1


def test_missing_samples_of_every_item_lower_coverage_though_every_item_has_a_value(
    make_answers: Callable[..., Answers],
) -> None:
    matrix = np.tile([1.0, 0.0, NAN, NAN], (50, 1))
    fields = _estimate(RATE, make_answers(outcome=matrix))
    assert (fields["coverage"], fields["value"], fields["worst"]) == (0.5, 0.5, (0.25, 0.75))


def test_any_of_k_with_a_missing_sample_is_not_used_and_bounded(make_answers: Callable[..., Answers]) -> None:
    matrix = np.array([[0.0, 0.0]] * 30 + [[0.0, NAN]] * 10)
    fields = _estimate(Rate("any", reduce=Reduce("any")), make_answers(outcome=matrix))
    assert (fields["n"], fields["value"], fields["coverage"]) == (30, 0.0, 0.75)
    assert fields["worst"] == (0.0, 0.25)


def test_weights_count_in_value_coverage_and_bounds(make_answers: Callable[..., Answers]) -> None:
    answers = make_answers(outcome=[1, 0, NAN] * 20, weights=[1.0, 2.0, 1.0] * 20)
    fields = _estimate(RATE, answers)
    assert fields["value"] == pytest.approx(1 / 3)
    assert fields["coverage"] == pytest.approx(0.75)
    assert fields["worst"] == pytest.approx((0.25, 0.5))


def test_a_measure_without_bounds_has_no_worst_case(make_answers: Callable[..., Answers]) -> None:
    fields = _estimate(NATS, make_answers(nats=[*range(40), NAN]))
    assert fields["coverage"] < 1
    assert "worst_interval" not in fields


def test_bounds_that_an_observed_value_breaks_are_not_believed(make_answers: Callable[..., Answers]) -> None:
    honest = _estimate(SCORE, make_answers(score=[0.2, 0.9] * 20 + [NAN]))
    broken = _estimate(SCORE, make_answers(score=[0.2, 1.9] * 20 + [NAN]))
    assert "worst_interval" in honest
    assert "worst_interval" not in broken


def test_rounding_of_weights_is_not_missing_coverage(make_answers: Callable[..., Answers]) -> None:
    weights = np.random.default_rng(1).random(999) / 3
    fields = _estimate(NATS, make_answers(nats=np.arange(999), weights=weights))
    assert fields["worst"] == (fields["value"], fields["value"])


def _mean_of_defects(table: Table) -> float:
    chosen = table.columns["outcome"] > 0
    return float(np.average(table.columns["score"][chosen], weights=table.weight[chosen]))


@pytest.mark.parametrize("fn", [_mean_of_defects, lambda table: NAN])
def test_a_statistic_without_denominator_is_undefined_with_a_reason(
    make_answers: Callable[..., Answers], fn: Any
) -> None:
    metric = Statistic("share", fn, needs=("score", "outcome"))
    fields = _estimate(metric, make_answers(score=[0.5] * 40, outcome=[0] * 40))
    assert (fields["state"], fields["value"], fields["lower"]) == ("unmeasured", None, None)
    assert "undefined" in fields["reason"]


def test_a_statistic_that_fails_names_its_metric(make_answers: Callable[..., Answers]) -> None:
    metric = Statistic("lookup", lambda table: float(table.columns["absent"][0]), needs=("score",))
    with pytest.raises(ProbeError, match=r"lookup.*KeyError"):
        _estimate(metric, make_answers(score=[0.5] * 40))


def test_a_statistic_with_missing_samples_has_its_whole_range_as_worst_case(
    make_answers: Callable[..., Answers],
) -> None:
    metric = Statistic(
        "mean",
        lambda t: float(np.average(t.columns["score"], weights=t.weight)),
        needs=("score",),
        worst=(0.0, 1.0),
    )
    score = np.tile([0.2, 0.3], (40, 1))
    score[:4, 1] = NAN
    fields = _estimate(metric, make_answers(score=score))
    assert fields["coverage"] == pytest.approx(0.95)
    assert fields["worst_interval"] == (0.0, 1.0)
    changed = pairs.compare(
        metric, pairs.Pair(make_answers(score=score), make_answers(score=score)), MEASURES, SETTINGS
    )
    assert changed["coverage"] == pytest.approx(0.95)
    assert changed["worst_interval"] == (-1.0, 1.0)


def test_the_2x2_table_and_the_change_by_hand(make_answers: Callable[..., Answers]) -> None:
    base = [1] * 12 + [1] * 5 + [0] * 15 + [0] * 28
    adapted = [1] * 12 + [0] * 5 + [1] * 15 + [0] * 28
    fields = pairs.compare(
        RATE, pairs.Pair(make_answers(outcome=base), make_answers(outcome=adapted)), MEASURES, SETTINGS
    )
    assert fields["table"] == {"n11": 12, "n10": 5, "n01": 15, "n00": 28}
    assert fields["value"] == pytest.approx(10 / 60)
    assert fields["base_value"] == pytest.approx(17 / 60)
    assert fields["adapted_value"] == pytest.approx(27 / 60)
    # Exact McNemar: twice the chance of at most 5 of 20 at one half.
    assert fields["p"] == pytest.approx(2 * 21700 / 2**20, abs=1e-9)
    assert fields["lower"] > 0


def test_missing_answers_of_either_side_lower_coverage_and_widen_the_change(
    make_answers: Callable[..., Answers],
) -> None:
    base = [0.0] * 50 + [NAN] * 5 + [0.0] * 45
    adapted = [1.0] * 20 + [0.0] * 30 + [1.0] * 5 + [NAN] * 5 + [0.0] * 40
    fields = pairs.compare(
        RATE, pairs.Pair(make_answers(outcome=base), make_answers(outcome=adapted)), MEASURES, SETTINGS
    )
    assert (fields["n"], fields["coverage"]) == (90, 0.9)
    assert fields["value"] == pytest.approx(20 / 90)
    assert fields["worst"] == pytest.approx((0.20, 0.30))
    assert fields["worst_interval"][0] < fields["worst"][0]
    assert fields["worst_interval"][1] > fields["worst"][1]


CONTRAST = Contrast("gap", metric="score", column="role", plus="member", minus="control")


def test_a_contrast_is_plus_minus_minus_and_counts_coverage_in_its_two_groups(
    make_answers: Callable[..., Answers],
) -> None:
    roles = ["member"] * 40 + ["control"] * 40 + ["other"] * 20
    rng = np.random.default_rng(3)
    score = np.r_[0.6 + 0.1 * rng.random(40), 0.2 + 0.1 * rng.random(40), [NAN] * 20]
    complete = pairs.contrast(
        CONTRAST, SCORE, make_answers(slices={"role": roles}, score=score), MEASURES, SETTINGS
    )
    assert complete["value"] == pytest.approx(score[:40].mean() - score[40:80].mean())
    assert complete["coverage"] == 1.0
    assert complete["worst_interval"] == (complete["lower"], complete["upper"])
    assert complete["p"] < 0.01
    score[:4] = NAN
    fields = pairs.contrast(
        CONTRAST, SCORE, make_answers(slices={"role": roles}, score=score), MEASURES, SETTINGS
    )
    assert fields["coverage"] == pytest.approx(76 / 80)
    control = score[40:80].mean()
    filled = [np.r_[[end] * 4, score[4:40]].mean() - control for end in (0.0, 1.0)]
    assert fields["worst"] == pytest.approx(tuple(filled))
    assert fields["worst_interval"][0] < fields["worst"][0]


def test_a_difference_in_differences_is_the_adapted_contrast_minus_the_base_contrast(
    make_answers: Callable[..., Answers],
) -> None:
    rng = np.random.default_rng(4)
    roles = {"role": ["member"] * 50 + ["control"] * 30}
    base, adapted = (make_answers(slices=roles, score=rng.random(80)) for _ in range(2))
    old, new = (pairs.contrast(CONTRAST, SCORE, side, MEASURES, SETTINGS) for side in (base, adapted))
    change = pairs.contrast_of_change(CONTRAST, SCORE, pairs.Pair(base, adapted), MEASURES, SETTINGS)
    assert change["value"] == pytest.approx(new["value"] - old["value"])
    assert change["lower"] < change["value"] < change["upper"]


def test_a_difference_in_differences_with_missing_answers_is_bounded(
    make_answers: Callable[..., Answers],
) -> None:
    roles = {"role": ["member"] * 40 + ["control"] * 40}
    base, adapted = np.full(80, 0.5), np.full(80, 0.5)
    base[0], adapted[40] = NAN, NAN
    pair = pairs.Pair(make_answers(slices=roles, score=base), make_answers(slices=roles, score=adapted))
    fields = pairs.contrast_of_change(CONTRAST, SCORE, pair, MEASURES, SETTINGS)
    assert fields["coverage"] == pytest.approx(78 / 80)
    assert fields["worst"] == pytest.approx((-0.025, 0.025))


def test_a_group_that_gave_no_answer_leaves_the_contrast_undefined(
    make_answers: Callable[..., Answers],
) -> None:
    roles = {"role": ["member"] * 40 + ["control"] * 40}
    answers = make_answers(slices=roles, score=[NAN] * 40 + [0.5] * 40)
    fields = pairs.contrast(CONTRAST, SCORE, answers, MEASURES, SETTINGS)
    assert (fields["state"], fields["coverage"], fields["conclusive"]) == ("unmeasured", 0.5, False)


def _rows(samples: list[tuple[str, int]]) -> pa.Table:
    rows = [
        Row(Item(name, {}), 0, 0, 0, Observation({"outcome": 1}, {}, sample), "[]")
        for name, sample in samples
    ]
    return pa.parquet.read_table(pa.BufferReader(parquet_bytes(rows, (Binary("outcome"),))))


def test_damaged_rows_are_refused() -> None:
    whole = answers_from(_rows([("a", 0), ("a", 1), ("b", 0)]), (Binary("outcome"),))
    assert np.isnan(whole.numeric["outcome"]).sum() == 1
    for damaged in ([("a", 0), ("a", 0)], [("a", 0), ("b", 1)]):
        with pytest.raises(ExecutionError, match="damaged"):
            answers_from(_rows(damaged), (Binary("outcome"),))
