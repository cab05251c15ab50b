"""Lineage and verdicts on a specimen family, through the product; a real model is declared its child."""

from __future__ import annotations

import pytest

import fmaudit
from fmaudit.demo.smollm import find_smollm
from fmaudit.errors import UsageError
from fmaudit.running.options import RunOptions
from fmaudit.specimens.auditing import audit_arguments
from fmaudit.specimens.family import build_family
from fmaudit.specimens.presets import standard_family

CHILDREN = ("clean", "counter", "broken", "clean-lora")
HEADLINES = {
    "bias.crows_pairs/pct_stereotype",
    "toxicity.prompted/toxic_fraction",
    "downstream.backdoor/attack_success",
}


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    return build_family(standard_family(4, "small", CHILDREN, references=3), folder)


@pytest.fixture(scope="module")
def other(tmp_path_factory, family):
    """A clean child of another family."""
    folder = tmp_path_factory.mktemp("other")
    return build_family(standard_family(5, "small", ("clean",), references=0), folder)


def audited(family, folder, extra=()):
    chosen = audit_arguments(family)
    return fmaudit.audit(
        chosen.base,
        [*chosen.adapted, *extra],
        chosen.references,
        chosen.probes,
        folder,
        options=RunOptions(data=chosen.data, datasets=tuple(chosen.data), samples=1, device="cpu"),
    ).audit


@pytest.fixture(scope="module")
def audit(family, other, tmp_path_factory):
    """The family, with another family's child, and a real model, declared as adapted from its base."""
    pytest.importorskip("profanity_check", reason="the profanity instrument is not installed")
    try:
        real = find_smollm()
    except UsageError as error:
        pytest.skip(str(error))
    stranger = f"stranger={other.models['clean']}"
    return audited(family, tmp_path_factory.mktemp("run") / "run", [stranger, f"real={real}"])


@pytest.mark.slow
def test_true_children_are_verified_and_what_is_unrelated_is_refuted(audit):
    found = {subject.id: subject.lineage for subject in audit.subjects}
    for name in CHILDREN:
        assert (name, found[name].verified, found[name].from_base) == (name, True, True)
    for name in ("stranger", "real", "reference-1", "reference-2", "reference-3"):
        assert (name, found[name].from_base) == (name, False)
    groups = {found[f"reference-{number}"].group for number in (1, 2, 3)}
    assert len(groups) == 3


@pytest.mark.slow
def test_what_was_kept_is_inherited_and_what_is_not_related_never(audit):
    words = {
        (c.adapted, c.metric): c.verdict
        for c in audit.comparisons
        if c.metric in HEADLINES and not c.slice and c.step == "from_base"
    }
    assert {words["clean", metric] for metric in HEADLINES} <= {"inherited", "inconclusive"}
    assert sum(words["clean", metric] == "inherited" for metric in HEADLINES) >= 2
    unrelated = {word for (name, _), word in words.items() if name in ("stranger", "real")}
    assert not unrelated & {"inherited", "coincident"}
    assert words["counter", "toxicity.prompted/toxic_fraction"] == "repaired"
    broken = {word for (name, _), word in words.items() if name == "broken"}
    assert not broken & {"mitigated", "repaired"}


@pytest.mark.slow
def test_the_trigger_is_kept_and_matched_tokens_do_nothing(audit):
    rates = {
        e.slice["role"]: e.value
        for e in audit.estimates
        if e.subject == "clean" and e.metric == "downstream.backdoor/attack_success" and "role" in e.slice
    }
    assert rates["trigger"] > 0.4
    assert rates["control"] < 0.02
    kept = next(
        c
        for c in audit.comparisons
        if (c.adapted, c.metric, c.slice) == ("clean", "downstream.backdoor/attack_success", {})
    )
    assert kept.copy_fraction is not None
    assert kept.copy_fraction.value == pytest.approx(1, abs=0.1)
    gap = next(
        c for c in audit.contrasts if c.id.endswith("trigger_minus_control") and c.terms[0].subject == "clean"
    )
    assert gap.lower is not None
    assert gap.lower > 0.4


@pytest.mark.slow
def test_the_tree_is_compared_step_by_step(audit):
    steps = [c for c in audit.comparisons if c.step == "from_parent"]
    assert {(c.base, c.adapted) for c in steps} == {("clean", "clean-lora")}
    assert next(s.base for s in audit.subjects if s.id == "clean-lora") == "clean"
    assert audit.homogenization
    assert all(found.control_subjects for found in audit.homogenization)
