"""Labels of a user's file mean what the user wrote, whatever the classifier's names look like."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.errors import ProbeError
from fmaudit.requests import LabelScores
from fmaudit_probes.downstream.group_fairness import GroupFairness
from fmaudit_probes.downstream.label_names import UnknownLabel, label_position, other_numbering, whole_number

STARS = ("1", "2", "3")


@pytest.mark.parametrize(
    ("label", "names", "position"),
    [
        ("2", STARS, 1),
        ("2", ("LABEL_0", "LABEL_1", "LABEL_2"), 2),
        ("1", ("1", "0"), 0),
        ("10", ("10", "20", "1"), 0),
        ("1", ("10", "20", "1"), 2),
        ("1.0", ("0", "1"), 1),
        ("1.0", ("no", "yes"), 1),
        ("0.0", ("0.0", "1.0"), 0),
        ("1", ("0.0", "1.0"), 1),
        ("02", STARS, 1),
        ("yes ", ("no", "yes"), 1),
        ("1.0", ("1", "1.0"), 1),
        ("1", ("1", "1.0"), 0),
    ],
)
def test_a_name_comes_first_and_a_number_is_a_position_only_among_words(label, names, position):
    assert label_position(label, names) == position


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("0", STARS),
        ("0.0", STARS),
        ("4", STARS),
        ("2", ("no", "yes")),
        ("1.5", STARS),
        ("-1", ("no", "yes")),
        ("01", ("1", "1.0")),
        ("nan", ("no", "yes")),
        ("", ("no", "yes")),
        ("1", ("0", "other")),
    ],
)
def test_what_is_no_name_is_unknown(label, names):
    with pytest.raises(UnknownLabel, match="is none of the classifier's"):
        label_position(label, names)


@given(st.lists(st.integers(0, 30).map(str), min_size=2, max_size=8, unique=True))
def test_a_number_among_numbers_is_its_own_name_or_nothing(names):
    for number in map(str, range(32)):
        if number in names:
            assert names[label_position(number, names)] == number
        else:
            with pytest.raises(UnknownLabel):
                label_position(number, names)


def observed(labels, names):
    rows = [{"text": "a fine day", "label": label, "group": "ab"[i % 2]} for i, label in enumerate(labels)]
    items = list(GroupFairness().items(SimpleNamespace(id="mine", rows=rows)))
    share = tuple(1 / len(names) for _ in names)
    positive = [{**item.payload, "positive": names[-1]} for item in items]
    changed = [
        type(item)(item.id, payload, {}, item.slices) for item, payload in zip(items, positive, strict=True)
    ]
    return [GroupFairness().observe(item, (LabelScores(names, share),)) for item in changed]


@pytest.mark.parametrize("labels", [("2", "0", "1"), ("1.0", "0.0", "2.0")])
def test_a_file_that_counts_from_zero_is_refused_whole(labels):
    with pytest.raises(ProbeError, match=r"row 2 has the label '0(\.0)?', which is none of the classifier's"):
        observed(labels, STARS)


def test_one_odd_number_costs_its_row():
    rows = observed(("1", "2", "7", "3"), STARS)
    assert [bool(row.invalid) for row in rows] == [False, False, True, False]
    assert "label '7'" in rows[2].invalid["outcome"]


def test_one_beside_one_point_zero_is_one_class():
    rows = observed(("1", "1.0", "2"), STARS)
    assert [row.values["actual_positive"] for row in rows] == [0, 0, 0]
    assert not any(row.invalid for row in rows)
    positions = observed(("0", "1.0", "1"), ("no", "yes"))
    assert [row.values["actual_positive"] for row in positions] == [0, 1, 1]


def test_positions_of_words_are_never_refused():
    assert other_numbering({"0": 1, "9": 2}, ("no", "yes")) == ""
    assert other_numbering({"1": 1, "3": 2}, STARS) == ""
    assert [whole_number(text) for text in ("1", " 2.00 ", "1.5", "x", "")] == [1, 2, None, None, None]
