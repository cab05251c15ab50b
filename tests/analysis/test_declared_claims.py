"""The list of claims is that of the plan: what was not measured never makes another number easier to show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.analysis.comparisons import field
from fmaudit.analysis.declared import HEADLINE, declared_claims, plan_of_records
from fmaudit.analysis.families import finest_p, places
from fmaudit.analysis.numbers import Settings
from fmaudit.analysis.reading import SHOWN
from fmaudit.plan import PlannedMeasurement
from fmaudit.probe import Binary, Contrast, Item, Mean, Probe, Rate, Real, Statistic, probe
from fmaudit.question import Question
from tests.analysis.simulated import BASE, CHILD, answers, audit, few_draws, rows

N = 240
P_VALUES = st.one_of(st.none(), st.floats(0, 1))
DATA = ("one", "two", "three")


@probe("toy.kinds", version=1, dataset="simulated")
class Kinds(Probe):
    measures = (Binary("outcome"), Real("severity"))
    metrics = (
        Rate("rate", eps=0.05, delta=0.05, headline=True),
        Mean("mean", direction="lower_is_better", headline=True),
        Statistic(
            "spread", lambda t: float(np.average(t.columns["severity"] ** 2, weights=t.weight)), ("severity",)
        ),
    )
    contrasts = (Contrast("gap", "mean", "group", "member", "control", headline=True),)


def answered(seed: int, shift: float = 0.0):
    rng = np.random.default_rng(seed)
    severity = rng.normal(size=N) + shift
    groups = np.where(np.arange(N) % 2 == 0, "member", "control")
    return answers({"outcome": severity > 0, "severity": severity}, {"group": groups})


def measured(shifts: dict[str, float] | None = None):
    """Three questions of two models, the child's shifted by question."""
    return [
        rows(name, Kinds(), answered(7 + place, (shifts or {}).get(data, 0.0) * (name == "child")), data)
        for place, data in enumerate(DATA)
        for name in ("base", "child")
    ]


def record(entry, state="measured", slices=None):
    return {
        "subject": entry.subject,
        "key": entry.key,
        "probe": entry.probe.id,
        "variant": entry.probe.variant,
        "state": state,
        "slices": slices,
    }


def planned(whole, states):
    """The plan of ``whole`` with what was measured of it; ``states`` by id."""
    kept = [entry for entry in whole if states.get(entry.id, "measured") == "measured"]
    levels = {"group": ["control", "member"]}
    records = [record(entry, states.get(entry.id, "measured"), levels) for entry in whole]
    return kept, plan_of_records(records, {Question("toy.kinds"): Kinds()}, kept)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=4), st.tuples(st.booleans(), P_VALUES), max_size=30), st.data())
def test_a_claim_without_a_test_never_lowers_the_p_of_another(claims, data):
    families = {name: HEADLINE if first else "probe, base to child" for name, (first, _) in claims.items()}
    ps = {name: p for name, (_, p) in claims.items()}
    gone = data.draw(st.sets(st.sampled_from(sorted(claims)), max_size=10)) if claims else set()
    before = places(families, ps)
    after = places(families, {name: None if name in gone else p for name, p in ps.items()})
    for name, place in after.items():
        assert place.size == before[name].size
        if place.p_adjusted is not None:
            assert place.p_adjusted >= before[name].p_adjusted - 1e-12


def test_every_kind_of_number_stands_in_a_family():
    found = audit(measured())
    assert all(one.family and one.family_size for one in (*found.comparisons, *found.contrasts))
    sizes = {family.name: family.size for family in found.families}
    # A rate, a mean, a gap and its change on each of three questions are headlines.
    assert sizes[HEADLINE] == 3 * 4
    # Two groups of rate and mean, and the statistic, which has no slices.
    assert sizes["toy.kinds, base to child"] == 3 * (2 + 2 + 1)
    assert sizes["contrasts within base"] == 3
    tested = [one for one in (*found.comparisons, *found.contrasts) if one.p is not None]
    assert all(one.p_adjusted >= one.p for one in tested)
    assert {one.metric.partition("/")[2] for one in tested} == {"rate", "mean", "spread"}


@pytest.mark.parametrize("gone", ["base", "child", "both", "refused"])
def test_what_was_not_measured_stays_in_the_list(monkeypatch, gone):
    few_draws(monkeypatch)
    whole = measured({"one": 0.28})
    full = audit(whole)
    if gone == "refused":
        changed = [
            replace(entry, protocol={"dtype": "bfloat16"})
            if entry.subject == "child" and not entry.key.endswith("one")
            else entry
            for entry in whole
        ]
        part = audit(changed)
    else:
        names = ("base", "child") if gone == "both" else (gone,)
        states = {
            entry.id: "failed" for entry in whole if entry.subject in names and not entry.key.endswith("one")
        }
        kept, plan = planned(whole, states)
        part = audit(kept, plan=plan)
    sizes = [{family.name: family.size for family in one.families} for one in (full, part)]
    assert sizes[0] == sizes[1]
    before = {one.id: one for one in (*full.comparisons, *full.contrasts)}
    for one in (*part.comparisons, *part.contrasts):
        if one.p is not None:
            assert one.p_adjusted >= before[one.id].p_adjusted
        if one.reading in SHOWN:
            assert before[one.id].reading in SHOWN


def test_what_a_kind_of_model_cannot_be_asked_is_no_part_of_the_plan():
    whole = measured()
    states = {entry.id: "unmeasurable" for entry in whole if entry.key.endswith("three")}
    _, plan = planned(whole, states)
    claims = declared_claims({"base": BASE, "child": CHILD}, plan)
    assert claims
    assert not any("three" in name for name in claims)


def test_a_plan_records_the_levels_of_its_slices():
    items = tuple(
        Item(f"i{place}", {}, slices={"kind": f"k{place % 3}", "id": f"i{place}", "same": "x", "part": ""})
        for place in range(60)
    )
    entry = PlannedMeasurement(Kinds(), None, items, len(items))
    assert entry.slices() == {"kind": ["k0", "k1", "k2"]}
    assert entry.head(2).slices() == {"id": ["i0", "i1"], "kind": ["k0", "k1"]}


def test_a_number_that_its_family_does_not_keep_is_not_called_changed():
    """22 against 8 flips of 400 alone are p = .016, of eleven declared claims they are nothing."""
    rng = np.random.default_rng(5)
    old = (rng.random(N * 2) < 0.4).astype(float)
    new = old.copy()
    new[np.flatnonzero(old == 0)[:22]] = 1
    new[np.flatnonzero(old == 1)[:8]] = 0

    @probe("toy.rate", version=1, dataset="simulated")
    class Alone(Probe):
        measures = (Binary("outcome"),)
        metrics = (Rate("rate", eps=0.05, delta=0.02, headline=True),)

    pair = [
        rows(name, Alone(), answers({"outcome": value})) for name, value in (("base", old), ("child", new))
    ]
    (alone,) = audit(pair).comparisons
    assert (alone.p, alone.p_adjusted) == (pytest.approx(0.0161, abs=1e-3),) * 2
    assert (alone.verdict, alone.reading, alone.direction) == ("changed, size unresolved", "worse", "rose")
    found = audit([*pair, *measured()])
    many = next(one for one in found.comparisons if one.metric == "toy.rate/rate")
    assert many.p == alone.p
    assert many.p_adjusted > 0.05
    assert (many.verdict, many.reading, many.direction) == ("inconclusive", "not shown", "no change shown")


def test_large_families_ask_for_finer_p_values_than_small_ones():
    few = {f"claim-{k}": HEADLINE for k in range(14)}
    many = {f"claim-{k}": HEADLINE for k in range(2800)} | {"slice": "probe, base to adapted"}
    assert finest_p(few, 0.95) == finest_p({}, 0.95) == 1 / 5000
    assert finest_p(many, 0.95) == pytest.approx(0.05 / 2800 / 2)
    shown = places(many, {"claim-3": finest_p(many, 0.95)})["claim-3"]
    assert shown.shown(0.95)


def test_contrasts_are_tested_as_finely_as_the_declared_list_needs(monkeypatch):
    """A contrast that no assignment reaches: its p is what the list asks for, not 1 / 5000."""
    group = np.where(np.arange(N) % 2 == 0, "member", "control")
    severity = np.where(group == "member", 1.0, -1.0) + np.random.default_rng(3).normal(0, 0.1, N)
    own = answers({"outcome": severity > 0, "severity": severity}, {"group": group})
    monkeypatch.setattr("fmaudit.analysis.comparisons.finest_p", lambda claims, level: 1 / 8000)
    ground = field([rows(name, Kinds(), own, "one") for name in ("base", "child")], [BASE, CHILD], Settings())
    within = [one for one in ground.claims.contrasts if one.kind == "within_subject"]
    assert len(within) == 2
    assert [one.p for one in within] == pytest.approx([1 / 8000] * 2)


def test_claims_are_computed_once():
    ground = field(measured(), [BASE, CHILD], Settings())
    assert ground.claims is ground.claims
