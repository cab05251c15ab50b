import re
import shutil

import numpy as np
import pytest

from fmaudit.subjects import LoadOptions, open_subjects, parse_spec
from fmaudit.subjects.kinship import tensor_kinship, verify_lineage
from fmaudit.subjects.next_tokens import agreement, next_token_predictions, shared_offsets
from fmaudit.subjects.tensors import effective_weights, record_weights
from fmaudit.subjects.token_divergence import token_divergence
from fmaudit.testing.tiny import CORPUS, tiny_causal, tiny_classifier, tiny_lora, tiny_masked

WORDS = sorted({word for line in CORPUS for word in re.findall(r"[a-zA-Z]+", line)})
GATE_UP = ("gate_proj.weight", "up_proj.weight")


def passages(count=36, words=18, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, words)) + "." for _ in range(count)]


TEXTS = passages()


def rewritten(source, target, change):
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    tensors = load_file(target / "model.safetensors")
    changed = {n: t.contiguous() for n, t in change(tensors).items()}
    save_file(changed, target / "model.safetensors", {"format": "pt"})
    return target


def noise(tensors):
    import torch

    generator = torch.Generator().manual_seed(1)
    return {n: t + 0.1 * t.std() * torch.randn(t.shape, generator=generator) for n, t in tensors.items()}


def eight_bit(tensors):
    return {n: (t / (t.abs().max() / 127)).round() * (t.abs().max() / 127) for n, t in tensors.items()}


def shuffled_units(tensors):
    import torch

    generator = torch.Generator().manual_seed(2)
    changed = dict(tensors)
    for layer in {n.split(".mlp.")[0] for n in tensors if ".mlp." in n}:
        order = torch.randperm(len(tensors[f"{layer}.mlp.up_proj.weight"]), generator=generator)
        for name in GATE_UP:
            changed[f"{layer}.mlp.{name}"] = tensors[f"{layer}.mlp.{name}"][order]
        changed[f"{layer}.mlp.down_proj.weight"] = tensors[f"{layer}.mlp.down_proj.weight"][:, order]
    # Noise everywhere, so that nothing is identical to the base.
    return noise(changed)


def merged(base, adapter, target):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    model.merge_and_unload().save_pretrained(target)
    AutoTokenizer.from_pretrained(base).save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("kin")
    base = tiny_causal(root / "base")
    built = {
        "base": base,
        "noise": rewritten(base, root / "noise", noise),
        "eight_bit": rewritten(base, root / "eight_bit", eight_bit),
        "shuffled": rewritten(base, root / "shuffled", shuffled_units),
        "lora": tiny_lora(base, root / "lora"),
        "other": tiny_causal(root / "other", seed=9),
        "gpt2": tiny_causal(root / "gpt2", seed=4, architecture="gpt2"),
        "gpt2_lora": tiny_lora(root / "gpt2", root / "gpt2_lora"),
        "coarse": tiny_causal(root / "coarse", seed=5, vocab_size=300),
        "masked": tiny_masked(root / "masked"),
        "classifier": tiny_classifier(root / "classifier"),
    }
    for seed in (11, 12, 13):
        built[f"r{seed}"] = tiny_causal(root / f"r{seed}", seed=seed)
    built["merged"] = merged(base, built["lora"], root / "merged")
    built["child_of_other"] = rewritten(built["other"], root / "child_of_other", noise)
    return built


def opened(models, *names):
    texts = [str(models[name]) if name in models else name for name in names]
    return open_subjects([parse_spec(text) for text in texts], LoadOptions(device="cpu"))


def verify(models, adapted, references=("r11", "r12", "r13"), base="base", **options):
    subjects = opened(models, base, *adapted, *references)
    end = 1 + len(adapted)
    return verify_lineage(
        subjects[0],
        dict(zip(adapted, subjects[1:end], strict=True)),
        dict(zip(references, subjects[end:], strict=True)),
        TEXTS,
        **options,
    )


@pytest.fixture(scope="module")
def lineages(models):
    seen = []
    found = verify(
        models,
        ["noise", "eight_bit", "shuffled", "merged", "other", "child_of_other"],
        progress=lambda *call: seen.append(call),
    )
    return found, seen


@pytest.mark.parametrize("child", ["noise", "eight_bit", "shuffled", "merged"])
def test_true_children_are_verified(lineages, child):
    finding = lineages[0].adapted[child]
    assert finding.verified is True
    assert finding.agreement.value > finding.controls_maximum + 0.02


def test_children_are_verified_by_their_hidden_units(lineages):
    found, _ = lineages
    for child in ("noise", "eight_bit", "shuffled"):
        assert found.adapted[child].matching_adjusted_p < 1e-9
    assert found.matching["shuffled"].log_p_order > np.log(1e-4)
    assert found.matching["shuffled"].log_p_permuted < np.log(1e-9)


def test_independent_models_are_never_verified(lineages):
    found, _ = lineages
    for finding in (found.adapted["other"], *found.references.values(), *found.reference_pairs.values()):
        assert finding.verified is not True
        assert finding.matching_adjusted_p > 0.05
    assert found.groups == {"r11": "r11", "r12": "r12", "r13": "r13"}


def test_child_of_another_base_is_not_verified(lineages, models):
    found, _ = lineages
    assert found.adapted["child_of_other"].verified is not True
    assert verify(models, ["child_of_other"], base="other").adapted["child_of_other"].verified is True


def test_progress_and_family_size(lineages):
    found, seen = lineages
    assert [done for _, done, _ in seen] == list(range(1, 11))
    assert {total for _, _, total in seen} == {10}
    # 6 children, 3 references and 3 pairs of references, each with two tests.
    assert {finding.tests for finding in found.adapted.values()} == {24}


def test_repeated_runs_are_equal(models):
    assert verify(models, ["noise"]) == verify(models, ["noise"])


def test_adapter_is_verified_by_identity(models):
    found = verify(models, [f"{models['base']}::adapter={models['lora']}"])
    (finding,) = found.adapted.values()
    assert finding.verified is True
    assert finding.evidence.startswith("the weights of base with an adapter")


def test_adapter_on_other_weights_is_not(models, tmp_path):
    spec = f"{models['other']}::adapter={tiny_lora(models['other'], tmp_path / 'stray')}"
    (finding,) = verify(models, [spec]).adapted.values()
    assert finding.verified is not True


def test_parent_is_another_adapted_subject(models, tmp_path):
    built = models | {"grandchild": rewritten(models["child_of_other"], tmp_path / "grandchild", eight_bit)}
    found = verify(built, ["child_of_other", "grandchild"], parents={"grandchild": "child_of_other"})
    assert found.adapted["grandchild"].verified is True
    assert found.adapted["child_of_other"].verified is not True
    with pytest.raises(ValueError, match="cannot have 'r11' as its parent"):
        verify(models, ["noise"], parents={"noise": "r11"})


def test_related_references_are_one_lineage_and_no_controls_of_each_other(models, tmp_path):
    built = models | {"twin": rewritten(models["r11"], tmp_path / "twin", noise)}
    found = verify(built, ["noise"], references=("r11", "r12", "twin"))
    assert found.groups == {"r11": "r11", "r12": "r12", "twin": "r11"}
    assert found.reference_pairs["r11", "twin"].verified is True
    assert found.references["r11"].controls == 2


def test_reference_that_descends_from_the_base_is_found(models):
    assert verify(models, [], references=("noise", "r12", "r13")).references["noise"].verified is True


def test_without_references_agreement_decides_nothing(models):
    found = verify(models, ["other", "noise"], references=())
    assert found.adapted["other"].verified is None
    assert found.adapted["noise"].verified is True


def test_classifiers_are_compared_by_weights_alone(models, tmp_path):
    built = models | {"tuned": rewritten(models["classifier"], tmp_path / "tuned", noise)}
    finding = verify(built, ["tuned"], references=(), base="classifier").adapted["tuned"]
    assert finding.verified is True
    assert "predicts no token" in finding.evidence


def test_adapter_is_merged_without_touching_the_model(models):
    import torch

    adapted = f"{models['base']}::adapter={models['lora']}"
    base, lora, whole = opened(models, "base", adapted, "merged")
    with lora.active() as model:
        before = {n: p.clone() for n, p in model.named_parameters()}
        names = {w.name: w.read() for w in effective_weights(model, adapters=True)}
        assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    with base.active() as model:
        plain = {w.name: w.read().clone() for w in effective_weights(model, adapters=True)}
    with whole.active() as model:
        expected = dict(model.named_parameters())
        assert set(expected) == set(names) == set(plain)
        assert all(torch.allclose(names[n], p, atol=1e-6) for n, p in expected.items())
    assert not torch.equal(
        plain["model.layers.0.mlp.up_proj.weight"], names["model.layers.0.mlp.up_proj.weight"]
    )


def test_gpt2_adapter_is_merged_into_transposed_weights(models, tmp_path):
    import torch

    _, lora = opened(models, "gpt2", f"{models['gpt2']}::adapter={models['gpt2_lora']}")
    (whole,) = opened(
        models | {"whole": merged(models["gpt2"], models["gpt2_lora"], tmp_path / "whole")}, "whole"
    )
    with lora.active() as model:
        found = {w.name: w.read() for w in effective_weights(model, adapters=True)}
    with whole.active() as model:
        assert all(torch.allclose(found[n], p, atol=1e-6) for n, p in model.named_parameters())
    layer = record_weights(lora).hidden["transformer.h.0"]
    assert layer.up.shape == (128, 32)
    assert layer.gate is None


def test_tensor_kinship_of_a_low_rank_change(models):
    adapted = f"{models['base']}::adapter={models['lora']}"
    for child in (adapted, "merged"):
        subject, base = opened(models, child, "base")
        found = tensor_kinship(subject, base)
        assert found.rank_max == 4
        assert found.low_rank is True
        assert found.decisive is False
        assert found.relative_change > 0
        assert 0 < found.share_identical < 1
        assert found.reason == ""


def test_tensor_kinship_matches_the_definition(models):
    subject, base = opened(models, "noise", "base")
    found = tensor_kinship(subject, base)
    assert found.relative_change == pytest.approx(0.1, rel=0.1)
    assert found.cosine == pytest.approx(1 / 1.01**0.5, rel=0.01)
    assert found.rank_max == 32
    assert found.low_rank is False
    assert found.comparable == len(record_weights(base).tensors)


def test_unrelated_models_share_no_telling_tensor(models):
    found = tensor_kinship(*opened(models, "other", "base"))
    # Fresh norms are all ones in every model: identical, and no evidence.
    assert found.share_identical > 0.2
    assert found.telling_identical == 0
    assert abs(found.cosine) < 0.1
    other = tensor_kinship(*opened(models, "gpt2", "base"))
    assert other.comparable == 0
    assert "0 of" in other.reason


def test_frozen_layers_are_decisive(models, tmp_path):
    def last_layer(tensors):
        return {n: (noise({n: t})[n] if ".layers.1." in n else t) for n, t in tensors.items()}

    built = models | {"partly": rewritten(models["base"], tmp_path / "partly", last_layer)}
    found = tensor_kinship(*opened(built, "partly", "base"))
    assert (found.telling, found.telling_identical) == (14, 7)
    assert found.decisive


def test_predictions_are_the_models_own_next_tokens(models):
    import torch

    (subject,) = opened(models, "base")
    text = TEXTS[0]
    found = next_token_predictions(subject, [text, TEXTS[1]]).passages[0]
    encoded = subject.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    for index in (0, 5, 20):
        end = encoded["offset_mapping"][index - 1][1] if index else 0
        ids = [subject.tokenizer.bos_token_id, *encoded["input_ids"][:index]]
        with subject.active() as model, torch.inference_mode():
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        expected = subject.tokenizer.decode([token])
        assert found[end] in (expected, f"<{subject.tokenizer.convert_ids_to_tokens(token)}>")


def test_batches_do_not_change_predictions(models):
    (subject,) = opened(models, "base")
    assert next_token_predictions(subject, TEXTS, token_budget=1) == next_token_predictions(subject, TEXTS)


def test_tokenizers_are_compared_where_both_cut(models):
    fine, coarse, twin = (next_token_predictions(s, TEXTS) for s in opened(models, "base", "coarse", "other"))
    shared = shared_offsets([fine, coarse])
    assert all(offsets == set(fine.passages[i]) & set(coarse.passages[i]) for i, offsets in enumerate(shared))
    assert 0 < sum(map(len, shared)) < sum(map(len, coarse.passages))
    assert fine.vocabulary == twin.vocabulary != coarse.vocabulary
    assert agreement(fine, fine).share == 1.0
    assert agreement(fine, coarse).totals == tuple(map(len, shared))


def test_two_tokens_agree_when_one_begins_the_other():
    from fmaudit.subjects.next_tokens import Predictions

    one = Predictions(({0: " the", 3: " a", 5: " ", 7: "in"},), "x")
    other = Predictions(({0: " th", 3: " b", 5: " the", 7: "In"},), "y")
    assert agreement(one, other).hits == (2,)
    same_vocabulary = Predictions(other.passages, "x")
    assert agreement(one, same_vocabulary).hits == (0,)


def test_masked_models_predict_masked_words(models, tmp_path):
    built = models | {"tuned": rewritten(models["masked"], tmp_path / "tuned", noise)}
    base, tuned = opened(built, "masked", "tuned")
    found = next_token_predictions(base, TEXTS)
    starts = [match.start() for match in re.finditer(r"\w+", TEXTS[0])]
    assert sorted(found.passages[0]) == starts[::3]
    close = agreement(found, next_token_predictions(tuned, TEXTS)).share
    assert 0.5 < close < 1.0


def test_divergence_is_kl_in_bits(models):
    import torch

    base, tuned = opened(models, "base", "noise")
    texts = TEXTS[:12]
    expected = []
    with base.active() as one:
        first = one
    with tuned.active() as two:
        second = two
    for text in texts:
        ids = [base.tokenizer.bos_token_id, *base.tokenizer(text, add_special_tokens=False)["input_ids"]]
        with torch.inference_mode():
            p, q = (m(torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1) for m in (first, second))
        expected.append(((p.exp() * (p - q)).sum(-1) / np.log(2)).numpy())
    found = token_divergence(base, tuned, texts)
    assert found.value == pytest.approx(np.concatenate(expected).mean(), rel=1e-4)
    assert found.lower < found.value < found.upper
    assert found.clusters == {"passage": 12}
    assert found.n == sum(map(len, expected))
    thinned = token_divergence(base, tuned, texts, max_stored=found.n * 300 // 4)
    assert thinned.n < found.n / 3
    assert thinned.value == pytest.approx(found.value, rel=0.3)


def test_divergence_of_adapters_on_one_model(models):
    spec = f"{models['base']}::adapter={models['lora']}"
    base, lora = opened(models, "base", spec)
    (whole,) = opened(models, "merged")
    assert token_divergence(base, base, TEXTS[:12]).value == 0.0
    assert token_divergence(base, lora, TEXTS[:12]).value == pytest.approx(
        token_divergence(base, whole, TEXTS[:12]).value, rel=1e-3
    )


def test_divergence_needs_one_vocabulary(models):
    base, coarse, masked = opened(models, "base", "coarse", "masked")
    assert token_divergence(base, coarse, TEXTS).value is None
    assert "vocabular" in token_divergence(base, coarse, TEXTS).reason
    assert "causal" in token_divergence(base, masked, TEXTS).reason
