"""Adapters trained with added tokens answer as the model they were trained in; the base stays what it was."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest

from fmaudit.errors import SubjectError
from fmaudit.subjects import LoadOptions, open_subjects, parse_spec
from fmaudit.subjects.logits import bit_equal, probe_logits
from fmaudit.testing.tiny import tiny_causal

ADDED = ["<a>", "<b>", "<c>", "<d>"]
NEW = [384, 385, 386, 387]
TEXT = "The garden <a> was <d> quiet"


def trained(base, folder, *, added=ADDED, rows=None, train=(), **options):
    """Train (at random) a LoRA with added tokens, save it as PEFT does; the logits of the trained model."""
    with warnings.catch_warnings():
        # PEFT warns that it saves what it is meant to save.
        warnings.simplefilter("ignore")
        return _trained(base, folder, added, rows, train, options)


def _trained(base, folder, added, rows, train, options):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": list(added)})
    wanted = rows or len(tokenizer)
    save = options.pop("save_embedding_layers", "auto")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if wanted != model.config.vocab_size:
            model.resize_token_embeddings(wanted)
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **options)
        adapted = get_peft_model(model, config)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if any(part in name for part in ("lora_B", "delta", ".modules_to_save.", *train)):
                    parameter += 0.2 * torch.randn_like(parameter)
    adapted.eval()
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = adapted(input_ids=ids).logits
    adapted.save_pretrained(folder, save_embedding_layers=save)
    tokenizer.save_pretrained(folder)
    return logits


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    root = tmp_path_factory.mktemp("bases")
    return {tied: tiny_causal(root / str(tied), tie_word_embeddings=tied) for tied in (False, True)}


def opened(base, adapter):
    specs = [parse_spec(str(base)), parse_spec(f"{base}::adapter={adapter}")]
    return open_subjects(specs, LoadOptions(device="cpu"))


def answer(subject):
    import torch

    ids = subject.tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with subject.active() as model, torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"trainable_token_indices": {"embed_tokens": NEW}},
        {"rows": 400},
    ],
    ids=["saved by itself", "modules to save", "trainable tokens", "padded"],
)
def test_it_answers_as_it_was_trained(bases, tmp_path, tied, options):
    import torch

    if tied and "modules_to_save" in options:
        options = {"modules_to_save": ["embed_tokens"]}
    expected = trained(bases[tied], tmp_path / "lora", **options)
    (alone,) = open_subjects([parse_spec(str(bases[tied]))], LoadOptions(device="cpu"))
    plain = probe_logits(alone.model, alone.tokenizer, "causal")
    base, adapted = opened(bases[tied], tmp_path / "lora")
    assert not adapted.shares_model_with(base)
    assert torch.equal(answer(adapted), expected)
    with base.active() as model:
        assert bit_equal(probe_logits(model, base.tokenizer, "causal"), plain)
        assert model.get_input_embeddings().weight.shape[0] == len(base.tokenizer)


def test_a_vocabulary_that_shrank_fits_too(bases, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    padded = shutil.copytree(bases[False], tmp_path / "padded")
    model = AutoModelForCausalLM.from_pretrained(padded)
    model.resize_token_embeddings(448)
    model.save_pretrained(padded)
    expected = trained(padded, tmp_path / "lora")
    _, adapted = opened(padded, tmp_path / "lora")
    assert expected.shape[-1] == 388
    assert torch.equal(answer(adapted), expected)


def test_an_embedding_written_over_the_bases_is_not_shared(bases, tmp_path):
    import torch

    expected = trained(
        bases[False], tmp_path / "lora", added=(), train=("embed_tokens",), save_embedding_layers=True
    )
    base, adapted = opened(bases[False], tmp_path / "lora")
    before = answer(base)
    assert not adapted.shares_model_with(base)
    assert torch.equal(answer(adapted), expected)
    assert torch.equal(answer(base), before)


def test_tokens_added_within_the_rows_of_the_base_still_share(bases, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapter = tmp_path / "lora"
    get_peft_model(AutoModelForCausalLM.from_pretrained(bases[False]), LoraConfig(r=4)).save_pretrained(
        adapter
    )
    base, adapted = opened(bases[False], adapter)
    assert adapted.shares_model_with(base)


def test_an_embedding_that_was_not_saved_is_said_so(bases, tmp_path):
    from safetensors.torch import load_file, save_file

    trained(bases[False], tmp_path / "lora")
    weights = tmp_path / "lora" / "adapter_model.safetensors"
    save_file(
        {name: t for name, t in load_file(weights).items() if "lora_" in name}, weights, {"format": "pt"}
    )
    _, adapted = opened(bases[False], tmp_path / "lora")
    with pytest.raises(
        SubjectError, match=r"adapter 'lora' was trained with added tokens .*merge_and_unload"
    ) as caught:
        adapted.model  # noqa: B018
    assert "\n" not in str(caught.value)


def test_the_tokenizer_of_another_model_is_still_named(bases, tmp_path):
    model = shutil.copytree(bases[False], tmp_path / "model")
    place = model / "tokenizer.json"
    content = json.loads(place.read_text())
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 500, "content": "<far>"})
    content["model"]["vocab"]["<far>"] = 500
    place.write_text(json.dumps(content))
    (subject,) = open_subjects([parse_spec(str(model))], LoadOptions(device="cpu"))
    with pytest.raises(SubjectError, match="name the model with the tokenizer it was trained with"):
        subject.model  # noqa: B018
