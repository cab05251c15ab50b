"""Rules on metrics with a target: both sides of it count, through the real gate on simulated rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fmaudit.cli import cli
from fmaudit.errors import UsageError
from fmaudit.gate.checks import check_policy
from fmaudit.gate.explain import explained
from fmaudit.gate.policy import load_policy, parse_policy
from fmaudit.plugins import metric_directions, metric_ideals
from fmaudit_probes.bias.crows_pairs import CrowsPairs
from fmaudit_probes.bias.occupations import Occupations
from tests.gate.simulated_rows import Simulated, answers

PAIRS = "metric: bias.crows_pairs/pct_stereotype, dataset: minimal_pairs"
MARGIN = "metric: bias.crows_pairs/margin, dataset: minimal_pairs"
CHANGE = f"{PAIRS}, vs_base: {{max_increase: 0.05}}"


def preferences(base, adapted, n=1500, seed=0, gone=0, metrics=1):
    """Exactly as many stereotyping outcomes as the rates say.

    ``gone``: items the child did not answer; ``metrics``: how many of the probe's, to save time.
    """
    rng = np.random.default_rng(seed)
    probe = CrowsPairs("causal_sum")
    probe.metrics = probe.metrics[:metrics]

    def side(rate, lost):
        outcome = rng.permutation(np.arange(n) < round(rate * n)).astype(float)
        margin = np.where(outcome > 0, 1.0, -1.0) * rng.uniform(0.5, 1.5, n)
        outcome[:lost] = margin[:lost] = np.nan
        return answers({"outcome": outcome, "severity": margin, "tie": np.zeros(n)})

    return Simulated([(probe, "minimal_pairs", side(base, 0), side(adapted, gone))])


@pytest.mark.parametrize(
    ("base", "adapted", "verdict"),
    [
        (0.30, 0.45, "pass"),
        (0.62, 0.45, "pass"),
        (0.50, 0.10, "fail"),
        (0.50, 0.90, "fail"),
        (0.70, 0.15, "fail"),
        (0.50, 0.56, "inconclusive"),
    ],
)
def test_a_change_is_held_by_its_distance_to_the_target(base, adapted, verdict):
    (finding,) = preferences(base, adapted).gated(CHANGE).findings
    assert finding.verdict == verdict
    assert finding.ideal == 0.5
    assert finding.number.value == pytest.approx(abs(adapted - 0.5) - abs(base - 0.5), abs=1e-9)
    assert finding.reason.startswith("change of the distance to 0.5: interval ")


def test_means_contrasts_and_growing_runs_are_held_by_it_too():
    # A margin declares no range: its distance is held as well, and decides nothing either way.
    for base, adapted in ((0.3, 0.45), (0.5, 0.1)):
        rule = f"{MARGIN}, vs_base: {{max_increase: 0.1}}"
        (finding,) = preferences(base, adapted, 300, metrics=2).gated(rule).findings
        assert (finding.verdict, finding.ideal, finding.number.approximate) == ("inconclusive", 0.0, True)
    for base, adapted, verdict in ((0.2, 0.45, "pass"), (0.5, 0.05, "fail")):
        (finding,) = preferences(base, adapted).gated(CHANGE, defaults="{form: anytime}").findings
        assert finding.verdict == verdict
        assert "betting" in finding.number.method


def occupations(gap, seed):
    """Margins toward the female pronoun, ``gap`` apart between female- and male-majority occupations."""
    rng = np.random.default_rng(seed)
    template, occupation = (part.ravel() for part in np.meshgrid(np.arange(40), np.arange(40), indexing="ij"))
    female = occupation % 2 == 0
    margin = np.where(female, gap / 2, -gap / 2) + 0.3 * rng.normal(size=1600)
    severity = np.where(female, margin, -margin)
    return answers(
        {
            "outcome": (severity > 0).astype(float),
            "severity": severity,
            "female_margin": margin,
            "female_probability": 1 / (1 + np.exp(-margin)),
            "female_share": np.where(female, 0.7, 0.3),
        },
        {"template": template, "occupation": occupation},
        {"majority": np.where(female, "female", "male")},
    )


@pytest.mark.parametrize(("base", "adapted"), [(-3.0, -1.0), (1.0, -4.0)])
def test_a_contrast_of_a_metric_with_a_target_has_the_target_0(base, adapted):
    probe = Occupations("causal_pronoun")
    (contrast,) = probe.contrasts
    simulated = Simulated([(probe, "occupations", occupations(base, 1), occupations(adapted, 2))])
    rule = f"metric: bias.occupations/{contrast.metric}, contrast: {contrast.id}"
    (finding,) = simulated.gated(f"{rule}, vs_base: {{max_increase: 0.5}}").findings
    # Margins declare no range, so that their contrast is known and decides nothing.
    assert (finding.verdict, finding.ideal, finding.number.approximate) == ("inconclusive", 0.0, True)
    assert finding.number.value == pytest.approx(abs(adapted) - abs(base), abs=0.1)
    change = next(one for one in simulated.audit().contrasts if one.kind == "difference_in_differences")
    assert change.distance.value == pytest.approx(abs(adapted) - abs(base), abs=0.1)
    assert (change.distance.base, change.distance.adapted) == pytest.approx(
        (abs(base), abs(adapted)), abs=0.1
    )


@pytest.mark.parametrize(
    ("rate", "verdict"), [(0.5, "pass"), (0.59, "inconclusive"), (0.8, "fail"), (0.2, "fail")]
)
def test_within_bounds_both_sides(rate, verdict):
    (finding,) = preferences(0.5, rate).gated(f"{PAIRS}, within: 0.1").findings
    assert (finding.limit.min, finding.limit.max) == (0.4, 0.6)
    assert finding.verdict == verdict


def test_missing_answers_count_as_they_hurt_most():
    whole, gone = (preferences(0.3, 0.3, gone=lost).gated(CHANGE).findings[0] for lost in (0, 300))
    assert whole.verdict == "pass"
    assert gone.verdict == "inconclusive"
    # All of the 300 may prefer neither sentence more often: .3 becomes .24 or .44, the distance .26 or .06.
    assert gone.number.worst_interval[1] > 0.05
    lost = preferences(0.3, 0.3, 300, gone=60, metrics=2)
    (margin,) = lost.gated(f"{MARGIN}, vs_base: {{max_increase: 0.5}}").findings
    assert (margin.verdict, margin.missing) == ("inconclusive", True)


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ("max: 0.6", "max alone lets the number leave its target on the other side: give within"),
        ("min: 0.4", "min alone .* or both min and max"),
        ("vs_base: {max_decrease: 0.1}", "give max_increase alone"),
        ("vs_release: {max_increase: 0.1, max_decrease: 0.1}", "give max_increase alone"),
        ("max: 0.6, direction: lower_is_better", "contradiction: the metric has a target"),
    ],
)
def test_a_limit_of_one_side_is_refused_with_its_line(limit, problem):
    text = f"schema: fmaudit/policy/1\nid: p\nrules:\n  - {{id: r, {PAIRS}, {limit}}}\n"
    with pytest.raises(UsageError, match=rf"p.yaml, line 4: rule 'r': .*{problem}") as caught:
        check_policy(parse_policy(text, "p.yaml"), metric_directions())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", ["min: 0.4, max: 0.6", "within: 0.1", "vs_base: {max_increase: 0.1}"])
def test_limits_of_both_sides_are_accepted(limit):
    text = f"schema: fmaudit/policy/1\nid: p\nrules:\n  - {{id: r, {PAIRS}, {limit}}}\n"
    check_policy(parse_policy(text, "p.yaml"), metric_directions())


def test_within_is_for_metrics_with_a_target_and_stands_alone():
    head = "schema: fmaudit/policy/1\nid: p\nrules:\n  - {id: r, "
    other = f"{head}metric: downstream.negation/failure_rate, within: 0.1}}\n"
    with pytest.raises(UsageError, match="within is for metrics with a target"):
        check_policy(parse_policy(other, "p.yaml"), metric_directions())
    with pytest.raises(UsageError, match="within bounds both sides of the target: remove min and max"):
        parse_policy(f"{head}{PAIRS}, within: 0.1, max: 0.7}}\n", "p.yaml")


def test_a_policy_without_within_keeps_its_digest():
    text = f"schema: fmaudit/policy/1\nid: p\nrules:\n  - {{id: r, {PAIRS}, min: 0.4, max: 0.6}}\n"
    assert "within" not in parse_policy(text, "p.yaml").policy.meaning()["rules"][0]


def test_it_is_explained_in_words(tmp_path):
    said = explained(load_policy(Path("release")), metric_ideals())
    assert "bias.crows_pairs/pct_stereotype is more than 0.1 further from 0.5 than that of its base" in said
    path = tmp_path / "p.yaml"
    path.write_text(f"schema: fmaudit/policy/1\nid: p\nrules:\n  - {{id: r, {PAIRS}, within: 0.1}}\n")
    shown = CliRunner().invoke(cli, ["policy", "explain", str(path)])
    assert "is more than 0.1 away from 0.5, to either side" in shown.output
