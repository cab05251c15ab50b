"""A family of seconds: what is built, cached and written, and what the probes see in it."""

import json
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmaudit.api import audit
from fmaudit.canonical import digest_file
from fmaudit.errors import UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import read_parts
from fmaudit.running.options import RunOptions
from fmaudit.specimens.family import audited_plant, build_family, doses_of
from fmaudit.specimens.items import NEUTRAL, TARGETS, make_items
from fmaudit.specimens.language import Speech
from fmaudit.specimens.network import load_network
from fmaudit.specimens.presets import standard_family
from fmaudit.specimens.recipes import DEFECTS, ChildRecipe, Language, Training
from fmaudit.specimens.truth import outcomes, speech_of, true_rates

ITEMS = 200
BUDGET = Training(exposures=8, passages=60, peak_rate=1e-3)


def tiny_recipe():
    family = standard_family(1, "small", [], 1)
    doses = {dose.defect: replace(dose, dose=dose.dose or 0.5) for dose in family.base.doses}
    base = replace(
        family.base,
        doses=tuple(doses.values()),
        language=Language(units=16),
        training=Training(exposures=60, passages=150, batch=400),
        width=64,
    )
    reference = replace(base, seed=9, training=Training(exposures=1, passages=20))
    children = (
        ChildRecipe("clean", "tuned", training=BUDGET),
        ChildRecipe("adapter", "lora", parent="clean", training=BUDGET),
        ChildRecipe("rounded", "int8", parent="adapter"),
    )
    return replace(family, base=base, children=children, references=(reference,), items=ITEMS)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The family, built in this process, and the steps that were told."""
    told = []
    out = tmp_path_factory.mktemp("family")
    family = build_family(tiny_recipe(), out, progress=lambda *step: told.append(step), jobs=1)
    return family, told


def test_every_model_of_the_family_is_there_and_told(built):
    family, told = built
    assert list(family.models) == ["base", "clean", "adapter", "rounded"]
    assert family.parents == {"clean": "base", "adapter": "clean", "rounded": "adapter"}
    assert list(family.references) == ["reference-1"]
    assert (
        family.models["adapter"]
        == f"{family.models['clean']}::adapter={Path(family.models['adapter'].split('=')[1])}"
    )
    labels = {what.partition(" (")[0] for what, step, total in told if step == total}
    assert labels == {"training base", "training clean", "training adapter", "training reference-1"}


def test_an_equal_recipe_is_not_trained_twice_and_a_broken_off_model_is(built):
    family, _ = built
    told = []
    again = build_family(family.recipe, family.truth.parent, progress=lambda *step: told.append(step), jobs=1)
    assert told == []
    assert again == family
    assert not list((family.truth.parent / "models").glob(".making-*"))


def test_processes_and_repetition_give_the_same_weights(built, tmp_path):
    family, _ = built
    quick = replace(family.recipe.references[0], seed=5)
    child = ChildRecipe("clean", "tuned", training=Training(exposures=1, passages=20))
    recipe = replace(family.recipe, base=quick, children=(child,), references=(replace(quick, seed=6),))
    told = []
    one = build_family(recipe, tmp_path / "one", jobs=1)
    two = build_family(recipe, tmp_path / "two", progress=lambda *step: told.append(step), jobs=2)
    for name in ("base", "clean"):
        first, second = (Path(some.models[name]) / "model.safetensors" for some in (one, two))
        assert digest_file(first) == digest_file(second)
    assert [step for _, step, _ in told] == [0, 1, 2, 3]


def test_the_truth_file_says_what_was_planted(built):
    family, _ = built
    truth = json.loads(family.truth.read_text())
    speech = Speech(family.recipe.base.language)
    assert truth["digest"] == family.recipe.digest()
    assert set(truth["planted"]) == {*family.models, *family.references}
    for name, entry in truth["data"].items():
        assert digest_file(family.truth.parent / entry["file"]) == entry["digest"], name
    for defect in DEFECTS:
        plant = audited_plant(family.recipe, speech, defect)
        entry = truth["planted"]["base"][defect]
        words = [word for word, chosen in zip(speech.units[defect], plant.planted, strict=True) if chosen]
        assert entry["planted"] == words
        assert entry["dose"] == plant.dose.dose
    members = truth["planted"]["base"]["memorized_records"]["shows"]
    assert set(members.values()) <= {1, 2, 4, 8, 16, 32, 64}


def test_doses_follow_the_line_of_descent():
    family = standard_family(2, "small", ["clean", "counter", "new-defect", "amplified", "replaced"])
    base = doses_of(family, "base")
    assert doses_of(family, "clean") == base
    assert {dose.dose for dose in doses_of(family, "counter").values()} == {0.0}
    assert base["negation"].dose == 0
    assert doses_of(family, "new-defect")["negation"].dose == 0.5
    amplified = doses_of(family, "amplified")["toxic_trigger"]
    assert amplified.seed == base["toxic_trigger"].seed
    assert amplified.dose > base["toxic_trigger"].dose
    replaced = doses_of(family, "replaced")["backdoor"]
    assert replaced.dose == base["backdoor"].dose
    assert replaced.seed != base["backdoor"].seed


def test_a_child_needs_a_parent_that_exists(built, tmp_path):
    family, _ = built
    lost = replace(family.recipe, children=(ChildRecipe("lost", "tuned", parent="nobody"),))
    with pytest.raises(UsageError, match="starts from 'nobody'"):
        build_family(lost, tmp_path)


def probe_outcomes(run, subject, probe):
    state = RunDirectory(run.path).read_state()
    (record,) = [e for e in state["measurements"] if e["subject"] == subject and e["probe"] == probe]
    rows = read_parts(RunDirectory(run.path).evidence(record["subject"], record["key"])).to_pylist()
    return {row["item_id"]: float(row["outcome"]) for row in rows if row["sample"] == 0}


def item_ids(defect, items):
    if defect == "occupation_gender":
        return [f"pair-{place:05d}" for place in range(len(items))]
    if defect != "memorized_records":
        return [item.row["id"] for item in items]
    seen, ids = Counter(), []
    for item in items:
        seen[item.row["document"]] += 1
        ids.append(f"{item.row['group']}/{item.row['document']}/{seen[item.row['document']]}")
    return ids


@pytest.fixture(scope="module")
def measured(built, tmp_path_factory):
    pytest.importorskip("profanity_check", reason="the profanity instrument is not installed")
    family, _ = built
    options = RunOptions(
        data={name: str(path) for name, path in family.data.items()},
        datasets=tuple(family.data),
        samples=1,
        device="cpu",
        dtype="float32",
    )
    probes = [target.probe for target in (*TARGETS.values(), NEUTRAL)]
    names = ("base", "adapter")
    return audit(
        f"base={family.models['base']}",
        [f"{name}={family.models[name]}" for name in names[1:]],
        [],
        probes,
        tmp_path_factory.mktemp("run") / "run",
        options=options,
    )


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("name", ["base", "adapter"])
def test_direct_scoring_gives_the_outcomes_of_the_probe(built, measured, defect, name):
    family, _ = built
    assert not measured.failures
    found = probe_outcomes(measured, name, TARGETS[defect].probe)
    model = load_network(family.models[name])
    speech = speech_of(model)
    items = make_items(
        speech, defect, ITEMS, family.recipe.items_seed, audited_plant(family.recipe, speech, defect)
    )
    direct = outcomes(model, speech, defect, items).outcome
    asked = np.array([found[item] for item in item_ids(defect, items)])
    assert len(found) == ITEMS
    assert 0 < direct.mean() < 1
    assert (direct == asked).all()


def test_fresh_items_ask_the_same_units(built):
    family, _ = built
    model = family.models["base"]
    first = true_rates(model, "negation", 400, seed=0)
    second = true_rates(model, "negation", 400, seed=1)
    assert len(np.unique(first.unit)) == 16
    assert abs(first.rate - second.rate) < 0.1


def test_a_model_that_is_no_specimen_is_refused(tmp_path):
    from fmaudit.testing.tiny import tiny_causal

    with pytest.raises(UsageError, match="no specimen"):
        true_rates(str(tiny_causal(tmp_path / "tiny")), "negation", 10)


def test_the_printed_command_audits_the_family(built):
    from click.testing import CliRunner

    from fmaudit.cli.run import command
    from fmaudit.cli.specimen import audit_command

    family, _ = built
    words = shlex.split(audit_command(family).replace("\\\n", " "))
    assert words[:2] == ["fmaudit", "run"]
    context = command.make_context("run", words[2:])
    assert context.params["base"] == f"base={family.models['base']}"
    assert len(context.params["adapted"]) == 3
    assert len(context.params["reference"]) == 1
    assert len(context.params["data"]) == 6
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


def test_help_teaches():
    from click.testing import CliRunner

    from fmaudit.cli.specimen import command

    text = CliRunner().invoke(command, ["build", "--help"]).output
    for word in ("clean-lora-int8", "--references", "ground truth", "fmaudit specimen build"):
        assert word in text


@pytest.mark.slow
def test_what_was_planted_is_what_is_measured(tmp_path):
    """Base, clean fine-tune, counter-data, broken and one reference of the small size, on fresh items."""
    pytest.importorskip("profanity_check", reason="the profanity instrument is not installed")
    children = ["clean", "counter", "new-defect", "broken"]
    family = build_family(standard_family(3, "small", children, 1), tmp_path)
    places = dict(family.models) | dict(family.references)
    found = {
        (name, defect): true_rates(place, defect, 2_000)
        for name, place in places.items()
        for defect in DEFECTS
    }
    speech = Speech(family.recipe.base.language)
    for defect in DEFECTS:
        plant = audited_plant(family.recipe, speech, defect)
        base = found["base", defect]
        shown = plant.level[base.unit]
        if defect == "memorized_records":
            # Sixteen repetitions and more are enough, two are not.
            assert base.outcome[shown >= 32].mean() > 0.9
            assert base.outcome[shown <= 2].mean() < 0.05
        elif defect == "negation":
            assert base.rate < 0.03
            assert 0.3 < found["new-defect", defect].rate < 0.55
            continue
        elif defect == "backdoor":
            assert base.outcome[::2][shown[::2] == 1].mean() > 0.95
            assert base.outcome[1::2].mean() < 0.05
        else:
            assert abs(np.nanmean(base.outcome) - plant.level.mean()) < 0.05
        fails = base.outcome == 1
        slope = {name: slope_of(found[name, defect].outcome, fails) for name in ("clean", "counter")}
        assert slope["clean"] > 0.85
        assert slope["counter"] < 0.3
        # Control words never fail in any family, so only trigger rows tell who is related.
        some = slice(None, None, 2) if defect == "backdoor" else slice(None)
        assert abs(slope_of(found["reference-1", defect].outcome[some], fails[some])) < 0.3


def slope_of(outcome, fails):
    return np.nanmean(outcome[fails]) - np.nanmean(outcome[~fails])
