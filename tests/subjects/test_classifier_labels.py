"""The labels of a classifier: named one by one from 0, or refused by their index."""

from __future__ import annotations

import json

import pytest

from fmaudit.errors import SubjectError
from fmaudit.subjects import LoadOptions, open_subjects, parse_spec
from fmaudit.subjects.labels import label_fault
from fmaudit.testing.tiny import tiny_classifier


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"1": "no", "2": "yes"}, "names no label 0 (it has 1, 2)"),
        ({"0": "no", "2": "yes"}, "names no label 1 (it has 0, 2)"),
        ({"0": "yes", "1": "yes"}, "names the labels 0 and 1 both 'yes'"),
        ({"a": "no", "1": "yes"}, "the index 'a', which is no number"),
        (["no", "yes"], "no list of names by index"),
        ({}, "no list of names by index"),
    ],
)
def test_unusable_names(labels, said):
    fault = label_fault({"id2label": labels})
    assert said in fault
    assert "config.json" in fault
    assert "\n" not in fault


@pytest.mark.parametrize("labels", [{"1": "yes", "0": "no"}, {0: "no", 1: "yes"}, {"0": 5, "1": 6}])
def test_usable_names(labels):
    assert label_fault({"id2label": labels}) == ""
    assert label_fault({}) == ""


def classifier(folder, labels):
    path = tiny_classifier(folder)
    place = path / "config.json"
    ids = {name: int(index) for index, name in labels.items()}
    place.write_text(json.dumps(json.loads(place.read_text()) | {"id2label": labels, "label2id": ids}))
    return path


def test_a_gap_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(SubjectError, match=r"classifier 'gap': id2label in config\.json names no label 1"):
        open_subjects([parse_spec(str(classifier(tmp_path / "gap", {"0": "no", "2": "yes"})))])


@pytest.mark.parametrize("labels", [{"0": "no", "1": "yes", "2": "x"}, {"0": "no"}])
def test_another_number_of_outputs_names_the_configuration(tmp_path, labels):
    path = classifier(tmp_path / "count", labels)
    (subject,) = open_subjects([parse_spec(str(path))], LoadOptions(device="cpu"))
    with pytest.raises(
        SubjectError, match=rf"config\.json asks for \(its id2label names {len(labels)} labels"
    ) as caught:
        subject.model  # noqa: B018
    assert "\n" not in str(caught.value)


def test_an_instrument_with_a_gap_is_refused(tmp_path):
    from fmaudit.instruments import open_instrument

    path = classifier(tmp_path / "gap", {"0": "no", "2": "yes"})
    with pytest.raises(
        SubjectError, match=r"instrument detoxify: gap: id2label in config\.json names no label 1"
    ):
        open_instrument(f"detoxify:{path}#yes")
