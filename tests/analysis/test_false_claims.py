"""How often an audit claims what is not so: no change at all, and answers that are missing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fmaudit.report.banner import banner
from fmaudit.report.finding_views import finding_views
from fmaudit.report.index import AuditIndex
from fmaudit.report.readings import comparison_verdict
from fmaudit.schema import Audit
from fmaudit_probes.bias.crows_pairs import CrowsPairs
from fmaudit_probes.toxicity.prompted import PromptedToxicity
from tests.analysis.simulated import answers, audit, few_draws, rows

MOVED_VERDICTS = {"introduced", "amplified", "mitigated", "repaired", "changed, size unresolved"}
MOVED_WORDS = ("higher", "lower", "grew", "shrank", "moved", "rose", "fell", "worse", "better", "smaller")
SHOWN = {"worse", "better", "higher", "lower"}
LIMIT_NULL, LIMIT_MISSING = 0.07, 0.05
PAIRS, KINDS = 540, 9


def claims_a_change(found: Audit) -> bool:
    """Whether any word of the audit or of its report says that something changed."""
    index = AuditIndex(found)
    in_audit = any(
        one.verdict in MOVED_VERDICTS or one.direction in ("rose", "fell") or one.reading in SHOWN
        for one in found.comparisons
    )
    in_contrasts = any(
        one.reading in SHOWN for one in found.contrasts if one.kind == "difference_in_differences"
    )
    words = [comparison_verdict(index, one)[1].lower() for one in found.comparisons]
    words += [one.word for one in finding_views(index).findings]
    title = banner(index).title.lower()
    said = "is worse" in title or "headline defect" in title
    return in_audit or in_contrasts or said or any(word in text for text in words for word in MOVED_WORDS)


def unchanged(rng: np.random.Generator) -> Audit:
    """Two models whose margins are exchangeable, on minimal pairs of nine kinds."""
    probe = CrowsPairs("causal_sum")
    kinds = np.repeat([f"kind {place}" for place in range(KINDS)], PAIRS // KINDS)
    slices = {"bias_type": kinds, "direction": ["one"] * PAIRS}
    shared = rng.normal(size=PAIRS) * 2
    sides = [shared + rng.normal(size=PAIRS) for _ in range(2)]
    measured = [
        rows(
            name,
            probe,
            answers({"outcome": margin > 0, "severity": margin, "tie": np.zeros(PAIRS)}, slices),
        )
        for name, margin in zip(("base", "child"), sides, strict=True)
    ]
    return audit(measured)


def share_of_claims(runs: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    return sum(claims_a_change(unchanged(rng)) for _ in range(runs)) / runs


def test_few_audits_without_any_change_claim_one(monkeypatch):
    few_draws(monkeypatch)
    assert share_of_claims(12, 4) <= 3 / 12


@pytest.mark.slow
def test_at_most_seven_in_a_hundred_audits_without_any_change_claim_one(monkeypatch):
    few_draws(monkeypatch)
    assert share_of_claims(500, 4) <= LIMIT_NULL


def scored(rng: np.random.Generator, chance: np.ndarray, unscored: float, samples: int = 5):
    """Toxicity scores of k samples a prompt; ``unscored``: share of the toxic ones without a score."""
    shape = (len(chance), samples)
    toxic = rng.random(shape) < chance[:, None]
    score = np.where(toxic, 0.5 + 0.5 * rng.random(shape), 0.5 * rng.random(shape))
    gone = toxic & (rng.random(shape) < unscored)
    shown = np.where(gone, np.nan, score)
    return answers(
        {
            "outcome": np.where(gone, np.nan, (score >= 0.5).astype(float)),
            "severity": shown - 0.5,
            "toxicity": shown,
            "empty": np.zeros(shape),
            "n_tokens": np.full(shape, 20.0),
        }
    )


TOXIC = ("toxic_fraction", "toxicity_probability", "expected_max_toxicity")


def shares_called_lower(runs: int, seed: int, prompts: int = 300, unscored: float = 0.3) -> dict[str, float]:
    """Share of runs, by metric, that call a child lower which is as toxic as its base."""
    rng, lower = np.random.default_rng(seed), Counter()
    for _ in range(runs):
        chance = rng.beta(0.8, 3, prompts)
        sides = (("base", 0.0), ("child", unscored))
        found = audit([rows(name, PromptedToxicity(), scored(rng, chance, gone)) for name, gone in sides])
        index = AuditIndex(found)
        for one in found.comparisons:
            name = one.metric.partition("/")[2]
            said = comparison_verdict(index, one)[1].lower()
            lower[name] += (
                one.direction == "fell"
                or one.reading in ("lower", "better")
                or one.verdict in ("mitigated", "repaired", "changed, size unresolved")
                or "lower" in said
            )
    return {name: lower[name] / runs for name in TOXIC}


def test_a_child_whose_toxic_texts_are_unscored_is_not_called_less_toxic(monkeypatch):
    few_draws(monkeypatch)
    assert max(shares_called_lower(6, 8).values()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("unscored", [0.1, 0.3])
def test_missing_answers_are_no_improvement_in_five_of_a_hundred_runs(monkeypatch, unscored):
    few_draws(monkeypatch)
    assert max(shares_called_lower(500, 8, unscored=unscored).values()) <= LIMIT_MISSING
