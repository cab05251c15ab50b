"""A run that is killed at any moment and repeated ends with the bytes of an undisturbed one.

A driver process imports everything once and forks a child for each run; the child is
killed with SIGKILL, a second child repeats the same call.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from fmaudit.testing.tiny import tiny_causal, tiny_lora

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DRIVER = '''
import gc, hashlib, json, os, random, shutil, signal, sys, time
from pathlib import Path

import torch

torch.set_num_threads(1)

import fmaudit.plan
from fmaudit.api import audit
from fmaudit.engines.transformers_engine import TransformersEngine
from fmaudit.running.options import RunOptions

job = json.loads(sys.argv[1])
work = Path(job["work"])
fmaudit.plan.BLOCK_ITEMS = job["block_items"]
events = []


def reach(event, until):
    events.append(event)
    if len(events) - 1 == until:
        os.kill(os.getpid(), signal.SIGKILL)


def instrument(until):
    """Number the boundaries of this process; die at number ``until``."""
    fsync, replace, run = os.fsync, Path.replace, TransformersEngine.run

    def counting_fsync(descriptor):
        if len(events) == until:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        reach("half written", until)
        fsync(descriptor)

    def counting_replace(path, target):
        reach(f"before {target.name}", until)
        done = replace(path, target)
        reach(f"after {target.name}", until)
        return done

    def counting_run(engine, asks, tick=None):
        def counting_tick(steps):
            tick(steps)
            reach("batch", until)

        return run(engine, asks, counting_tick)

    os.fsync, Path.replace, TransformersEngine.run = counting_fsync, counting_replace, counting_run


def start(folder, until=None):
    """Fork a child that audits into ``folder``; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        instrument(until)
        audit(job["base"], job["adapted"], output=folder, options=RunOptions(**job["options"]))
        (work / "events.json").write_text(json.dumps(events))
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_after(pid, seconds):
    """Kill the child when the time is over, if it has not ended by itself."""
    if signal.sigtimedwait({signal.SIGCHLD}, seconds) is None:
        os.kill(pid, signal.SIGKILL)
    code = ended(pid)
    signal.sigtimedwait({signal.SIGCHLD}, 0)
    return code


def results(folder):
    files = [*sorted((folder / "evidence").rglob("*.parquet")), folder / "audit.json"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


def state(folder):
    """What run.json says, without the clock."""
    content = json.loads((folder / "run.json").read_text())
    return {name: value for name, value in content.items() if name != "sessions"}


def repeat(folder, killed):
    """Repeat the call undisturbed and say what became of it."""
    before = results(folder) if folder.is_dir() else {}
    resumed = ended(start(folder))
    found = {
        "killed": killed,
        "before": before,
        "resumed": resumed,
        "after": results(folder),
        "state": state(folder),
        "events": json.loads((work / "events.json").read_text()),
        "left_behind": sorted(path.name for path in folder.rglob("*.partial")),
    }
    shutil.rmtree(folder)
    return found


# The first run happens here: what it caches and imports, every child inherits.
audit(job["base"], job["adapted"], output=work / "warm", options=RunOptions(**job["options"]))
gc.collect()
gc.freeze()
begun = time.monotonic()
assert ended(start(work / "whole")) == 0
duration = time.monotonic() - begun
listed = json.loads((work / "events.json").read_text())
report = {
    "warm": results(work / "warm"),
    "whole": results(work / "whole"),
    "state": state(work / "whole"),
    "events": listed,
    "runs": [],
}
folder = work / "killed"
if job["moments"]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    drawn = random.Random(job["seed"])
    for _ in range(10 * job["moments"]):
        begun = time.monotonic()
        code = killed_after(start(folder), drawn.uniform(0.02, 0.98) * duration)
        if code == -signal.SIGKILL:
            report["runs"].append(repeat(folder, code))
        else:
            # It ended before its moment: the machine is faster now than when it was timed.
            duration = time.monotonic() - begun
            shutil.rmtree(folder)
        if len(report["runs"]) == job["moments"]:
            break
else:
    last = {event: number for number, event in enumerate(listed)}
    chosen = [last[event] for event in job["boundaries"]] or range(len(listed))
    for number in chosen:
        report["runs"].append(repeat(folder, ended(start(folder, number))))
    # One directory, every session of which dies a few boundaries after it began.
    deaths = 0
    while ended(start(folder, 5)) == -signal.SIGKILL and deaths < 100:
        deaths += 1
    report["deaths"] = deaths
    report["restless"] = repeat(folder, 0)
print(json.dumps(report))
'''


def drive(tmp_path, *, adapted, block_items, boundaries=(), moments=0, seed=0, **options):
    base = tiny_causal(tmp_path / "base")
    job = {
        "base": str(base),
        "adapted": [f"{base}::adapter={tiny_lora(base, tmp_path / 'lora')}"] if adapted else [],
        "work": str(tmp_path),
        "block_items": block_items,
        "boundaries": boundaries,
        "moments": moments,
        "seed": seed,
        "options": {"device": "cpu"} | options,
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(job)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_resumed(run, report):
    whole = report["whole"]
    assert run["resumed"] == 0
    assert run["after"] == whole
    assert run["left_behind"] == []
    # A kill leaves finished files or none: nothing that counts is torn.
    assert run["before"].items() <= whole.items()
    assert run["state"] == report["state"]
    parts = sum(name.endswith(".parquet") for name in run["before"])
    all_parts = sum(name.endswith(".parquet") for name in whole)
    written = sum(event.startswith("after part-") for event in run["events"])
    assert written == all_parts - parts, "a finished block was asked again"


SMALL = {
    "adapted": False,
    "block_items": 2,
    "probes": ("bias.crows_pairs", "toxicity.prompted"),
    "datasets": ("minimal_pairs", "mild_prompts"),
    "limit": 3,
    "samples": 2,
    "token_budget": 64,
}
ONE_OF_EACH_KIND = (
    "batch",
    "half written",
    "before part-00001.parquet",
    "after part-00001.parquet",
    "before run.json",
    "after audit.json",
)


def check_small(report):
    assert len(report["whole"]) == 5
    assert report["warm"] == report["whole"]
    for run in report["runs"]:
        assert run["killed"] == -signal.SIGKILL
        check_resumed(run, report)
    assert report["deaths"] > 1
    assert report["restless"]["after"] == report["whole"]
    assert report["restless"]["state"] == report["state"]


def test_killed_at_one_boundary_of_each_kind(tmp_path):
    report = drive(tmp_path, boundaries=ONE_OF_EACH_KIND, **SMALL)
    assert len(report["runs"]) == len(ONE_OF_EACH_KIND)
    check_small(report)


@pytest.mark.slow
def test_killed_at_every_write_and_batch_boundary(tmp_path):
    report = drive(tmp_path, **SMALL)
    kinds = Counter(report["events"])
    assert kinds["batch"] > 4
    assert kinds["after part-00000.parquet"] == kinds["after part-00001.parquet"] == 2
    assert kinds["after audit.json"] == kinds["after manifest.json"] == 1
    assert len(report["runs"]) == len(report["events"])
    check_small(report)


@pytest.mark.slow
def test_killed_at_random_moments_of_a_larger_run(tmp_path):
    report = drive(
        tmp_path,
        adapted=True,
        block_items=16,
        moments=20,
        seed=20,
        probes=("bias.crows_pairs", "toxicity.prompted"),
        datasets=("minimal_pairs", "mild_prompts"),
        limit=40,
        samples=2,
        token_budget=512,
    )
    assert len(report["whole"]) == 2 * 2 * 3 + 1
    assert report["warm"] == report["whole"]
    assert len(report["runs"]) == 20
    for run in report["runs"]:
        assert run["killed"] == -signal.SIGKILL
        check_resumed(run, report)
    # The moments fall everywhere: into early, middle and late parts of the run.
    assert len({len(run["before"]) for run in report["runs"]}) >= 4
