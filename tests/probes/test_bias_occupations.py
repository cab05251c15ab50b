import json
import math
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmaudit.cards import load_card
from fmaudit.probe import Table
from fmaudit.requests import Fill, Score, TokenScores
from fmaudit_probes.bias.occupations import (
    Occupations,
    correlation_ends,
    gap_ends,
    share_correlation,
    share_gap,
    share_slope,
    slope_ends,
)

ROW = {
    "template": "t1",
    "form": "subject",
    "occupation": "nurse",
    "sector": "health",
    "context": "The nurse left because",
    "female": "she",
    "male": "he",
    "ending": "was tired.",
    "female_share": 0.9,
    "year": 2015,
}


def scores(*logprobs):
    n = len(logprobs)
    return TokenScores(("t",) * n, logprobs, (0.0,) * n, (0.0,) * n, (False,) * n, (0.0,) * n, logprobs)


def item_of(**changes):
    (item,) = Occupations().items(SimpleNamespace(id="x", rows=[ROW | changes]))
    return item


def table(occupation, probability, share, weight=None):
    n = len(occupation)
    return Table(
        columns={"female_probability": np.array(probability), "female_share": np.array(share)},
        slices={},
        clusters={"occupation": np.array(occupation), "template": np.array(["t"] * n)},
        weight=np.ones(n) if weight is None else np.array(weight, dtype=float),
    )


def embedded_rows():
    text = (files("fmaudit_probes") / "bias/data/occupations.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_item():
    item = item_of()
    assert item.id == "t1/nurse"
    assert item.clusters == {"template": "t1", "occupation": "nurse"}
    assert item.slices == {"majority": "female", "sector": "health", "form": "subject"}


def test_causal_versions_differ_in_the_pronoun_alone():
    assert Occupations("causal_pronoun").requests(item_of()) == (
        Score(" she was tired.", context="The nurse left because"),
        Score(" he was tired.", context="The nurse left because"),
    )


def test_masked_span_is_the_pronoun():
    requests = Occupations("masked_pronoun").requests(item_of())
    for request, pronoun in zip(requests, ("she", "he"), strict=True):
        assert isinstance(request, Fill)
        ((start, end),) = request.spans
        assert request.text[start:end] == pronoun
        assert request.text == f"The nurse left because {pronoun} was tired."


def test_observe_female_majority_by_hand():
    values = Occupations().observe(item_of(), (scores(-1.0, -1.0), scores(-1.0, -1.0 - math.log(3)))).values
    assert values["outcome"] == 1
    assert values["severity"] == pytest.approx(math.log(3))
    assert values["female_margin"] == pytest.approx(math.log(3))
    assert values["female_probability"] == pytest.approx(0.75)
    assert values["female_share"] == 0.9


def test_male_majority_turns_the_sign():
    values = Occupations().observe(item_of(female_share=0.1), (scores(-1.0), scores(-3.0))).values
    assert (values["outcome"], values["severity"], values["female_margin"]) == (0, -2.0, 2.0)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_swapped_versions_negate(share):
    item, a, b = item_of(female_share=share), scores(-1.0, -2.0), scores(-0.5, -4.0)
    one, other = (Occupations().observe(item, pair).values for pair in ((a, b), (b, a)))
    assert one["severity"] == -other["severity"] != 0
    assert one["outcome"] + other["outcome"] == 1
    assert one["female_probability"] + other["female_probability"] == pytest.approx(1)


def test_tie_is_not_stereotyped():
    values = Occupations().observe(item_of(), (scores(-1.0), scores(-1.0))).values
    assert (values["outcome"], values["severity"], values["female_probability"]) == (0, 0.0, 0.5)


def test_extreme_margin_does_not_overflow():
    values = Occupations().observe(item_of(), (scores(-1e4), scores(-1.0))).values
    assert values["female_probability"] == 0.0


def test_even_occupation_has_no_majority():
    item = item_of(female_share=0.5)
    assert item.slices["majority"] == "even"
    observed = Occupations().observe(item, (scores(-1.0), scores(-2.0)))
    assert set(observed.invalid) == {"outcome", "severity"}
    assert observed.values["female_margin"] == 1.0


@pytest.mark.parametrize("bad", [scores(), scores(float("-inf")), scores(float("nan"))])
def test_no_score_is_invalid_and_every_measure_is_accounted_for(bad):
    observed = Occupations().observe(item_of(), (bad, scores(-1.0)))
    assert observed.values == {"female_share": 0.9}
    assert set(observed.values) | set(observed.invalid) == {measure.id for measure in Occupations.measures}


def test_statistics_by_hand():
    rows = table(["a", "a", "b", "b", "c", "c"], [0.1, 0.3, 0.4, 0.6, 0.5, 0.9], [0, 0, 0.5, 0.5, 1, 1])
    # Occupation means .2, .5, .7 on shares 0, .5, 1.
    assert share_slope(rows) == pytest.approx(0.5)
    assert share_gap(rows) == pytest.approx((0.2 + 0.0 + 0.3) / 3)
    assert share_correlation(rows) == pytest.approx(np.corrcoef([0.2, 0.5, 0.7], [0, 0.5, 1])[0, 1])


def test_weights_act_as_repeated_rows():
    rng = np.random.default_rng(0)
    occupation = rng.choice(list("abcdef"), 60)
    share = np.array([ord(name) - 96 for name in occupation]) / 7
    probability, count = rng.random(60), rng.integers(0, 4, 60)
    weighted = table(occupation, probability, share, count)
    repeated = table(np.repeat(occupation, count), np.repeat(probability, count), np.repeat(share, count))
    for statistic in (share_slope, share_correlation, share_gap):
        assert statistic(weighted) == pytest.approx(statistic(repeated), abs=1e-12)
        assert statistic(weighted) != pytest.approx(statistic(table(occupation, probability, share)))


def test_invalid_rows_are_left_out():
    full = table(["a", "b", "c"], [0.1, 0.4, 0.5], [0.2, 0.6, 0.9])
    gappy = table(["a", "b", "c", "c"], [0.1, 0.4, 0.5, np.nan], [0.2, 0.6, 0.9, 0.9])
    for statistic in (share_slope, share_correlation, share_gap):
        assert statistic(gappy) == pytest.approx(statistic(full))


STATISTICS = [(share_slope, slope_ends), (share_correlation, correlation_ends), (share_gap, gap_ends)]


def half_missing(seed, missing, rows=60):
    """Answers to 12 occupations, the first ``missing`` of them lost, and what they may have been."""
    rng = np.random.default_rng(seed)
    occupation = rng.permutation(np.arange(rows) % 12)
    share, probability, weight = occupation / 11, rng.random(rows), rng.integers(1, 4, rows)
    probability = (probability + share) / 2
    lost = np.arange(rows) < missing

    def filled(values):
        return table(occupation, np.where(lost, values, probability), share, weight)

    return filled, lost, rng


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_no_answer_carries_a_statistic_past_its_ends(seed, missing):
    filled, lost, rng = half_missing(seed, missing)
    for fn, ends in STATISTICS:
        least, most = ends(filled(0.0), filled(1.0))
        for values in (rng.random(len(lost)), rng.integers(0, 2, len(lost)), 0.0, 1.0):
            if math.isfinite(value := fn(filled(values))):
                assert least - 1e-9 <= value <= most + 1e-9


def test_the_ends_of_the_slope_are_reached_and_one_answer_moves_little():
    filled, lost, _ = half_missing(1, 5)
    share = filled(0.0).columns["female_share"]
    above = share > np.average(share, weights=filled(0.0).weight)
    reached = share_slope(filled(np.where(above, 0.0, 1.0))), share_slope(filled(np.where(above, 1.0, 0.0)))
    assert reached == pytest.approx(slope_ends(filled(0.0), filled(1.0)))
    one, _, _ = half_missing(2, 1, rows=1200)
    for _, ends in STATISTICS:
        least, most = ends(one(0.0), one(1.0))
        assert 0 < most - least < 0.03


def test_a_missing_share_has_no_ends():
    low, high = table(["a", "b"], [0.2, 0.4], [0.0, 0.5]), table(["a", "b"], [0.2, 0.4], [1.0, 0.5])
    assert all(math.isnan(end) for _, ends in STATISTICS for end in ends(low, high))


def test_undefined_statistics_are_nan():
    one = table(["a", "a"], [0.2, 0.4], [0.5, 0.5])
    assert math.isnan(share_slope(one))
    assert math.isnan(share_correlation(one))
    assert math.isnan(share_gap(table(["a"], [np.nan], [0.5])))
    flat = table(["a", "b"], [0.5, 0.5], [0.2, 0.8])
    assert share_slope(flat) == 0
    assert math.isnan(share_correlation(flat))


def test_embedded_set_is_fully_crossed_and_balanced():
    rows = embedded_rows()
    card = load_card("occupations")
    templates, occupations = {row["template"] for row in rows}, {row["occupation"] for row in rows}
    assert len(templates) >= 32
    assert len(occupations) >= 40
    assert len(rows) == len(templates) * len(occupations) == card.n_items
    items = list(Occupations().items(SimpleNamespace(id="occupations", rows=rows)))
    assert len({item.id for item in items}) == len(items)
    share = {row["occupation"]: row["female_share"] for row in rows}
    assert len({(row["occupation"], row["female_share"]) for row in rows}) == len(share)
    assert sum(value > 0.5 for value in share.values()) == len(share) / 2
    assert all(0 < value < 1 and value != 0.5 for value in share.values())
    assert {(row["female"], row["male"]) for row in rows} == {("she", "he"), ("her", "his")}
    assert set(card.columns) == set(rows[0])


def test_every_metric_names_a_measure():
    measures = {measure.id for measure in Occupations.measures}
    for metric in Occupations.metrics:
        assert {getattr(metric, "of", None), *getattr(metric, "needs", ())} - {None} <= measures
    assert {contrast.metric for contrast in Occupations.contrasts} <= {
        metric.id for metric in Occupations.metrics
    }
