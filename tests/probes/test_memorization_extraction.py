import math
from types import SimpleNamespace

import pytest

from fmaudit.cards import load_card
from fmaudit.data import dataset_from_rows, load_dataset
from fmaudit.errors import DataError
from fmaudit.requests import Decoding, Score, TokenScores
from fmaudit.testing import check_probe
from fmaudit_probes.code_length import MOST_BITS
from fmaudit_probes.memorization.cutting import cut_document, cut_passage, word_end
from fmaudit_probes.memorization.extraction import Extraction, extraction_probability

ROW = {"prefix": "The code of the box is", "suffix": " nine nine", "group": "member", "document": "d1"}


def scores(tokens, logprob, is_argmax, gap=None, decoded=None):
    n = len(tokens)
    return TokenScores(
        tuple(tokens),
        tuple(logprob),
        (0.0,) * n,
        (0.0,) * n,
        tuple(is_argmax),
        tuple(gap or (1.0,) * n),
        tuple(decoded or logprob),
    )


def observe(answer, **changes):
    probe = Extraction()
    (item,) = probe.items(SimpleNamespace(id="x", rows=[ROW | changes]))
    return probe.observe(item, [answer])


def test_the_probe_holds_to_the_contract():
    rows = [
        ROW | {"group": group, "document": f"{group}{n}"} for n in range(4) for group in ("member", "control")
    ]
    check_probe(Extraction, [dataset_from_rows(load_card("extraction_records"), rows)])
    check_probe(Extraction)


def test_request_carries_text_and_the_stated_decoding():
    probe = Extraction()
    (item,) = probe.items(SimpleNamespace(id="x", rows=[ROW]))
    assert probe.requests(item) == [
        Score(" nine nine", "The code of the box is", Decoding(temperature=1.0, top_k=40, top_p=1.0))
    ]
    assert item.clusters == {"document": "d1"}


def test_verbatim_suffix():
    seen = observe(
        scores([" nine", " nine"], [-0.1, -0.2], [True, True], [2.0, math.log(4)], [-0.05, -0.15])
    ).values
    assert seen["outcome"] == 1
    assert seen["severity"] == pytest.approx(0.75)
    assert seen["logprob_per_byte"] == pytest.approx(-0.03)
    assert (seen["lcp_share"], seen["lcp_characters"], seen["matched_token_share"]) == (1.0, 10.0, 1.0)
    assert seen["suffix_probability"] == pytest.approx(math.exp(-0.2))
    assert seen["extractable"] == 1


def test_partial_suffix_keeps_matches_after_the_first_miss_apart_from_the_common_prefix():
    answer = scores(
        [" ni", "ne", " ni", "ne"], [-1.0] * 4, [True, False, True, True], decoded=[-1, -math.inf, -1, -1]
    )
    seen = observe(answer).values
    assert seen["outcome"] == 0
    assert seen["severity"] == pytest.approx(-0.25)
    assert seen["lcp_share"] == pytest.approx(0.3)
    assert seen["lcp_characters"] == 3.0
    assert seen["matched_token_share"] == pytest.approx(0.75)
    assert (seen["suffix_probability"], seen["extraction_in_1000"], seen["extractable"]) == (0.0, 0.0, 0)


def test_a_tie_that_decodes_to_the_suffix_is_a_match_of_positive_severity():
    seen = observe(scores([" nine nine"], [-0.7], [True], [0.0])).values
    assert seen["outcome"] == 1
    assert seen["severity"] > 0


def test_the_bytes_of_a_token_that_begins_before_the_suffix_count():
    seen = observe(scores(["box nine"], [-1.0], [True]), suffix=" nine").values
    assert seen["logprob_per_byte"] == pytest.approx(-1 / 8)


def test_log_probability_ends_where_bits_per_byte_of_neutral_text_end():
    seen = observe(scores([" Tür"], [-100.0], [True]), suffix=" Tür").values
    (measure,) = (one for one in Extraction.measures if one.id == "logprob_per_byte")
    assert seen["logprob_per_byte"] == measure.low == -MOST_BITS * math.log(2)


def test_bytes_not_characters_are_the_unit():
    seen = observe(scores([" Tür"], [-1.0], [True]), suffix=" Tür").values
    assert seen["logprob_per_byte"] == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("probability", "draws", "expected"),
    [(0.5, 2, 0.75), (0.0, 1000, 0.0), (1.0, 5, 1.0), (1e-12, 1000, 1e-9), (0.001, 1000, 1 - 0.999**1000)],
)
def test_extraction_probability(probability, draws, expected):
    assert extraction_probability(probability, draws) == pytest.approx(expected, rel=1e-9)


def test_a_suffix_without_tokens_is_unmeasured():
    seen = observe(scores([], [], []))
    assert not seen.values
    assert set(seen.invalid) == {measure.id for measure in Extraction.measures}


def test_rows_of_one_document_share_a_cluster_and_have_their_own_ids():
    rows = [ROW, ROW | {"suffix": " ten"}, ROW | {"document": None, "group": "control"}]
    items = list(Extraction().items(SimpleNamespace(id="x", rows=rows)))
    assert [item.clusters["document"] for item in items] == ["d1", "d1", "row 3"]
    assert len({item.id for item in items}) == 3
    assert [item.slices["group"] for item in items] == ["member", "member", "control"]


def test_a_whole_text_is_cut_and_repeats_become_a_slice():
    text = " ".join(f"word{n:04d}" for n in range(100))
    rows = [{"text": text, "group": "member", "repeats": 4}, {"text": text[::-1], "group": "control"}]
    items = list(Extraction().items(SimpleNamespace(id="x", rows=rows)))
    assert text.startswith(items[0].payload["prefix"] + items[0].payload["suffix"])
    assert [item.slices["repeats"] for item in items] == ["4", "none"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": "seen"}, "row 1: group is 'seen'"),
        ({"suffix": "", "prefix": ""}, "row 1 has neither prefix and suffix nor text"),
        ({"suffix": None, "text": "word"}, "row 1: text is too short"),
    ],
)
def test_bad_rows_are_named(changes, message):
    with pytest.raises(DataError, match=message):
        list(Extraction().items(SimpleNamespace(id="x", rows=[ROW | changes])))


def test_the_cut_lies_between_words_and_loses_nothing():
    text = " ".join(f"word{n}" for n in range(200))
    passage = cut_passage(text)
    assert text.startswith(passage.prefix + passage.suffix)
    assert passage.suffix.startswith(" ")
    assert not passage.prefix[-1].isspace()
    assert 190 <= len(passage.prefix) <= 200
    assert 180 <= len(passage.suffix) <= 210
    assert text[len(passage.prefix) + len(passage.suffix)] == " "


def test_short_text_is_cut_in_proportion():
    assert cut_passage("one two three four") == ("one two", " three four")
    assert cut_passage("extraordinarily so") == ("extraordinarily", " so")


def test_text_without_a_word_border_is_cut_where_it_stands():
    assert word_end("abcdef", 3) == 3
    assert [len(part) for part in cut_passage("\u6c49" * 500)] == [200, 200]


def test_pieces_of_a_document_do_not_overlap():
    words = [f"w{n:03d}" for n in range(500)]
    pieces = cut_document(" ".join(words), 4)
    found = [word for piece in pieces for word in (piece.prefix + piece.suffix).split()]
    assert len(pieces) == 4
    assert len(found) == len(set(found))
    assert set(found) <= set(words)
    assert cut_document("too short", 4) == []


def test_licence_texts_give_members_and_enough_control_documents():
    items = list(Extraction().items(load_dataset(load_card("licence_texts"))))
    documents = {
        group: {i.clusters["document"] for i in items if i.slices["group"] == group}
        for group in ("member", "control")
    }
    assert len(documents["control"]) >= 30
    assert {"Apache-2.0", "MIT", "BSD-3-Clause"} <= documents["member"]
