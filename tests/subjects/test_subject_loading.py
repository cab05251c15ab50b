import shutil

import pytest
import torch

from fmaudit.errors import SubjectError, UsageError
from fmaudit.subjects import LoadOptions, open_subjects, parse_spec
from fmaudit.subjects.logits import TEXTS, bit_equal, probe_logits
from fmaudit.testing.tiny import tiny_causal, tiny_classifier, tiny_lora, tiny_masked

CPU = LoadOptions(device="cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    base = tiny_causal(root / "base")
    gpt2 = tiny_causal(root / "gpt2", architecture="gpt2")
    masked, classifier = tiny_masked(root / "masked"), tiny_classifier(root / "classifier")
    return {
        "base": base,
        "lora1": tiny_lora(base, root / "lora1", seed=1),
        "lora2": tiny_lora(base, root / "lora2", seed=2),
        "other": tiny_causal(root / "other", seed=5),
        "gpt2": gpt2,
        "gpt2_lora": tiny_lora(gpt2, root / "gpt2_lora"),
        "masked": masked,
        "masked_lora": tiny_lora(masked, root / "masked_lora"),
        "classifier": classifier,
        "classifier_lora": tiny_lora(classifier, root / "classifier_lora"),
    }


def subjects_of(*texts, options=CPU):
    return open_subjects([parse_spec(str(text)) for text in texts], options)


def answer(subject):
    with subject.active() as model:
        return probe_logits(model, subject.tokenizer, subject.kind)


@pytest.mark.parametrize("name", ["base", "gpt2", "masked", "classifier"])
def test_base_is_bit_equal_with_adapters_off(models, name):
    lora = models["lora1" if name == "base" else f"{name}_lora"]
    (alone,) = subjects_of(models[name])
    expected = answer(alone)
    base, adapted = subjects_of(models[name], f"{models[name]}::adapter={lora}")
    assert base.shares_model_with(adapted)
    changed = answer(adapted)
    assert not bit_equal(changed, expected)
    assert bit_equal(answer(base), expected)
    assert bit_equal(answer(adapted), changed)
    assert bit_equal(base.plain_logits, expected)


def test_adapter_answers_as_peft_alone(models):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    _, first, second = subjects_of(
        models["base"], *(f"{models['base']}::adapter={models[name]}" for name in ("lora1", "lora2"))
    )
    for subject, name in ((second, "lora2"), (first, "lora1")):
        plain = AutoModelForCausalLM.from_pretrained(str(models["base"]))
        expected = PeftModel.from_pretrained(plain, str(models[name])).eval()
        assert bit_equal(
            answer(subject), probe_logits(expected.get_base_model(), subject.tokenizer, "causal")
        )


def test_adapter_named_first_still_shares(models):
    adapted, base = subjects_of(f"{models['base']}::adapter={models['lora1']}", models["base"])
    (alone,) = subjects_of(models["base"])
    answer(adapted)
    assert base.shares_model_with(adapted)
    assert bit_equal(answer(base), answer(alone))


def test_adapter_that_rewrites_the_base_has_its_own_model(models, tmp_path):
    import json

    lora = shutil.copytree(models["lora1"], tmp_path / "lora")
    config = json.loads((lora / "adapter_config.json").read_text())
    (lora / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": "pissa"}))
    base, adapted = subjects_of(models["base"], f"{models['base']}::adapter={lora}")
    assert not base.shares_model_with(adapted)


def test_other_end_tokens_are_another_model(models, tmp_path):
    import json

    copy = shutil.copytree(models["base"], tmp_path / "copy")
    place = copy / "generation_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"eos_token_id": [2, 9]}))
    base, other = subjects_of(models["base"], copy)
    assert not base.shares_model_with(other)
    assert base.digest != other.digest
    assert other.model.generation_config.eos_token_id == [2, 9]
    assert base.model.generation_config.eos_token_id == 2


def test_weights_load_lazily_and_one_model_at_a_time(models):
    base, other = subjects_of(models["base"], models["other"])
    assert base.digest != other.digest
    assert not base.is_loaded
    before = answer(base)
    assert base.is_loaded
    answer(other)
    assert not base.is_loaded
    assert bit_equal(answer(base), before)
    base.release()
    assert not base.is_loaded


def test_loaded_for_asking_only(models):
    _, adapted = subjects_of(models["base"], f"{models['base']}::adapter={models['lora1']}")
    with adapted.active() as model:
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_what_a_subject_says_of_itself(models):
    (base,) = subjects_of(models["base"])
    assert (base.name, base.kind, base.device, base.dtype) == ("base", "causal", "cpu", "float32")
    assert (base.context_length, base.start.token, base.eos_ids, base.pad_id) == (128, "<s>", (2,), 0)
    assert subjects_of(models["masked"])[0].kind == "masked"
    assert subjects_of(models["classifier"])[0].kind == "classifier"


def test_roberta_positions_start_after_the_padding(models, tmp_path):
    import json

    from transformers import RobertaConfig, RobertaForMaskedLM

    path = shutil.copytree(models["masked"], tmp_path / "m")
    config = json.loads((path / "config.json").read_text())
    config["pad_token_id"] = 1
    model = RobertaForMaskedLM(RobertaConfig(**{k: v for k, v in config.items() if k != "model_type"}))
    model.save_pretrained(str(path))
    (subject,) = subjects_of(path)
    assert subject.context_length == 126


@pytest.mark.parametrize("dtype", ["bf16", "bfloat16"])
def test_dtype_can_be_chosen(models, dtype):
    (base,) = subjects_of(models["base"], options=LoadOptions(device="cpu", dtype=dtype))
    assert base.dtype == "bfloat16"
    assert base.model.dtype == torch.bfloat16


def test_unknown_device_and_dtype(models, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="not available"):
        subjects_of(models["base"], options=LoadOptions(device="cuda"))
    with pytest.raises(UsageError, match="device 'toaster'"):
        subjects_of(models["base"], options=LoadOptions(device="toaster"))
    with pytest.raises(UsageError, match="dtype 'int3'"):
        subjects_of(models["base"], options=LoadOptions(device="cpu", dtype="int3"))
    assert LoadOptions().resolve_device() == "cpu"
    assert LoadOptions().resolve_dtype() == "float32"


def test_random_weights_are_never_audited(models, tmp_path):
    from safetensors.torch import load_file, save_file

    path = shutil.copytree(models["base"], tmp_path / "m")
    tensors = load_file(path / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    (subject,) = subjects_of(path)
    with pytest.raises(SubjectError, match=r"lacks 1 of its weights .*layers\.1\.mlp\.up_proj"):
        subject.model  # noqa: B018


def test_config_of_another_model(models, tmp_path):
    path = shutil.copytree(models["base"], tmp_path / "m")
    shutil.copy(tiny_causal(tmp_path / "wide", width=64) / "config.json", path)
    (subject,) = subjects_of(path)
    with pytest.raises(SubjectError, match="'m'") as caught:
        subject.model  # noqa: B018
    assert "\n" not in str(caught.value)


def test_tied_weights_are_not_missing(tmp_path):
    (subject,) = subjects_of(tiny_causal(tmp_path / "tied", tie_word_embeddings=True))
    assert answer(subject)[0].isfinite().all()


def test_unknown_architecture_is_named(models, tmp_path):
    path = shutil.copytree(models["base"], tmp_path / "m")
    text = (path / "config.json").read_text().replace("LlamaForCausalLM", "T5ForConditionalGeneration")
    (path / "config.json").write_text(text)
    with pytest.raises(SubjectError, match="T5ForConditionalGeneration"):
        subjects_of(path)


def test_prompt_tuning_is_refused(models, tmp_path):
    lora = shutil.copytree(models["lora1"], tmp_path / "lora")
    text = (lora / "adapter_config.json").read_text().replace('"LORA"', '"PREFIX_TUNING"')
    (lora / "adapter_config.json").write_text(text)
    with pytest.raises(SubjectError, match="virtual tokens"):
        subjects_of(f"{models['base']}::adapter={lora}")


def test_allowed_pickle_is_read_and_noted(models, tmp_path):
    from safetensors.torch import load_file

    path = shutil.copytree(models["base"], tmp_path / "m")
    torch.save(load_file(path / "model.safetensors"), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    (pickled,) = subjects_of(path, options=LoadOptions(device="cpu", allow_pickle=True))
    (plain,) = subjects_of(models["base"])
    assert bit_equal(answer(pickled), answer(plain))
    assert "pytorch_model.bin" in pickled.notes[0]


def test_pickle_that_runs_code_is_stopped_even_when_allowed(models, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = shutil.copytree(models["base"], tmp_path / "m")
    torch.save({"x": Payload()}, path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    (pickled,) = subjects_of(path, options=LoadOptions(device="cpu", allow_pickle=True))
    with pytest.raises(SubjectError, match="cannot be loaded"):
        pickled.model  # noqa: B018
    assert not (tmp_path / "ran").exists()


def test_loading_says_nothing(models, capfd):
    base, adapted = subjects_of(models["base"], f"{models['base']}::adapter={models['lora1']}")
    answer(base), answer(adapted)
    assert capfd.readouterr() == ("", "")


def test_fixed_texts_need_no_more_than_a_short_context():
    assert all(len(text.split()) < 20 for text in TEXTS)


@pytest.mark.gpu
def test_shared_adapter_on_the_gpu(models):
    base, adapted = subjects_of(
        models["base"], f"{models['base']}::adapter={models['lora1']}", options=LoadOptions()
    )
    assert (base.device, base.dtype) == ("cuda", "bfloat16")
    changed = answer(adapted)
    assert not bit_equal(changed, base.plain_logits)
    assert bit_equal(answer(base), base.plain_logits)
