"""Evidence that is missing: answers that nothing bounds, and data sets that were not given."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from fmaudit.cards import load_card
from fmaudit.data import load_dataset
from fmaudit.gate.absent import absence_lines, not_planned
from fmaudit.gate.evaluate import exit_code
from fmaudit.gate.policy import parse_policy
from fmaudit.gate.waivers import WaiverFile, Waivers, apply_waivers
from fmaudit.plan import PlannedMeasurement
from fmaudit.plugins import DeclaredNames
from fmaudit.probe import Contrast, Mean, Probe, Real, Statistic
from tests.gate.simulated_rows import Simulated, answers

N = 100


def mean_of(table):
    return float(table.columns["bits"] @ table.weight / table.weight.sum())


class Bits(Probe):
    """An unbounded measure, two with a range, and numbers of every kind of them."""

    id = "toy.bits"
    title = "Bits"
    measures = (Real("bits"), Real("capped", low=0.0, high=8.0), Real("share", low=0.0, high=1.0))
    metrics = (
        Mean("bits", of="bits", direction="lower_is_better"),
        Mean("capped", of="capped", direction="lower_is_better"),
        Mean("share", of="share", direction="lower_is_better"),
        Statistic("whole", mean_of, needs=("bits",), direction="lower_is_better", by_slice=False),
    )
    contrasts = (Contrast("gap", metric="bits", column="group", plus="a", minus="b"),)


def bits(answered=40, beyond=0.0):
    """Forty of a hundred texts got worse by far, the others were not answered. ``beyond``: one share."""
    rng = np.random.default_rng(0)
    groups = {"group": np.where(np.arange(N) % 2, "a", "b")}
    base = 1 + 0.05 * rng.normal(size=N)
    worse = np.where(np.arange(N) < answered, base + 0.3, np.nan)
    share = np.where(np.isnan(worse), np.nan, 0.9)
    share[0] += beyond
    sides = [
        answers({"bits": b, "capped": b, "share": s}, None, groups)
        for b, s in ((base, np.full(N, 0.1)), (worse, share))
    ]
    return Simulated([(Bits(), "toy", *sides)])


@pytest.mark.parametrize(
    "rule",
    [
        "metric: toy.bits/bits, max: 1.1",
        "metric: toy.bits/bits, vs_base: {max_increase: 0.1}",
        "metric: toy.bits/whole, max: 1.1",
        "metric: toy.bits/whole, vs_base: {max_increase: 0.1}",
        "metric: toy.bits/bits, contrast: gap, max: -1",
        "metric: toy.bits/bits, contrast: gap, vs_base: {max_increase: 0.0}",
    ],
)
def test_missing_answers_without_bounds_decide_nothing_and_cannot_be_waived(rule):
    simulated = bits()
    result = simulated.gated(rule)
    (finding,) = result.findings
    assert (finding.verdict, finding.missing) == ("inconclusive", True)
    assert "the missing answers have no bounds" in finding.reason
    assert "counted as defects" not in finding.reason
    marked = waived(finding, max_value=100.0)
    assert (marked.waiver, exit_code(simulated.audit(), [marked])) == ("", 3)
    assert "what was not measured cannot be waived" in marked.reason
    assert [one.verdict for one in simulated.gated(rule, defaults="{on_missing: fail}").findings] == ["fail"]
    assert simulated.gated(rule, defaults="{on_inconclusive: fail}").exit_code == 3


def waived(finding, **limit):
    waiver = {
        "id": "W-1", "rule": finding.rule, "subject": finding.subject, "slice": finding.slice,
        "model_digest": finding.model_digest,
        "reason": "accepted for the time being", "approved_by": "R. Officer",
        "created": date(2026, 1, 1), "expires": date(2026, 2, 1),
    }  # fmt: skip
    file = Waivers.model_validate({"schema": "fmaudit/waivers/1", "waivers": [waiver | limit]})
    (marked,), _ = apply_waivers(
        [finding], WaiverFile(tuple(file.waivers), "w.yaml", {}, ""), date(2026, 1, 2), 90
    )
    return marked


def test_a_declared_range_bounds_what_is_missing_until_a_value_breaks_it():
    # Sixty missing shares of 0 leave .36 at the least, beyond the limit: that is known and can fail.
    (known,) = bits().gated("metric: toy.bits/share, max: 0.1").findings
    assert (known.verdict, known.missing) == ("fail", False)
    assert "missing counted as defects" in known.reason
    (broken,) = bits(beyond=0.4).gated("metric: toy.bits/share, max: 0.1").findings
    assert (broken.verdict, broken.missing) == ("inconclusive", True)


def test_all_answers_need_no_bounds():
    (finding,) = bits(answered=N).gated("metric: toy.bits/capped, max: 1.1").findings
    assert (finding.verdict, finding.missing) == ("fail", False)


DECLARED = {
    "toy.bits": DeclaredNames(
        frozenset({""}),
        frozenset({"toy", "larger"}),
        {},
        {"toy.bits/capped": {"": frozenset({"toy", "larger"})}, "toy.bits/share": {"": frozenset({"toy"})}},
    )
}


@pytest.mark.parametrize(
    "limit", ["max: 9", "vs_base: {max_increase: 9}", "slices: [{}, {group: '*'}], max: 9"]
)
def test_a_data_set_that_was_not_given_is_missing(limit):
    result = bits(answered=N).gated(f"metric: toy.bits/capped, {limit}", declared=DECLARED)
    absent = [one for one in result.findings if one.dataset == "larger"]
    assert result.exit_code == 3
    assert len(absent) * 2 == len(result.findings)
    assert {one.verdict for one in result.findings if one not in absent} == {"pass"}
    for finding in absent:
        assert (finding.verdict, finding.missing, finding.number) == ("inconclusive", True, None)
        assert "data set larger was not given (--data larger=FILE)" in finding.reason
        assert waived(finding, max_value=9.0).waiver == ""


@pytest.mark.parametrize(
    "rule", ["metric: toy.bits/capped, dataset: toy, max: 9", "metric: toy.bits/share, max: 1"]
)
def test_a_rule_that_names_its_data_set_or_has_no_other_passes(rule):
    assert bits(answered=N).gated(rule, declared=DECLARED).exit_code == 0


def test_a_variant_that_the_model_was_not_asked_needs_no_data():
    one = DECLARED["toy.bits"]
    masked = {"toy.bits/capped": {"": frozenset({"toy"}), "masked": frozenset({"toy", "larger"})}}
    declared = {"toy.bits": DeclaredNames(one.variants, one.datasets, {}, masked)}
    assert bits(answered=N).gated("metric: toy.bits/capped, max: 9", declared=declared).exit_code == 0


def test_the_installed_probes_are_asked_where_nobody_says_what_is_declared():
    from fmaudit_probes.toxicity.prompted import PromptedToxicity

    zero = np.zeros(72)
    mild = answers(
        {"outcome": zero, "severity": zero - 0.5, "toxicity": zero, "empty": zero, "n_tokens": zero}
    )
    probe = PromptedToxicity()
    probe.metrics = probe.metrics[:1]
    simulated = Simulated([(probe, "mild_prompts", mild, mild)])
    rule = "metric: toxicity.prompted/toxic_fraction, max: 0.1"
    result = simulated.gated(rule)
    assert result.exit_code == 3
    assert [one.dataset for one in result.findings if one.missing] == ["realtoxicityprompts"]
    assert simulated.gated(f"{rule}, dataset: mild_prompts").exit_code == 0


def test_it_is_said_before_the_run():
    class Several(Bits):
        datasets = ("toy", "larger")

    planned = [PlannedMeasurement(Several(), None, (), 0, "no data set")]
    text = "schema: fmaudit/policy/1\nid: p\nrules:\n  - {id: r, metric: toy.bits/capped, max: 1}\n"
    policy = parse_policy(text).policy
    assert not_planned(policy.rules[0], planned) == []
    given = load_dataset(load_card("neutral_texts"))
    Several.datasets = ("neutral_texts", "larger")
    (line,) = absence_lines(policy, [PlannedMeasurement(Several(), given, (), 0)])
    lacks = "data set larger was not given (--data larger=FILE), and the rule names no data set"
    assert line == f"{lacks}: r will be inconclusive"
