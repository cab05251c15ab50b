"""The action, the GitLab job and the pre-commit hook, run on tiny models and on a tiny run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fmaudit.cli import cli
from fmaudit.testing.tiny import tiny_causal, tiny_lora
from tests.ci.recipe_runner import (
    ACTION,
    GITLAB,
    HOOK_EXAMPLE,
    HOOKS,
    OFFLINE_PIP,
    RECORDER,
    ROOT,
    gitlab_path,
    programs,
    recorded,
    run_action,
    run_gitlab,
    run_hook,
)
from tests.pack.pack_runs import write_run

RATE = "bias.crows_pairs/pct_stereotype"
RULES = {
    "pass": f"{{id: within, metric: {RATE}, dataset: minimal_pairs, min: 0.0, max: 0.999}}",
    "fail": f"{{id: beyond, metric: {RATE}, dataset: minimal_pairs, min: 0.0, max: 0.001}}",
    "inconclusive": f"{{id: open, metric: {RATE}, dataset: minimal_pairs, vs_base: {{max_increase: 0.02}}}}",
    "nothing evaluated": "{id: nothing, metric: memorization.canary/mean_exposure, max: 3, tier: warn}",
}
CODES = {"pass": 0, "fail": 1, "inconclusive": 3, "nothing evaluated": 5}
PROBES = "--probes\nbias.crows_pairs\n--datasets\nminimal_pairs\n"


def policy_text(*words):
    rules = "".join(f"  - {RULES[word]}\n" for word in words)
    return f"schema: fmaudit/policy/1\nid: ci\nrules:\n{rules}"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("ci") / "run", policy=None)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ci-models")
    tiny_lora(tiny_causal(folder / "base"), folder / "lora")
    return folder


@pytest.fixture
def job_folder(tmp_path, finished_run):
    """A checkout with a policy for each verdict and a finished run."""
    shutil.copytree(finished_run, tmp_path / "fmaudit-run")
    (tmp_path / "policies").mkdir()
    for word in RULES:
        rules = [word] if word in ("pass", "nothing evaluated") else ["pass", word]
        (tmp_path / f"policies/{word}.yaml").write_text(policy_text(*rules), encoding="utf-8")
    return tmp_path


@pytest.fixture
def calls(tmp_path):
    """A checkout whose ``fmaudit`` only writes down how it is called, and where it does."""
    (tmp_path / "recorder.py").write_text(RECORDER, encoding="utf-8")
    programs(tmp_path / ".bin", [str(tmp_path / "recorder.py")])
    return tmp_path / "calls"


def check_reports(folder):
    assert ET.parse(folder / "gate.junit.xml").getroot().tag == "testsuites"
    for name in ("gate.openmetrics.txt", "gate.metrics.txt"):
        if (folder / name).exists():
            assert list(text_string_to_metric_families((folder / name).read_text(encoding="utf-8")))


def test_no_input_is_part_of_a_script():
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        for text in step.get("env", {}).values():
            assert re.fullmatch(r"\$\{\{ [^{}]+ \}\}", text)


def test_the_action_audits_gates_uploads_and_then_fails(tmp_path, tiny_models):
    (tmp_path / "policy.yaml").write_text(policy_text("fail"), encoding="utf-8")
    base = str(tiny_models / "base")
    inputs = {
        "policy": "policy.yaml",
        "base": base,
        "adapted": f"ft={base}::adapter={tiny_models / 'lora'}\n",
        "run-arguments": PROBES,
        "upload-sarif": "true",
        "sarif-category": "tuned",
    }
    job = run_action(tmp_path, inputs, **OFFLINE_PIP, PIP_TARGET=str(tmp_path / "installed"))
    assert job.code == 1, job.log
    assert job.steps == ("Install fmaudit", "Audit", "Gate", "Upload SARIF", "Verdict")
    assert job.outputs == {"verdict": "fail", "exit-code": "1"}
    assert (tmp_path / "installed/fmaudit/__init__.py").is_file()
    (record,) = (json.loads(path.read_bytes()) for path in (tmp_path / "fmaudit-run/gate").glob("*.json"))
    assert (record["verdict"], record["policy"]["locked_before_run"]) == ("fail", True)
    assert [one["role"] for one in record["subjects"]] == ["base", "adapted"]
    (upload,) = job.uploads
    assert upload["category"] == "tuned"
    log = json.loads((tmp_path / upload["sarif_file"]).read_bytes())
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["beyond"]
    check_reports(tmp_path / "fmaudit-reports")
    # The runner may take the annotations for commands and nothing else.
    (error,) = job.commands
    assert (error.name, error.properties["file"], error.properties["line"]) == ("error", "policy.yaml", "4")
    assert "interval" in error.data
    assert (tmp_path / ".summary").read_text(encoding="utf-8").startswith("### fmaudit gate: fail\n")


@pytest.mark.parametrize("verdict", RULES)
def test_the_action_ends_with_the_verdict_after_its_reports(job_folder, verdict):
    job = run_action(
        job_folder, {"policy": f"policies/{verdict}.yaml", "install": "false", "upload-sarif": "true"}
    )
    assert job.code == CODES[verdict], job.log
    assert job.outputs == {"verdict": verdict, "exit-code": str(CODES[verdict])}
    assert job.steps == ("Gate", "Upload SARIF", "Verdict")
    check_reports(job_folder / "fmaudit-reports")
    assert f"### fmaudit gate: {verdict}" in (job_folder / ".summary").read_text(encoding="utf-8")
    errors = [command for command in job.commands if command.name == "error"]
    assert bool(errors) == (verdict != "pass")
    assert {command.properties["file"] for command in errors} <= {f"policies/{verdict}.yaml"}


def test_the_action_stops_at_an_error_and_names_no_verdict(job_folder):
    job = run_action(job_folder, {"policy": "policies/none.yaml", "install": "false", "upload-sarif": "true"})
    assert job.code == 2
    assert job.steps == ("Gate",)
    assert job.outputs == {"verdict": "", "exit-code": ""}
    assert "fmaudit: " in job.log
    assert job.uploads == ()


@pytest.mark.parametrize(
    "text", ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", '"; touch pwned; "']
)
def test_inputs_reach_fmaudit_as_they_are_and_run_nothing(tmp_path, calls, text):
    inputs = dict.fromkeys(ACTION["inputs"], text) | {"install": "false"}
    job = run_action(tmp_path, inputs, CALLS=str(calls))
    assert job.code == 0, job.log
    audit, gate = recorded(calls)
    assert audit == [
        *("run", "--output", text, "--policy", text, "--adapted", text, "--reference", text),
        *(text, "--", text),
    ]
    assert gate[-2:] == ["--", text]
    assert not (tmp_path / "pwned").exists()
    calls.unlink()
    variables = dict.fromkeys(GITLAB["variables"], text) | {"FMAUDIT_PACKAGE": str(ROOT)}
    assert run_gitlab(tmp_path, variables, CALLS=str(calls)).code == 0
    assert recorded(calls)[0] == audit
    assert not (tmp_path / "pwned").exists()


def test_model_names_are_no_commands_in_the_log(tmp_path):
    (tmp_path / "policy.yaml").write_text(policy_text("fail"), encoding="utf-8")
    name = "::error::x##[add-mask]y"
    job = run_action(tmp_path, {"policy": "policy.yaml", "base": name, "install": "false"})
    assert (job.code, job.steps) == (2, ("Audit",))
    assert "add-mask" in job.log
    assert job.commands == []


def test_every_option_of_the_recipes_exists(tmp_path, calls):
    lines = "one\n\n two\n"
    inputs = {
        "policy": "policy.yaml",
        "base": "-model",
        "adapted": lines,
        "references": "three",
        "run-arguments": "--seed\n7",
        "waivers": "waivers.yaml",
        "baseline": ".fmaudit/baseline",
        "first-release": "true",
        "install": "false",
    }
    run_action(tmp_path, inputs, CALLS=str(calls))
    variables = {f"FMAUDIT_{name.upper().replace('-', '_')}": text for name, text in inputs.items()}
    variables["FMAUDIT_ARGUMENTS"] = variables.pop("FMAUDIT_RUN_ARGUMENTS")
    del variables["FMAUDIT_INSTALL"]
    run_gitlab(tmp_path, variables, CALLS=str(calls))
    found = [parsed(call) for call in recorded(calls)]
    assert [name for name, _ in found] == ["run", "gate"] * 2
    for name, parameters in found:
        wanted = {
            "run": {
                "base": "-model",
                "adapted": ("one", " two"),
                "reference": ("three",),
                "seed": 7,
                "policy": Path("policy.yaml"),
            },
            "gate": {
                "run": Path("fmaudit-run"),
                "policy": Path("policy.yaml"),
                "waivers": Path("waivers.yaml"),
                "baseline": Path(".fmaudit/baseline"),
                "first_release": True,
            },
        }[name]
        assert wanted.items() <= parameters.items()


def parsed(call):
    command = cli.get_command(click.Context(cli), call[0])
    return call[0], command.make_context(call[0], call[1:]).params


def test_the_gitlab_job_audits_gates_and_keeps_its_reports(tmp_path, tiny_models):
    (tmp_path / "policy.yaml").write_text(policy_text("fail"), encoding="utf-8")
    base = str(tiny_models / "base")
    variables = {
        "FMAUDIT_BASE": base,
        "FMAUDIT_ADAPTED": f"{base}::adapter={tiny_models / 'lora'}",
        "FMAUDIT_ARGUMENTS": PROBES,
    }
    job = run_gitlab(tmp_path, variables)
    assert job.code == 1, job.log
    assert (tmp_path / "installed/fmaudit/__init__.py").is_file()
    artifacts = GITLAB["artifacts"]
    assert artifacts["when"] == "always"
    for path in [*artifacts["paths"], *artifacts["reports"].values()]:
        assert (tmp_path / gitlab_path(path, variables)).exists(), path
    assert not any("evidence" in path for path in artifacts["paths"])


@pytest.mark.parametrize(("shell", "verdict"), [("bash", "pass"), ("sh", "fail"), ("bash", "inconclusive")])
def test_the_gitlab_job_ends_with_the_verdict(job_folder, shell, verdict):
    variables = {"FMAUDIT_POLICY": f"policies/{verdict}.yaml", "FMAUDIT_REPORTS": "out/reports"}
    job = run_gitlab(job_folder, variables, shell)
    assert job.code == CODES[verdict], job.log
    assert set(GITLAB["artifacts"]["reports"]) == {"junit", "codequality", "metrics"}
    check_reports(job_folder / "out/reports")
    places = {
        name: job_folder / gitlab_path(path, variables)
        for name, path in GITLAB["artifacts"]["reports"].items()
    }
    issues = json.loads(places["codequality"].read_bytes())
    assert {issue["location"]["path"] for issue in issues} == (
        set() if verdict == "pass" else {f"policies/{verdict}.yaml"}
    )


def test_the_gitlab_job_fails_where_the_audit_fails(tmp_path):
    (tmp_path / "policy.yaml").write_text(policy_text("pass"), encoding="utf-8")
    job = run_gitlab(tmp_path, {"FMAUDIT_BASE": "models/none"})
    assert job.code == 2
    assert "gate " not in job.log


def test_the_gitlab_job_installs_nothing_that_nobody_named(tmp_path):
    job = run_gitlab(tmp_path, {"FMAUDIT_PACKAGE": ""})
    assert job.code != 0
    assert "name the fmaudit that pip shall install" in job.log
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("policy.yaml", True),
        ("policy.yml", True),
        (".fmaudit/policy.yaml", True),
        ("service/.fmaudit/release-policy.yaml", True),
        ("models/fmaudit-policy.yaml", True),
        (".fmaudit/baseline/gate/ab.policy.yaml", False),
        ("deploy/policy.yaml", False),
        ("waivers.yaml", False),
        ("fmaudit-policy-1.schema.json", False),
    ],
)
def test_the_hook_takes_policies_only(path, taken):
    (hook,) = HOOKS
    assert bool(re.search(hook["files"], path)) == taken


def test_the_hook_names_the_first_problem_with_its_line(tmp_path):
    good, bad = tmp_path / "policy.yaml", tmp_path / "fmaudit-policy.yaml"
    good.write_text(policy_text("pass"), encoding="utf-8")
    bad.write_text(policy_text("pass").replace("max: 0.999", "maximum: 0.999"), encoding="utf-8")
    assert run_hook(tmp_path, ["README.md", "waivers.yaml"]) is None
    assert run_hook(tmp_path, ["policy.yaml"]).code == 0
    job = run_hook(tmp_path, ["policy.yaml", "README.md", "fmaudit-policy.yaml"])
    assert job.code == 2
    (complaint,) = (line for line in job.log.splitlines() if line.startswith("fmaudit: "))
    assert re.search(r"fmaudit-policy\.yaml.*\b4\b", complaint)


def test_the_local_hook_is_the_one_that_is_published():
    (published,) = HOOKS
    (repository,) = HOOK_EXAMPLE["repos"]
    (local,) = repository["hooks"]
    assert repository["repo"] == "local"
    assert local.items() <= published.items()


def test_the_document_names_every_input_and_variable_and_no_other():
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    for name in [*ACTION["inputs"], *GITLAB["variables"], *ACTION["outputs"]]:
        assert f"`{name}`" in text, name
    assert set(re.findall(r"FMAUDIT_[A-Z_]+", text)) <= set(GITLAB["variables"])
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    used = [
        step
        for block in blocks
        for job in block.get("jobs", {}).values()
        for step in job["steps"]
        if "/fmaudit@" in step.get("uses", "")
    ]
    assert used
    assert all(set(step["with"]) <= set(ACTION["inputs"]) for step in used)
    for block in blocks:
        assert set(block.get("fmaudit-gate", {}).get("variables", {})) <= set(GITLAB["variables"])


def test_the_commands_of_the_document_exist():
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("fmaudit ")
    ]
    assert lines
    for line in lines:
        parsed(line.split()[1:])
