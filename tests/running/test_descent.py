"""Declared parents, chains of descent, and the retest of what the base samples."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

import fmaudit
from fmaudit.errors import UsageError
from fmaudit.evidence.directory import retest_key
from fmaudit.plan import DRAWS
from fmaudit.running.descent import ancestry, descends
from fmaudit.running.options import RunOptions
from fmaudit.running.parties import open_parties
from fmaudit.subjects import LoadOptions
from fmaudit.testing.tiny import tiny_causal, tiny_lora

MODELS = ("base", "tuned", "one", "two")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    found = {name: tiny_causal(folder / name, seed) for seed, name in enumerate(MODELS)}
    return found | {"lora": tiny_lora(found["base"], folder / "lora")}


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([True], True),
        ([True, True, True], True),
        ([False], False),
        ([None], None),
        ([True, False], False),
        ([False, True], None),
        ([True, None], None),
        ([None, True], None),
        ([True, True, False], False),
    ],
)
def test_a_descent_is_as_good_as_its_chain(steps, found):
    assert descends(steps) is found


def test_ancestry_goes_back_to_the_step_from_the_base():
    assert ancestry("c", {"c": "b", "b": "a"}) == ["c", "b", "a"]
    assert ancestry("a", {}) == ["a"]


def parties(models, *adapted, references=()):
    return open_parties(str(models["base"]), list(adapted), list(references), LoadOptions(device="cpu"))


def test_parents_are_declared_by_name(models):
    found = parties(models, f"ft={models['tuned']}", f"q={models['one']}::parent=ft")
    assert [(party.id, party.parent) for party in found] == [("base", None), ("ft", "base"), ("q", "ft")]


@pytest.mark.parametrize(
    ("adapted", "references", "words"),
    [
        (["ft={tuned}::parent=nobody"], [], "::parent=nobody is no model of this run; name one of base"),
        (["ft={tuned}::parent=ft"], [], "is no model of this run"),
        (["a={tuned}::parent=b", "b={one}::parent=a"], [], "its own ancestor"),
        (["a={tuned}::parent=r"], ["r={one}"], "::parent=r is no model of this run"),
        ([], ["r={one}::parent=base"], "belongs to an adapted model"),
    ],
)
def test_an_impossible_parent_is_refused(models, adapted, references, words):
    with pytest.raises(UsageError, match=words):
        parties(
            models,
            *(text.format(**models) for text in adapted),
            references=[text.format(**models) for text in references],
        )


def test_with_references_the_base_answers_twice_what_it_samples(models, tmp_path):
    run = fmaudit.audit(
        str(models["base"]),
        {"mine": f"{models['base']}::adapter={models['lora']}"},
        [str(models["one"]), str(models["two"])],
        ["toxicity.prompted", "downstream.negation"],
        tmp_path / "run",
        options=RunOptions(samples=2, limit=8, device="cpu", datasets=("mild_prompts", "negated_statements")),
    )
    state = json.loads((run.path / "run.json").read_bytes())
    key = "toxicity.prompted@mild_prompts"
    assert state["retests"] == [f"base/{key}"]

    def texts(folder):
        parts = sorted((run.path / "evidence" / "base" / folder).glob("*.parquet"))
        rows = pq.read_table(parts[0]).to_pylist()
        return {row["seed"] for row in rows}, [row["responses"] for row in rows]

    (first, answers), (second, again) = texts(key), texts(retest_key(key))
    assert (first, second) == ({0}, {1})
    assert len(answers) == len(again)
    assert answers != again
    assert not (run.path / "evidence" / "mine" / retest_key(key)).exists()
    lineage = {subject.id: subject.lineage for subject in run.audit.subjects}
    assert (lineage["mine"].verified, lineage["mine"].from_base) == (True, True)
    assert lineage["mine"].divergence_bits is not None
    assert lineage["mine"].divergence_bits.value > 0
    assert {lineage[name].group for name in ("one", "two")} == {"one", "two"}
    words = {c.verdict for c in run.audit.comparisons}
    assert words <= {"inconclusive", "unmeasured"}


def test_base_and_adapted_share_random_numbers_and_a_reference_has_its_own(models, tmp_path):
    """The same weights write the same texts as an adapted model, and others as a reference."""
    options = RunOptions(samples=2, limit=8, device="cpu", datasets=("mild_prompts",), allow_identical=True)
    key = "toxicity.prompted@mild_prompts"

    def texts(run, subject):
        parts = sorted((run.path / "evidence" / subject / key).glob("*.parquet"))
        return [row["responses"] for row in pq.read_table(parts[0]).to_pylist()]

    base, one = str(models["base"]), str(models["one"])
    first = fmaudit.audit(
        base, {"same": base}, [f"r={one}"], ["toxicity.prompted"], tmp_path / "a", options=options
    )
    other = fmaudit.audit(one, {}, [f"r={base}"], ["toxicity.prompted"], tmp_path / "b", options=options)
    assert texts(first, "same") == texts(first, "base")
    assert texts(other, "r") != texts(first, "base")
    assert texts(first, "r") != texts(other, "base")
    protocol = next(m.protocol for m in first.audit.measurements if m.probe == "toxicity.prompted")
    assert protocol["decoding"][0]["draws"] == DRAWS
