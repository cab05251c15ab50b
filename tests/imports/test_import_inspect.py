from __future__ import annotations

import json
import math

import pytest

from fmaudit.errors import DataError, UsageError
from fmaudit.imports import ImportOptions, import_logs
from fmaudit.imports.logs import Columns


def header_and_members(log):
    members = {"header.json": {name: value for name, value in log.items() if name != "samples"}}
    members |= {f"samples/{s['id']}_epoch_{s['epoch']}.json": s for s in log["samples"]}
    return members | {"summaries.json": [], "_journal/start.json": {}}


def write(path, log):
    path.write_text(json.dumps(log))
    return path


def letters(kit, shift, n=60, **changes):
    samples = [kit.scored(i, "C" if (i + shift) % 3 else "I") for i in range(n)]
    return kit.inspect_log(samples, sum((i + shift) % 3 > 0 for i in range(n)) / n, **changes)


@pytest.mark.parametrize("method", [None, 0, 8, 93])
def test_accuracy_is_the_logs_own(kit, tmp_path, method):
    logs = [letters(kit, 0, model="provider/base"), letters(kit, 1, model="provider/tuned")]
    paths = [
        write(tmp_path / f"{i}.json", log)
        if method is None
        else kit.zipped(tmp_path / f"{i}.eval", header_and_members(log), method)
        for i, log in enumerate(logs)
    ]
    options = ImportOptions(columns=Columns((), ("subject",)))
    run = import_logs(paths[0], {"tuned": paths[1]}, tmp_path / "run", options=options)
    values = {e.subject: e.value for e in run.audit.estimates if not e.slice}
    assert values == {"base": pytest.approx(2 / 3, abs=1e-12), "tuned": pytest.approx(2 / 3, abs=1e-12)}
    change = next(c for c in run.audit.comparisons if not c.slice)
    assert change.table.model_dump() == {"n11": 0, "n10": 20, "n01": 20, "n00": 20}
    assert [s.name for s in run.audit.subjects] == ["provider/base", "provider/tuned"]
    assert {e.slice["subject"] for e in run.audit.estimates if e.slice} == {"odd", "even"}
    protocol = run.audit.measurements[0].protocol
    assert protocol["generation"]["temperature"] == 0.5
    assert protocol["generation"]["top_p"] is None
    assert protocol["task_version"] == 3


def test_failed_and_missing_samples_lower_coverage_and_are_never_safe(kit, tmp_path):
    samples = [kit.scored(i, "C") for i in range(40)]
    samples[3] = kit.scored(3, None, error={"message": "broken"})
    samples[4] = kit.scored(4, "C", error={"message": "broken after scoring"})
    samples[5] = kit.scored(5, float("nan"))
    samples[6] = kit.scored(6, "C", invalidation={"reason": "leak"})
    log = kit.inspect_log([s for s in samples if s["id"] != "q7"], 1.0, count=40)
    run = import_logs(write(tmp_path / "a.json", log), {}, tmp_path / "run")
    (found,) = [e for e in run.audit.estimates if not e.slice]
    assert (found.value, found.n, found.coverage) == (1.0, 35, 35 / 40)
    assert found.worst == (35 / 40, 1.0)
    assert run.audit.measurements[0].invalid == {
        "the log has no number for it": 1,
        "the log has no sample of it": 1,
        "the sample ended with an error": 2,
        "the sample was invalidated": 1,
    }


def test_epochs_are_samples_of_one_item(kit, tmp_path):
    samples = [kit.scored(i, "C" if (i + e) % 2 else "I", epoch=e) for i in range(40) for e in (1, 2)]
    samples.remove(samples[-1])
    log = kit.inspect_log(samples, (39 * 0.5 + 1.0 * (39 + 1) % 2) / 40, epochs=2)
    log["results"]["scores"][0]["metrics"]["accuracy"]["value"] = (39 * 0.5 + float((39 + 1) % 2)) / 40
    run = import_logs(write(tmp_path / "a.json", log), {}, tmp_path / "run")
    (found,) = run.audit.estimates
    assert (found.n, found.samples_per_item, found.coverage) == (40, 2, 79 / 80)
    assert math.isclose(found.value, 39 * 0.5 / 40, abs_tol=1e-12)


def test_partial_credit_is_a_mean_and_scores_by_name_are_separate(kit, tmp_path):
    samples = [kit.scored(i, ["C", "P", "I", "N"][i % 4]) for i in range(40)]
    run = import_logs(write(tmp_path / "a.json", kit.inspect_log(samples, 0.375)), {}, tmp_path / "run")
    assert run.audit.metrics[0].kind == "mean"
    assert math.isclose(run.audit.estimates[0].value, 0.375, abs_tol=1e-12)
    parts = [kit.scored(i, {"right": i % 2, "length": i / 3}) for i in range(40)]
    run = import_logs(write(tmp_path / "b.json", kit.inspect_log(parts, None)), {}, tmp_path / "parts")
    assert {m.id: (m.kind, m.direction) for m in run.audit.metrics} == {
        "inspect.sums/match.right": ("rate", "none"),
        "inspect.sums/match.length": ("mean", "none"),
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": 4}, "task_version"),
        ({"solver": "few_shot"}, "solver"),
        ({"options": {"location": "begin"}}, "scorer.options"),
        ({"task": "products"}, "differ in task"),
    ],
)
def test_another_definition_is_refused_naming_the_field(kit, tmp_path, changes, named):
    paths = [write(tmp_path / f"{i}.json", letters(kit, i, **own)) for i, own in enumerate([{}, changes])]
    with pytest.raises(UsageError, match=named):
        import_logs(paths[0], {"tuned": paths[1]}, tmp_path / "run")


def test_formats_are_not_mixed_and_other_inputs_are_other_items(kit, accuracy_log, tmp_path):
    path = write(tmp_path / "a.json", letters(kit, 0))
    with pytest.raises(UsageError, match="only within one format"):
        import_logs(path, {"tuned": accuracy_log("one", 0.5)}, tmp_path / "run")
    other = letters(kit, 1)
    other["samples"][2]["input"] = "Something else?"
    with pytest.raises(DataError, match="1 items of base and tuned differ in input: q2"):
        import_logs(path, {"tuned": write(tmp_path / "b.json", other)}, tmp_path / "run")


def test_long_inputs_kept_as_attachments_match_inline_ones(kit, tmp_path):
    other = letters(kit, 1)
    other["samples"][0] |= {
        "input": [{"role": "user", "content": "attachment://abc"}],
        "attachments": {"abc": "What is 0?"},
    }
    paths = [write(tmp_path / f"{i}.json", log) for i, log in enumerate([letters(kit, 0), other])]
    assert import_logs(paths[0], {"tuned": paths[1]}, tmp_path / "run").audit.comparisons


def test_unfinished_and_invalidated_logs(kit, tmp_path):
    run = import_logs(write(tmp_path / "a.json", letters(kit, 0, status="error")), {}, tmp_path / "run")
    assert run.audit.measurements[0].partial
    assert "status error" in " ".join(run.audit.subjects[0].notes)
    with pytest.raises(DataError, match="invalidated"):
        import_logs(
            write(tmp_path / "b.json", letters(kit, 0) | {"invalidated": True}), {}, tmp_path / "other"
        )
    with pytest.raises(DataError, match="holds no samples"):
        import_logs(write(tmp_path / "c.json", letters(kit, 0) | {"samples": None}), {}, tmp_path / "other")
    members = header_and_members(letters(kit, 0))
    del members["header.json"]
    with pytest.raises(DataError, match="did not finish"):
        import_logs(kit.zipped(tmp_path / "d.eval", members, 8), {}, tmp_path / "other")


def test_broken_archives_name_file_and_member(kit, tmp_path, monkeypatch):
    good = kit.zipped(tmp_path / "good.eval", header_and_members(letters(kit, 0)), 93)
    data = bytearray(good.read_bytes())
    at = data.index(b"samples/q1_epoch_1.json") + 60
    data[at] ^= 0xFF
    bad = tmp_path / "bad.eval"
    bad.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"bad.eval, samples/q1_epoch_1.json .*damaged"):
        import_logs(bad, {}, tmp_path / "run")
    bad.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"bad.eval is damaged"):
        import_logs(bad, {}, tmp_path / "run")
    monkeypatch.setattr("fmaudit.imports.reading.MAX_RECORD", 100)
    with pytest.raises(DataError, match="unpacks beyond 100 bytes"):
        import_logs(good, {}, tmp_path / "run")
