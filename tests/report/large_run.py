"""A synthetic run of many rows, written by the project's own evidence writers.

``python tests/report/large_run.py FOLDER [ITEMS]`` writes one to look at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from fmaudit.analysis.measured import probe_of
from fmaudit.evidence.directory import AUDIT_FILE, RunDirectory
from fmaudit.evidence.responses import encode_responses
from fmaudit.evidence.rows import Row
from fmaudit.probe import Item, Observation
from fmaudit.requests import TokenScores

PROBE, VARIANT, DATASET = "bias.crows_pairs", "causal_sum", "minimal_pairs"
KEY = f"{PROBE}@{DATASET}+{VARIANT}"
KINDS = ("age", "disability", "gender", "nationality", "race-color", "religion", "socioeconomic")
BLOCK = 64
# Every hundredth answer has no value; one item in eight changes sides.
INVALID_EVERY, FLIPPED = 100, 0.125
_TOKENS = 12
_SCORES = TokenScores(
    tokens=(" word",) * _TOKENS,
    logprob=(-1.5,) * _TOKENS,
    mean=(-2.0,) * _TOKENS,
    variance=(1.0,) * _TOKENS,
    is_argmax=(False,) * _TOKENS,
    gap=(0.5,) * _TOKENS,
    decoded=(-1.5,) * _TOKENS,
)


def write_large_run(folder: Path, items: int = 50_000, subjects: int = 2, *, audited: bool = False) -> Path:
    """A finished run of ``items`` items asked of each of ``subjects`` models, the first being the base.

    One row an item and subject: slices, clusters, valid and invalid outcomes, token scores as responses.
    ``audited`` also computes ``audit.json`` by the analysis, which takes its time.
    """
    run = RunDirectory(folder)
    names = ["base", *(f"adapted-{place}" for place in range(1, subjects))]
    entry = {"probe": PROBE, "variant": VARIANT}
    measures = probe_of(entry).measures
    random = np.random.default_rng(7)
    base = random.normal(0.4, 1.0, items)
    for place, name in enumerate(names):
        turned = (random.random(items) < FLIPPED) & (place > 0)
        severity = np.where(turned, -base, base + random.normal(0, 0.01, items))
        response = encode_responses([_SCORES, _SCORES], 0)
        rows = [_row(at, float(value), name, response) for at, value in enumerate(severity.tolist())]
        for block, start in enumerate(range(0, items, BLOCK)):
            run.write_block(name, KEY, block, rows[start : start + BLOCK], measures)
    run.write_state(_state(names, items))
    if audited:
        from fmaudit.analysis.build import build_audit
        from fmaudit.evidence.atomic import write_atomically

        write_atomically(folder / AUDIT_FILE, build_audit(run).to_bytes())
    return folder


def _row(place: int, severity: float, subject: str, response: str) -> Row:
    kind = KINDS[place % len(KINDS)]
    item = Item(
        f"pair-{place:06d}",
        {},
        clusters={"template": f"template-{place // 5}"},
        slices={"bias_type": kind, "direction": "stereo" if place % 3 else "antistereo"},
    )
    # Base and adapted models miss different items, so that an item may be valid on one side only.
    missing = (place + len(subject)) % INVALID_EVERY == 0
    names = ("outcome", "severity", "tie")
    values = {} if missing else dict(zip(names, (int(severity > 0), severity, 0), strict=True))
    invalid = dict.fromkeys(names, "the sentence is longer than the context") if missing else {}
    return Row(item, place, place // BLOCK, 0, Observation(values, invalid), response)


def _state(names: list[str], items: int) -> dict[str, Any]:
    dataset = {
        "id": DATASET,
        "title": "Synthetic pairs",
        "licence": "Apache-2.0",
        "limits": ["Drawn at random: they say nothing about any model."],
        "digest": "sha256:" + "d" * 64,
        "n_items": items,
        "n_asked": items,
        "pinned": False,
        "source": "local",
    }
    protocol = {"probe": PROBE, "variant": VARIANT, "format": "raw", "digest": "sha256:" + "e" * 64}
    return {
        "schema": "fmaudit/run/1",
        "tool": {"name": "fmaudit", "version": "0"},
        "plan": {"seed": 0, "measurements": {}, "subjects": {}},
        "subjects": [_subject(name) for name in names],
        "measurements": [
            {
                "subject": name,
                "key": KEY,
                "probe": PROBE,
                "version": 1,
                "variant": VARIANT,
                "state": "measured",
                "reason": "",
                "partial": False,
                "instruments": [],
                "protocol": protocol,
                "dataset": dataset,
                "batches": [],
            }
            for name in names
        ],
        "instruments": [],
        "retests": [],
        "policy": None,
        "finished": True,
    }


def _subject(name: str) -> dict[str, Any]:
    base = name == "base"
    return {
        "id": name,
        "role": "base" if base else "adapted",
        "kind": "causal",
        "name": f"synthetic-{name}",
        "digest": "sha256:" + f"{sum(name.encode()):064x}",
        "base": None if base else "base",
        "lineage": {"declared": None if base else "base"},
        "parts": {},
        "notes": [],
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_large_run(target, int(sys.argv[2]) if len(sys.argv) > 2 else 50_000, audited=True)
