"""A run that other versions or another machine began is refused, or said to be mixed."""

from __future__ import annotations

import copy

import pytest

from fmaudit.errors import UsageError
from fmaudit.running.environment import environment, tool
from fmaudit.running.mixing import PACKAGES, PLACES, is_pending, mixtures

TOOL = {"name": "fmaudit", "version": "2"}
HERE = {
    "python": "3.11",
    "machine": "x86_64",
    "cpu": "AVX2",
    "device": "cpu",
    "packages": {"torch": "2.9", "transformers": "5.1", "tokenizers": "0.22", "scipy": "1.1"},
}


def begun(**changes):
    return {"tool": TOOL, "environment": HERE, "sessions": [{"tool": TOOL, "environment": HERE}], **changes}


def elsewhere(name, value):
    found = copy.deepcopy(HERE)
    if name in PLACES:
        found[name] = value
    else:
        found["packages"][name] = value
    return found


def test_the_same_environment_goes_on():
    assert mixtures(begun(), TOOL, HERE, "run", allowed=False) == []
    assert mixtures(begun(), TOOL, HERE | {"python": "3.12", "cores": 99}, "run", allowed=False) == []
    assert mixtures(begun(), TOOL, elsewhere("scipy", "1.2"), "run", allowed=False) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("transformers", "5.2"), ("torch", "3"), ("peft", "1"), ("cpu", "AVX512"), ("device", "GPU")],
)
def test_another_is_refused_in_one_line_or_said(name, value):
    with pytest.raises(UsageError, match=f"and here is {name} {value}") as caught:
        mixtures(begun(), TOOL, elsewhere(name, value), "run", allowed=False)
    assert "\n" not in str(caught.value)
    assert "--allow-mixed" in str(caught.value)
    (line,) = mixtures(begun(), TOOL, elsewhere(name, value), "run", allowed=True)
    assert f"others with {name} {value}" in line


def test_the_tools_own_version_and_a_package_that_is_gone_count():
    with pytest.raises(UsageError, match="fmaudit 2, and here is fmaudit 3"):
        mixtures(begun(), TOOL | {"version": "3"}, HERE, "run", allowed=False)
    without = copy.deepcopy(HERE)
    del without["packages"]["tokenizers"]
    with pytest.raises(UsageError, match=r"tokenizers 0\.22, and here is tokenizers not there"):
        mixtures(begun(), TOOL, without, "run", allowed=False)


def test_every_session_that_answered_counts_and_others_do_not():
    old = elsewhere("transformers", "4.0")
    sessions = [{"tool": TOOL, "environment": old}, {"tool": TOOL, "environment": HERE}]
    with pytest.raises(UsageError, match=r"transformers 4\.0"):
        mixtures(begun(sessions=sessions), TOOL, HERE, "run", allowed=False)
    sessions[0]["asked"] = False
    assert mixtures(begun(sessions=sessions), TOOL, HERE, "run", allowed=False) == []
    # Sessions of before they were recorded one by one have the environment of their run.
    with pytest.raises(UsageError, match=r"transformers 4\.0"):
        mixtures(begun(environment=old, sessions=[{"begun": "t"}]), TOOL, HERE, "run", allowed=False)


def test_what_is_finished_asks_nothing():
    assert is_pending({"measurements": [], "finished": False})
    assert not is_pending({"measurements": [{"state": "measured"}], "finished": True})
    assert is_pending({"measurements": [{"state": "failed"}], "finished": True})


def test_the_environment_has_what_is_compared():
    found = environment("cpu")
    assert set(PLACES) <= set(found)
    assert {"torch", "transformers", "tokenizers", "numpy"} <= set(found["packages"]) & set(PACKAGES)
    assert tool()["version"]
