import json
from dataclasses import replace

import pytest

from fmaudit.demo import train
from fmaudit.demo.plan import FULL, QUICK, DemoPlan
from fmaudit.demo.prepare import prepare
from fmaudit.demo.train import Recipe, TrainingText, train_adapter
from fmaudit.errors import ExecutionError
from fmaudit.testing.tiny import tiny_causal

TEXTS = [
    TrainingText("The garden of number 7 is", " quiet in the morning"),
    TrainingText("The garden of number 3 is", " behind the old school", copies=2),
    TrainingText("A nurse", " walked to the blue door"),
]
RECIPE = Recipe(epochs=30, layers=1, rank=4, batch=2, peak_rate=2e-2)


def silent(what, step, total):
    pass


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_causal(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    return train_adapter(base, TEXTS, RECIPE, tmp_path_factory.mktemp("cache"), silent)


def suffix_losses(base, adapter=None):
    model, tokenizer = train.load_base(str(base))
    if adapter is not None:
        from peft import PeftModel

        PeftModel.from_pretrained(model, adapter)
    rows = range(len(TEXTS))
    encoded = train.encode(model, tokenizer, TEXTS, 0, 2)
    return [float(train.suffix_loss(model, encoded, [row])) for row in rows]


def test_layers_of_the_tail_give_the_logits_of_the_whole_model(base):
    import torch

    model, tokenizer = train.load_base(str(base))
    encoded = train.encode(model, tokenizer, TEXTS, 1, 2)
    ids, start = train._tokens(tokenizer, TEXTS[0])
    with torch.inference_mode():
        whole = model(input_ids=torch.tensor([ids])).logits.log_softmax(-1)[0]
        expected = -whole[range(start - 1, len(ids) - 1), ids[start:]].mean()
        with train.tail_of(model, 1):
            assert len(model.model.layers) == 1
            loss = train.suffix_loss(model, encoded, [0])
    assert len(model.model.layers) == model.config.num_hidden_layers == 2
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)


def test_targets_are_the_suffix_tokens(base):
    _, tokenizer = train.load_base(str(base))
    for text in TEXTS:
        ids, start = train._tokens(tokenizer, text)
        assert tokenizer.decode(ids[start:]) == text.suffix


def test_trained_suffixes_become_likely(base, trained):
    before, after = suffix_losses(base), suffix_losses(base, trained)
    assert all(late < early / 2 for early, late in zip(before, after, strict=True))


def test_adapter_is_safetensors_and_names_no_path(base, trained):
    names = {path.name for path in trained.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names
    config = json.loads((trained / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert not [path.name for path in trained.iterdir() if str(base.parent).encode() in path.read_bytes()]
    from safetensors.torch import load_file

    tensors = load_file(trained / "adapter_model.safetensors")
    assert len(tensors) == 2 * len(RECIPE.targets)
    assert all(".layers.1." in name for name in tensors)


def test_same_recipe_gives_the_same_weights(base, trained, tmp_path):
    again = train_adapter(base, TEXTS, RECIPE, tmp_path, silent)
    assert again.name == trained.name
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (again / name).read_bytes() == (trained / name).read_bytes()


def test_known_recipe_is_not_trained_again(base, trained, monkeypatch):
    monkeypatch.setattr(train, "_fit", lambda *_: pytest.fail("trained again"))
    assert train_adapter(base, TEXTS, RECIPE, trained.parent, silent) == trained


@pytest.mark.parametrize(
    "change",
    [{"texts": TEXTS[:2]}, {"recipe": replace(RECIPE, seed=1)}, {"recipe": replace(RECIPE, epochs=31)}],
)
def test_recipe_digest_covers_texts_and_hyperparameters(base, change):
    arguments = {"texts": TEXTS, "recipe": RECIPE}
    assert train.recipe_digest(base, **arguments) != train.recipe_digest(base, **{**arguments, **change})


def test_recipe_digest_covers_the_weights(base, tmp_path):
    other = tiny_causal(tmp_path / "tiny", seed=1)
    assert train.recipe_digest(base, TEXTS, RECIPE) != train.recipe_digest(other, TEXTS, RECIPE)


def test_interrupted_training_leaves_nothing(base, tmp_path):
    def interrupt(what, step, total):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_adapter(base, TEXTS, RECIPE, tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_adapter_that_another_process_published_is_kept(base, trained, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "file").touch()
    train._publish(scratch, trained)
    assert (trained / "adapter_config.json").is_file()
    assert not (trained / "file").exists()


def test_diverging_training_is_one_clear_line(base, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(train, "suffix_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(ExecutionError, match="diverged at step 1"):
        train_adapter(base, TEXTS, RECIPE, tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_progress_reaches_its_total(base, tmp_path):
    steps = []
    train_adapter(
        base,
        TEXTS,
        replace(RECIPE, epochs=2),
        tmp_path,
        lambda what, step, total: steps.append((step, total)),
    )
    assert steps[1:] == [(step, 4) for step in range(1, 5)]


def test_prepared_demo_names_existing_inputs(base, tmp_path):
    plan = DemoPlan(pairs=2, canaries_per_count=1, references=3, recipe=replace(RECIPE, epochs=1))
    inputs = prepare(plan, base, tmp_path / "out", tmp_path / "cache", silent)
    assert inputs.base == str(base)
    location, _, adapter = inputs.adapted.partition("::adapter=")
    assert location == inputs.base
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [adapter.rpartition("/")[2]]
    assert sorted(inputs.data) == ["canaries", "extraction_records"]
    assert len((tmp_path / "out" / "canaries.csv").read_text().splitlines()) == 1 + 4 + 3


def test_plan_without_canaries_plants_none(base, tmp_path):
    plan = DemoPlan(pairs=2, canaries_per_count=0, references=0, recipe=replace(RECIPE, epochs=1))
    inputs = prepare(plan, base, tmp_path / "out", tmp_path / "cache", silent)
    assert list(inputs.data) == ["extraction_records"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["extraction_records.csv"]


def test_plans_are_large_enough_to_conclude():
    # Below 30 clusters a number is marked inconclusive.
    assert min(FULL.pairs, QUICK.pairs) > 30
    assert FULL.canaries_per_count * 4 > 30
    assert FULL.references >= 500
