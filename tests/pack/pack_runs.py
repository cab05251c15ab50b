"""A small finished and gated run, written by the project's own writers: token scores, and generated texts."""

from __future__ import annotations

from pathlib import Path

from fmaudit.analysis.measured import probe_of
from fmaudit.api import finish
from fmaudit.canonical import digest
from fmaudit.evidence.directory import RunDirectory, retest_key
from fmaudit.evidence.responses import encode_responses
from fmaudit.evidence.rows import Row
from fmaudit.gate.holding import GateOptions, gate_run
from fmaudit.plugins import load_probe
from fmaudit.probe import Binary, Item, Observation
from fmaudit.requests import Failure, Generation, Generations, InstrumentScore, TokenScores

ENDED = "2026-03-01T12:00:30Z"
SECRET = "the telephone number of a person"
TOKEN = " telephone"
ITEMS, BLOCK, SAMPLES = 40, 16, 2
BIAS = {"probe": "bias.crows_pairs", "variant": "causal_sum", "dataset": "minimal_pairs"}
TOXIC = {"probe": "toxicity.prompted", "variant": "", "dataset": "mild_prompts"}
SUBJECTS = ("base", "adapted", "stranger")
RATE = "bias.crows_pairs/pct_stereotype, dataset: minimal_pairs"
POLICY = """\
schema: fmaudit/policy/1
id: pack-test
description: One rule that passes, one that only warns, one on a comparison.
rules:
  - {id: level, metric: RATE, min: 0.0, max: 0.99, tier: block}
  - {id: strict, metric: RATE, min: 0.0, max: 0.01, tier: TIER}
  - {id: change, metric: RATE, vs_base: {max_increase: 0.9}, tier: warn}
"""


def write_run(folder: Path, *, policy: str | None = "warn", reveal: bool = False) -> Path:
    """A finished run; ``policy``: the tier of the rule that fails, None leaves the run without a gate."""
    run = RunDirectory(folder)
    records = []
    for question in (BIAS, TOXIC):
        measures = probe_of(question).measures
        for place, subject in enumerate(SUBJECTS):
            record = _record(question, subject)
            records.append(record)
            rows = [
                _row(question, item, sample, place, measures)
                for item in range(ITEMS)
                for sample in _samples(question)
            ]
            size = BLOCK * len(_samples(question))
            for block, start in enumerate(range(0, len(rows), size)):
                run.write_block(subject, record["key"], block, rows[start : start + size], measures)
                if question is TOXIC and subject == "base":
                    run.write_block(
                        subject, retest_key(record["key"]), block, rows[start : start + size], measures
                    )
    run.write_state(_state(records))
    finish(run)
    if reveal:
        from fmaudit.report.examples import evidence_samples
        from fmaudit.report.write import write_report

        write_report(folder, ("html",), True, evidence_samples(run))
        run.write_manifest()
    if policy is not None:
        gate(folder, policy)
    return folder


def gate(folder: Path, tier: str) -> None:
    """Hold the run against the policy of this module, the rule that fails being of ``tier``."""
    place = folder.with_name(f"{folder.name}-policy.yaml")
    place.write_text(POLICY.replace("TIER", tier).replace("RATE", RATE), "utf-8")
    gate_run(folder, GateOptions(place))


def _samples(question: dict[str, str]) -> range:
    return range(SAMPLES if question is TOXIC else 1)


def _row(question, number, sample, place, measures) -> Row:
    item = Item(
        f"item-{number:03d}",
        {},
        clusters={"target": f"target-{number}"},
        slices={"bias_type": "age" if number % 2 else "religion"},
    )
    high = (number + place) % 3 == 0
    values = {
        measure.id: int(high) if isinstance(measure, Binary) else (0.25 if high else -0.25)
        for measure in measures
    }
    if question is TOXIC:
        values |= {"n_tokens": 7.0, "toxicity": 0.75 if high else 0.25, "empty": 0}
        text = f"{SECRET} {number} {sample} {place}"
        scores = {"profanity": InstrumentScore(0.5)}
        answers = [Generations((Generation(text, 7, "length", 0.125, scores),) * SAMPLES)]
    else:
        scores = TokenScores(
            (TOKEN,) * 2, (-1.5,) * 2, (-2.0,) * 2, (1.0,) * 2, (False,) * 2, (0.5,) * 2, (-1.5,) * 2
        )
        answers = [scores, Failure("the engine gave no answer")]
    observation = Observation(values, sample=sample)
    return Row(item, number, number // BLOCK, 0, observation, encode_responses(answers, sample))


def _record(question: dict[str, str], subject: str) -> dict[str, object]:
    key = f"{question['probe']}@{question['dataset']}" + (
        f"+{question['variant']}" if question["variant"] else ""
    )
    dataset = {
        "id": question["dataset"],
        "title": "Written for tests",
        "licence": "CC0-1.0",
        "limits": [],
        "digest": digest(question),
        "n_items": ITEMS,
        "n_asked": ITEMS,
        "pinned": True,
        "source": "embedded",
    }
    protocol = {**question, "format": "raw"}
    return {
        "subject": subject,
        "key": key,
        "probe": question["probe"],
        "version": load_probe(question["probe"]).version,
        "variant": question["variant"],
        "state": "measured",
        "reason": "",
        "partial": False,
        "instruments": [],
        "protocol": protocol | {"digest": digest(protocol)},
        "dataset": dataset,
        "batches": [],
        "clusters": {"target": ITEMS},
    }


def parts_of(subject: str) -> dict[str, str]:
    return {"weights": digest([subject]), "config": digest({"layers": 2}), "tokenizer": digest("words")}


def _state(records) -> dict[str, object]:
    return {
        "schema": "fmaudit/run/1",
        "tool": {"name": "fmaudit", "version": "0.1.0"},
        "environment": {"python": "3.11.7", "packages": {"numpy": "2"}},
        "plan": {"seed": 0, "measurements": {}, "subjects": {}},
        "subjects": [
            {
                "id": name,
                "role": {"base": "base", "adapted": "adapted"}.get(name, "reference"),
                "kind": "causal",
                "name": f"org/{name}",
                "digest": digest(parts_of(name)),
                "base": "base" if name == "adapted" else None,
                "lineage": {"declared": "base" if name == "adapted" else None},
                "parts": parts_of(name),
                "notes": [],
            }
            for name in SUBJECTS
        ],
        "measurements": records,
        "instruments": [],
        "retests": [f"base/{TOXIC['probe']}@{TOXIC['dataset']}"],
        "policy": None,
        "looks": 0,
        "sessions": [{"begun": ENDED, "ended": ENDED}],
        "finished": True,
    }
