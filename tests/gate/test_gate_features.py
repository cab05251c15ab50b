"""Every feature of a policy, on rows: a run that it blocks, and the same run repaired, which passes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmaudit.gate.baseline_set import set_baseline
from fmaudit.gate.holding import GateOptions, gate_run
from tests.analysis.release_runs import EXTRACTION, GREEDY, Asked, write_release

N = 800
HEAD = "schema: fmaudit/policy/1\nid: feature\n"
OTHER = EXTRACTION.replace("extraction_records", "licence_texts")


def outcomes(
    rate: float, *, controls: float = 0.0, n: int = N, seed: int = 0, missing: float = 0.0
) -> list[Any]:
    """Outcomes of three members to each control, exactly as many as the rates say, in random places."""
    rng = np.random.default_rng(seed)
    control = np.arange(n) % 4 == 3
    found = np.zeros(n)
    for rows, share in ((~control, rate), (control, controls)):
        places = rng.permutation(np.flatnonzero(rows))
        found[places[: round(share * len(places))]] = 1
    gone = rng.permutation(n)[: round(missing * n)]
    return [None if place in set(gone.tolist()) else int(value) for place, value in enumerate(found)]


def asked(base: list[Any], adapted: list[Any], **more: Any) -> Asked:
    return Asked({"base": base, "adapted": adapted}, **more)


def one(adapted: list[Any], base: list[Any] | None = None, **more: Any) -> dict[str, Asked]:
    return {EXTRACTION: asked(outcomes(0.0, n=len(adapted)) if base is None else base, adapted, **more)}


@dataclass(frozen=True)
class Feature:
    """A rule or default, the run that it blocks with the exit code, and the repaired run."""

    rule: str
    broken: dict[str, Asked]
    repaired: dict[str, Asked]
    code: int = 1
    defaults: str = ""
    more: tuple[str, ...] = field(default=())
    repaired_rule: str = ""

    def policy(self, folder: Path, repaired: bool = False) -> Path:
        rules = [self.repaired_rule if repaired and self.repaired_rule else self.rule, *self.more]
        data = ["" if "dataset:" in rule else "dataset: extraction_records, " for rule in rules]
        lines = [f"  - {{id: r{i}, metric: {GREEDY}, {data[i]}{rule}}}" for i, rule in enumerate(rules)]
        text = (
            HEAD + (f"defaults: {self.defaults}\n" if self.defaults else "") + "rules:\n" + "\n".join(lines)
        )
        path = folder / f"policy-{'good' if repaired else 'bad'}.yaml"
        path.write_text(text + "\n")
        return path


CLEAN, LEAKY = outcomes(0.0), outcomes(0.25, seed=1)
FEATURES = {
    "max": Feature("max: 0.05", one(LEAKY), one(CLEAN)),
    "min": Feature("min: 0.2, max: 0.9, direction: target", one(CLEAN), one(outcomes(0.5))),
    "vs_base max_increase": Feature("vs_base: {max_increase: 0.05}", one(LEAKY), one(LEAKY, base=LEAKY)),
    "vs_base max_decrease": Feature(
        "direction: target, vs_base: {max_decrease: 0.05, max_increase: 0.05}",
        one(CLEAN, base=LEAKY),
        one(LEAKY, base=LEAKY),
    ),
    "contrast": Feature("contrast: members_minus_controls_greedy, max: 0.1", one(LEAKY), one(CLEAN)),
    "contrast vs_base": Feature(
        "contrast: members_minus_controls_greedy, vs_base: {max_increase: 0.1}",
        one(LEAKY),
        one(outcomes(0.25, controls=0.25, seed=2)),
    ),
    "slice": Feature(
        "slice: {group: control}, max: 0.05", one(outcomes(0.0, controls=0.3)), one(outcomes(0.25))
    ),
    "every level of slices": Feature(
        "slices: [{}, {group: '*'}], max: 0.05", one(outcomes(0.0, controls=0.3)), one(CLEAN)
    ),
    "verdicts": Feature("verdicts: {block: [introduced, amplified]}", one(LEAKY), one(CLEAN)),
    "verdicts allow": Feature(
        "verdicts: {block: [introduced]}",
        one(LEAKY, base=LEAKY),
        one(LEAKY, base=LEAKY),
        code=3,
        repaired_rule="verdicts: {block: [introduced], allow: [association]}",
    ),
    "min_n": Feature("max: 0.1, min_n: 200", one(outcomes(0.0, n=200)), one(CLEAN), code=3),
    "min_coverage": Feature(
        "max: 0.5, min_coverage: 0.95", one(outcomes(0.0, missing=0.1)), one(CLEAN), code=3
    ),
    "missing count as defects": Feature("max: 0.05", one(outcomes(0.0, missing=0.1)), one(CLEAN), code=3),
    "on_missing": Feature(
        "max: 0.05, dataset: licence_texts",
        one(CLEAN) | {OTHER: asked([], [], asked=9, failed={"base": "no memory", "adapted": "no memory"})},
        one(CLEAN) | {OTHER: asked(CLEAN, CLEAN, prefix="text")},
        defaults="{on_missing: fail}",
    ),
    "on_inconclusive": Feature(
        "max: 0.05", one(outcomes(0.05)), one(CLEAN), defaults="{on_inconclusive: fail}"
    ),
    "confidence": Feature(
        "max: 0.05", one(outcomes(0.028)), one(CLEAN), code=3, defaults="{confidence: 0.999}"
    ),
    "multiplicity none": Feature(
        "max: 0.05",
        one(outcomes(0.068)),
        one(CLEAN),
        defaults="{multiplicity: none}",
        more=("max: 0.9", "max: 0.91", "max: 0.92"),
    ),
    "holm": Feature(
        "max: 0.05", one(outcomes(0.068)), one(CLEAN), code=3, more=("max: 0.9", "max: 0.91", "max: 0.92")
    ),
    "tier": Feature(
        "max: 0.05, tier: block",
        one(LEAKY),
        one(LEAKY),
        more=("max: 0.9",),
        repaired_rule="max: 0.05, tier: warn",
    ),
    "dataset": Feature(
        "max: 0.05, dataset: licence_texts",
        one(CLEAN) | {OTHER: asked(CLEAN, LEAKY, prefix="text")},
        one(LEAKY) | {OTHER: asked(CLEAN, CLEAN, prefix="text")},
    ),
    "subject": Feature("max: 0.05, subject: base", one(CLEAN, base=LEAKY), one(LEAKY, base=CLEAN)),
    "a run cut by -L": Feature("max: 0.05", one(CLEAN, asked=N + 100), one(CLEAN), code=3),
    "anytime form": Feature("max: 0.1", one(LEAKY), one(CLEAN), defaults="{form: anytime}"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    return tmp_path_factory.mktemp("releases"), {}


@pytest.fixture
def release(made: tuple[Path, dict[str, Path]], tmp_path: Path) -> Callable[[dict[str, Asked], str], Path]:
    """A finished run of these questions; equal ones are computed once and copied."""
    folder, known = made

    def make(questions: dict[str, Asked], name: str) -> Path:
        if repr(questions) not in known:
            known[repr(questions)] = write_release(folder / str(len(known)), questions)
        return Path(shutil.copytree(known[repr(questions)], tmp_path / name))

    return make


@pytest.mark.parametrize("name", FEATURES)
def test_a_policy_feature_blocks_and_the_repaired_run_passes(
    name: str, tmp_path: Path, release: Callable[[dict[str, Asked], str], Path]
) -> None:
    feature = FEATURES[name]
    broken = release(feature.broken, "broken")
    result, _ = gate_run(broken, GateOptions(feature.policy(tmp_path)))
    assert int(result.exit_code) == feature.code, [finding.reason for finding in result.findings]
    stopping = [finding for finding in result.findings if finding.blocks]
    assert stopping
    assert all(finding.reason and finding.action for finding in stopping)
    repaired = release(feature.repaired, "repaired")
    result, _ = gate_run(repaired, GateOptions(feature.policy(tmp_path, repaired=True)))
    assert int(result.exit_code) == 0, [(finding.reason, finding.line) for finding in result.findings]


def test_holm_counts_and_prints_the_level_it_decided_at(tmp_path: Path) -> None:
    feature = Feature("max: 0.05", one(LEAKY), one(CLEAN), more=("max: 0.9", "max: 0.91", "max: 0.92"))
    result, record = gate_run(
        write_release(tmp_path / "run", feature.broken), GateOptions(feature.policy(tmp_path))
    )
    failed, *passed = result.findings
    assert failed.number is not None
    assert failed.number.level == pytest.approx(1 - 2 * 0.05 / 4)
    assert "corrected for 4 blocking findings" in failed.reason
    assert [finding.number.level for finding in passed if finding.number] == pytest.approx([0.9] * 3)
    assert record["findings"][0]["number"]["level"] == failed.number.level


@pytest.fixture
def releases(tmp_path: Path) -> Callable[[list[Any]], tuple[Path, Path]]:
    """The last release as a baseline, and a new run of these outcomes."""

    def make(new: list[Any]) -> tuple[Path, Path]:
        old = write_release(tmp_path / "old", one(outcomes(0.1, seed=3)))
        set_baseline(old, tmp_path / "baseline", accept_failed="made by a test")
        return tmp_path / "baseline", write_release(tmp_path / "new", one(new))

    return make


@pytest.mark.parametrize("form", ["fixed", "anytime"])
def test_a_margin_against_the_last_release(tmp_path: Path, releases: Any, form: str) -> None:
    feature = Feature("vs_release: {max_increase: 0.08}", {}, {}, defaults=f"{{form: {form}}}")
    policy = feature.policy(tmp_path)
    for new, code in ((outcomes(0.4, seed=4), 1), (outcomes(0.1, seed=3), 0)):
        baseline, run = releases(new)
        result, record = gate_run(run, GateOptions(policy, baseline=baseline))
        assert int(result.exit_code) == code, result.findings[0].reason
        assert record["release"]["digest"].startswith("sha256:")
        for folder in (tmp_path / "old", tmp_path / "new", baseline):
            folder.rename(tmp_path / f"{folder.name}-{code}")


def test_no_baseline_never_passes_and_the_first_release_has_to_be_said(tmp_path: Path) -> None:
    feature = Feature("max: 0.05, vs_release: {max_increase: 0.05}", {}, {})
    run, policy = write_release(tmp_path / "run", one(CLEAN)), feature.policy(tmp_path)
    result, _ = gate_run(run, GateOptions(policy))
    assert int(result.exit_code) == 3
    assert "no baseline of the last release was given" in result.findings[1].reason
    result, _ = gate_run(run, GateOptions(policy, first_release=True))
    assert [finding.kind for finding in result.findings] == ["level"]
    assert int(result.exit_code) == 0


def test_another_protocol_than_the_last_releases_is_refused_with_its_field(
    tmp_path: Path, releases: Any
) -> None:
    baseline, _ = releases(CLEAN)
    changed = one(CLEAN, protocol={"dtype": "bfloat16"})
    run = write_release(tmp_path / "bf16", changed)
    policy = Feature("vs_release: {max_increase: 0.5}", {}, {}).policy(tmp_path)
    result, _ = gate_run(run, GateOptions(policy, baseline=baseline))
    assert int(result.exit_code) == 3
    assert "the protocols differ in dtype" in result.findings[0].reason
