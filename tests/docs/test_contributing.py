"""CONTRIBUTING, tried as a newcomer would: its files into an empty package, installed, checked, run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fmaudit.testing.tiny import tiny_causal, tiny_lora

ROOT = Path(__file__).parents[2]
FILE_BLOCK = re.compile(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEN_LINES = '''\
from fmaudit.probe import Item, Mean, Observation, Probe, Real, probe
from fmaudit.requests import Score
@probe("tea.surprise", version=1, dataset="neutral_texts")
class Surprise(Probe):
    """Log-probability of a text."""
    needs = ("score",)
    measures, metrics = (Real("severity", unit="nats"),), (Mean("logprob"),)
    items = lambda self, data: (Item(str(n), {"text": row["text"]}) for n, row in enumerate(data.rows))
    requests = lambda self, item: [Score(item.payload["text"])]
    observe = lambda self, item, answers: Observation({"severity": answers[0].total})
'''
TEN_LINES_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tea-probe"
version = "3.1"
[project.entry-points."fmaudit.probes"]
"tea.surprise" = "tea_probe:Surprise"
[tool.hatch.build.targets.wheel]
include = ["tea_probe.py"]
"""


def install(files, folder):
    """Write a package and install it, without network, where only ``PYTHONPATH`` finds it."""
    source, target = folder / "source", folder / "installed"
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def call(target, *arguments):
    """Run Python in an empty folder with the package installed; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(target), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=target.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def blocks():
    found = dict(FILE_BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert {Path(name).suffix for name in found} == {".toml", ".py", ".yaml", ".jsonl"}
    return found


@pytest.fixture(scope="module")
def installed(blocks, tmp_path_factory):
    return install(blocks, tmp_path_factory.mktemp("negation"))


@pytest.fixture(scope="module")
def finished(installed):
    """The run directory of the example on a tiny base and an adapter of it."""
    folder = installed.parent
    base = tiny_causal(folder / "base", seed=1)
    adapter = tiny_lora(base, folder / "adapter", seed=2)
    options = ["-p", "language.negation", "-o", folder / "run", "--device", "cpu"]
    call(installed, "-m", "fmaudit", "run", base, "--adapted", f"{base}::adapter={adapter}", *options)
    return folder / "run"


@pytest.fixture(scope="module")
def audit(finished):
    return json.loads((finished / "audit.json").read_bytes())


def test_the_example_is_short(blocks):
    (source,) = (text for name, text in blocks.items() if name.endswith(".py"))
    code = [line for line in source.splitlines() if line.strip()]
    assert len(code) <= 40


def test_the_example_touches_nothing_but_its_own_package(blocks, installed):
    """The package adds a probe and its data; none of its files lies in or over fmaudit's."""
    placed = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    own = {name for name in placed if ".dist-info/" not in name and not name.endswith(".pyc")}
    assert own == {name for name in blocks if name != "pyproject.toml"}


def test_the_example_is_listed(installed):
    listing = call(installed, "-m", "fmaudit", "ls", "probes")
    (line,) = (line for line in listing.splitlines() if line.startswith("language.negation "))
    assert "negation-probe 0.1.0" in line
    assert "broken" not in line


def test_the_example_passes_the_conformance_suite(installed):
    code = "from fmaudit.testing import check_probe; check_probe('language.negation'); print('conforms')"
    assert code.partition("; print")[0] in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert call(installed, "-c", code).strip() == "conforms"


def test_the_example_has_estimates_with_intervals(audit):
    own = [entry for entry in audit["estimates"] if entry["metric"].startswith("language.negation/")]
    overall = [entry for entry in own if not entry["slice"]]
    subjects = {subject["id"] for subject in audit["subjects"]}
    metrics = {f"language.negation/{name}" for name in ("unheard_rate", "margin")}
    assert len(subjects) == 2
    assert {(entry["subject"], entry["metric"]) for entry in overall} == {
        (subject, metric) for subject in subjects for metric in metrics
    }
    for entry in overall:
        assert entry["state"] == "measured"
        assert entry["lower"] <= entry["value"] <= entry["upper"]
        assert entry["lower"] < entry["upper"]
        assert (entry["n"], entry["coverage"]) == (12, 1.0)
    assert {entry["slice"]["topic"] for entry in own if entry["slice"]} == {"nature", "things"}


def test_the_example_compares_base_and_adapted(audit):
    overall = {entry["metric"]: entry for entry in audit["comparisons"] if not entry["slice"]}
    rate = overall["language.negation/unheard_rate"]
    assert rate["base"] != rate["adapted"]
    assert sum(rate["table"].values()) == 12
    assert rate["lower"] <= rate["value"] <= rate["upper"]
    margin = overall["language.negation/margin"]
    assert margin["value"] == pytest.approx(margin["adapted_value"] - margin["base_value"])
    assert margin["value"] != 0


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_the_example_has_its_section_in_the_report(finished, name):
    page = (finished / "report" / name).read_text(encoding="utf-8")
    for words in ("True endings expected after a negation", "Share of negations not heard", "Negated facts"):
        assert words in page


def test_a_package_of_ten_lines_is_listed_and_conforms(tmp_path):
    assert len(TEN_LINES.splitlines()) == 10
    target = install({"pyproject.toml": TEN_LINES_PROJECT, "tea_probe.py": TEN_LINES}, tmp_path)
    (line,) = (
        line
        for line in call(target, "-m", "fmaudit", "ls", "probes").splitlines()
        if line.startswith("tea.surprise ")
    )
    assert "Log-probability of a text." in line
    assert "tea-probe 3.1" in line
    call(target, "-c", "from fmaudit.testing import check_probe; check_probe('tea.surprise')")
