"""What the documents say exists: commands, options, files, probes, Python names."""

import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

import fmaudit
from fmaudit.cards import shipped_card_ids
from fmaudit.cli import cli
from fmaudit.plugins import list_probes
from fmaudit.running.options import RunOptions

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{n}.md" for n in ("design", "decisions", "gpu", "gate", "releases", "ci")),
    *(f"docs/{n}.md" for n in ("evidence-pack", "planning")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLANNED = "Planned, not there yet"


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name):
    """Every ``fmaudit ...`` in code, fenced or inline, without comments."""
    text = text_of(name).partition(PLANNED)[0]
    text = text.replace(".venv/bin/", "")
    lines = [line for language, body in FENCE.findall(text) if language == "sh" for line in body.splitlines()]
    lines += INLINE.findall(FENCE.sub("", text))
    return [line for line in lines if line.startswith("fmaudit ")]


def everything_said():
    return [(name, line) for name in DOCUMENTS for line in commands(name)]


@pytest.mark.parametrize(("name", "line"), everything_said())
def test_a_command_exists_with_its_options(name, line):
    words = shlex.split(line, comments=True)[1:]
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, f"{name}: there is no command {words[0]}"
    if len(words) > 1:
        command.make_context(words[0], words[1:])  # parses, checks choices and what is required, runs nothing


def test_the_readme_shows_every_command():
    shown = {line.split()[1] for line in commands("README.md")}
    assert shown == set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_local_links_resolve(name):
    places = [link.partition("#")[0] for link in LINK.findall(FENCE.sub("", text_of(name)))]
    for place in places:
        if place and not re.match(r"[a-z]+:", place):
            assert ((ROOT / name).parent / place).exists(), f"{name} links to {place}, which is not there"


def test_the_readme_names_the_probes_and_data_sets_that_ship():
    readme = text_of("README.md")
    shipped = {entry.id for entry in list_probes() if entry.distribution == "fmaudit"}
    rows = [line.split("|")[1:-1] for line in readme.splitlines() if line.startswith("| `")]
    assert {row[0].strip(" `") for row in rows} == shipped
    named = {name for row in rows for name in INLINE.findall(row[2])}
    assert named == set(shipped_card_ids())


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    for name in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text_of(name), re.MULTILINE))
        assert named <= targets, name


def python_examples():
    return [body for language, body in FENCE.findall(text_of("README.md")) if language == "python"]


def test_the_python_example_fits_the_functions():
    (source,) = (body for body in python_examples() if "fmaudit.audit(" in body)
    called = []

    def audit(*args, **kwargs):
        called.append(inspect.signature(fmaudit.audit).bind(*args, **kwargs).arguments)
        raise StopIteration

    names = {}
    head = source.partition("print(")[0].replace("fmaudit.audit(", "audit(")
    with pytest.raises(StopIteration):
        exec(compile(head, "README.md", "exec"), {"audit": audit}, names)
    assert isinstance(called[0]["options"], RunOptions)
    tail = set(re.findall(r"\bfmaudit\.(\w+)\(", source))
    assert tail <= set(fmaudit.__all__)
    used = set(re.findall(r"\brun\.(\w+)", source))
    assert {"report", "audit"} <= used <= {*fmaudit.Run.__dataclass_fields__, *vars(fmaudit.Run)}


def test_the_inheritance_example_runs(capsys):
    (source,) = (body for body in python_examples() if "copy_fraction(" in body)
    exec(compile(source, "README.md", "exec"), {})
    value, *_ = capsys.readouterr().out.split()
    assert float(value) == 1.0


def test_the_changelog_has_this_version():
    from importlib.metadata import version

    changelog = text_of("CHANGELOG.md")
    assert "## [Unreleased]" in changelog
    assert f"## [{version('fmaudit')}]" in changelog
