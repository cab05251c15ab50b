from types import SimpleNamespace

import fairlearn.metrics
import numpy as np
import pytest

from fmaudit.analysis.numbers import Settings, estimate
from fmaudit.analysis.pairs import Pair, compare
from fmaudit.analysis.records import slices
from fmaudit.analysis.tables import Answers
from fmaudit.cards import load_card
from fmaudit.errors import DataError
from fmaudit.requests import Classify, LabelScores
from fmaudit_probes.downstream.group_fairness import GroupFairness

ROW = {"text": "a fine day", "label": "yes", "group": "north"}


def item_of(**changes):
    (item,) = GroupFairness().items(SimpleNamespace(id="mine", rows=[ROW | changes]))
    return item


def answer(*probability, labels=("no", "yes")):
    return (LabelScores(labels, probability),)


def answers(actual, predicted, **groups):
    columns = {"actual_positive": actual, "predicted_positive": predicted}
    return Answers(
        item_ids=np.array([str(place) for place in range(len(actual))], dtype=object),
        weights=np.ones(len(actual)),
        clusters={},
        slices={name: np.array(list(levels), dtype=object) for name, levels in groups.items()},
        numeric={name: np.array(values, float)[:, None] for name, values in columns.items()},
        text={},
        reasons={},
    )


def numbers_of(id, rows):
    """The number of a metric as the audit computes it, overall."""
    (metric,) = [metric for metric in GroupFairness.metrics if metric.id == id]
    (chosen,) = [mask for level, mask in slices(metric, rows) if not level]
    return estimate(metric, rows.take(chosen), GroupFairness.measures, Settings())


def value_of(id, rows):
    return numbers_of(id, rows)["value"]


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
def test_numbers_by_hand(id, expected):
    assert value_of(id, answers(ACTUAL, PREDICTED, group=GROUP)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rate", "id"),
    [("true_positive_rate", "tpr"), ("false_positive_rate", "fpr"), ("selection_rate", "selection_rate")],
)
def test_rates_and_gaps_equal_those_of_fairlearn(rate, id):
    rng = np.random.default_rng(1)
    for _ in range(10):
        actual, predicted = rng.integers(0, 2, (2, 80))
        group = rng.choice(list("abc"), 80)
        frame = fairlearn.metrics.MetricFrame(
            metrics=getattr(fairlearn.metrics, rate),
            y_true=actual,
            y_pred=predicted,
            sensitive_features=group,
        )
        rows = answers(actual, predicted, group=group)
        gap = {"selection_rate": "selection_gap"}.get(id, f"{id}_gap")
        assert value_of(id, rows) == pytest.approx(frame.overall, abs=1e-12)
        assert value_of(gap, rows) == pytest.approx(frame.difference(), abs=1e-12)


def test_a_group_without_positives_is_left_out_by_name():
    rows = answers([1, 1, 0, 0, 0, 1], [1, 0, 0, 1, 0, 1], group="aaabbc")
    found = numbers_of("tpr_gap", rows)
    assert found["value"] == pytest.approx(0.5)
    assert "left out, without an answered row of the rate: group=b" in found["method"]
    two = answers([1, 1, 0, 0, 0], [1, 0, 0, 1, 0], group="aaabb")
    assert value_of("tpr_gap", two) is None
    assert "group=b" in numbers_of("tpr_gap", two)["reason"]
    assert value_of("fpr_gap", two) is not None
    assert value_of("tpr", answers([0, 0], [1, 0], group="aa")) is None


def test_one_group_has_no_gap_and_three_have_no_signed_difference():
    assert value_of("selection_gap", answers([1, 0], [1, 0], group="aa")) is None
    three = answers([1, 0, 1], [1, 0, 0], group="abc")
    assert value_of("selection_difference", three) is None
    assert value_of("selection_gap", three) == 1.0


def test_several_group_columns_give_the_largest_gap():
    rows = answers([1, 1, 1, 1], [1, 1, 1, 0], group="aabb", group_age="xyxy", other="pqrs")
    assert value_of("selection_gap", rows) == pytest.approx(0.5)
    wider = answers([1, 1, 1, 1], [1, 1, 0, 0], group="abab", group_age="xxyy")
    assert value_of("selection_gap", wider) == 1.0
    assert value_of("selection_difference", wider) is None


def test_one_invalid_text_of_many_moves_the_bounds_by_one_text():
    rng = np.random.default_rng(3)
    actual, group = np.tile([1.0, 0.0], 200), np.repeat(list("abcd"), 100)
    predicted = np.where(actual == 1, rng.random(400) < 0.8, rng.random(400) < 0.1).astype(float)
    whole = numbers_of("tpr_gap", answers(actual, predicted, group=group))
    rates = [predicted[(actual == 1) & (group == name)].mean() for name in "abcd"]
    of_best = np.flatnonzero((actual == 1) & (group == "abcd"[int(np.argmax(rates))]))[0]
    actual[of_best] = predicted[of_best] = np.nan
    found = numbers_of("tpr_gap", answers(actual, predicted, group=group))
    assert found["coverage"] == pytest.approx(200 / 201, abs=1e-3)
    low, high = found["worst"]
    assert 0 < high - low <= 0.041
    assert low - 1e-9 <= whole["value"] <= high + 1e-9
    assert found["worst_interval"][1] < whole["upper"] + 0.05
    assert value_of("tpr_gap", answers([np.nan], [np.nan], group="a")) is None


@pytest.mark.parametrize("difference", [0.0, 0.6])
def test_the_change_of_a_gap_is_one_of_pairs(difference):
    rng = np.random.default_rng(6)
    actual, group = np.tile([1.0, 0.0], 300), np.repeat(list("abc"), 200)
    old = np.where(actual == 1, rng.random(600) < 0.9, rng.random(600) < 0.1).astype(float)
    lost = (actual == 1) & (group == "b") & (rng.random(600) < difference)
    (metric,) = [metric for metric in GroupFairness.metrics if metric.id == "tpr_gap"]
    pair = Pair(answers(actual, old, group=group), answers(actual, np.where(lost, 0.0, old), group=group))
    found = compare(metric, pair, GroupFairness.measures, Settings())
    assert found["value"] == pytest.approx(found["adapted_value"] - found["base_value"])
    assert (found["lower"] > 0) == (difference > 0)
    assert (found["p"] < 0.05) == (difference > 0)
    assert found["worst_interval"] == (found["lower"], found["upper"])


def test_ids_and_card():
    items = list(GroupFairness().items(SimpleNamespace(id="mine", rows=[ROW, ROW])))
    assert len({item.id for item in items}) == 2
    card = load_card("group_labels")
    assert {"text", "label"} <= {name for name, column in card.columns.items() if column.required}
    assert card.extra_columns
