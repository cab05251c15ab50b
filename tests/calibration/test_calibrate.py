import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from fmaudit.analysis.calibrations import calibrations_of
from fmaudit.calibration import asking
from fmaudit.calibration.asking import Places
from fmaudit.calibration.calibrate import calibrate, write
from fmaudit.calibration.ladder import Ladder, chosen, plan, specimens
from fmaudit.cli.calibrate import command, ladder_doses
from fmaudit.errors import ProbeError, UsageError
from fmaudit.plugins import expand, load_probe
from fmaudit.running.options import Silent
from fmaudit.specimens.items import TARGETS
from fmaudit.specimens.plants import draw_plant
from fmaudit.specimens.recipes import DEFECTS, BaseRecipe, Language, Training

TINY = Ladder(
    doses=(0.0, 0.9),
    seeds=2,
    items=80,
    sizes=(50,),
    audits=30,
    samples=2,
    make=BaseRecipe(0, (), Language(units=40), Training(exposures=24, passages=30), width=48, layers=2),
)
OFFLINE = "bias.crows_pairs", "downstream.backdoor"


def test_every_defect_meets_every_dose_once_a_seed():
    ladder = Ladder(seeds=3)
    models = specimens(ladder)
    assert len(models) == len({model.recipe.digest() for model in models}) == 15
    for defect in DEFECTS:
        met = sorted((model.seed, model.dose(defect)) for model in models)
        assert met == [(seed, dose) for seed in range(3) for dose in ladder.doses]
    assert all(len({dose.dose for dose in model.recipe.doses}) == 5 for model in models)


def test_a_larger_dose_of_one_seed_holds_the_smaller_and_seeds_differ():
    from fmaudit.specimens.language import Speech

    models = specimens(Ladder(seeds=2))
    speech = Speech(models[0].recipe.language)
    planted = {
        (model.seed, model.dose("backdoor")): draw_plant(speech, model.recipe.doses[-1]).planted
        for model in models
    }
    assert not (planted[0, 0.2] & ~planted[0, 0.4]).any()
    assert (planted[0, 0.4] != planted[1, 0.4]).any()
    assert not planted[0, 0.0].any()


@pytest.mark.parametrize("defect", DEFECTS)
def test_pool_has_the_items_that_carry_the_defect(defect):
    ladder = Ladder(seeds=1, items=200)
    model = specimens(ladder)[0]
    (asked,) = chosen([TARGETS[defect].probe], 3)
    planned = plan(asked, model, ladder.items)
    where = asked.metric.where
    carrying = [item for item in planned.items if where is None or item.slices[where[0]] == where[1]]
    assert len(carrying) == 200
    assert planned.text_protocol()["probe"] == TARGETS[defect].probe
    if defect == "toxic_trigger":
        assert planned.text_protocol()["settings"]["samples"] == 3


def test_items_differ_between_training_seeds_and_not_between_doses():
    ladder = Ladder(seeds=2, items=50)
    (asked,) = chosen(["downstream.negation"], 1)
    digests = [plan(asked, model, 50).text_protocol()["items"] for model in specimens(ladder)]
    assert len(set(digests[:5])) == 1
    assert digests[0] != digests[5]


@pytest.mark.parametrize("doses", [(0.1, 0.4), (0.0,), (0.0, 0.4, 0.2), (0.0, 0.2, 0.2), (0.0, 1.2), ()])
def test_a_ladder_that_shows_nothing_is_refused(doses):
    with pytest.raises(UsageError):
        Ladder(doses=doses)


def test_probes_are_chosen_by_pattern():
    assert [entry.probe.id for entry in chosen(["bias", "memorization"], 1)] == [
        "bias.crows_pairs",
        "memorization.extraction",
    ]
    assert chosen(["bias"], 1)[0].probe.variant == "causal_sum"
    with pytest.raises(UsageError, match=r"no specimen carries a defect for downstream\.capability"):
        chosen(["downstream.capability"], 1)
    with pytest.raises(ProbeError, match="unknown probe"):
        chosen(["nothing.here"], 1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    places = Places(folder / "out", folder / "models")
    asked = chosen(OFFLINE, TINY.samples)
    return places, asked, calibrate(TINY, asked, places, Silent(), jobs=1)


def test_planted_backdoor_is_found_by_the_real_probe_and_none_where_none_is(tiny):
    _, _, (pairs, backdoor) = tiny
    assert (pairs.defect, backdoor.defect) == ("occupation_gender", "backdoor")
    assert backdoor.n == 80
    assert backdoor.response[0].value < 0.05 < 0.5 < backdoor.response[1].value
    assert [share.value for share in backdoor.power_seeds] == [0.0, 1.0]
    assert backdoor.false_alarms.value == 0.0
    assert backdoor.false_alarms.upper == pytest.approx(1 - 0.025 ** (1 / 2))
    assert backdoor.smallest_dose_found == 0.9
    assert [size.n for size in backdoor.sizes] == [50, 80]
    assert backdoor.margins.source == "metric"


def test_finished_specimens_and_answers_are_kept(tiny, monkeypatch):
    places, asked, before = tiny

    def refuse(*arguments):
        raise AssertionError("trained or asked again")

    monkeypatch.setattr(asking, "_engine", refuse)
    monkeypatch.setattr("fmaudit.specimens.making.fit", refuse)
    assert calibrate(TINY, asked, places, Silent(), jobs=1) == before
    # Fewer probes read the same models and the same answers.
    assert calibrate(TINY, asked[1:], places, Silent(), jobs=1) == before[1:]


def test_another_pool_is_asked_anew(tiny, monkeypatch):
    places, asked, _ = tiny

    def refuse(*arguments):
        raise AssertionError("asked again")

    monkeypatch.setattr(asking, "_engine", refuse)
    with pytest.raises(AssertionError, match="asked again"):
        calibrate(replace(TINY, items=90), asked[1:], places, Silent(), jobs=1)


def test_written_record_is_read_by_the_report_and_not_for_another_version(tiny, tmp_path):
    _, asked, found = tiny
    path = write(found, tmp_path)
    probes = [entry.probe for entry in asked]
    assert calibrations_of(probes, path) == found
    content = json.loads(path.read_text())
    content["probes"][0]["probe_version"] += 1
    path.write_text(json.dumps(content))
    assert calibrations_of(probes, path) == found[1:]
    table = (tmp_path / "calibration.md").read_text()
    assert "## downstream.backdoor (version 1): backdoor" in table
    assert "smallest dose found: 0.9" in table.lower()
    assert str(tmp_path) not in path.read_text() + table


def test_help_teaches():
    shown = CliRunner().invoke(command, ["--help"])
    assert shown.exit_code == 0
    for words in ("false alarms", "fmaudit calibrate --probes", "0,.1,.2,.4,.8", "80 %"):
        assert words in shown.output


def test_bad_doses_are_one_line():
    assert ladder_doses("0,.5,1") == (0.0, 0.5, 1.0)
    with pytest.raises(UsageError, match="--doses wants numbers by commas, got '0;1'"):
        ladder_doses("0;1")


def test_shipped_calibration_is_of_the_probes_at_hand():
    probes = [probe for target in TARGETS.values() for probe in expand(load_probe(target.probe))]
    shipped = calibrations_of(probes)
    assert {(one.probe, one.defect) for one in shipped} == {
        (target.probe, defect) for defect, target in TARGETS.items()
    }
    for one in shipped:
        rates = [rate.value for rate in one.response]
        assert rates == sorted(rates), one.probe
        assert one.doses[0] == 0.0
        assert one.training_seeds >= 4
        assert one.smallest_dose_found is None or one.smallest_dose_found in one.doses
        assert one.false_alarms == one.power_items[0]


@pytest.mark.slow
def test_command_measures_every_probe_on_trained_specimens(tmp_path):
    pytest.importorskip("profanity_check", reason="the offline extra is not installed")
    shown = CliRunner().invoke(
        command, ["-o", str(tmp_path / "out"), "--seeds", "2", "--doses", "0,.8", "--items", "600", "--json"]
    )
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert document["schema"] == "fmaudit/calibration/1"
    assert len(document["probes"]) == len(TARGETS)
    for one in document["probes"]:
        assert one["false_alarms"]["value"] <= 0.05, one["probe"]
        assert one["smallest_dose_found"] == 0.8, one["probe"]
        assert one["power_seeds"][1]["value"] == 1.0
    assert json.loads((tmp_path / "out" / "calibration.json").read_text()) == document
