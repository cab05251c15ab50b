"""Logs made by the tools themselves, offline; they run in a process of their own."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fmaudit.imports import ImportOptions, import_logs
from fmaudit.imports.logs import Columns

pytestmark = pytest.mark.slow
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
LETTERS = "abcdefghij"


def tool(name: str, variable: str) -> dict[str, str]:
    """The environment in which a tool can be imported: a folder of its own, or the one of the tests."""
    folder = os.environ.get(variable)
    if folder:
        return {"PYTHONPATH": folder}
    if importlib.util.find_spec(name) is None:
        pytest.skip(
            f"{name} is not installed; {variable} may name a folder it was installed in (pip --target)"
        )
    return {}


def called(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | OFFLINE | {"HF_HOME": str(folder / "cache")} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def harness(tmp_path_factory) -> dict[str, Path]:
    """Folders of logs of two tiny models on three tasks of a local file, by model."""
    environment = tool("lm_eval", "FMAUDIT_LM_EVAL")
    from fmaudit.testing.tiny import tiny_causal

    root = tmp_path_factory.mktemp("harness")
    draw = random.Random(0)
    rows = [
        {
            "question": f"{draw.choice(LETTERS)}{draw.choice(LETTERS)} {i} ",
            "choices": draw.sample(LETTERS, 4),
            "gold": draw.randrange(4),
            "subject": "xy"[i % 2],
        }
        for i in range(60)
    ]
    (root / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(root / "data.jsonl")}},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "metadata": {"version": 1.0},
    }
    take_first = {"function": "take_first"}
    mean = {"aggregation": "mean", "higher_is_better": True}
    tasks = {
        "choice": {
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [{"metric": "acc", **mean}, {"metric": "acc_norm", **mean}],
        },
        "words": {
            "output_type": "generate_until",
            "doc_to_target": "{{choices[gold]}}",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 2, "do_sample": False},
            "filter_list": [
                {"name": "first", "filter": [{"function": "regex", "regex_pattern": "([a-z])"}, take_first]},
                {"name": "whole", "filter": [take_first]},
            ],
            "metric_list": [
                {"metric": "exact_match", **mean},
                {"metric": "bleu", "aggregation": "bleu", "higher_is_better": True},
            ],
        },
        "perplexity": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{question}}",
            "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
        },
    }  # fmt: skip
    (root / "tasks").mkdir()
    for name, task in tasks.items():
        # JSON is YAML.
        (root / "tasks" / f"{name}.yaml").write_text(json.dumps({"task": name, **common, **task}))
    found = {}
    for seed, name in enumerate(("base", "tuned")):
        tiny_causal(root / name, seed=seed)
        model = f"pretrained={root / name},dtype=float32"
        called(
            ["-m", "lm_eval", "run", "--model", "hf", "--model_args", model, "--tasks", ",".join(tasks),
             "--include_path", str(root / "tasks"), "--device", "cpu", "--batch_size", "8", "--log_samples",
             "--output_path", str(root / "out" / name)],
            root, environment)  # fmt: skip
        (found[name],) = (root / "out" / name).iterdir()
    return found


def logged(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("results_*.json")
    return json.loads(path.read_text())["results"]


def test_a_real_sample_log_gives_the_same_rates_with_intervals_and_a_comparison(harness, tmp_path):
    options = ImportOptions(columns=Columns((), ("subject",)))
    run = import_logs(harness["base"], {"tuned": harness["tuned"]}, tmp_path / "run", options=options)
    checked = set()
    for subject, folder in harness.items():
        theirs = logged(folder)
        for found in run.audit.estimates:
            if found.subject != subject or found.slice or found.state != "measured":
                continue
            task, metric = found.metric.removeprefix("lm-eval.").split("/")
            variant = next(m.variant for m in run.audit.measurements if m.id == found.measurement)
            assert math.isclose(found.value, theirs[task][f"{metric},{variant}"], rel_tol=0, abs_tol=1e-12)
            assert found.lower <= found.value <= found.upper
            assert found.lower < found.upper
            assert (found.n, found.coverage) == (60, 1.0)
            checked.add((subject, task, metric, variant))
    kinds = {("choice", "acc", "none"), ("choice", "acc_norm", "none"), ("words", "exact_match", "first"),
             ("words", "exact_match", "whole")}  # fmt: skip
    assert checked == {(subject, *kind) for subject in harness for kind in kinds}
    change = next(c for c in run.audit.comparisons if c.metric == "lm-eval.choice/acc" and not c.slice)
    old, new = (logged(harness[name])["choice"]["acc,none"] for name in ("base", "tuned"))
    assert math.isclose(change.value, new - old, abs_tol=1e-12)
    assert change.lower <= change.value <= change.upper
    table = change.table
    assert (table.n11 + table.n10, table.n11 + table.n01) == (round(60 * (1 - old)), round(60 * (1 - new)))
    assert table.n10 + table.n01 > 0
    assert {c.verdict for c in run.audit.comparisons} <= {
        "association", "changed, size unresolved", "clean", "inconclusive", "unmeasured",
    }  # fmt: skip
    assert {c.base_value for c in run.audit.comparisons if c.metric.endswith("/bleu")} == {None}


def test_a_real_log_says_what_it_knows_and_leaves_out_the_folder(harness, tmp_path):
    run = import_logs(harness["base"], {}, tmp_path / "run")
    protocol = next(m.protocol for m in run.audit.measurements if m.probe == "lm-eval.choice")
    assert (protocol["task_version"], protocol["num_fewshot"], protocol["dtype"]) == (1.0, 0, "float32")
    assert (protocol["engine"], protocol["format"], protocol["device"]) == ("hf", "raw", "cpu")
    states = {m.probe: (m.state, m.reason) for m in run.audit.measurements}
    assert states["lm-eval.perplexity"][0] == "unmeasured"
    assert "corpus" in states["lm-eval.perplexity"][1]
    assert str(harness["base"].parent) not in run.audit.to_bytes().decode()


INSPECT = """
import json
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import includes, match
from inspect_ai.solver import solver

form, folder, shift = sys.argv[1], sys.argv[2], int(sys.argv[3])

@solver
def fixed():
    async def solve(state, generate):
        place = int(str(state.sample_id)[1:])
        if place == 3 and state.epoch == 2:
            raise RuntimeError("broken on purpose")
        right = (place + state.epoch) % 3 != shift
        state.output = ModelOutput.from_content("mockllm/model", str(2 * place if right else 1 + 2 * place))
        return state
    return solve

samples = [
    Sample(id=f"q{i}", input=f"{i} and {i}?", target=str(2 * i), metadata={"half": str(i < 20)})
    for i in range(40)
]
task = Task(name="sums", version=3, dataset=MemoryDataset(samples, name="sums"), solver=fixed(), epochs=2,
            scorer=[match(location="exact"), includes()], fail_on_error=False)
(log,) = eval(task, model="mockllm/model", log_dir=folder, log_format=form, display="none")
assert log.status == "success", log.error
print(json.dumps({score.name: score.metrics["accuracy"].value for score in log.results.scores}))
"""


@pytest.mark.parametrize("form", ["json", "eval"])
def test_real_logs_of_inspect_give_the_same_accuracy(tmp_path, form):
    environment = tool("inspect_ai", "FMAUDIT_INSPECT")
    (tmp_path / "make.py").write_text(INSPECT)
    places: dict[str, Path] = {}
    theirs: dict[str, dict[str, float]] = {}
    for shift, name in enumerate(("base", "tuned")):
        call = [str(tmp_path / "make.py"), form, str(tmp_path / name), str(shift)]
        theirs[name] = json.loads(called(call, tmp_path, environment).splitlines()[-1])
        (places[name],) = (tmp_path / name).iterdir()
    options = ImportOptions(columns=Columns((), ("half",)))
    run = import_logs(places["base"], {"tuned": places["tuned"]}, tmp_path / "run", options=options)
    for name, accuracies in theirs.items():
        assert set(accuracies) == {"match", "includes"}
        for scorer, accuracy in accuracies.items():
            (found,) = [
                e
                for e in run.audit.estimates
                if e.subject == name and not e.slice and e.metric == f"inspect.sums/{scorer}"
            ]
            assert math.isclose(found.value, accuracy, abs_tol=1e-12)
            assert found.lower < found.value < found.upper
            assert (found.n, found.samples_per_item, found.coverage) == (40, 2, 79 / 80)
    assert {c.state for c in run.audit.comparisons} == {"measured"}
    assert run.audit.measurements[0].protocol["task_version"] == 3
