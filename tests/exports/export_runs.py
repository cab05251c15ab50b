"""A run directory made in code: an audit of two models, with rows of evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import Row
from fmaudit.probe import Binary, Item, Observation, Real
from fmaudit.schema import Audit
from tests.evidence.run_states import run_state
from tests.report.report_audits import hostile_audit, rich_factory

ENDED = "2026-03-01T12:00:30Z"
ENDED_SECONDS = 1772366430
SECRET = "the vault <b>code</b> is 4711"
EXTRACTION = "memorization.extraction@records"
CAPABILITY = "downstream.capability@neutral_texts"
_OUTCOME = (Binary("outcome"), Real("severity", unit="nats"))
_BITS = (Real("bits_per_byte", unit="bits/byte"),)


def small_audit() -> Audit:
    """Two models, four families, every state; one number without interval; a refuted and a verified child."""
    made = rich_factory()
    made.subject("adapted-2", "org/second")
    made.subject("adapted-3", "stranger")
    made.data["subjects"][-1]["lineage"] = {"declared": "base", "verified": False, "evidence": "no kin"}
    made.data["subjects"][-2]["lineage"] |= {"from_base": True}
    for measurement in made.data["measurements"]:
        measurement["protocol"] |= {"engine": "transformers", "decoding": [generate()]}
    gone = made.data["estimates"][0] | {
        "id": "gone",
        "slice": {"group": "absent"},
        "state": "unmeasured",
        "value": None,
        "lower": None,
        "upper": None,
        "worst": None,
        "worst_interval": None,
        "n": 0,
        "reason": "no valid row: undefined",
    }
    made.data["estimates"] += [gone, gone | {"id": "pointless", "state": "measured", "value": 0.987654}]
    return made.build()


def generate() -> dict[str, Any]:
    return {"kind": "generate", "temperature": 0.8, "top_k": 0, "top_p": 0.95, "max_new_tokens": 21}


def write_run(path: Path, audit: Audit | None = None, ended: str | None = ENDED) -> Path:
    """The audit with evidence of two measurements for each of its first two subjects."""
    directory = RunDirectory(path)
    found = audit or small_audit()
    path.mkdir(parents=True)
    (path / "audit.json").write_bytes(found.to_bytes())
    sessions = [{"begun": ENDED, "ended": ended}] if ended else []
    directory.write_state(run_state(schema="fmaudit/run/1", sessions=sessions))
    for subject in ("base", "adapted"):
        for block in (0, 1):
            rows = [extraction_row(block * 4 + place, block) for place in range(4)]
            directory.write_block(subject, EXTRACTION, block, rows, _OUTCOME)
        directory.write_block(subject, CAPABILITY, 0, [bits_row(0), bits_row(1)], _BITS)
    directory.write_block("base", EXTRACTION + "#retest", 0, [extraction_row(0, 0, seed=1)], _OUTCOME)
    directory.write_manifest()
    return path


def hostile_run(path: Path) -> Path:
    return write_run(path, hostile_audit())


def extraction_row(place: int, block: int, seed: int = 0) -> Row:
    item = Item(f"record-{place}", None, {"document": f"d{place}"}, {"group": "member"})
    answer = {
        "kind": "generation",
        "text": SECRET,
        "n_tokens": 6,
        "finish": "eos",
        "margin": 0.25,
        "scores": {},
    }
    valid = place != 3
    observation = (
        Observation({"outcome": place % 2, "severity": 0.5 - place}, {})
        if valid
        else Observation({}, {"outcome": "empty answer", "severity": "empty answer"})
    )
    return Row(item, place, block, seed, observation, json.dumps([answer]))


def bits_row(place: int) -> Row:
    scored = {
        "kind": "tokens",
        "tokens": ["a"],
        "logprob": [-1.0],
        "mean": [-1.0],
        "variance": [0.0],
        "is_argmax": [True],
        "gap": [0.5],
        "decoded": [-1.0],
    }
    item = Item(f"text-{place}", None)
    return Row(item, place, 0, 0, Observation({"bits_per_byte": 1.25 + place}, {}), json.dumps([scored]))


def all_numbers(value: Any) -> set[float]:
    """Every number in plain data, with those in its text values read as JSON."""
    if isinstance(value, bool):
        return set()
    if isinstance(value, int | float):
        return {float(value)}
    if isinstance(value, str):
        if len(value) == 64:
            return set()  # a digest that happens to read as a number
        try:
            found = json.loads(value)
        except ValueError:
            return set()
        return set() if isinstance(found, str) else all_numbers(found)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(all_numbers(part) for part in parts)) if parts else set()
