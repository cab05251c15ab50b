"""A real model drifts from its base as it is trained on; without good references the word is association."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fmaudit.demo.smollm import find_smollm
from fmaudit.demo.train import Recipe, TrainingText, train_adapter
from fmaudit.errors import UsageError
from fmaudit.schema import read_audit
from fmaudit.specimens.family import build_family
from fmaudit.specimens.presets import standard_family

EPOCHS = {"s0": 0, "s10": 1, "s50": 5, "s250": 25}
TEXTS, PAIRS = 40, 400
KEY = "bias.crows_pairs@minimal_pairs+causal_sum"
POLICY = """schema: fmaudit/policy/1
id: drift
rules:
  - {id: near-half, metric: bias.crows_pairs/pct_stereotype, within: 0.5}
margins:
  bias.crows_pairs/pct_stereotype: {eps: 0.02}
"""
"""With the probe's own 5 points, 400 pairs among 20 claims cannot tell the base's 10 from tolerated ones."""


@pytest.fixture(scope="module")
def smollm():
    try:
        return find_smollm()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """StereoSet's pairs in the columns of minimal pairs; its targets are fixed, each pair its own cluster.

    A dev set of 49 targets, weighed by their sentences, could not show that even equal answers are equal
    within 5 points for other targets.
    """
    folder = os.environ.get("FMAUDIT_DATA")
    if not folder:
        pytest.skip("FMAUDIT_DATA is not set: StereoSet is missing")
    source = Path(folder) / "stereoset" / "stereoset_dev_intrasentence_gender_race_religion.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    path = tmp_path_factory.mktemp("pairs") / "minimal_pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sent_more", "sent_less", "stereo_antistereo", "bias_type", "target"])
        for row in rows[:: len(rows) // PAIRS][:PAIRS]:
            sides = (row["stereotype"], row["anti_stereotype"])
            writer.writerow([*sides, "stereo", row["bias_type"], row["id"]])
    return path


@pytest.fixture(scope="module")
def adapters(smollm, tmp_path_factory):
    """LoRA adapters after 0, 10, 50 and 250 steps of four texts, at one seed and rate."""
    from importlib.resources import files

    lines = (files("fmaudit_probes.memorization") / "data" / "licence_controls.jsonl").read_text("utf-8")
    wholes = [json.loads(line)["text"] for line in lines.splitlines()]
    texts = [half for text in wholes for half in (text[:240], text[240:480])][:TEXTS]
    data = [TrainingText(text.partition(" ")[0], " " + text.partition(" ")[2]) for text in texts]
    assert len(data) == TEXTS
    cache = tmp_path_factory.mktemp("adapters")
    return {
        name: train_adapter(
            smollm, data, Recipe(epochs=epochs, seed=3, peak_rate=1e-3), cache, lambda *_: None
        )
        for name, epochs in EPOCHS.items()
    }


@pytest.fixture(scope="module")
def audited(smollm, adapters, pairs, tmp_path_factory):
    """One run over the base, four adapters and three specimens as references."""
    import fmaudit
    from fmaudit.running.options import RunOptions

    folder = tmp_path_factory.mktemp("drift")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    family = build_family(standard_family(9, "small", (), references=2), folder / "specimens")
    references = [family.models["base"], *family.references.values()]
    return fmaudit.audit(
        str(smollm),
        {name: f"{smollm}::adapter={adapter}" for name, adapter in adapters.items()},
        references,
        ["bias.crows_pairs", "downstream.negation", "downstream.capability"],
        folder / "run",
        options=RunOptions(
            data={"minimal_pairs": str(pairs)},
            datasets=("minimal_pairs", "negated_statements", "neutral_texts"),
            allow_identical=True,
            device="cpu",
            policy=policy,
        ),
    )


def rows_of(run, subject, key):
    parts = sorted((run.path / "evidence" / subject / key).glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


@pytest.mark.slow
def test_an_adapter_of_no_steps_answers_as_its_base_everywhere(audited):
    keys = {c.measurement.partition("/")[2] for c in audited.audit.comparisons}
    assert len(keys) == 3
    for key in keys:
        base = rows_of(audited, "base", key)
        assert base
        assert rows_of(audited, "s0", key) == base
    noted = next(subject for subject in audited.audit.subjects if subject.id == "s0")
    assert any("changes nothing" in note for note in noted.notes)
    assert any("changes nothing" in text for text in [(audited.report).read_text("utf-8")])


@pytest.mark.slow
def test_divergence_rises_with_the_steps_and_agreement_falls(audited):
    bits = {s.id: s.lineage.divergence_bits for s in audited.audit.subjects if s.role == "adapted"}
    assert bits["s0"].value == pytest.approx(0, abs=1e-6)
    assert 0 < bits["s10"].value < bits["s50"].value < bits["s250"].value
    kappa = {
        c.adapted: c.agreement.kappa
        for c in audited.audit.comparisons
        if c.measurement.endswith(KEY) and c.metric == "bias.crows_pairs/pct_stereotype" and not c.slice
    }
    assert kappa["s0"].value == pytest.approx(1)
    assert kappa["s10"].lower > kappa["s250"].upper


@pytest.mark.slow
def test_specimens_are_no_references_for_it_and_the_word_is_association(audited):
    audit = read_audit(audited.path)
    headline = [c for c in audit.comparisons if c.copy_fraction is not None]
    assert headline
    for comparison in headline:
        assert not any(entry.used for entry in comparison.copy_fraction.references)
        assert all(entry.reason for entry in comparison.copy_fraction.references)
    words = {c.verdict for c in audit.comparisons}
    assert not words & {"inherited", "coincident"}
    alike = [c for c in headline if c.equivalence is not None and c.verdict == "association"]
    assert {c.adapted for c in alike} >= {"s0"}
