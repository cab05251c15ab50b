"""The recipes for CI systems, run as those systems do: the shell of their steps, with their variables."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.gate.workflow_commands import command_in

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((ROOT / "templates/ci/gitlab.yml").read_text(encoding="utf-8"))["fmaudit-gate"]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
HOOK_EXAMPLE = yaml.safe_load((ROOT / "templates/ci/pre-commit-config.yaml").read_text(encoding="utf-8"))
# pip installs this checkout from itself, into a folder of the job.
OFFLINE_PIP = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
# One line of JSON a call, in the order of the calls; a gate asked with it fails.
RECORDER = """\
import json, os, sys
with open(os.environ["CALLS"], "a", encoding="utf-8") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
sys.exit(int(os.environ.get("GATE_CODE", "0")) if sys.argv[1] == "gate" else 0)
"""


@dataclass(frozen=True)
class Job:
    """What a job left behind. ``steps``: the steps that ran; ``uploads``: what later actions were given."""

    code: int
    log: str
    outputs: dict[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    uploads: tuple[dict[str, str], ...] = ()

    @property
    def commands(self):
        """The workflow commands that GitHub's runner finds in the log."""
        found, stopped = [], ""
        for line in self.log.splitlines():
            begun = re.match(r"\s*::stop-commands::(.+)", line)
            if stopped:
                stopped = "" if line.strip() == f"::{stopped}::" else stopped
            elif begun:
                stopped = begun.group(1).strip()
            elif command := command_in(line):
                found.append(command)
        assert not stopped, "commands were stopped and never resumed"
        return found


def run_action(folder, inputs, **environment):
    """The composite action with these inputs, as a step of a job in ``folder``."""
    unknown = set(inputs) - set(ACTION["inputs"])
    assert not unknown, f"the action has no inputs {unknown}"
    given = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | inputs
    required = [name for name, one in ACTION["inputs"].items() if one.get("required")]
    assert set(required) <= set(inputs)
    scope = {f"inputs.{name}": text for name, text in given.items()} | {"github.action_path": str(ROOT)}
    code, log, ran, uploads = 0, "", [], []
    for place, step in enumerate(ACTION["runs"]["steps"]):
        if code or not _condition(step.get("if", "true"), scope):
            continue
        ran.append(step["name"])
        if "uses" in step:
            uploads.append({name: _filled(text, scope) for name, text in step["with"].items()})
            continue
        assert step["shell"] == "bash"
        output = folder / f".output-{place}"
        variables = {name: _filled(text, scope) for name, text in step["env"].items()} | {
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(folder / ".summary"),
            "GITHUB_WORKSPACE": str(folder),
        }
        script = folder / f".step-{place}.sh"
        script.write_text(step["run"], encoding="utf-8")
        shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        code, printed = _run(shell, folder, environment | variables)
        log += printed
        for line in output.read_text(encoding="utf-8").splitlines() if output.exists() else ():
            name, _, value = line.partition("=")
            scope[f"steps.{step.get('id', '')}.outputs.{name}"] = value
    outputs = {name: _filled(one["value"], scope) for name, one in ACTION["outputs"].items()}
    return Job(code, log, outputs, tuple(ran), tuple(uploads))


def run_gitlab(folder, variables, shell="bash", **environment):
    """The job of the GitLab template with these variables; the runner makes one script of all lines."""
    lines = [*GITLAB["before_script"], *GITLAB["script"]]
    script = folder / ".job.sh"
    options = "set -eo pipefail\n" if shell == "bash" else "set -e\n"
    script.write_text(options + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    known = {name: str(text) for name, text in GITLAB["variables"].items()}
    unknown = set(variables) - set(known)
    assert not unknown, f"the job has no variables {unknown}"
    offline = OFFLINE_PIP | {"PIP_TARGET": str(folder / "installed"), "CI_PROJECT_DIR": str(folder)}
    given = known | {"FMAUDIT_PACKAGE": str(ROOT)} | variables
    code, log = _run([shell, str(script)], folder, offline | environment | given)
    return Job(code, log)


def gitlab_path(text, variables):
    """A path of the template's artifacts, its variables expanded."""
    known = {name: str(value) for name, value in GITLAB["variables"].items()} | variables
    return re.sub(r"\$(\w+)", lambda match: known[match.group(1)], text)


def run_hook(folder, paths):
    """The pre-commit hook on those of the paths that it takes; None where it takes none."""
    (hook,) = HOOKS
    taken = [path for path in paths if re.search(hook["files"], path)]
    if not taken:
        return None
    code, log = _run([*shlex.split(hook["entry"]), *taken], folder, {})
    return Job(code, log)


def programs(folder, fmaudit):
    """A folder for the PATH with ``python`` and ``fmaudit``, the latter this interpreter on ``fmaudit``."""
    folder.mkdir(exist_ok=True)
    for name, arguments in (("python", []), ("fmaudit", fmaudit)):
        command = shlex.join([sys.executable, *arguments])
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def recorded(path):
    """The calls that the recorder wrote down."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _run(command, folder, variables):
    bin_folder = folder / ".bin"
    if not bin_folder.exists():
        programs(bin_folder, ["-m", "fmaudit"])
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    environment = kept | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'probes'}",
    }
    # One stream: systems of this kind read both, in the order of writing.
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _condition(text, scope):
    return text == "true" or _expression(text, scope) == "true"


def _filled(text, scope):
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda match: _expression(match.group(1), scope), text)


def _expression(text, scope):
    """The few forms of GitHub's expressions that the action uses; any other is a KeyError."""
    if "||" in text:
        return next((found for part in text.split("||") if (found := _expression(part.strip(), scope))), "")
    for sign, wanted in (("==", True), ("!=", False)):
        if sign in text:
            left, _, right = text.partition(sign)
            equal = _expression(left.strip(), scope) == _expression(right.strip(), scope)
            return "true" if equal == wanted else "false"
    if text.startswith("'"):
        return text.strip("'")
    # What a step that did not run would have put out is empty.
    return scope.get(text, "") if text.startswith("steps.") else scope[text]
