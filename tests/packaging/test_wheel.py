import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBES = [
    "bias.crows_pairs",
    "bias.occupations",
    "downstream.backdoor",
    "downstream.capability",
    "downstream.group_fairness",
    "downstream.negation",
    "memorization.canary",
    "memorization.extraction",
    "toxicity.prompted",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("dist")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def shipped(folder, pattern):
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file()
    }


def test_wheel_holds_both_typed_packages(files):
    assert {"fmaudit/py.typed", "fmaudit_probes/py.typed"} <= files.keys()
    for folder, package in (("fmaudit", "fmaudit"), ("probes/fmaudit_probes", "fmaudit_probes")):
        modules = shipped(folder, "*.py")
        assert modules
        assert not {f"{package}/{name}" for name in modules} - files.keys()


def test_wheel_holds_templates_cards_and_embedded_data(files):
    for folder, place in (
        ("templates", "fmaudit/_data/templates"),
        ("datasets_cards", "fmaudit/_data/datasets_cards"),
        ("probes/fmaudit_probes", "fmaudit_probes"),
    ):
        pattern = "*.jsonl" if folder.startswith("probes") else "*"
        expected = {f"{place}/{name}" for name in shipped(folder, pattern) if "__pycache__" not in name}
        assert expected, f"{folder} is empty"
        assert not expected - files.keys()


def test_wheel_holds_nothing_else(files):
    roots = {name.partition("/")[0] for name in files}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"fmaudit", "fmaudit_probes"}
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc")]


def test_wheel_names_its_probes_command_and_licence(files):
    (declared,) = [text.decode() for name, text in files.items() if name.endswith("entry_points.txt")]
    assert "fmaudit = fmaudit.cli:main" in declared
    assert not [probe for probe in PROBES if f"{probe} = fmaudit_probes." not in declared]
    (licence,) = [text for name, text in files.items() if name.endswith("licenses/LICENSE")]
    assert b"Apache License" in licence
    assert b"END OF TERMS AND CONDITIONS" in licence


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of an empty environment with the wheel; the dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    install = [
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
        "-q",
    ]
    subprocess.run([sys.executable, *install, str(wheel)], check=True)
    # Behind the wheel on sys.path; the .pth files there, the editable install's among them, stay unread.
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


def run(program, folder, *arguments, timeout=120):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FMAUDIT"))}
    return subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env=clean | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_installed_package_is_the_wheels_own(installed, tmp_path):
    code = "import fmaudit, fmaudit_probes; print(fmaudit.__file__); print(fmaudit_probes.__file__)"
    found = run(installed / "python", tmp_path, "-c", code)
    places = [Path(line) for line in found.stdout.splitlines()]
    assert len(places) == 2, found.stderr
    assert all(place.is_relative_to(installed.parent) for place in places), places


def test_installed_wheel_lists_its_probes_from_another_folder(installed, tmp_path):
    listed = run(installed / "fmaudit", tmp_path, "ls", "probes")
    assert listed.returncode == 0, listed.stderr
    assert not [probe for probe in PROBES if probe not in listed.stdout]


def test_installed_wheel_audits_a_model_from_another_folder(installed, tmp_path):
    from fmaudit.testing.tiny import tiny_causal

    tiny_causal(tmp_path / "model", context_length=512)
    chosen = ("--probes", "downstream.capability", "-L", "4", "--device", "cpu", "-o", "audit")
    done = run(installed / "fmaudit", tmp_path, "run", "model", *chosen, timeout=240)
    assert done.returncode == 0, done.stderr
    audit = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert {row["probe"] for row in audit["measurements"]} == {"downstream.capability"}
    assert any(row["state"] == "measured" for row in audit["measurements"])
    pages = list((tmp_path / "audit").rglob("*.html"))
    assert pages, "no report page was rendered from the templates in the wheel"
    assert all(page.stat().st_size > 1000 for page in pages)


def test_declared_dependencies_have_exact_versions_in_the_constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = (line.split("==") for line in lines if line and not line.startswith("#"))
    pinned = {name.lower().replace("_", "-"): version for name, version in exact}
    assert not [version for version in pinned.values() if "+" in version], (
        "local versions resolve nowhere else"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in (*project["dependencies"], *extras["offline"], *extras["dev"]):
        name = re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")
        assert name in pinned, f"{name}: run make lock"


def test_torch_of_the_makefile_is_the_constraints_own():
    pinned = [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")
    ]
    assert f"TORCH := {pinned[0]}\n" in (ROOT / "Makefile").read_text()


def test_running_python_is_supported():
    assert (3, 11) <= sys.version_info[:2] <= (3, 13)
