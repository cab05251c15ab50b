from __future__ import annotations

import json
import math

import pytest

from fmaudit.errors import DataError, NothingEvaluated, UsageError
from fmaudit.evidence.directory import RunDirectory
from fmaudit.imports import ImportOptions, import_logs
from fmaudit.imports.logs import Columns
from fmaudit.schema import read_audit


def estimate(run, subject, metric, slice_=None):
    return next(
        e
        for e in run.audit.estimates
        if e.subject == subject and e.metric.endswith(f"/{metric}") and e.slice == (slice_ or {})
    )


def test_rates_are_the_logs_own_and_the_change_is_paired(kit, accuracy_log, tmp_path):
    base, tuned = accuracy_log("one", 0.7, seed=1), accuracy_log("two", 0.3, seed=2)
    run = import_logs(
        base, {"tuned": tuned}, tmp_path / "run", options=ImportOptions(columns=Columns((), ("subject",)))
    )
    logged = {}
    for name, path in (("base", base), ("tuned", tuned)):
        logged[name] = json.loads((path.parent / f"results_{kit.date}.json").read_text())["results"]["toy"][
            "acc,none"
        ]
        found = estimate(run, name, "acc")
        assert math.isclose(found.value, logged[name], rel_tol=0, abs_tol=1e-12)
        assert found.lower < found.value < found.upper
        assert (found.n, found.coverage) == (80, 1.0)
    change = next(c for c in run.audit.comparisons if not c.slice)
    assert math.isclose(change.value, logged["tuned"] - logged["base"], abs_tol=1e-12)
    values = [[json.loads(line)["acc"] for line in path.read_text().splitlines()] for path in (base, tuned)]
    pairs = list(zip(*values, strict=True))
    assert change.table.model_dump() == {
        "n11": pairs.count((0, 0)),
        "n10": pairs.count((0, 1)),
        "n01": pairs.count((1, 0)),
        "n00": pairs.count((1, 1)),
    }
    assert {e.slice["subject"] for e in run.audit.estimates if e.slice} == set("abcd")
    assert {m.assurance for m in run.audit.measurements} == {"imported"}
    assert read_audit(run.path) == run.audit


def test_a_worse_model_is_changed_and_a_like_one_associated_never_more(accuracy_log, tmp_path):
    base, worse = accuracy_log("one", 0.9, n=400, seed=1), accuracy_log("two", 0.2, n=400, seed=2)
    change = import_logs(base, {"tuned": worse}, tmp_path / "a").audit.comparisons[0]
    assert change.verdict == "changed, size unresolved"
    assert "amplified" in change.verdict_reason
    assert "verified" in change.verdict_reason
    base, alike = (
        accuracy_log("three", 0.5, n=1500, seed=3),
        accuracy_log("four", 0.5, n=1500, seed=3, dtype="torch.float32"),
    )
    like = import_logs(base, {"tuned": alike}, tmp_path / "b").audit.comparisons[0]
    assert like.verdict == "association"
    assert "imported" in like.flags
    assert like.copy_fraction is None


def test_unrelated_references_do_not_lift_the_word(accuracy_log, tmp_path):
    logs = {f"r{i}": accuracy_log(f"r{i}", 0.5, n=600, seed=10 + i) for i in range(4)}
    base, tuned = (
        accuracy_log("one", 0.5, n=600, seed=1),
        accuracy_log("two", 0.5, n=600, seed=1, dtype="torch.float32"),
    )
    run = import_logs(base, {"tuned": tuned}, tmp_path / "run", references=logs)
    assert {c.verdict for c in run.audit.comparisons} <= {"association", "inconclusive", "clean"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"version": 2.0}, "task_version"),
        ({"shots": 5}, "num_fewshot"),
        ({"acc": "median"}, "scorer.metrics"),
    ],
)
def test_another_definition_is_refused_naming_the_field(accuracy_log, tmp_path, changes, named):
    base, tuned = accuracy_log("one", 0.7), accuracy_log("two", 0.3, seed=2, **changes)
    with pytest.raises(UsageError, match=named):
        import_logs(base, {"tuned": tuned}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_precision_is_imported_and_not_compared(accuracy_log, tmp_path):
    base, tuned = accuracy_log("one", 0.7), accuracy_log("two", 0.3, seed=2, dtype="torch.bfloat16")
    (change,) = import_logs(base, {"tuned": tuned}, tmp_path / "run").audit.comparisons
    assert change.verdict == "unmeasured"
    assert "dtype" in change.reason


def test_unknown_fields_are_null(kit, write_log, tmp_path):
    base = write_log("one", [kit.sample(i, {"acc": float(i % 2)}) for i in range(40)], None)
    tuned = write_log("two", [kit.sample(i, {"acc": float(i % 3 == 0)}) for i in range(40)], None)
    run = import_logs(base, {"tuned": tuned}, tmp_path / "run")
    protocol = run.audit.measurements[0].protocol
    assert {
        protocol[name] for name in ("task_version", "num_fewshot", "dtype", "device", "seed", "format")
    } == {None}
    assert {metric.direction for metric in run.audit.metrics} == {"none"}
    assert run.audit.subjects[0].kind == "unknown"
    assert run.audit.subjects[0].digest == ""
    directed = import_logs(
        base, {"tuned": tuned}, tmp_path / "two-way", options=ImportOptions(directions={"acc": True})
    )
    assert directed.audit.metrics[0].direction == "higher_is_better"
    with pytest.raises(UsageError, match="no metric 'f1'"):
        import_logs(base, {}, tmp_path / "other", options=ImportOptions(directions={"f1": True}))


def test_known_and_unknown_versions_are_not_compared(accuracy_log, write_log, tmp_path):
    samples = [json.loads(line) for line in accuracy_log("one", 0.7).read_text().splitlines()]
    for entry in samples:
        entry["acc"] = 1.0
    with pytest.raises(UsageError, match="differ in"):
        import_logs(accuracy_log("one", 0.7), {"tuned": write_log("two", samples, None)}, tmp_path / "run")


def test_corpus_metrics_real_metrics_and_missing_values(kit, write_log, tmp_path):
    def rows(seed):
        return [
            kit.sample(
                i,
                {
                    "exact_match": None if i == 3 else float((i + seed) % 2),
                    "score": (i + seed) / 7,
                    "bleu": ["gold", "answer"],
                    "word_perplexity": [-3.0, 2],
                    "f1": float(i % 2),
                },
            )
            for i in range(40)
        ]

    def summary(seed):
        own = {"score,none": sum((i + seed) / 7 for i in range(40)) / 40, "bleu,none": 12.0, "f1,none": 0.77,
               "word_perplexity,none": 9.0, "exact_match,none": 0.5}  # fmt: skip
        found = kit.results("toy", own, 40, f1="macro")
        del found["results"]["toy"]["exact_match,none"]
        return found

    logs = [write_log(f"log{seed}", rows(seed), summary(seed)) for seed in (0, 1)]
    run = import_logs(logs[0], {"tuned": logs[1]}, tmp_path / "run")
    exact = estimate(run, "base", "exact_match")
    assert (exact.n, exact.coverage) == (39, 39 / 40)
    assert exact.worst == (19 / 40, 20 / 40)
    real = estimate(run, "base", "score")
    assert math.isclose(real.value, sum(range(40)) / 7 / 40, abs_tol=1e-12)
    for name in ("bleu", "word_perplexity", "f1"):
        assert estimate(run, "base", name).state == "unmeasured"
    limits = " ".join(run.audit.measurements[0].limits)
    assert "bleu is unmeasured" in limits
    assert "f1 is unmeasured: the log's number is not the mean of its items" in limits


def test_a_log_without_any_number_per_item_evaluates_nothing(kit, write_log, tmp_path):
    rows = [kit.sample(i, {"word_perplexity": [-3.0, 2]}) for i in range(40)]
    with pytest.raises(NothingEvaluated, match="corpus"):
        import_logs(
            write_log("one", rows, kit.results("toy", {"word_perplexity,none": 9.0}, 40)),
            {},
            tmp_path / "run",
        )


def test_filters_are_variants_and_must_agree(kit, write_log, tmp_path):
    def rows(names):
        return [
            kit.sample(i, {"exact_match": float(i % 2)}, filter_=name) for name in names for i in range(40)
        ]

    def summary(names):
        return kit.results("toy", {f"exact_match,{name}": 0.5 for name in names}, 40)

    both = write_log("one", rows(["strict", "loose"]), summary(["strict", "loose"]))
    other = write_log("two", rows(["strict"]), summary(["strict"]))
    run = import_logs(both, {}, tmp_path / "run")
    assert {m.variant for m in run.audit.measurements} == {"strict", "loose"}
    with pytest.raises(UsageError, match="differ in filter"):
        import_logs(both, {"tuned": other}, tmp_path / "other")


def test_a_preference_has_its_ideal_in_the_middle(kit, write_log, tmp_path):
    rows = [kit.sample(i, {"likelihood_diff": i / 3, "pct_stereotype": float(i % 3 > 0)}) for i in range(90)]
    own = {"pct_stereotype,none": 60 / 90, "likelihood_diff,none": sum(i / 3 for i in range(90)) / 90}
    lower = {"pct_stereotype": False, "likelihood_diff": False}
    run = import_logs(write_log("one", rows, kit.results("toy", own, 90, higher=lower)), {}, tmp_path / "run")
    metrics = {metric.id.partition("/")[2]: metric for metric in run.audit.metrics}
    assert (metrics["pct_stereotype"].direction, metrics["pct_stereotype"].ideal) == ("target", 0.5)
    assert metrics["likelihood_diff"].kind == "mean"


def test_mismatching_items_are_named(kit, accuracy_log, write_log, tmp_path):
    base = accuracy_log("one", 0.7)
    rows = [json.loads(line) for line in accuracy_log("two", 0.3, seed=2).read_text().splitlines()]
    plain = kit.results("toy", {"acc,none": 0.5}, 79)
    del plain["results"]["toy"]["acc,none"]
    with pytest.raises(DataError, match="items of base are not in tuned: 17"):
        import_logs(base, {"tuned": write_log("a", rows[:17] + rows[18:], plain)}, tmp_path / "run")
    rows[5]["prompt_hash"] = "0" * 64
    full = json.loads((base.parent / f"results_{kit.date}.json").read_text())
    full["results"] = {}
    with pytest.raises(DataError, match="1 items of base and tuned differ in prompt: 5"):
        import_logs(base, {"tuned": write_log("b", rows, full)}, tmp_path / "run")
    with pytest.raises(DataError, match="line 81: document 5 comes twice"):
        import_logs(base, {"tuned": write_log("c", [*rows, rows[5]], full)}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_samples_and_results_that_contradict_each_other_are_refused(kit, accuracy_log, tmp_path):
    base = accuracy_log("one", 0.7)
    file = base.parent / f"results_{kit.date}.json"
    changed = json.loads(file.read_text())
    changed["results"]["toy"]["acc,none"] += 0.01
    file.write_text(json.dumps(changed))
    with pytest.raises(DataError, match="not of one run"):
        import_logs(base, {}, tmp_path / "run")


def test_a_limited_run_is_partial(accuracy_log, tmp_path):
    run = import_logs(accuracy_log("one", 0.7, original=5000), {}, tmp_path / "run")
    (found,) = run.audit.measurements
    assert found.partial
    assert (found.dataset.n_asked, found.dataset.n_items) == (80, 5000)
    assert not any(e.conclusive for e in run.audit.estimates)


def test_a_folder_holds_several_tasks_and_missing_ones_are_unmeasured(kit, write_log, accuracy_log, tmp_path):
    first = accuracy_log("one", 0.7)
    write_log("one", [kit.sample(i, {"acc": 1.0}) for i in range(40)], None, task="extra")
    run = import_logs(first.parent, {"tuned": accuracy_log("two", 0.3, seed=2)}, tmp_path / "run")
    states = {(m.subject, m.title): (m.state, m.reason) for m in run.audit.measurements}
    assert states["base", "extra"][0] == "measured"
    assert states["tuned", "extra"] == ("unmeasured", "its log holds no task 'extra'")


def test_the_same_import_again_gives_the_same_bytes_and_another_is_refused(accuracy_log, tmp_path):
    base, tuned = accuracy_log("one", 0.7), accuracy_log("two", 0.3, seed=2)
    run = import_logs(base, {"tuned": tuned}, tmp_path / "run")
    before = {p.relative_to(run.path): p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    import_logs(base, {"tuned": tuned}, tmp_path / "run")
    import_logs(base, {"tuned": tuned}, tmp_path / "twin")
    for folder in ("run", "twin"):
        again = {
            p.relative_to(tmp_path / folder): p.read_bytes()
            for p in (tmp_path / folder).rglob("*")
            if p.is_file()
        }
        assert again == before
    with pytest.raises(UsageError, match="holds another audit"):
        import_logs(tuned, {"tuned": base}, tmp_path / "run")
    assert {p.relative_to(run.path): p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


def test_an_interrupted_import_goes_on(accuracy_log, tmp_path, monkeypatch):
    base, tuned = accuracy_log("one", 0.7), accuracy_log("two", 0.3, seed=2)
    whole = import_logs(base, {"tuned": tuned}, tmp_path / "whole")
    written = RunDirectory.write_block

    def stop(self, subject, *args, **kwargs):
        if subject == "tuned":
            raise KeyboardInterrupt
        written(self, subject, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_block", stop)
        with pytest.raises(KeyboardInterrupt):
            import_logs(base, {"tuned": tuned}, tmp_path / "run")
    assert import_logs(base, {"tuned": tuned}, tmp_path / "run").audit == whole.audit


def test_one_log_under_two_names_is_refused(accuracy_log, tmp_path):
    base = accuracy_log("one", 0.7)
    with pytest.raises(UsageError, match="are the same log"):
        import_logs(base, {"tuned": base}, tmp_path / "run")
    with pytest.raises(UsageError, match="two models are named"):
        import_logs(base, {"tuned": base}, tmp_path / "run", references={"Tuned": base})
    with pytest.raises(UsageError, match="use letters"):
        import_logs(base, {"../up": base}, tmp_path / "run")
