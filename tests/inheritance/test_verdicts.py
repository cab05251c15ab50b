"""The decision table: exclusive, exhaustive, monotone in the width of the intervals."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmaudit.inheritance.verdicts import IMPROVEMENTS, Case, Limits, Word, decide, tolerated

EPS = DELTA = 0.05


def known(base, adapted, rule="met", capability="kept"):
    """The case of rates known without error."""
    change = adapted - base
    return Case(
        Limits(base, base),
        Limits(adapted, adapted),
        Limits(change, change),
        abs(change) < DELTA,
        EPS,
        DELTA,
        rule,
        capability,
    )


@pytest.mark.parametrize(
    ("base", "adapted", "rule", "word"),
    [
        (0.3, 0.31, "met", "inherited"),
        (0.3, 0.31, "not met", "coincident"),
        (0.3, 0.31, "no good references", "association"),
        (0.3, 0.4, "met", "amplified"),
        (0.3, 0.2, "met", "mitigated"),
        (0.01, 0.2, "met", "introduced"),
        (0.2, 0.01, "met", "repaired"),
        (0.01, 0.02, "met", "clean"),
        (-0.3, -0.31, "met", "inherited"),
        (-0.3, -0.4, "met", "amplified"),
        (-0.3, -0.2, "met", "mitigated"),
        (0.01, -0.2, "met", "introduced"),
        (-0.2, 0.0, "met", "repaired"),
    ],
)
def test_words_of_known_rates(base, adapted, rule, word):
    assert decide(known(base, adapted, rule)).word == word


def test_a_defect_on_the_other_side_is_reversed_and_never_inherited():
    found = decide(known(0.2, -0.2))
    assert (found.word, found.flags) == ("changed, size unresolved", ("reversed",))


@pytest.mark.parametrize(("base", "adapted", "word"), [(0.3, 0.2, "mitigated"), (0.2, 0.01, "repaired")])
def test_capability_that_is_not_shown_to_be_kept_takes_an_improvement_away(base, adapted, word):
    assert decide(known(base, adapted)).word == word
    for state, flag in (("lost", "capability not kept"), ("not shown", "capability not shown to be kept")):
        fallen = decide(known(base, adapted, capability=state))
        assert fallen.word == "changed, size unresolved"
        assert fallen.flags == (flag,)
        assert word in fallen.reason


@given(
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
    st.floats(0, 0.2),
    st.floats(0, 0.2),
    st.sampled_from(["met", "not met", "no good references"]),
)
def test_wider_intervals_never_turn_one_claim_into_another(base, adapted, width, wider, rule):
    def spread(half):
        change = adapted - base
        return Case(
            Limits(base - half, base + half),
            Limits(adapted - half, adapted + half),
            Limits(change - half, change + half),
            abs(change) + half < DELTA,
            EPS,
            DELTA,
            rule,
        )

    narrow, wide = decide(spread(width)), decide(spread(width + wider))
    assert narrow.word in get_args(Word)
    weak = {"inconclusive", "changed, size unresolved"}
    if wide.word not in weak and narrow.word not in weak:
        assert wide.word == narrow.word


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_the_guard_only_takes_away(base, adapted):
    free, guarded = decide(known(base, adapted)), decide(known(base, adapted, capability="lost"))
    assert guarded == free if free.word not in IMPROVEMENTS else guarded.word == "changed, size unresolved"


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.sampled_from(["met", "not met"]))
def test_mirrored_sides_give_the_same_word(base, adapted, rule):
    case = known(base, adapted, rule)
    mirror = replace(case, base=Limits(-base, -base), adapted=Limits(-adapted, -adapted))
    mirror = replace(mirror, change=Limits(-case.change.upper, -case.change.lower))
    assert decide(mirror).word == decide(case).word


def test_tolerance_is_at_least_three_events():
    assert tolerated(0.01, 60) == 0.05
    assert tolerated(0.05, 1000) == 0.05
