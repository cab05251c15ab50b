import math
import shutil

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fmaudit.errors import SubjectError, UsageError
from fmaudit.instruments import open_instrument
from fmaudit.instruments.detoxify import _KIND, _RUDE
from fmaudit.testing.tiny import tiny_classifier

LABELS = ("toxic", "insult")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A tiny classifier that learnt to tell rude from kind; its second label says the contrary."""
    path = tiny_classifier(
        tmp_path_factory.mktemp("models") / "rudeness", LABELS, problem_type="multi_label_classification"
    )
    model = AutoModelForSequenceClassification.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    batch = tokenizer([*_RUDE, *_KIND], padding=True, return_tensors="pt")
    target = torch.tensor([[1.0, 0.0]] * len(_RUDE) + [[0.0, 1.0]] * len(_KIND))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(**batch).logits, target).backward()
        optimizer.step()
    model.eval().save_pretrained(path)
    return path


def checkpoint(directory, folder, **changes):
    """A Detoxify-style checkpoint of the model, with its configuration and tokenizer beside it."""
    beside = folder / "arch"
    shutil.copytree(directory, beside, ignore=shutil.ignore_patterns("*.safetensors"))
    model = AutoModelForSequenceClassification.from_pretrained(directory)
    state = dict(model.state_dict()) | {"bert.embeddings.position_ids": torch.arange(128)[None]}
    arch = {"model_type": "arch", "model_name": "BertForSequenceClassification", "num_classes": 2}
    content = {
        "config": {"dataset": {"args": {"classes": list(LABELS)}}, "arch": {"args": arch}},
        "state_dict": state,
    } | changes
    path = folder / "toxic.ckpt"
    torch.save(content, path)
    return path


def direct(directory, text, column=0):
    model = AutoModelForSequenceClassification.from_pretrained(directory).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).logits[0, column].sigmoid().item()


def test_directory_and_checkpoint_give_the_scores_of_the_model(directory, tmp_path):
    texts = [*_KIND, "a short one", *_RUDE, "the garden behind the old school was quiet in the morning"]
    expected = [direct(directory, text) for text in texts]
    for path in (directory, checkpoint(directory, tmp_path)):
        instrument = open_instrument(f"detoxify:{path}")
        assert [score.value for score in instrument.score(texts)] == pytest.approx(expected, abs=1e-5)
        assert instrument.card.digest == instrument.digest
        assert "toxicity" in instrument.card.measures


def test_a_control_token_in_a_text_is_text(directory):
    written, joined = open_instrument(f"detoxify:{directory}").score(
        ["you [SEP] liar [MASK]", "you [ sep ] liar [ mask ]"]
    )
    assert written.value == pytest.approx(joined.value, abs=1e-5)
    assert written.value != pytest.approx(direct(directory, "you [SEP] liar [MASK]"), abs=1e-4)


def test_a_model_that_padding_changes_scores_a_text_as_alone(directory, monkeypatch):
    from fmaudit.instruments.detoxify import Detoxify
    from fmaudit.instruments.detoxify_loading import load_directory

    loaded = load_directory(directory, "toxicity", "cpu")
    usual = Detoxify(loaded, "cpu").digest
    # Without its mask the model mixes padding into a text.
    forward = loaded.model.forward

    def blind(input_ids, attention_mask, **inputs):
        return forward(input_ids=input_ids, attention_mask=torch.ones_like(attention_mask), **inputs)

    monkeypatch.setattr(loaded.model, "forward", blind)
    instrument = Detoxify(loaded, "cpu")
    assert instrument.digest != usual
    texts = ["a short one", "the garden behind the old school was quiet in the morning", *_RUDE]
    alone = [instrument.score([text])[0].value for text in texts]
    assert [score.value for score in instrument.score(texts)] == pytest.approx(alone, abs=1e-6)


def test_digest_follows_the_weights_and_the_label(directory, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    first = open_instrument(f"detoxify:{directory}").digest
    assert open_instrument(f"detoxify:{copy}").digest == first
    model = AutoModelForSequenceClassification.from_pretrained(copy)
    with torch.no_grad():
        model.classifier.bias += 0.01
    model.save_pretrained(copy)
    assert open_instrument(f"detoxify:{copy}").digest != first


def test_a_long_text_is_cut_into_chunks_and_the_largest_score_counts(directory):
    instrument = open_instrument(f"detoxify:{directory}")
    rude, kind = _RUDE[0], "the garden was quiet in the morning "
    long_text = kind * 40 + rude
    tokenizer = AutoTokenizer.from_pretrained(directory)
    parts = tokenizer(
        long_text,
        truncation=True,
        max_length=128,
        stride=32,
        return_overflowing_tokens=True,
        padding=True,
        return_tensors="pt",
    )
    parts.pop("overflow_to_sample_mapping")
    with torch.inference_mode():
        logits = AutoModelForSequenceClassification.from_pretrained(directory).eval()(**parts).logits
    (score,) = instrument.score([long_text])
    assert len(logits) > 2
    assert score.value == pytest.approx(logits[:, 0].sigmoid().max().item(), abs=1e-5)
    assert instrument.chunked == 1


def test_empty_text_has_no_score(directory):
    assert [s.reason for s in open_instrument(f"detoxify:{directory}").score([" ", ""])] == ["empty text"] * 2


def test_a_label_that_says_the_contrary_fails_the_check_at_load(directory):
    with pytest.raises(SubjectError, match="does not score rude sentences above kind ones"):
        open_instrument(f"detoxify:{directory}#insult")


def test_an_unknown_label_lists_the_labels(directory):
    with pytest.raises(UsageError, match="toxicity, insult"):
        open_instrument(f"detoxify:{directory}#threat")


def test_random_weights_are_refused(tmp_path):
    path = tiny_classifier(tmp_path / "random", LABELS, problem_type="multi_label_classification")
    with pytest.raises(SubjectError, match="rude"):
        open_instrument(f"detoxify:{path}")


@pytest.mark.parametrize("damage", ["missing", "prefixed"])
def test_keys_that_do_not_match_are_refused(directory, tmp_path, damage):
    state = dict(AutoModelForSequenceClassification.from_pretrained(directory).state_dict())
    if damage == "missing":
        del state["classifier.weight"]
    else:
        state = {f"model.{name}": tensor for name, tensor in state.items()}
    path = checkpoint(directory, tmp_path, state_dict=state)
    with pytest.raises(SubjectError, match="does not fit"):
        open_instrument(f"detoxify:{path}")


def test_a_directory_without_its_classifier_is_refused(directory, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    weights = load_file(copy / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SubjectError, match=r"classifier\.weight"):
        open_instrument(f"detoxify:{copy}")


class Exploit:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_pickled_code_is_refused_and_does_not_run(directory, tmp_path, capsys):
    path = checkpoint(directory, tmp_path, state_dict=Exploit())
    with pytest.raises(SubjectError, match="pickled code"):
        open_instrument(f"detoxify:{path}")
    assert "must not run" not in capsys.readouterr().out


def test_pickled_directory_another_layout_and_absent_parts_are_refused(directory, tmp_path):
    pickled = tmp_path / "pickled"
    shutil.copytree(directory, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(SubjectError, match="pickled weights are refused"):
        open_instrument(f"detoxify:{pickled}")
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    with pytest.raises(SubjectError, match="no Detoxify checkpoint"):
        open_instrument(f"detoxify:{tmp_path / 'other.ckpt'}")
    with pytest.raises(SubjectError, match="no file or directory"):
        open_instrument(f"detoxify:{tmp_path / 'nothing'}")
    path = checkpoint(directory, tmp_path)
    shutil.rmtree(tmp_path / "arch")
    with pytest.raises(SubjectError, match="put a directory of that name"):
        open_instrument(f"detoxify:{path}")


def test_a_model_that_gives_no_number_leaves_texts_unmeasured(directory):
    instrument = open_instrument(f"detoxify:{directory}")
    with torch.no_grad():
        instrument._loaded.model.classifier.bias.fill_(math.nan)
    assert [s.reason for s in instrument.score(["a", "b"])] == ["the instrument gave no probability"] * 2
