"""One measured rate of a base and an adapted model, with every part replaceable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from scipy.stats import norm

from fmaudit.analysis.claims import Claim
from fmaudit.gate.evaluate import NO_RELEASE, evaluate
from fmaudit.gate.finding import GateResult
from fmaudit.gate.policy import PolicyFile, parse_policy
from fmaudit.schema import Audit, Comparison, Numbers


@dataclass(frozen=True)
class Printed:
    """The audit's own numbers, their intervals stretched to the level as a normal error would."""

    audit: Audit
    release: Numbers | str = NO_RELEASE

    def number(self, claim: Claim, level: float) -> Numbers:
        return stretched(self.printed(claim, level), level)

    def printed(self, claim: Claim, level: float) -> Numbers:
        records: list[Any] = [*self.audit.estimates, *self.audit.comparisons, *self.audit.contrasts]
        kinds = {"level": "Estimate", "change": "Comparison"}
        return next(
            one
            for one in records
            if type(one).__name__ == kinds.get(claim.kind, "ContrastResult")
            and one.metric == claim.metric
            and getattr(one, "slice", {}) == claim.slice
        )

    def release_change(self, claim: Claim, level: float) -> Numbers | str:
        return self.release if isinstance(self.release, str) else stretched(self.release, level)

    def word(self, comparison: Comparison) -> str:
        return comparison.verdict


def stretched(found: Numbers, level: float) -> Numbers:
    plain = {name: getattr(found, name) for name in Numbers.model_fields}
    if found.value is None or found.lower is None or found.upper is None:
        return Numbers(**plain)
    factor = norm.ppf((1 + level) / 2) / norm.ppf((1 + found.level) / 2)
    moved = {name: found.value + (getattr(found, name) - found.value) * factor for name in ("lower", "upper")}
    worst = found.worst_interval
    if worst is not None and worst == (found.lower, found.upper):
        worst = (moved["lower"], moved["upper"])
    return Numbers(**plain | moved | {"worst_interval": worst, "level": level})


@pytest.fixture
def hold() -> Callable[..., GateResult]:
    """The audit held against the policy on its own numbers."""

    def held(audit: Audit, policy: PolicyFile, release: Numbers | str = NO_RELEASE) -> GateResult:
        return evaluate(audit, policy, Printed(audit, release))

    return held


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
        word: str = "association",
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
                    "verdict": word,
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
