import json
import shutil

import pytest

from fmaudit.errors import ExitCode, SubjectError
from fmaudit.subjects import LoadOptions, open_subjects, parse_spec, preflight
from fmaudit.testing.tiny import tiny_causal, tiny_classifier, tiny_lora, tiny_masked

BUILDERS = {"causal": tiny_causal, "masked": tiny_masked, "classifier": tiny_classifier}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    built = {}
    for kind, build in BUILDERS.items():
        base = built[kind] = build(root / kind)
        built[f"{kind}_lora"] = tiny_lora(base, root / f"{kind}_lora")
        built[f"{kind}_zero"] = tiny_lora(base, root / f"{kind}_zero", zero=True)
    built["other"] = tiny_causal(root / "other", seed=7)
    return built


def check(base, *adapted, references=(), **options):
    texts = [base, *adapted, *references]
    subjects = open_subjects([parse_spec(str(t)) for t in texts], LoadOptions(device="cpu"))
    end = 1 + len(adapted)
    return preflight(subjects[0], subjects[1:end], subjects[end:], **options)


def rewrite(path, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    save_file(change(tensors), path, {"format": "pt"})


@pytest.mark.parametrize("kind", BUILDERS)
def test_real_adapter_passes(models, kind):
    base, adapted = check(models[kind], f"{models[kind]}::adapter={models[f'{kind}_lora']}")
    assert base.largest_logit_change is None
    assert adapted.largest_logit_change > 0.01
    assert adapted.subject.notes == ()


@pytest.mark.parametrize("kind", BUILDERS)
def test_zeroed_adapter_is_an_error_naming_it(models, kind):
    with pytest.raises(SubjectError, match=f"adapter '{kind}_zero' changes nothing") as caught:
        check(models[kind], f"{models[kind]}::adapter={models[f'{kind}_zero']}")
    assert caught.value.exit_code == ExitCode.USAGE == 2


def test_zeroed_adapter_may_be_allowed(models):
    spec = f"{models['causal']}::adapter={models['causal_zero']}"
    _, adapted = check(models["causal"], spec, allow_identical=True)
    assert adapted.largest_logit_change == 0
    assert "changes nothing" in adapted.subject.notes[0]


def test_copy_of_the_base_is_an_error(models, tmp_path):
    copy = shutil.copytree(models["causal"], tmp_path / "tuned")
    with pytest.raises(SubjectError, match=r"adapted model 'tuned' changes nothing.*byte for byte"):
        check(models["causal"], copy)
    assert len(check(models["causal"], copy, allow_identical=True)) == 2


def test_copy_in_another_layout_is_an_error(models, tmp_path):
    copy = shutil.copytree(models["causal"], tmp_path / "tuned")
    rewrite(copy / "model.safetensors", lambda t: {n: v.double() for n, v in t.items()})
    with pytest.raises(SubjectError, match="answers exactly as its base"):
        check(models["causal"], copy)


def test_full_fine_tune_passes(models, tmp_path):
    tuned = shutil.copytree(models["causal"], tmp_path / "tuned")
    rewrite(tuned / "model.safetensors", lambda t: {n: v * 1.01 for n, v in t.items()})
    _, adapted = check(models["causal"], tuned)
    assert adapted.largest_logit_change > 0


def test_results_come_in_the_order_given(models):
    results = check(
        models["causal"], f"{models['causal']}::adapter={models['causal_lora']}", references=[models["other"]]
    )
    assert [result.subject.name for result in results] == ["causal", "causal + causal_lora", "other"]


def test_base_as_its_own_reference(models):
    with pytest.raises(SubjectError, match="is the base itself"):
        check(models["causal"], references=[models["causal"]])


def test_adapter_that_names_another_local_model(models):
    with pytest.raises(SubjectError, match=r"was trained on .*whose weights differ"):
        check(models["other"], f"{models['other']}::adapter={models['causal_lora']}")


def test_adapter_that_names_a_model_elsewhere_is_noted_without_its_path(models, tmp_path):
    lora = shutil.copytree(models["causal_lora"], tmp_path / "lora")
    config = json.loads((lora / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "/home/someone/secret/their-base"
    (lora / "adapter_config.json").write_text(json.dumps(config))
    _, adapted = check(models["causal"], f"{models['causal']}::adapter={lora}")
    assert "'their-base'" in adapted.subject.notes[0]
    assert "someone" not in " ".join(adapted.subject.notes)


def orphan(lora, tmp_path, **changes):
    copy = shutil.copytree(lora, tmp_path / "stray")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": ""} | changes))
    return copy


def test_adapter_of_another_width(models, tmp_path):
    wide = tiny_causal(tmp_path / "wide", width=64)
    stray = orphan(tiny_lora(wide, tmp_path / "wide_lora"), tmp_path)
    with pytest.raises(
        SubjectError, match=r"adapter 'stray' does not belong to the base 'causal'.*size"
    ) as caught:
        check(models["causal"], f"{models['causal']}::adapter={stray}")
    assert "\n" not in str(caught.value)


def test_adapter_of_another_depth(models, tmp_path):
    deep = tiny_causal(tmp_path / "deep", num_hidden_layers=3)
    stray = orphan(tiny_lora(deep, tmp_path / "deep_lora", target_modules=["q_proj"]), tmp_path)
    with pytest.raises(SubjectError, match=r"no place for its tensor .*layers\.2"):
        check(models["causal"], f"{models['causal']}::adapter={stray}")


def test_adapter_of_another_architecture(models, tmp_path):
    stray = orphan(models["masked_lora"], tmp_path)
    with pytest.raises(SubjectError, match="adapter 'stray' does not belong"):
        check(models["causal"], f"{models['causal']}::adapter={stray}")


def test_adapter_that_lacks_a_tensor(models, tmp_path):
    stray = orphan(models["causal_lora"], tmp_path)
    rewrite(
        stray / "adapter_model.safetensors",
        lambda t: {n: v for n, v in t.items() if "1.mlp.up_proj.lora_B" not in n},
    )
    with pytest.raises(SubjectError, match=r"it lacks the tensor .*up_proj\.lora_B"):
        check(models["causal"], f"{models['causal']}::adapter={stray}")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_model_that_is_not_finite_is_named(models, tmp_path, value):
    broken = shutil.copytree(models["causal"], tmp_path / "broken")
    rewrite(
        broken / "model.safetensors",
        lambda t: {n: v.fill_(value) if n == "model.norm.weight" else v for n, v in t.items()},
    )
    with pytest.raises(SubjectError, match="model 'broken' answers with NaN or infinity"):
        check(broken)


def test_adapter_that_is_not_finite_is_named(models, tmp_path):
    lora = shutil.copytree(models["causal_lora"], tmp_path / "lora")
    rewrite(lora / "adapter_model.safetensors", lambda t: {n: v * float("nan") for n, v in t.items()})
    with pytest.raises(SubjectError, match=r"'causal \+ lora' answers with NaN"):
        check(models["causal"], f"{models['causal']}::adapter={lora}")


def test_tokenizer_that_is_larger_than_the_embedding(models, tmp_path):
    from transformers import AutoTokenizer

    lora = shutil.copytree(models["causal_lora"], tmp_path / "lora")
    tokenizer = AutoTokenizer.from_pretrained(str(models["causal"]))
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(str(lora))
    with pytest.raises(SubjectError, match=r"trained with added tokens \(ids up to 384\).*merge_and_unload"):
        check(models["causal"], f"{models['causal']}::adapter={lora}")


def test_masked_model_without_mask_token(models, tmp_path):
    path = shutil.copytree(models["masked"], tmp_path / "m")
    config = json.loads((path / "tokenizer_config.json").read_text())
    del config["mask_token"]
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(SubjectError, match="no mask token"):
        check(path)
