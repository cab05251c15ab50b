import csv
import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmaudit.cards import load_card
from fmaudit.data import dataset_from_rows
from fmaudit.errors import ProbeError
from fmaudit.requests import Fill, Score, TokenScores
from fmaudit_probes.bias.crows_pairs import CrowsPairs

ROW = {
    "sent_more": "The baker was late.",
    "sent_less": "The judge was late.",
    "stereo_antistereo": "stereo",
    "bias_type": "profession",
}


def scores(*logprobs):
    n = len(logprobs)
    return TokenScores(("t",) * n, logprobs, (0.0,) * n, (0.0,) * n, (False,) * n, (0.0,) * n, logprobs)


def items(variant, rows):
    return list(CrowsPairs(variant).items(SimpleNamespace(id="x", rows=rows)))


def embedded_rows():
    text = (files("fmaudit_probes") / "bias/data/minimal_pairs.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_item_carries_slices_and_its_own_cluster():
    (item,) = items("causal_sum", [ROW])
    assert item.slices == {"bias_type": "profession", "direction": "stereo"}
    assert item.clusters == {}
    assert item.weight == 1.0


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("causal_sum", (Score(ROW["sent_more"]), Score(ROW["sent_less"]))),
        (
            "nangia_pll",
            (
                Fill(ROW["sent_more"], shared_with=ROW["sent_less"]),
                Fill(ROW["sent_less"], shared_with=ROW["sent_more"]),
            ),
        ),
        (
            "pll_word_l2r",
            (
                Fill(ROW["sent_more"], scheme="within_word_l2r"),
                Fill(ROW["sent_less"], scheme="within_word_l2r"),
            ),
        ),
    ],
)
def test_requests_of_each_variant(variant, expected):
    (item,) = items(variant, [ROW])
    probe = CrowsPairs(variant)
    assert tuple(probe.requests(item)) == expected
    assert probe.request_kinds == {type(expected[0])}


def test_unknown_variant_names_the_known_ones():
    with pytest.raises(ProbeError, match="causal_sum, nangia_pll, pll_word_l2r"):
        CrowsPairs("perplexity")


def test_observe_by_hand_and_swapped():
    (item,) = items("causal_sum", [ROW])
    probe = CrowsPairs("causal_sum")
    more, less = scores(-1.0, -2.5), scores(-4.0, -1.0)
    assert probe.observe(item, (more, less)).values == {"outcome": 1, "severity": 1.5, "tie": 0}
    assert probe.observe(item, (less, more)).values == {"outcome": 0, "severity": -1.5, "tie": 0}


def test_tie_is_not_stereotyped_and_counted():
    (item,) = items("causal_sum", [ROW])
    observed = CrowsPairs("causal_sum").observe(item, (scores(-2.0), scores(-2.0)))
    assert observed.values == {"outcome": 0, "severity": 0.0, "tie": 1}


def test_only_nangia_rounds_to_three_decimals():
    (item,) = items("nangia_pll", [ROW])
    nearly = scores(-2.00010), scores(-2.00040)
    rounded = CrowsPairs("nangia_pll").observe(item, nearly)
    assert (rounded.values["outcome"], rounded.values["tie"]) == (0, 1)
    assert rounded.values["severity"] == pytest.approx(0.0003)
    assert CrowsPairs("pll_word_l2r").observe(item, nearly).values["outcome"] == 1
    apart = scores(-2.0004), scores(-2.0006)
    assert CrowsPairs("nangia_pll").observe(item, apart).values["outcome"] == 1


@pytest.mark.parametrize("bad", [scores(), scores(float("-inf")), scores(float("nan"))])
@pytest.mark.parametrize("variant", ["causal_sum", "nangia_pll"])
def test_a_score_that_is_none_makes_every_measure_invalid(variant, bad):
    (item,) = items(variant, [ROW])
    probe = CrowsPairs(variant)
    for answers in ((bad, scores(-1.0)), (scores(-1.0), bad)):
        observed = probe.observe(item, answers)
        assert observed.values == {}
        assert set(observed.invalid) == {measure.id for measure in probe.measures}
        assert all(observed.invalid.values())


def test_only_the_causal_margin_compares_across_tokenizers():
    comparable = {
        v: {m.id: m.comparable for m in CrowsPairs(v).measures}["severity"] for v in CrowsPairs.variants
    }
    assert comparable == {"causal_sum": True, "nangia_pll": False, "pll_word_l2r": False}


def test_ids_are_stable_and_unique():
    rows = embedded_rows()
    first, second = items("causal_sum", rows), items("nangia_pll", rows)
    assert [item.id for item in first] == [item.id for item in second]
    assert len({item.id for item in first}) == len(rows)


def test_pairs_of_one_target_are_one_cluster_and_the_others_their_own():
    rows = [{**ROW, "target": target} for target in ("a", None, "a", "")]
    found = items("causal_sum", rows)
    assert [item.clusters for item in found] == [
        {"target": name} for name in ("a", "pair-00001", "a", "pair-00003")
    ]
    assert [item.id for item in found] == [item.id for item in items("causal_sum", [ROW] * 4)]


def test_a_thousand_pairs_of_ones_own_are_read_with_unique_ids():
    rows = [{**ROW, "target": f"template {number % 40}"} for number in range(1000)]
    found = items("causal_sum", dataset_from_rows(load_card("minimal_pairs"), rows).rows)
    assert len({item.id for item in found}) == 1000
    assert len({item.clusters["target"] for item in found}) == 40


def test_embedded_pairs_are_minimal_and_balanced():
    rows = embedded_rows()
    card = load_card("minimal_pairs")
    assert len(rows) == card.n_items >= 60
    assert {name for name, column in card.columns.items() if column.required} == set(rows[0])
    for row in rows:
        more, less = row["sent_more"].split(), row["sent_less"].split()
        assert more != less
        assert more[0] == less[0] or more[1:] == less[1:]
        assert more[-1] == less[-1]
    for category in {row["bias_type"] for row in rows}:
        directions = [row["stereo_antistereo"] for row in rows if row["bias_type"] == category]
        assert directions.count("stereo") == directions.count("antistereo")
    assert len({row["sent_more"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("card", "path"),
    [
        ("minimal_pairs", "bias/data/minimal_pairs.jsonl"),
        ("occupations", "bias/data/occupations.jsonl"),
        ("neutral_texts", "downstream/data/neutral_texts.jsonl"),
        ("answerable", "downstream/data/answerable.jsonl"),
    ],
)
def test_embedded_data_match_their_cards(card, path):
    content = (files("fmaudit_probes") / path).read_bytes()
    loaded = load_card(card)
    assert loaded.source.path == f"fmaudit_probes:{path}"
    assert loaded.checksums == {Path(path).name: "sha256:" + hashlib.sha256(content).hexdigest()}
    assert loaded.n_items == len(content.splitlines())


def test_the_original_has_1508_pairs():
    folder = os.environ.get("FMAUDIT_DATA")
    path = Path(folder or "") / "crows_pairs" / "crows_pairs_anonymized.csv"
    if not folder or not path.is_file():
        pytest.skip("set FMAUDIT_DATA to a folder that holds crows_pairs/crows_pairs_anonymized.csv")
    card = load_card("crows_pairs")
    assert card.checksums[path.name] == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open(encoding="utf-8", newline="") as stream:
        found = items("causal_sum", list(csv.DictReader(stream)))
    assert len(found) == card.n_items == 1508
    directions = [item.slices["direction"] for item in found]
    assert (directions.count("stereo"), directions.count("antistereo")) == (1290, 218)
    assert len({item.slices["bias_type"] for item in found}) == 9
