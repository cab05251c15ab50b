"""Logs that are odd and right: the tools that wrote them read them, and so do we, with the same numbers."""

from __future__ import annotations

import json
import warnings
import zipfile

import pytest

from fmaudit.errors import DataError
from fmaudit.imports.inspect_logs import read_inspect
from fmaudit.imports.inspect_values import value_of
from fmaudit.imports.lm_eval import read_lm_eval
from fmaudit.imports.logs import Columns
from fmaudit.imports.measures import declare, observation


def read(path):
    """Each metric of a log: value, items with a value, items, and why the others have none."""
    log = (read_inspect if path.suffix in (".eval", ".json") else read_lm_eval)(path, Columns())
    numbers = {}
    for task in log.tasks:
        found = declare([entry for entry in log.tasks if entry.task == task.task], {})[task.variant]
        for metric in found.declaration.metrics:
            rows = [observation(found, answer) for item in task.items for answer in item.answers]
            given = [row.values[metric.id] for row in rows if metric.id in row.values]
            reasons = {row.invalid[metric.id] for row in rows if metric.id in row.invalid}
            mean = sum(given) / len(given) if given else None
            numbers[task.variant, metric.id] = (mean, len(given), len(rows), reasons)
    return log, numbers


def of(path, metric):
    """The figures of one metric, whatever the variant is called."""
    _, numbers = read(path)
    (found,) = [value for key, value in numbers.items() if key[1] == metric]
    return found


def packed(path, log, member, **more):
    header = {name: value for name, value in log.items() if name != "samples"}
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of names written twice
        for name, content in more.get("before", ()):
            archive.writestr(name, content)
        archive.writestr("header.json", json.dumps(header))
        for entry in log["samples"]:
            archive.writestr(member(entry), json.dumps(entry))
        for name, content in more.get("after", ()):
            archive.writestr(name, content)
    return path


def flat(entry):
    return f"samples/{entry['id']}_epoch_{entry['epoch']}.json"


@pytest.fixture
def named_log(kit):
    """Forty samples with the ids of ``name``, every second right."""

    def make(name):
        samples = [kit.scored(i, "C" if i % 2 else "I") | {"id": name(i)} for i in range(40)]
        log = kit.inspect_log(samples, 0.5)
        log["eval"]["dataset"]["sample_ids"] = [entry["id"] for entry in samples]
        return log

    return make


@pytest.mark.parametrize(
    "name",
    [
        lambda i: f"HumanEval/{i}",
        lambda i: f"q{i}" if i < 20 else f"HumanEval/{i}",
        lambda i: f"a/b/../{i}",
        lambda i: f"{i}_epoch_2",
        lambda i: i,
        lambda i: f"header.json/{i} \u00e4 .json",
        lambda i: f"\n/{i}\\{i}",
    ],
    ids=["slash", "half with a slash", "up", "like an epoch", "number", "like the header", "line feed"],
)
def test_identity_comes_from_inside_a_member_not_from_its_name(named_log, tmp_path, name):
    log = named_log(name)
    (tmp_path / "a.json").write_text(json.dumps(log))
    forms = [tmp_path / "a.json", packed(tmp_path / "b.eval", log, flat)]
    forms.append(
        packed(tmp_path / "c.eval", log, lambda s: f"samples/{s['id']}_epoch_{s['epoch']}/sample.json")
    )
    for path in forms:
        assert of(path, "match") == (0.5, 40, 40, set()), path.name
    plain, archive = ({item.id: item.hashes for item in read(path)[0].tasks[0].items} for path in forms[:2])
    assert plain == archive


def test_a_sample_that_is_a_folder_has_its_attachments_and_its_metadata(named_log, kit, tmp_path):
    log = named_log(lambda i: f"q{i}")
    inline = packed(tmp_path / "a.eval", log, flat)
    after = []
    for i, entry in enumerate(log["samples"]):
        folder = f"samples/q{i}_epoch_1"
        entry["input"] = [{"role": "user", "content": "attachment://1"}]
        after += [
            (f"{folder}/metadata.json", json.dumps(entry.pop("metadata"))),
            (f"{folder}/attachments/0.json", json.dumps(["else"])),
            (f"{folder}/attachments/1.json", json.dumps([f"What is {i}?"])),
            (f"{folder}/events/0.json", json.dumps([{"event": "model"}])),
            (f"{folder}/events/stats.json", "{}"),
            (
                f"{folder}/skeleton.json",
                "{",
            ),  # parts that say nothing of question or answer are not even parsed
        ]
    chunked = packed(
        tmp_path / "b.eval", log, lambda s: f"samples/{s['id']}_epoch_1/sample.json", after=after
    )
    columns = Columns((), ("subject",))
    one, two = (read_inspect(path, columns).tasks[0].items for path in (inline, chunked))
    assert [(a.id, a.hashes, a.labels) for a in one] == [(b.id, b.hashes, b.labels) for b in two]


def test_an_unknown_layout_is_called_that(named_log, tmp_path):
    log = named_log(lambda i: f"q{i}")
    path = packed(tmp_path / "a.eval", log, flat, after=[("samples/index.json", '{"q0": 1}')])
    with pytest.raises(DataError, match=r"samples/index.json is no sample.*layout.*not known"):
        read(path)


def test_a_log_that_has_not_ended_is_read_as_its_journal_says(named_log, tmp_path):
    log = named_log(lambda i: f"q{i}")
    start = {name: log[name] for name in ("version", "eval", "plan")}
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_journal/start.json", json.dumps(start))
        for entry in log["samples"][:30]:
            archive.writestr(flat(entry), json.dumps(entry))
    found, numbers = read(path)
    assert numbers["match", "match"][1:3] == (30, 40)
    assert found.tasks[0].partial == "status started"


@pytest.mark.parametrize(
    "stale",
    ['{"id": "q0", ', json.dumps({"id": "q0", "epoch": 1, "scores": {"match": {"value": "I"}}}), "", "[]"],
    ids=["cut off", "scored otherwise", "empty", "no sample"],
)
def test_of_members_of_one_name_the_last_counts(named_log, tmp_path, stale):
    log = named_log(lambda i: f"q{i}")
    log["samples"][0]["scores"]["match"]["value"] = "C"
    log["results"]["scores"][0]["metrics"]["accuracy"]["value"] = 21 / 40
    path = packed(tmp_path / "a.eval", log, flat, before=[("samples/q0_epoch_1.json", stale)])
    assert of(path, "match") == (21 / 40, 40, 40, set())


def test_a_header_written_again_counts_and_an_older_error_is_gone(named_log, tmp_path):
    log = named_log(lambda i: f"q{i}")
    old = {"status": "error", "eval": {"task": "other"}, "results": None}
    path = packed(tmp_path / "a.eval", log, flat, before=[("header.json", json.dumps(old))])
    found, numbers = read(path)
    assert numbers["match", "match"] == (0.5, 40, 40, set())
    assert not found.tasks[0].partial
    failed = json.dumps(log["samples"][3] | {"error": {"message": "broken"}, "scores": {}})
    path = packed(tmp_path / "b.eval", log, flat, before=[("samples/q3_epoch_1.json", failed)])
    assert of(path, "match") == (0.5, 40, 40, set())


@pytest.mark.parametrize("value", ["", "E", "c", "unsure", " C", "50%", "nan", "inf", None, "[]", "1e999"])
def test_what_inspect_counts_as_0_counts_0_and_is_said(kit, tmp_path, value):
    samples = [kit.scored(i, "C" if i < 24 else "I") for i in range(40)]
    samples[39]["scores"]["match"]["value"] = value
    path = tmp_path / "a.json"
    path.write_text(json.dumps(kit.inspect_log(samples, 24 / 40)))
    log, numbers = read(path)
    assert numbers["match", "match"] == (24 / 40, 40, 40, set())
    assert "count 0, as Inspect counted" in " ".join(log.tasks[0].limits)


def test_a_value_left_out_by_the_tool_is_missing_and_another_rule_accuses_nobody(kit, tmp_path):
    samples = [kit.scored(i, "C" if i < 24 else "I" if i < 39 else "unsure") for i in range(40)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(kit.inspect_log(samples, 24 / 39)))
    log, numbers = read(path)
    assert numbers["match", "match"][1:3] == (39, 40)
    assert "left them out" in log.tasks[0].limits[0]
    path.write_text(json.dumps(kit.inspect_log(samples, 24.5 / 40)))  # its author counts "unsure" as a half
    _, numbers = read(path)
    assert numbers["match", "match"][:2] == (None, 0)
    assert "'unsure'" in numbers["match", "match"][3].pop()
    path.write_text(
        json.dumps(kit.inspect_log(samples, None))
    )  # no accuracy at all: nothing says that it is 0
    assert of(path, "match")[1:3] == (39, 40)


def test_numbers_that_do_not_follow_are_no_accusation_where_nothing_is_missing(kit, tmp_path):
    samples = [kit.scored(i, "C" if i < 24 else "I") for i in range(40)]
    log = kit.inspect_log(samples, 0.7)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(log))
    with pytest.raises(DataError, match="a part is missing, or the tool counted by another rule"):
        read(path)
    log["results"]["scores"][0]["scored_samples"] = 40
    path.write_text(json.dumps(log))
    assert "another rule" in of(path, "match")[3].pop()
    log["results"]["scores"][0]["scored_samples"] = 41
    path.write_text(json.dumps(log))
    with pytest.raises(DataError, match="a part is missing"):
        read(path)


def test_epochs_averaged_and_counted_singly_are_two_numbers(kit, tmp_path):
    samples = [kit.scored(i, "C" if i % 2 else "I", epoch=e) for i in range(40) for e in (1, 2)]
    samples.remove(samples[1])  # one epoch of a wrong item is lost: the two means differ
    log = kit.inspect_log(samples, 0.5, epochs=2)
    (averaged,) = log["results"]["scores"]
    single = averaged | {"metrics": {"accuracy": {"name": "accuracy", "value": 40 / 79}}, "reducer": None}
    log["results"]["scores"] = [averaged | {"reducer": "mean"}, single]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(log))
    _, numbers = read(path)
    assert numbers["match", "match"][1:3] == (79, 80)


@pytest.mark.slow
def test_our_rule_is_the_tools_rule(monkeypatch):
    """Against the tool itself where it is at hand."""
    import os
    import sys

    place = os.environ.get("FMAUDIT_INSPECT")
    if not place:
        pytest.skip("FMAUDIT_INSPECT names no installation of Inspect")
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "inspect_ai", raising=False)
    from inspect_ai.scorer import value_to_float

    counted = value_to_float()
    words = ["C", "I", "P", "N", "c", "", " C", "Yes", "TRUE", "no", "1", " 1 ", "1_0", "-.5", "1e3", "1e999",
             "nan", "inf", "50%", "0x1", "\u0663", "None", "E", "yes "]  # fmt: skip
    for value in (*words, 1, 0.25, True, False, -3):
        ours = value_of(value)
        assert counted(value) == (0.0 if ours.odd else ours.number), value


def lm_eval_log(write_log, kit, name, rows, original, effective, **metrics):
    summary = kit.results("toy", {f"{metric},none": value for metric, value in metrics.items()}, len(rows))
    summary["n-samples"]["toy"] = {"original": original, "effective": effective}
    return write_log(name, rows, summary)


def test_a_count_of_whichever_metric_came_last_is_no_incomplete_log(kit, write_log):
    rows = [kit.sample(i, {"acc": float(i % 2), **({"f1": 0.5} if i % 10 else {})}) for i in range(40)]
    path = lm_eval_log(write_log, kit, "a", rows, 40, 36, acc=0.5, f1=0.5)
    log, numbers = read(path)
    assert numbers["none", "acc"] == (0.5, 40, 40, set())
    assert numbers["none", "f1"][:3] == (0.5, 36, 40)
    assert not log.tasks[0].partial
    # Siblings: two metrics on halves that share nothing, and a count of 0.
    halves = [kit.sample(i, {"acc": 1.0} if i < 20 else {"f1": 0.25}) for i in range(40)]
    _, numbers = read(lm_eval_log(write_log, kit, "b", halves, 40, 20, acc=1.0, f1=0.25))
    assert [numbers["none", name][1:3] for name in ("acc", "f1")] == [(20, 40), (20, 40)]
    assert not read(lm_eval_log(write_log, kit, "c", halves, 40, 0, acc=1.0, f1=0.25))[0].tasks[0].partial


def test_chosen_documents_are_a_part_of_the_task_not_a_broken_log(kit, write_log):
    rows = [kit.sample(i, {"acc": 1.0}) for i in range(1, 70, 2)]
    log, numbers = read(lm_eval_log(write_log, kit, "a", rows, 100, 100, acc=1.0))
    assert numbers["none", "acc"] == (1.0, 35, 35, set())
    assert log.tasks[0].partial == "the log holds 35 documents and its results count 100"
    assert log.tasks[0].n_items == 100
    log, _ = read(
        lm_eval_log(write_log, kit, "b", rows, 100, 35, acc=1.0)
    )  # later versions count what was asked
    assert log.tasks[0].partial == "--limit: 35 of 100 documents were asked"
    # Documents that are really gone show in the mean.
    rows = [kit.sample(i, {"acc": float(i % 3 > 0)}) for i in range(39)]
    with pytest.raises(DataError, match="a part is missing"):
        read(lm_eval_log(write_log, kit, "c", rows, 40, 40, acc=27 / 40))


def test_documents_that_one_filter_lacks_are_missing_there(kit, write_log):
    rows = [kit.sample(i, {"acc": 1.0}, filter_="strict") for i in range(40)]
    rows += [kit.sample(i, {"acc": 1.0}, filter_="flex") for i in range(30)]
    summary = kit.results("toy", {"acc,strict": 1.0, "acc,flex": 1.0}, 40)
    log, numbers = read(write_log("a", rows, summary))
    assert numbers["strict", "acc"] == (1.0, 40, 40, set())
    assert numbers["flex", "acc"] == (1.0, 30, 40, {"the log has no line of it under this filter"})
    assert "10 documents have no line under filter 'flex'" in " ".join(log.tasks[1].limits)
    # The other way round, and a file whose last lines were lost under both.
    log, numbers = read(write_log("b", rows[40:] + rows[:29], summary))
    assert numbers["strict", "acc"][1:3] == (29, 30)
    assert log.tasks[0].partial == "the log holds 30 documents and its results count 40"
