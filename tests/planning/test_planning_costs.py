"""What a plan counts against what the same run then asks, on tiny models."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fmaudit.planning.costs import RunCosts, run_costs
from fmaudit.planning.costs_text import cost_lines, duration
from fmaudit.planning.loading import loads_by_home
from fmaudit.running.choices import planned_measurements
from fmaudit.running.options import RunOptions, Silent, token_budget_of
from fmaudit.running.parties import open_parties
from fmaudit.subjects import LoadOptions

PROBES = ("bias.crows_pairs", "bias.occupations", "toxicity.prompted")
OPTIONS = RunOptions(probes=PROBES, limit=70, samples=2, device="cpu")


class Listening(Silent):
    """Keeps how many requests each stretch of a run asked."""

    def __init__(self):
        self.asked = {}

    def start(self, label, total):
        self.asked[label] = total


def costs_of(arguments, options=OPTIONS, timing_seconds=None):
    load = LoadOptions(device="cpu")
    return run_costs(
        open_parties(*arguments, load),
        planned_measurements(options),
        options,
        load,
        options.token_budget or token_budget_of("cpu"),
        timing_seconds=timing_seconds,
        say=lambda _: None,
    )


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """A base, an adapter on it and an unrelated reference."""
    from fmaudit.testing.tiny import tiny_causal, tiny_lora

    root = tmp_path_factory.mktemp("models")
    base, other = tiny_causal(root / "base"), tiny_causal(root / "other", seed=5)
    tiny_lora(base, root / "lora")
    return str(base), [f"tuned={base}::adapter={root / 'lora'}"], [f"other={other}"]


@pytest.fixture(scope="module")
def run(arguments, tmp_path_factory):
    """The run itself: its state, the requests by stretch of work, the models that were loaded."""
    from fmaudit.running.execute import execute
    from fmaudit.subjects import subject

    loaded, genuine, listening = Counter(), subject.load_model, Listening()

    def counting(files, options):
        loaded[files.root.name] += 1
        return genuine(files, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "load_model", counting)
        directory, failures = execute(*arguments, tmp_path_factory.mktemp("run"), OPTIONS, listening)
    assert not failures
    state = json.loads((directory.path / "run.json").read_text(encoding="utf-8"))
    return SimpleNamespace(state=state, asked=listening.asked, loaded=loaded)


@pytest.fixture(scope="module")
def costs(arguments):
    return costs_of(arguments)


@pytest.fixture(scope="module")
def timed(arguments):
    return costs_of(arguments, timing_seconds=1.0)


def test_the_run_asks_the_requests_that_were_counted(run, costs):
    asked = defaultdict(int)
    for label, total in run.asked.items():
        subject, _, key = label.partition("  ")
        if key:
            asked[subject, key.removesuffix(" (retest)")] += total
    assert {(one.subject, one.key): sum(one.requests.values()) for one in costs.measurements} == dict(asked)


def test_what_is_sampled_counts_twice_for_a_parent_beside_references(costs):
    generating = {one.subject: one for one in costs.measurements if one.key.startswith("toxicity")}
    assert generating["base"].requests["generate"] == 2 * generating["tuned"].requests["generate"]
    assert generating["base"].tokens_generated == 2 * generating["tuned"].tokens_generated
    scoring = {one.subject: one for one in costs.measurements if one.key.startswith("bias.crows")}
    assert scoring["base"].requests == scoring["tuned"].requests


def test_models_are_loaded_as_often_as_was_counted(run, arguments):
    parties = open_parties(*arguments, LoadOptions(device="cpu"))
    counted = loads_by_home(parties, {"base": "base", "tuned": "base", "other": "other"})
    assert dict(counted) == dict(run.loaded)


def test_the_run_makes_the_batches_that_were_planned(run, arguments):
    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine
    from fmaudit.planning.outline import outline
    from fmaudit.planning.workload import workload
    from fmaudit.subjects.subject import context_length

    load = LoadOptions(device="cpu")
    party = open_parties(*arguments, load)[0]
    found = outline(party.subject, load)
    engine = TransformersEngine(
        found.model,
        party.subject.tokenizer,
        "causal",
        "meta",
        EngineSettings(token_budget_of("cpu")),
        context_length(found.config, party.subject.tokenizer),
    )
    made = {
        entry["key"]: sum(block["batches"] for block in entry["batches"])
        for entry in run.state["measurements"]
        if entry["subject"] == "base" and entry["state"] == "measured"
    }
    entries = {entry.key: entry for entry in planned_measurements(OPTIONS)}
    assert {key: len(workload(engine, entries[key]).batches) for key in made} == made


def test_without_timing_no_time_is_said(costs):
    assert costs.seconds is None
    assert costs.seconds_range is None
    assert {one.seconds for one in costs.measurements} == {None}
    assert "Time: not measured." in "\n".join(cost_lines(costs, 100))


def test_a_timed_plan_adds_up(timed):
    parts = [one.seconds for one in timed.measurements] + [one.loading_seconds for one in timed.subjects]
    assert timed.seconds == pytest.approx(sum(parts) + sum(seconds for _, seconds in timed.steps))
    assert {name for name, _ in timed.steps} == {"start", "hashing", "lineage", "intervals and report"}
    low, high = timed.seconds_range
    assert low < timed.seconds < high


def test_an_adapter_on_the_base_is_not_loaded_again(timed):
    loading = {one.subject: one.loading_seconds for one in timed.subjects}
    assert loading["tuned"] == 0
    assert loading["base"] > 0
    assert loading["other"] > 0


def test_weights_are_never_loaded(arguments, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("fmaudit.subjects.subject.load_model", refuse)
    costs_of(arguments, replace(OPTIONS, limit=5), timing_seconds=0.1)


def test_a_model_that_cannot_be_laid_out_leaves_the_time_unknown(arguments, tmp_path):
    import shutil

    broken = shutil.copytree(arguments[0], tmp_path / "odd")
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "unheard_of"}), encoding="utf-8")
    found = costs_of((str(broken), [], []), timing_seconds=0.1)
    assert found.seconds is None
    assert "cannot be laid out" in found.subjects[0].note
    assert found.measurements
    assert "WARNING" in "\n".join(cost_lines(found, 100))


def test_other_kinds_of_model_are_counted_and_timed(tmp_path):
    from fmaudit.testing.tiny import tiny_masked

    options = RunOptions(probes=("bias.crows_pairs",), limit=6, device="cpu")
    found = costs_of((str(tiny_masked(tmp_path / "masked")), [], []), options, timing_seconds=0.1)
    assert all(set(one.requests) == {"fill"} for one in found.measurements)
    assert found.seconds > 0


def test_text_and_plain_data_say_the_same(timed):
    plain = json.loads(json.dumps(timed.plain()))
    assert plain["seconds_range"] == list(timed.seconds_range)
    assert len(plain["measurements"]) == len(timed.measurements)
    text = "\n".join(cost_lines(timed, 100))
    assert f"{sum(one.items for one in timed.measurements):,} items" in text
    assert max(map(len, text.splitlines())) <= 100


def test_too_little_memory_is_a_warning(timed):
    assert isinstance(timed, RunCosts)
    assert "does not fit" in "\n".join(cost_lines(replace(timed, memory_free=1000), 100))
    assert "does not fit" not in "\n".join(cost_lines(replace(timed, memory_free=1 << 50), 100))


@pytest.mark.parametrize(
    ("seconds", "said"), [(1.26, "1.3 s"), (59.7, "1 min 00 s"), (75, "1 min 15 s"), (7260, "2 h 01 min")]
)
def test_durations_are_said_as_a_person_would(seconds, said):
    assert duration(seconds) == said
