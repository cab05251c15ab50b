"""One measured rate of a base and an adapted model, with every part replaceable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fmaudit.gate.policy import PolicyFile, parse_policy
from fmaudit.schema import Audit


def number(value: float, half: float, /, **fields: Any) -> dict[str, Any]:
    return {
        "state": "measured",
        "value": value,
        "lower": value - half,
        "upper": value + half,
        "n": 200,
        "n_eff": 200.0,
        "clusters": {"item": 200},
        "coverage": 1.0,
        "worst": [value, value],
        "worst_interval": [value - half, value + half],
        "conclusive": True,
        "method": "wilson",
    } | fields


@pytest.fixture
def make_audit() -> Callable[..., Audit]:
    def make(
        *,
        level: dict[str, Any] | None = None,
        change: dict[str, Any] | None = None,
        contrast: dict[str, Any] | None = None,
        partial: bool = False,
        state: str = "measured",
        measured: bool = True,
    ) -> Audit:
        own = {"measurement": "adapted/m", "metric": "toy.probe/rate"}
        measurements = [
            {
                "id": f"{subject}/m",
                "subject": subject,
                "probe": "toy.probe",
                "version": 1,
                "variant": "plain",
                "partial": partial,
                "state": state,
                "reason": "" if state == "measured" else "out of memory",
                "protocol": {"digest": "sha256:ab"},
                "dataset": {
                    "id": "toy",
                    "digest": "sha256:cd",
                    "n_items": 200,
                    "n_asked": 200,
                    "pinned": True,
                    "source": "embedded",
                },
            }
            for subject in ("base", "adapted")
        ]
        terms = [
            {"subject": "adapted", "slice": {"group": side}, "coefficient": sign}
            for side, sign in (("a", 1.0), ("b", -1.0))
        ]
        data: dict[str, Any] = {
            "schema": "fmaudit/1",
            "tool": {},
            "instruments": [],
            "subjects": [
                {"id": role, "role": role, "kind": "causal", "name": role, "digest": "sha256:ef"}
                for role in ("base", "adapted")
            ],
            "measurements": measurements if measured else [],
            "metrics": [
                {
                    "id": "toy.probe/rate",
                    "probe": "toy.probe",
                    "title": "A rate",
                    "kind": "rate",
                    "direction": "lower_is_better",
                }
            ],
            "estimates": [
                {"id": "e", "subject": "adapted", **own, **number(0.1, 0.02, **(level or {}))},
                {"id": "s", "subject": "adapted", "slice": {"group": "a"}, **own, **number(0.3, 0.02)},
            ],
            "comparisons": [
                {
                    "id": "c",
                    "base": "base",
                    "adapted": "adapted",
                    "verdict": "association",
                    **own,
                    **number(0.05, 0.01, **(change or {})),
                }
            ],
            "contrasts": [
                {
                    "id": "adapted/m/gap",
                    "kind": "within_subject",
                    "title": "Gap",
                    "terms": terms,
                    **own,
                    **number(0.2, 0.05, **(contrast or {})),
                }
            ],
        }
        if state != "measured" or not measured:
            data |= {"estimates": [], "comparisons": [], "contrasts": []}
        return Audit.model_validate(data)

    return make


@pytest.fixture
def make_policy() -> Callable[..., PolicyFile]:
    def make(*rules: str, defaults: str = "") -> PolicyFile:
        lines = [
            "schema: fmaudit/policy/1",
            "id: test",
            *([f"defaults: {defaults}"] if defaults else []),
            "rules:",
        ]
        lines += [f"  - {{id: r{place}, metric: toy.probe/rate, {rule}}}" for place, rule in enumerate(rules)]
        return parse_policy("\n".join(lines), "policy.yaml")

    return make
