"""Other kinds of model end to end, and CrowS-Pairs on a real language model against known figures."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from fmaudit.demo.smollm import find_smollm
from fmaudit.errors import UsageError

PCT_STEREOTYPE, MEAN_ABS_MARGIN = 0.5557, 4.6007
POSITIVES = sum(number % 7 < 3 for number in range(120))
GROUP_METRICS = ("error_rate", "tpr", "fpr", "selection_rate", "tpr_gap", "fpr_gap", "selection_gap")
CAUSAL_PROBES = ("bias.occupations", "memorization.extraction", "toxicity.prompted")


def read_audit(run):
    return json.loads((run / "audit.json").read_text(encoding="utf-8"))


def estimates_of(audit, probe, subject="base", **measured):
    """Overall estimates of a probe's only measurement with these fields, by metric."""
    (measurement,) = (
        entry["id"]
        for entry in audit["measurements"]
        if entry["probe"] == probe
        and entry["subject"] == subject
        and all(entry[name] == value for name, value in measured.items())
    )
    return {
        estimate["metric"].partition("/")[2]: estimate
        for estimate in audit["estimates"]
        if estimate["measurement"] == measurement and not estimate["slice"]
    }


@pytest.fixture
def labelled_texts(tmp_path):
    """120 texts, two groups, both labels in each."""
    path = tmp_path / "texts.csv"
    people, deeds = ("nurse", "engineer", "doctor"), ("reads", "walked", "makes tea", "sleep", "work")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "group"])
        for number in range(120):
            text = f"The {people[number % 3]} {deeds[number % 5]} {number} times."
            writer.writerow([text, "yes" if number % 7 < 3 else "no", "north" if number % 2 else "south"])
    return path


def test_classifier(fmaudit, models, labelled_texts, tmp_path):
    run = tmp_path / "run"
    outcome = fmaudit("run", models / "classifier", "--data", f"group_labels={labelled_texts}", "-o", run)
    assert outcome.code == 0, outcome.err
    audit = read_audit(run)
    assert audit["subjects"][0]["kind"] == "classifier"
    found = estimates_of(audit, "downstream.group_fairness")
    assert set(GROUP_METRICS) <= set(found)
    for metric in GROUP_METRICS:
        number = found[metric]
        assert number["state"] == "measured", metric
        # Rates among positives and among negatives have these alone in their denominator.
        asked = {"tpr": POSITIVES, "fpr": 120 - POSITIVES}.get(metric.removesuffix("_gap"), 120)
        assert number["n"] == asked, metric
        assert 0 <= number["lower"] <= number["value"] <= number["upper"] <= 1, metric
    by_group = {
        estimate["slice"]["group"]: estimate["value"]
        for estimate in audit["estimates"]
        if estimate["metric"] == "downstream.group_fairness/tpr" and estimate["slice"]
    }
    assert set(by_group) == {"north", "south"}
    assert found["tpr_gap"]["value"] == pytest.approx(abs(by_group["north"] - by_group["south"]), abs=1e-12)
    states = {entry["probe"]: (entry["state"], entry["reason"]) for entry in audit["measurements"]}
    for probe in CAUSAL_PROBES:
        state, reason = states[probe]
        assert state == "unmeasurable", probe
        assert "a classifier model answers classify" in reason
        assert not (run / "evidence" / "base" / probe).exists()
    page = (run / "report" / "report.html").read_text(encoding="utf-8")
    assert "a classifier model answers classify" in page


def test_classifier_with_a_label_it_does_not_know(fmaudit, models, labelled_texts, tmp_path):
    text = labelled_texts.read_text(encoding="utf-8").replace(",yes,north", ",maybe,north")
    labelled_texts.write_text(text, encoding="utf-8")
    run = tmp_path / "run"
    outcome = fmaudit(
        *("run", models / "classifier", "-p", "downstream.group_fairness"),
        *("--data", f"group_labels={labelled_texts}", "-o", run),
    )
    assert outcome.code == 0, outcome.err
    number = estimates_of(read_audit(run), "downstream.group_fairness")["error_rate"]
    unknown = text.count(",maybe,")
    assert unknown > 0
    assert number["coverage"] == pytest.approx(1 - unknown / 120)
    assert "'maybe' is none of the classifier's" in outcome.err


def test_masked_model(fmaudit, models, tmp_path):
    run = tmp_path / "run"
    outcome = fmaudit("run", models / "masked", "-p", "bias.crows_pairs", "-L", "40", "-o", run)
    assert outcome.code == 0, outcome.err
    audit = read_audit(run)
    crows = [entry for entry in audit["measurements"] if entry["probe"] == "bias.crows_pairs"]
    assert {entry["variant"]: entry["state"] for entry in crows} == {
        "nangia_pll": "measured",
        "pll_word_l2r": "measured",
    }
    assert {entry["dataset"]["id"] for entry in crows} == {"minimal_pairs"}
    margins = []
    for variant in ("nangia_pll", "pll_word_l2r"):
        found = estimates_of(audit, "bias.crows_pairs", variant=variant)
        assert found["pct_stereotype"]["n"] == 40
        assert found["pct_stereotype"]["coverage"] == 1.0
        assert 0 < found["pct_stereotype"]["value"] < 1
        margins.append(found["mean_abs_margin"]["value"])
    # Nangia's score leaves out the tokens that differ, the other counts them: they cannot agree.
    assert abs(margins[0] - margins[1]) > 0.1


@pytest.mark.slow
def test_crows_pairs_of_smollm(fmaudit, tmp_path):
    folder = os.environ.get("FMAUDIT_DATA")
    if not folder:
        pytest.skip("FMAUDIT_DATA names no folder with crows_pairs/crows_pairs_anonymized.csv")
    pairs = Path(folder) / "crows_pairs" / "crows_pairs_anonymized.csv"
    if not pairs.is_file():
        pytest.skip(f"no {pairs.name} under FMAUDIT_DATA")
    try:
        model = find_smollm()
    except UsageError as missing:
        pytest.skip(str(missing))
    run = tmp_path / "run"
    outcome = fmaudit(
        *("run", model, "-p", "bias.crows_pairs", "--dtype", "float32"),
        *("--data", f"crows_pairs={pairs}", "-o", run),
    )
    assert outcome.code == 0, outcome.err
    audit = read_audit(run)
    (measurement,) = (
        entry
        for entry in audit["measurements"]
        if entry["probe"] == "bias.crows_pairs" and entry["dataset"]["id"] == "crows_pairs"
    )
    assert measurement["dataset"]["pinned"]
    assert measurement["dataset"]["n_asked"] == 1508
    found = estimates_of(audit, "bias.crows_pairs", id=measurement["id"])
    assert found["pct_stereotype"]["coverage"] == 1.0
    assert found["pct_stereotype"]["value"] == pytest.approx(PCT_STEREOTYPE, abs=0.0007)
    assert found["mean_abs_margin"]["value"] == pytest.approx(MEAN_ABS_MARGIN, abs=0.005)
