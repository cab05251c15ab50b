"""Whatever is broken in what a command is given: one line, and no code that means a verdict."""

from __future__ import annotations

import json
import random
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LFS = b"version https://git-lfs.github.com/spec/v1\n"
WORDS = [b"", b"null", b"[]", b"{}", b'{"a": NaN}', b"\xff\xfe", b"\xef\xbb\xbf", b'"\\ud83d"', b"1e999",
         b"\0" * 40, b"PAR1", b"PK\x03\x04", b"<html>", LFS, b"a: &a [*a]\n"]  # fmt: skip


def cut(data, draw):
    return data[: draw.randrange(len(data) + 1)]


def flipped(data, draw):
    changed = bytearray(data)
    for _ in range(draw.choice((1, 3, 30))):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def word(data, draw):
    return draw.choice(WORDS)


def spliced(data, draw):
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(WORDS) + data[at:]


def retyped(data, draw):
    """One value of a JSON file as another type, or gone; other files are cut."""
    try:
        content = json.loads(data)
    except ValueError:
        return cut(data, draw)
    places = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    if not isinstance(content, dict | list) or not content:
        return b"7"
    walk(content)
    node, key = draw.choice(places)
    value = draw.choice([None, 7, -1, "\ud83d", "x", [], {}, True, 1e300, [[]], {"": {}}, 10**30])
    if draw.random() < 0.2:
        del node[key]
    else:
        node[key] = value
    return json.dumps(content).encode()


DAMAGES = [cut, flipped, word, spliced, retyped]
EXAMPLES = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory, run_once):
    """A log, the run imported from it, a policy, waivers, a card file and a public pack of the run."""
    folder = tmp_path_factory.mktemp("sound")
    samples = [
        {"id": f"q{i}", "epoch": 1, "input": f"What is {i}?", "target": str(i),
         "metadata": {"s": "ab"[i % 2]},
         "scores": {"match": {"value": "CI"[i % 2]}}, "output": {"completion": "It is."}}
        for i in range(40)
    ]  # fmt: skip
    metrics = {"accuracy": {"value": 0.5}}
    log = {"version": 2, "status": "success", "plan": {"steps": []}, "samples": samples,
           "results": {"scores": [{"name": "match", "scorer": "match", "metrics": metrics}]},
           "eval": {"task": "sums", "model": "a/b", "dataset": {"samples": 40}}}  # fmt: skip
    (folder / "log.json").write_text(json.dumps(log))
    (folder / "waivers.yaml").write_text("waivers: []\n")
    (folder / "policy.yaml").write_bytes(run_once("policy", "init", "-o", folder / "p.yaml").stdout and
                                         (folder / "p.yaml").read_bytes())  # fmt: skip
    done = run_once("import", folder / "log.json", "--slice", "s", "-o", folder / "run")
    assert done.code == 0, done.err
    done = run_once("pack", folder / "run", "-o", folder / "pack", "--hash-key", folder / "hash.key")
    assert done.code == 0, done.err
    return folder


def damaged(sound, to, name, damage, draw):
    """A copy of everything, one file of it damaged."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(sound, to)
    path = to / name
    path.write_bytes(damage(path.read_bytes(), draw))
    return to


def check(outcome, allowed):
    assert "Traceback" not in outcome.err
    assert "fault of fmaudit" not in outcome.err, outcome.err
    assert outcome.code in allowed, outcome.err


HARMLESS = {0, 2, 3, 4, 5}
TARGETS = [
    "run/run.json",
    "run/audit.json",
    "run/manifest.json",
    "evidence",
    "policy.yaml",
    "waivers.yaml",
    "log.json",
]


@pytest.mark.parametrize("target", TARGETS)
@EXAMPLES
@given(seed=st.integers(0, 2**32), damage=st.sampled_from(DAMAGES))
def test_a_damaged_run_log_or_policy_is_one_line(sound, run_once, tmp_path_factory, target, seed, damage):
    draw = random.Random(seed)
    name = target
    if target == "evidence":
        name = draw.choice(sorted(str(p.relative_to(sound)) for p in (sound / "run").rglob("*.parquet")))
    at = damaged(sound, tmp_path_factory.getbasetemp() / "damaged", name, damage, draw)
    run, policy = at / "run", at / "policy.yaml"
    gate = ["gate", run, "--policy", policy, "--no-report"]
    anything = [["rows", run, "inspect.sums"], ["compare", run, run], gate, ["pack", run, "-o", at / "p2"],
                ["import", at / "log.json", "-o", run]]  # fmt: skip
    commands = {
        "policy.yaml": [["policy", "check", policy], ["policy", "explain", policy]],
        "waivers.yaml": [[*gate, "--waivers", at / "waivers.yaml"]],
        "log.json": [["import", at / "log.json", "-o", at / "new"]],
        "run/manifest.json": [gate],
        "run/audit.json": [["show", run], ["compare", run], ["card", run], gate],
    }.get(target, anything)
    for arguments in commands:
        outcome = run_once(*arguments)
        gated = {1} if arguments[0] == "gate" and target == "waivers.yaml" else set()
        check(outcome, HARMLESS | gated)


@EXAMPLES
@given(seed=st.integers(0, 2**32), damage=st.sampled_from(DAMAGES))
def test_a_damaged_pack_does_not_verify_or_cannot_be_read(sound, run_once, tmp_path_factory, seed, damage):
    draw = random.Random(seed)
    name = draw.choice(sorted(str(p.relative_to(sound)) for p in (sound / "pack").rglob("*") if p.is_file()))
    at = damaged(sound, tmp_path_factory.getbasetemp() / "damaged", name, damage, draw)
    outcome = run_once("verify", at / "pack")
    changed = (at / name).read_bytes() != (sound / name).read_bytes()
    check(outcome, {1, 4} if changed else {3})


FILES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
    "generation_config.json",
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "classifier", "masked"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), damage=st.sampled_from(DAMAGES), data=st.booleans())
def test_a_damaged_model_or_data_file_is_no_verdict(
    models, run_once, tmp_path_factory, kind, seed, damage, data
):
    draw = random.Random(seed)
    at = tmp_path_factory.getbasetemp() / "broken-model"
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(models / kind, at / "model")
    rows = [{"text": f"nice day {i}", "label": str(i % 2), "group": "ab"[i // 2 % 2]} for i in range(40)]
    (at / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = (
        ["labels.jsonl"] if data else [f"model/{name}" for name in FILES if (at / "model" / name).exists()]
    )
    path = at / draw.choice(names)
    path.write_bytes(damage(path.read_bytes(), draw))
    probes = ("downstream.group_fairness", "--data", f"group_labels={at / 'labels.jsonl'}")
    asked = probes if kind == "classifier" else ("bias.crows_pairs", "-L", "2")
    outcome = run_once("run", at / "model", "-p", *asked, "-o", at / "run")
    assert outcome.code != 1, outcome.err
    assert "Traceback (most recent call last)" not in outcome.err
