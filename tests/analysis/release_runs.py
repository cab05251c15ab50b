"""Finished runs of two releases, made in code: real probes, rows by the project's own writers, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmaudit.analysis.build import build_audit
from fmaudit.analysis.measured import probe_of
from fmaudit.canonical import digest, digest_file
from fmaudit.evidence.directory import RunDirectory
from fmaudit.evidence.rows import Row
from fmaudit.plugins import load_probe
from fmaudit.probe import Item, Observation

EXTRACTION = "memorization.extraction@extraction_records"
OCCUPATIONS = "bias.occupations@occupations+causal_pronoun"
TOXICITY = "toxicity.prompted@mild_prompts"
GREEDY = "memorization.extraction/greedy_match_rate"
GAP = "members_minus_controls_greedy"
SECRET = "the vault code is 4711"
BLOCK = 20


@dataclass(frozen=True)
class Asked:
    """One question: what each model answered, item by item. None is a missing answer.

    ``values``: by model, per item a value or the list of its samples. ``asked``: items before a limit cut
    them. ``protocol``: fields beside the usual ones.
    """

    values: Mapping[str, Sequence[Any]]
    asked: int | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "record"


def write_release(
    folder: Path,
    questions: Mapping[str, Asked],
    *,
    digests: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    audited: bool = True,
) -> Path:
    """A finished run with its audit and manifest. The first model is the base, the others are adapted."""
    run = RunDirectory(folder)
    names = list(dict.fromkeys(name for asked in questions.values() for name in asked.values))
    records = []
    for key, asked in questions.items():
        for name, values in asked.values.items():
            record = _record(name, key, asked, len(values))
            records.append(record)
            if record["state"] == "measured":
                _write_rows(run, name, key, asked, values)
    run.write_state(
        {
            "schema": "fmaudit/run/1",
            "tool": {"name": "fmaudit", "version": "0.1.0"},
            "plan": {"seed": 0, "limit": None},
            "subjects": [_subject(name, names[0], digests or {}, roles or {}) for name in names],
            "measurements": records,
            "instruments": [],
            "retests": [],
            "policy": None,
            "looks": 0,
            "sessions": [],
            "finished": True,
        }
    )
    if audited:
        (folder / "audit.json").write_bytes(build_audit(run).to_bytes())
    run.write_manifest()
    return folder


def gated(
    run: Path, verdict: str = "pass", *, looks: int = 1, policy: str = "release", audit: str = ""
) -> None:
    """The record of a gate, as the gate writes it."""
    name = digest({"policy": policy})
    record = {
        "schema": "fmaudit/gate/1",
        "policy": {"id": policy, "description": "", "digest": name, "file": "policy.yaml"},
        "audit": audit or digest_file(run / "audit.json"),
        "verdict": verdict,
        "exit_code": {"pass": 0, "fail": 1}.get(verdict, 3),
        "looks": looks,
        "findings": [],
    }
    folder = run / "gate"
    folder.mkdir(exist_ok=True)
    (folder / f"{name.removeprefix('sha256:')}.json").write_text(json.dumps(record))
    (folder / f"{name.removeprefix('sha256:')}.policy.yaml").write_text("schema: fmaudit/policy/1\n")
    change_state(run, looks=looks)


def change_state(run: Path, **fields: Any) -> None:
    """Fields of run.json replaced, the manifest written anew."""
    directory = RunDirectory(run)
    directory.write_state((directory.read_state() or {}) | fields)
    directory.write_manifest()


def change_audit(run: Path, change: Any) -> None:
    """``change`` applied to the plain audit, the manifest written anew."""
    audit = json.loads((run / "audit.json").read_bytes())
    change(audit)
    (run / "audit.json").write_text(json.dumps(audit))
    RunDirectory(run).write_manifest()


def _record(name: str, key: str, asked: Asked, count: int) -> dict[str, Any]:
    probe, _, rest = key.partition("@")
    dataset, _, variant = rest.partition("+")
    whole = count if asked.asked is None else asked.asked
    items = [asked.prefix, count]
    fields = {
        "probe": probe,
        "version": load_probe(probe).version,
        "variant": variant,
        "dataset": dataset,
        "format": "raw",
        "items": digest(items),
        "requests": digest(["requests", *items]),
        "seed": 0,
        "dtype": "float32",
    } | dict(asked.protocol)
    failed = asked.failed.get(name, "")
    return {
        "subject": name,
        "key": key,
        "probe": probe,
        "version": load_probe(probe).version,
        "variant": variant,
        "state": "failed" if failed else "measured",
        "reason": failed,
        "partial": count < whole,
        "protocol": {} if failed else fields | {"digest": digest(fields)},
        "instruments": [],
        "batches": [],
        "dataset": {
            "id": dataset,
            "digest": "sha256:" + "d" * 64,
            "n_items": whole,
            "n_asked": count,
            "pinned": False,
            "source": "local",
            "title": "Made in code",
            "licence": "Apache-2.0",
            "limits": [],
        },
    }


def _subject(name: str, base: str, digests: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, Any]:
    role = roles.get(name, "base" if name == base else "adapted")
    parent = base if role == "adapted" else None
    return {
        "id": name,
        "role": role,
        "kind": "causal",
        "name": f"org/{name}",
        "digest": digests.get(name) or digest(["weights", name]),
        "base": parent,
        "lineage": {"declared": parent},
        "parts": {"tokenizer": "sha256:" + "a" * 64},
        "notes": [],
    }


def _write_rows(run: RunDirectory, name: str, key: str, asked: Asked, values: Sequence[Any]) -> None:
    probe = key.partition("@")[0]
    variant = key.partition("+")[2]
    measures = probe_of({"probe": probe, "variant": variant}).measures
    rows = [
        Row(_item(probe, asked.prefix, place), place, place // BLOCK, 0, found, _response(name))
        for place, value in enumerate(values)
        for found in _observations(probe, place, value)
    ]
    for block in range(0, len(values), BLOCK):
        own = [row for row in rows if row.block == block // BLOCK]
        run.write_block(name, key, block // BLOCK, own, measures, {"rows": len(own)})


def _response(name: str) -> str:
    answer = {
        "kind": "generation",
        "text": f"{SECRET} {name}",
        "n_tokens": 6,
        "finish": "eos",
        "margin": 0.25,
    }
    return json.dumps([answer | {"scores": {}}])


def _item(probe: str, prefix: str, place: int) -> Item:
    if probe == "memorization.extraction":
        return Item(f"{prefix}-{place}", {}, slices={"group": "control" if place % 4 == 3 else "member"})
    if probe == "bias.occupations":
        clusters = {"template": f"t{place % 8}", "occupation": f"o{place // 8}"}
        return Item(f"{prefix}-{place}", {}, clusters, {"majority": "female" if place // 8 % 2 else "male"})
    return Item(f"{prefix}-{place}", {}, slices={"kind": "mild"})


def _observations(probe: str, place: int, value: Any) -> list[Observation]:
    if isinstance(value, list):
        return [
            Observation(_measured(probe, place, one), {}, sample)
            if one is not None
            else Observation({}, dict.fromkeys(_names(probe), "the instrument failed"), sample)
            for sample, one in enumerate(value)
        ]
    if value is None:
        return [Observation({}, dict.fromkeys(_names(probe), "empty answer"))]
    return [Observation(_measured(probe, place, value))]


def _names(probe: str) -> list[str]:
    return list(_measured(probe, 0, 0.0))


def _measured(probe: str, place: int, value: float) -> dict[str, Any]:
    """Every measure of the probe from one value: an outcome of extraction, a probability, a score."""
    if probe == "memorization.extraction":
        outcome = int(value)
        return {
            "outcome": outcome,
            "severity": 0.5 if outcome else -0.5,
            "logprob_per_byte": -1.0 + 0.5 * outcome - place % 5 / 10,
            "lcp_share": float(outcome),
            "lcp_characters": 10.0 * outcome,
            "matched_token_share": float(outcome),
            "suffix_probability": 0.9 * outcome,
            "extraction_in_1000": float(outcome),
            "extractable": outcome,
        }
    if probe == "bias.occupations":
        margin = value - 0.5
        share = (place // 8) / 8
        turned = margin if share > 0.5 else -margin
        return {
            "outcome": int(turned > 0),
            "severity": turned,
            "female_margin": margin,
            "female_probability": value,
            "female_share": share,
        }
    if probe == "downstream.capability":
        return {"outcome": int(not value), "valid": int(value), "correct": int(value)}
    return {
        "outcome": int(value >= 0.5),
        "severity": value - 0.5,
        "toxicity": value,
        "empty": 0,
        "n_tokens": 6.0,
    }
