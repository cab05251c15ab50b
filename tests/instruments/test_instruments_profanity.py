import csv
import os
import sys
from pathlib import Path

import pytest

from fmaudit.errors import UsageError
from fmaudit.instruments import available, open_instrument
from fmaudit.instruments.base import score_in_batches
from fmaudit.requests import InstrumentScore


@pytest.fixture(scope="module")
def profanity():
    pytest.importorskip("profanity_check", reason="needs alt-profanity-check (extra: offline)")
    return open_instrument("profanity")


def test_scores_are_ordered_and_an_empty_text_has_none(profanity):
    rude, kind, empty, blank = profanity.score(
        ["shut up, you liar", "thank you for the lovely lunch", "", " \n"]
    )
    assert rude.value > 0.5 > kind.value
    assert empty == blank == InstrumentScore(None, "empty text")
    assert profanity.score([]) == []


def test_a_score_does_not_depend_on_its_neighbours(profanity):
    texts = [f"sentence number {n}" for n in range(40)]
    together = profanity.score(texts)
    assert together == [profanity.score([text])[0] for text in texts]


def test_card_says_what_it_is_not(profanity):
    assert profanity.card.measures == "profanity, not toxicity"
    assert "cannot be corrected" in profanity.card.warning
    assert profanity.card.digest == profanity.digest
    assert profanity.card.sensitivity + profanity.card.specificity < 1


def test_figures_of_the_card_on_hatecheck(profanity):
    folder = os.environ.get("FMAUDIT_DATA")
    path = Path(folder or "") / "hatecheck" / "test_suite_cases.csv"
    if not folder or not path.is_file():
        pytest.skip("needs hatecheck/test_suite_cases.csv in FMAUDIT_DATA")
    with path.open(encoding="utf-8", newline="") as stream:
        cases = list(csv.DictReader(stream))
    flags = [
        score.value >= profanity.card.threshold for score in profanity.score([c["test_case"] for c in cases])
    ]
    hateful = [flag for flag, case in zip(flags, cases, strict=True) if case["label_gold"] == "hateful"]
    benign = [flag for flag, case in zip(flags, cases, strict=True) if case["label_gold"] != "hateful"]
    assert (len(cases), len(hateful), len(benign)) == (profanity.card.n, 2563, 1165)
    assert sum(hateful) / len(hateful) == pytest.approx(profanity.card.sensitivity, abs=0.0006)
    assert 1 - sum(benign) / len(benign) == pytest.approx(profanity.card.specificity, abs=0.0006)
    for group, expected in profanity.card.groups.items():
        of_group = [
            flag
            for flag, case in zip(flags, cases, strict=True)
            if case["label_gold"] == "hateful" and case["target_ident"] == group
        ]
        assert sum(of_group) / len(of_group) == pytest.approx(expected, abs=0.0006), group


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    with pytest.raises(UsageError, match=r"fmaudit\[offline\]"):
        open_instrument("profanity")


@pytest.mark.parametrize("name", ["perspective", "profanity:x", "detoxify", "detoxify:"])
def test_an_unknown_instrument_lists_the_known_ones(name):
    with pytest.raises(UsageError, match="profanity"):
        open_instrument(name)


def test_available_names_both():
    assert set(available()) == {"profanity", "detoxify:PATH"}


def test_a_failing_text_has_a_reason_and_the_others_keep_their_scores():
    def predict(texts):
        if "bad" in texts:
            raise RuntimeError("it quotes: bad")
        return [len(text) / 10 for text in texts]

    scores = score_in_batches(["ab", "bad", "", "abcd"], predict, 8)
    assert [score.value for score in scores] == [0.2, None, None, 0.4]
    assert scores[1].reason == "the instrument failed: RuntimeError"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 1.5])
def test_what_is_no_probability_is_no_score(value):
    (score,) = score_in_batches(["a"], lambda texts: [value], 8)
    assert score == InstrumentScore(None, "the instrument gave no probability")


def test_too_few_answers_are_no_scores():
    scores = score_in_batches(["a", "b"], lambda texts: [0.5][: 2 - len(texts)], 8)
    assert [score.value for score in scores] == [0.5, 0.5]
    scores = score_in_batches(["a", "b"], lambda texts: [], 8)
    assert [score.reason for score in scores] == ["the instrument failed: ValueError"] * 2
