"""The walk-through of docs/pull-request.md, run as it stands, on a real model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fmaudit.demo.smollm import find_smollm
from fmaudit.errors import UsageError

PAGE = Path(__file__).parents[2] / "docs" / "pull-request.md"
EXPECTED = re.compile(r"\s+# exit code (\d)$")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def steps(block):
    """Commands of a block with the exit code each has to end with."""
    for line in block.splitlines():
        found = EXPECTED.search(line)
        yield EXPECTED.sub("", line), int(found.group(1)) if found else 0


def scripts():
    """Every shell block as a script that stops at the first command with another exit code than stated."""
    for block in blocks("sh"):
        lines = ["set -u"]
        for command, code in steps(block):
            lines.append(command)
            lines.append(
                f'code=$?; [ "$code" = {code} ] || {{ echo "exit code $code: {code} stated"; exit 99; }}'
            )
        yield "\n".join(lines)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder after everything in the page was done, and what the gates printed."""
    try:
        find_smollm()
    except UsageError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("pull-request")
    (policy,) = blocks("yaml")
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    place = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    jobs = [[sys.executable, "-c", code] for code in blocks("python")]
    shell = [["bash", "-c", script] for script in scripts()]
    printed = []
    for job in (*shell[:1], *jobs, *shell[1:]):
        done = subprocess.run(
            job, cwd=folder, env=os.environ | place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (job[-1], done.stdout[-2000:], done.stderr[-2000:])
        printed.append(done.stdout)
    return folder, printed


def gate_of(folder, run):
    (record,) = (folder / "runs" / run / "gate").glob("*.json")
    return json.loads(record.read_bytes())


def test_the_page_states_what_the_test_checks():
    codes = [code for block in blocks("sh") for _, code in steps(block)]
    assert {0, 1, 3} <= set(codes)
    assert len(blocks("python")) == len(blocks("yaml")) == 1


@pytest.mark.slow
def test_the_good_adapter_passes_under_a_locked_policy(walked):
    folder, _ = walked
    record = gate_of(folder, "good")
    assert record["verdict"] == "pass"
    assert record["policy"]["locked_before_run"]
    assert {finding["verdict"] for finding in record["findings"]} == {"pass"}


@pytest.mark.slow
def test_the_leaky_adapter_fails_with_a_reason_to_act_on(walked):
    folder, printed = walked
    record = gate_of(folder, "leaky")
    assert record["verdict"] == "fail"
    failed = {finding["rule"]: finding for finding in record["findings"] if finding["verdict"] == "fail"}
    assert {"records-not-reproduced", "records-not-favoured"} <= set(failed)
    for finding in failed.values():
        assert "lies beyond" in finding["reason"]
        assert finding["action"]
    assert any(
        "FAIL records-not-reproduced: memorization.extraction/greedy_match_rate" in text for text in printed
    )
    rows = (folder / "leaky.csv").read_text("utf-8").splitlines()
    names = rows[0].split(",")
    reproduced = [row for row in rows[1:] if row.split(",")[names.index("outcome")] in ("1", "1.0", "true")]
    assert len(reproduced) >= 10


@pytest.mark.slow
def test_a_look_at_twenty_items_is_inconclusive(walked):
    folder, _ = walked
    record = gate_of(folder, "look")
    assert record["verdict"] == "inconclusive"
    assert "pass" not in {finding["verdict"] for finding in record["findings"]}
    rate = next(finding for finding in record["findings"] if finding["rule"] == "records-not-reproduced")
    low, high = rate["number"]["worst_interval"]
    assert low <= rate["limit"]["max"] < high
    assert rate["verdict"] == "inconclusive"


@pytest.mark.slow
def test_the_plan_said_so_beforehand(walked):
    _, printed = walked
    first, second = (" ".join(text.split()) for text in printed if "POLICY" in text)
    assert " ".join(blocks("text")[0].split()) in first
    # A line may end within a name, after its hyphen.
    unwrapped = first.replace("- ", "-")
    assert "cannot be expected to pass: capability-kept, records-not-favoured (see the warnings)" in unwrapped
    assert first.count("is a guess, which") == 2
    assert "has the items that every blocking rule needs" in second


@pytest.mark.slow
def test_outputs_for_ci_and_for_others_are_there(walked):
    folder, _ = walked
    for name in ("good", "leaky"):
        assert (folder / f"{name}.junit.xml").stat().st_size
        json.loads((folder / f"{name}.sarif").read_bytes())
    assert (folder / ".fmaudit" / "baseline" / "baseline.json").is_file()
    assert (folder / "pack-good" / "manifest-sha256.txt").is_file()
