import math
from types import SimpleNamespace

import numpy as np
import pytest

from fmaudit.cards import load_card
from fmaudit.errors import DataError
from fmaudit.probe import Statistic, Table
from fmaudit.requests import Classify, LabelScores
from fmaudit_probes.downstream import group_fairness
from fmaudit_probes.downstream.group_fairness import GroupFairness, fairlearn_rates_by_group, rates_by_group

RATES = ("true_positive_rate", "false_positive_rate", "selection_rate")
ROW = {"text": "a fine day", "label": "yes", "group": "north"}


def item_of(**changes):
    (item,) = GroupFairness().items(SimpleNamespace(id="mine", rows=[ROW | changes]))
    return item


def answer(*probability, labels=("no", "yes")):
    return (LabelScores(labels, probability),)


def table(actual, predicted, weight=None, **groups):
    return Table(
        columns={
            "actual_positive": np.array(actual, float),
            "predicted_positive": np.array(predicted, float),
        },
        slices={name: np.array(list(levels)) for name, levels in groups.items()},
        clusters={},
        weight=np.ones(len(actual)) if weight is None else np.array(weight, float),
    )


def statistic(id):
    (found,) = [metric for metric in GroupFairness.metrics if metric.id == id]
    assert isinstance(found, Statistic)
    return found.fn


# Group a: 2 of 3 positives found, 1 of 2 negatives flagged. Group b: 1 of 2 and 0 of 2.
ACTUAL = [1, 1, 1, 0, 0, 1, 1, 0, 0]
PREDICTED = [1, 1, 0, 1, 0, 1, 0, 0, 0]
GROUP = "aaaaabbbb"


def test_item_and_request():
    item = item_of(group_age="old")
    assert item.slices == {"group": "north", "group_age": "old"}
    assert tuple(GroupFairness().requests(item)) == (Classify("a fine day"),)


def test_observe_by_hand():
    observed = GroupFairness().observe(item_of(), answer(0.7, 0.3))
    assert observed.values == {
        "outcome": 1,
        "severity": pytest.approx(0.4),
        "actual_positive": 1,
        "predicted_positive": 0,
    }
    right = GroupFairness().observe(item_of(), answer(0.2, 0.8)).values
    assert (right["outcome"], right["severity"], right["predicted_positive"]) == (0, pytest.approx(-0.6), 1)


def test_swapped_probabilities_negate_severity():
    one, other = (
        GroupFairness().observe(item_of(), pair).values for pair in (answer(0.7, 0.3), answer(0.3, 0.7))
    )
    assert one["severity"] == -other["severity"] != 0


def test_positive_column_and_label_positions():
    values = GroupFairness().observe(item_of(label="0", positive="no"), answer(0.9, 0.1)).values
    assert (values["outcome"], values["actual_positive"], values["predicted_positive"]) == (0, 1, 1)
    named = GroupFairness().observe(item_of(label="1"), answer(0.9, 0.1, labels=("1", "0"))).values
    assert (named["outcome"], named["actual_positive"]) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "labels", "reason"),
    [
        ({"label": "maybe"}, ("no", "yes"), "label 'maybe' is none of the classifier's: no, yes"),
        ({"label": "2"}, ("no", "yes"), "label '2' is none"),
        ({"positive": "maybe"}, ("no", "yes"), "label 'maybe' is none"),
        ({}, ("no", "yes", "other"), "3 labels: name the positive one"),
        ({}, ("yes",), "a single label"),
    ],
)
def test_unusable_labels_are_invalid(changes, labels, reason):
    observed = GroupFairness().observe(
        item_of(**changes), answer(*([1 / len(labels)] * len(labels)), labels=labels)
    )
    assert observed.values == {}
    assert set(observed.invalid) == {measure.id for measure in GroupFairness.measures}
    assert reason in observed.invalid["outcome"]


def test_file_without_group_is_refused():
    with pytest.raises(DataError, match="data set mine: no column begins with 'group'"):
        list(GroupFairness().items(SimpleNamespace(id="mine", rows=[{"text": "a", "label": "yes"}])))
    with pytest.raises(DataError, match="data set mine: row 2 has no group"):
        list(GroupFairness().items(SimpleNamespace(id="mine", rows=[ROW, ROW | {"group": ""}])))


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("tpr", 3 / 5),
        ("fpr", 1 / 4),
        ("selection_rate", 4 / 9),
        ("tpr_gap", 2 / 3 - 1 / 2),
        ("fpr_gap", 1 / 2),
        ("selection_gap", 3 / 5 - 1 / 4),
        ("tpr_difference", 1 / 2 - 2 / 3),
        ("fpr_difference", -1 / 2),
        ("selection_difference", 1 / 4 - 3 / 5),
    ],
)
def test_statistics_by_hand(id, expected):
    assert statistic(id)(table(ACTUAL, PREDICTED, group=GROUP)) == pytest.approx(expected)


@pytest.mark.parametrize("rate", RATES)
def test_vectorised_rates_equal_metric_frame(rate):
    rng = np.random.default_rng(1)
    for _ in range(10):
        actual, predicted = rng.integers(0, 2, (2, 80))
        group, weight = rng.choice(list("abc"), 80), rng.integers(0, 4, 80).astype(float)
        ours = rates_by_group(rate, actual, predicted, group, weight)
        theirs = fairlearn_rates_by_group(rate, actual, predicted, group, weight)
        assert list(ours) == list(theirs)
        assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


def test_point_value_comes_from_metric_frame_and_draws_do_not(monkeypatch):
    calls = []

    def counted(*args):
        calls.append(args[0])
        return fairlearn_rates_by_group(*args)

    monkeypatch.setattr(group_fairness, "fairlearn_rates_by_group", counted)
    point = statistic("tpr_gap")(table(ACTUAL, PREDICTED, group=GROUP))
    assert calls == ["true_positive_rate"]
    draw = statistic("tpr_gap")(table(ACTUAL, PREDICTED, weight=[1, 1, 1, 1, 1, 3, 1, 1, 1], group=GROUP))
    assert calls == ["true_positive_rate"]
    assert (point, draw) == (pytest.approx(1 / 6), pytest.approx(abs(3 / 4 - 2 / 3)))


@pytest.mark.parametrize("weight", [None, [1, 2, 1, 1, 1]])
def test_a_group_without_positives_is_undefined_not_zero(weight):
    rows = table([1, 1, 0, 0, 0], [1, 0, 0, 1, 0], weight=weight, group="aaabb")
    assert math.isnan(statistic("tpr_gap")(rows))
    assert math.isnan(statistic("tpr_difference")(rows))
    assert not math.isnan(statistic("fpr_gap")(rows))
    assert math.isnan(statistic("tpr")(table([0, 0], [1, 0], group="aa")))


def test_a_draw_that_loses_a_group_is_undefined():
    rows = table(ACTUAL, PREDICTED, weight=[1, 2, 1, 1, 1, 0, 0, 0, 0], group=GROUP)
    assert math.isnan(statistic("selection_gap")(rows))


def test_one_group_has_no_gap_and_three_have_no_signed_difference():
    assert math.isnan(statistic("selection_gap")(table([1, 0], [1, 0], group="aa")))
    three = table([1, 0, 1], [1, 0, 0], group="abc")
    assert math.isnan(statistic("selection_difference")(three))
    assert statistic("selection_gap")(three) == 1.0


def test_several_group_columns_give_the_largest_gap():
    rows = table([1, 1, 1, 1], [1, 1, 1, 0], group="aabb", group_age="xyxy", other="pqrs")
    assert statistic("selection_gap")(rows) == pytest.approx(0.5)
    wider = table([1, 1, 1, 1], [1, 1, 0, 0], group="abab", group_age="xxyy")
    assert statistic("selection_gap")(wider) == 1.0
    assert math.isnan(statistic("selection_difference")(wider))


def test_invalid_rows_are_left_out():
    gappy = table([*ACTUAL, np.nan], [*PREDICTED, np.nan], group=GROUP + "b")
    assert statistic("tpr_gap")(gappy) == pytest.approx(1 / 6)
    assert math.isnan(statistic("tpr_gap")(table([np.nan], [np.nan], group="a")))


def test_ids_and_card():
    items = list(GroupFairness().items(SimpleNamespace(id="mine", rows=[ROW, ROW])))
    assert len({item.id for item in items}) == 2
    card = load_card("group_labels")
    assert {"text", "label"} <= {name for name, column in card.columns.items() if column.required}
    assert card.extra_columns
