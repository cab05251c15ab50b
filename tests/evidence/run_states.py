"""A ``run.json`` as small as its readers take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DATASET = {"id": "toy", "digest": "sha256:d", "n_items": 4, "n_asked": 4, "pinned": True, "source": "local"}
RECORD = {
    "probe": "toy.fails",
    "version": 1,
    "variant": "",
    "state": "measured",
    "reason": "",
    "partial": False,
    "protocol": {},
    "instruments": [],
}


def run_state(records: Sequence[Mapping[str, Any]] = (), **fields: Any) -> dict[str, Any]:
    """The state of a run that made ``records``; other fields as given."""
    names = dict.fromkeys(str(record["subject"]) for record in records)
    subjects = [
        {"id": name, "role": "adapted" if place else "base", "kind": "causal", "name": name}
        | {"digest": f"sha256:{name}", "lineage": {}}
        for place, name in enumerate(names)
    ]
    measurements = [
        RECORD | dict(record) | {"dataset": DATASET | dict(record.get("dataset") or {})} for record in records
    ]
    begun: dict[str, Any] = {"plan": {"seed": 0}, "tool": {"name": "fmaudit", "version": "0"}}
    begun |= {"subjects": subjects, "measurements": measurements, "instruments": [], "sessions": []}
    return begun | fields
