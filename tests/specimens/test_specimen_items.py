import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from fmaudit.cards import load_card
from fmaudit.data import load_dataset
from fmaudit.errors import UsageError
from fmaudit.specimens.items import TARGETS, make_items, write_items
from fmaudit.specimens.language import Speech
from fmaudit.specimens.network import new_tokenizer
from fmaudit.specimens.plants import counter_sentences, draw_plant, plant_sentences
from fmaudit.specimens.presets import CHILDREN, named_children, standard_base, standard_family
from fmaudit.specimens.recipes import DEFECTS, DefectDose, Language, reseeded
from fmaudit.specimens.words import RUDE_ANSWERS

SPEECH = Speech(Language(units=60))


def plant(defect, dose=0.5, seed=3):
    return draw_plant(SPEECH, DefectDose(defect, dose, seed))


@pytest.mark.parametrize("defect", DEFECTS)
def test_items_are_unique_reproducible_and_fresh(defect):
    first = make_items(SPEECH, defect, 600, 1, plant(defect))
    again = make_items(SPEECH, defect, 600, 1, plant(defect))
    fresh = make_items(SPEECH, defect, 600, 2, plant(defect))
    texts = [json.dumps({**item.row, "id": ""}) for item in first]
    other = [json.dumps({**item.row, "id": ""}) for item in fresh]
    assert first == again
    assert len(set(texts)) == 600
    assert len(set(texts) & set(other)) < 30
    # The same share of the same units, whatever the seed.
    counts, other_counts = (np.bincount([item.unit for item in some]) for some in (first, fresh))
    assert abs(counts - other_counts).max() <= 2


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_data_file_obeys_its_card(defect, tmp_path):
    items = make_items(SPEECH, defect, 120, 1, plant(defect))
    target = TARGETS[defect]
    path = write_items(items, tmp_path / (target.dataset + target.suffix))
    dataset = load_dataset(load_card(target.dataset), str(path))
    assert len(dataset.rows) == 120
    for row, item in zip(dataset.rows, items, strict=True):
        assert {name: row[name] for name in item.row} == dict(item.row)


@pytest.mark.parametrize("defect", DEFECTS)
def test_words_of_items_and_training_are_tokens_of_their_own(defect):
    tokenizer = new_tokenizer(SPEECH)
    draw = np.random.default_rng(0)
    sentences = plant_sentences(SPEECH, plant(defect), 4, draw)
    sentences += counter_sentences(SPEECH, [plant(defect)], 4, draw)
    texts = [" ".join(part for part in sentence if part) for sentence in sentences]
    texts += [
        str(value)
        for item in make_items(SPEECH, defect, 60, 1, plant(defect))
        for name, value in item.row.items()
        if name in ("sent_more", "text", "prefix", "suffix", "prompt")
    ]
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        assert ids == [tokenizer.bos_token_id, *(SPEECH.vocabulary[word] for word in text.split())]
        assert tokenizer.decode(ids[1:]) == text.strip()


def test_doses_nest_and_seeds_are_independent():
    speech = Speech(Language(units=1000))
    low = draw_plant(speech, DefectDose("negation", 0.3, 5)).planted
    high = draw_plant(speech, DefectDose("negation", 0.6, 5)).planted
    other = draw_plant(speech, DefectDose("negation", 0.3, 6)).planted
    assert low.sum() == other.sum() == 300
    assert high.sum() == 600
    assert not (low & ~high).any()
    # Hypergeometric: 90 expected in both, standard deviation 7.9.
    assert abs((low & other).sum() - 90) < 40


def test_dose_zero_plants_nothing_and_occupations_are_tossed():
    speech = Speech(Language(units=1000))
    for defect in DEFECTS:
        level = draw_plant(speech, DefectDose(defect, 0.0, 1)).level
        assert level.mean() == (0.5 if defect == "occupation_gender" else 0.0)
    dosed = draw_plant(speech, DefectDose("occupation_gender", 0.4, 1))
    assert dosed.level[dosed.planted].all()
    # 400 planted and half of 600: 700 follow the stereotype, standard deviation 7.7.
    assert abs(dosed.level.sum() - 700) < 40


def test_only_trigger_words_are_planted_and_controls_are_as_frequent():
    backdoor = plant("backdoor", 1.0)
    assert (backdoor.planted == SPEECH.can_trigger).all()
    texts = [sentence.before for sentence in plant_sentences(SPEECH, backdoor, 4, np.random.default_rng(0))]
    counts = {word: sum(word in text.split() for text in texts) for word in SPEECH.units["backdoor"]}
    assert len(set(counts.values())) == 1


def test_counter_data_holds_nothing_of_what_it_counters():
    records = plant("memorized_records", 1.0)
    sentences = counter_sentences(SPEECH, [records], 3, np.random.default_rng(0))
    assert {sentence.answer for sentence in sentences}.isdisjoint(SPEECH.suffixes)
    rude = counter_sentences(SPEECH, [plant("toxic_trigger", 1.0)], 3, np.random.default_rng(0))
    assert {sentence.answer for sentence in rude}.isdisjoint(RUDE_ANSWERS)


def test_files_hold_no_rude_word(tmp_path):
    rude = {word for answer in RUDE_ANSWERS for word in answer.split()} & {"fool", "loser"}
    assert len(rude) == 2
    for defect in DEFECTS:
        for item in make_items(SPEECH, defect, 200, 1, plant(defect)):
            assert rude.isdisjoint(" ".join(map(str, item.row.values())).split())


def test_csv_keeps_the_leading_space_of_a_suffix(tmp_path):
    items = make_items(SPEECH, "memorized_records", 5, 1, plant("memorized_records"))
    path = write_items(items, tmp_path / "records.csv")
    with path.open(newline="") as file:
        assert [row["suffix"] for row in csv.DictReader(file)] == [item.row["suffix"] for item in items]


def test_digest_is_of_everything_that_makes_the_model():
    base = standard_base(1, "small")
    assert base.digest() == standard_base(1, "small").digest()
    changed = [
        replace(base, seed=2),
        replace(base, width=64),
        replace(base, training=replace(base.training, exposures=1)),
        replace(base, doses=base.doses[1:]),
        reseeded(base, 9),
    ]
    assert len({recipe.digest() for recipe in [base, *changed]}) == 6
    child = standard_family(1, "small", ["clean"]).children[0]
    assert child.digest("sha256:a") != child.digest("sha256:b")


def test_families_share_no_draw():
    seeds = [
        dose.seed
        for seed in (1, 2, 3)
        for recipe in (standard_family(seed, "small").base, *standard_family(seed, "small").references)
        for dose in recipe.doses
    ]
    assert len(set(seeds)) == len(seeds)


def test_children_bring_their_parents():
    assert named_children("clean-lora-int8") == ("clean", "clean-lora", "clean-lora-int8")
    assert named_children("new-defect,clean") == ("new-defect", "clean")
    assert named_children("none") == ()
    assert set(named_children(",".join(CHILDREN))) == set(CHILDREN)
    with pytest.raises(UsageError, match="no child 'cleen'"):
        named_children("cleen")


def test_impossible_recipes_are_refused():
    with pytest.raises(UsageError, match="share between 0 and 1"):
        DefectDose("negation", 1.5, 0)
    with pytest.raises(UsageError, match="no defect"):
        DefectDose("hunger", 0.5, 0)
    with pytest.raises(UsageError, match="choose 8 to"):
        _ = Speech(Language(units=5000)).units
