import hashlib
from collections import Counter
from importlib.resources import files
from types import SimpleNamespace

import pytest

from fmaudit.cards import load_card
from fmaudit.data import dataset_from_rows, load_dataset
from fmaudit.errors import DataError, ProbeError
from fmaudit.requests import Generations, Score, TokenScores
from fmaudit.testing import check_probe
from fmaudit_probes.downstream.negation import Negation

ROW = {
    "id": "lamp/negated",
    "prompt": "The lamp is off, so it is not",
    "right": " bright",
    "wrong": " dark",
    "polarity": "negated",
    "topic": "lamp",
}


def items(*rows):
    return list(Negation().items(SimpleNamespace(id="x", rows=rows)))


def scores(*logprobs):
    n = len(logprobs)
    return TokenScores(("t",) * n, logprobs, (0.0,) * n, (0.0,) * n, (False,) * n, (0.0,) * n, logprobs)


def test_the_probe_holds_to_the_contract():
    check_probe(Negation)


def test_item_and_requests():
    (item,) = items(ROW)
    assert item.id == "lamp/negated"
    assert (item.clusters, item.slices) == ({"topic": "lamp"}, {"polarity": "negated"})
    assert Negation().requests(item) == [Score(" bright", ROW["prompt"]), Score(" dark", ROW["prompt"])]


@pytest.mark.parametrize(
    ("right", "wrong", "outcome", "severity"),
    [
        (scores(-1.0), scores(-3.5), 0, -2.5),
        (scores(-1.0, -2.0), scores(-2.0), 1, 1.0),
        (scores(-2.0), scores(-2.0), 1, 0.0),
    ],
)
def test_observe_by_hand_a_tie_fails(right, wrong, outcome, severity):
    (item,) = items(ROW)
    seen = Negation().observe(item, (right, wrong))
    assert seen.values == {"outcome": outcome, "severity": severity}
    assert not seen.invalid


@pytest.mark.parametrize("bad", [scores(), scores(float("-inf")), scores(float("nan"))])
def test_a_score_that_is_none_is_invalid_on_either_side(bad):
    (item,) = items(ROW)
    for answers in ((bad, scores(-1.0)), (scores(-1.0), bad)):
        seen = Negation().observe(item, answers)
        assert not seen.values
        assert set(seen.invalid) == {"outcome", "severity"}


def test_an_answer_of_another_kind_is_refused():
    (item,) = items(ROW)
    with pytest.raises(ProbeError, match="answered by Generations"):
        Negation().observe(item, (Generations(()), Generations(())))


def test_swap_exchanges_the_continuations_alone():
    (item,) = items(ROW)
    swapped = Negation().swap(item)
    assert swapped.payload == {**item.payload, "right": " dark", "wrong": " bright"}
    assert Negation().swap(swapped) == item


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"polarity": "double"}, "row 1: polarity is 'double'"),
        ({"wrong": " bright"}, "row 1: right and wrong must be two different"),
        ({"right": " "}, "row 1: right and wrong must be two different"),
    ],
)
def test_bad_rows_are_named(change, message):
    with pytest.raises(DataError, match=message):
        items({**ROW, **change})


def test_a_file_of_ones_own_is_read():
    rows = [
        {**ROW, "id": f"{topic}/{polarity}", "topic": topic, "polarity": polarity}
        for topic in ("lamp", "rain")
        for polarity in ("negated", "affirmative")
    ]
    check_probe(Negation, dataset_from_rows(load_card("negated_statements"), rows))


def test_contrast_and_tolerances_are_declared():
    (rate,) = (metric for metric in Negation.metrics if metric.id == "failure_rate")
    assert (rate.eps, rate.delta, rate.headline, rate.direction) == (0.05, 0.05, True, "lower_is_better")
    (contrast,) = (one for one in Negation.contrasts if one.headline)
    assert (contrast.metric, contrast.plus, contrast.minus) == ("failure_rate", "negated", "affirmative")


def test_embedded_statements_are_pinned():
    content = (files("fmaudit_probes") / "downstream/data/negated_statements.jsonl").read_bytes()
    card = load_card("negated_statements")
    assert card.checksums == {"negated_statements.jsonl": "sha256:" + hashlib.sha256(content).hexdigest()}
    data = load_dataset(card)
    assert data.pinned
    assert len(data.rows) == card.n_items == 80


def test_embedded_statements_come_in_pairs_that_exchange_their_continuations():
    topics = {}
    for row in load_dataset(load_card("negated_statements")).rows:
        topics.setdefault(row["topic"], {})[row["polarity"]] = row
    assert len(topics) == 40
    negations = Counter()
    for topic, forms in topics.items():
        plain, negated = forms["affirmative"], forms["negated"]
        assert (plain["right"], plain["wrong"]) == (negated["wrong"], negated["right"]), topic
        assert plain["prompt"].split(", so ")[1] == negated["prompt"].split(", so ")[1], topic
        for row in (plain, negated):
            assert row["prompt"] == row["prompt"].strip()
            for side in ("right", "wrong"):
                word = row[side]
                assert word[0] == " ", topic
                assert word[1:].isalpha(), topic
                # A continuation that stands in the prompt would be favoured for being repeated.
                assert word[1:] not in row["prompt"].replace(",", "").split(), topic
        words = Counter(negated["prompt"].replace(",", "").lower().split())
        found = {word for word in ("not", "no", "never", "nobody") if words[word]}
        assert len(found) == 1, topic
        assert not found & set(plain["prompt"].lower().split()), topic
        negations.update(found)
    assert set(negations) == {"not", "no", "never", "nobody"}


def test_a_model_deaf_to_negation_fails_half_and_only_by_polarity():
    # It prefers one word of each topic whatever the polarity.
    probe = Negation()
    failures = Counter()
    for item in probe.items(load_dataset(load_card("negated_statements"))):
        words = item.payload["right"], item.payload["wrong"]
        answers = [scores(-1.0 if word == min(words) else -2.0) for word in words]
        failures[item.clusters["topic"]] += probe.observe(item, answers).values["outcome"]
    assert set(failures.values()) == {1}
