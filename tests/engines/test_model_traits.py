"""Models are asked how padding, later tokens and caches change their answers; names decide nothing."""

import pytest
import torch

from fmaudit.engines.asking import (
    CACHE_NOTE,
    LEFT_NOTE,
    MEMORY_NOTE,
    PADDED_NOTE,
    UNSTEADY_NOTE,
    ask_traits,
)
from fmaudit.engines.base import Ask, EngineSettings
from fmaudit.engines.operation import LoadedModel
from fmaudit.engines.plain_text import readable_text
from fmaudit.engines.positions import position_rows
from fmaudit.engines.traits import GenerationWay, ModelTraits
from fmaudit.engines.transformers_engine import TransformersEngine
from fmaudit.requests import GREEDY, Classify, Failure, Fill, Generate, Score
from fmaudit.subjects.logits import probe_logits
from fmaudit.testing.tiny import byte_level_tokenizer, wordpiece_tokenizer
from tests.engines.odd_models import (
    DECODER,
    ENCODER,
    MARKS,
    ROWS,
    WORD_ENCODER,
    WORDS,
    decoder,
    made,
    recurrent,
    seeing,
)

BYTES, PIECES = byte_level_tokenizer(), wordpiece_tokenizer()
FNET = {name: value for name, value in WORD_ENCODER.items() if name != "num_attention_heads"}
PADDING_MATTERS = {
    "FNet": FNET,
    "ConvBert": WORD_ENCODER | {"embedding_size": 32, "head_ratio": 2, "conv_kernel_size": 3},
    "MobileBert": WORD_ENCODER
    | {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 1},
    "XLNet": {
        "vocab_size": WORDS,
        "d_model": 32,
        "n_layer": 2,
        "n_head": 4,
        "d_inner": 64,
        "pad_token_id": 0,
    },
    "Yoso": WORD_ENCODER,
}


def traits_of(model, kind, tokenizer, context=128):
    return ask_traits(LoadedModel(model, tokenizer, "cpu", context), kind)


def answers(model, kind, tokenizer, requests, budget):
    engine = TransformersEngine(model, tokenizer, kind, "cpu", EngineSettings(token_budget=budget), 120)
    found = dict(engine.run([Ask(str(i), 0, request) for i, request in enumerate(requests)]))
    return [found[i] for i in range(len(requests))]


def test_a_causal_class_that_sees_later_tokens_is_found_by_asking():
    assert {name for name, model in seeing() if traits_of(model, "causal", BYTES).looks_ahead} == {
        "bert",
        "roberta",
        "electra",
        "xlnet",
        "xlm",
    }


@pytest.mark.parametrize(
    ("head", "config", "fields"),
    [
        ("BertLMHeadModel", "BertConfig", ENCODER | {"pad_token_id": 0, "is_decoder": True}),
        ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": ROWS, "n_embd": 32, "n_layer": 2, "n_head": 4}),
        ("BloomForCausalLM", "BloomConfig", {"vocab_size": ROWS, "hidden_size": 32, "n_layer": 2}),
    ],
)
def test_a_causal_model_is_asked_in_padded_batches(head, config, fields):
    traits = traits_of(made(head, config, **fields), "causal", BYTES)
    assert (traits.batching, traits.looks_ahead, traits.notes) == ("padded", False, ())
    assert traits.generating.cached
    assert traits.generating.batching == "padded"


def test_a_window_of_one_token_ahead_is_found():
    model = made("GPT2LMHeadModel", "GPT2Config", vocab_size=ROWS, n_embd=32, n_layer=1, n_head=4)
    model.transformer.wte.register_forward_hook(lambda _m, _a, output: output + output.roll(-1, dims=1))
    assert traits_of(model, "causal", BYTES).looks_ahead


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rounding_is_no_look_ahead_and_no_padding(dtype):
    fields = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_key_value_heads": 2}
    config = fields | {"vocab_size": ROWS, "num_attention_heads": 4, "initializer_range": 0.2, **MARKS}
    model = made("LlamaForCausalLM", "LlamaConfig", **config).to(dtype)
    assert traits_of(model, "causal", BYTES) == ModelTraits(generating=GenerationWay())
    noisy = made("BertLMHeadModel", "BertConfig", 0.2, **ENCODER, pad_token_id=0).to(dtype)
    assert traits_of(noisy, "causal", BYTES).looks_ahead


@pytest.mark.parametrize("family", ["Bart", "MBart", "Pegasus", "Blenderbot", "Marian", "PLBart"])
def test_positions_counted_from_the_padding_change_no_text(family):
    model = decoder(family)
    traits = traits_of(model, "causal", BYTES)
    assert traits.batching == "padded"
    assert traits.generating == GenerationWay(positions=False, batching="equal_length")
    assert traits.notes == (LEFT_NOTE,)
    requests = [
        Generate("the garden " * (1 + 5 * (i % 3)) + str(i), max_new_tokens=6, decoding=GREEDY)
        for i in range(9)
    ]
    together = answers(model, "causal", BYTES, requests, 4096)
    for one, other in zip(answers(model, "causal", BYTES, requests, 1), together, strict=True):
        assert one.samples[0].text == other.samples[0].text


def test_positions_that_begin_behind_the_padding_row_are_left_to_the_model():
    """RoBERTa counts positions from the row behind its padding: told 0, 1, 2 it reads other rows."""
    fields = ENCODER | MARKS | {"is_decoder": True, "max_position_embeddings": 100, "initializer_range": 0.2}
    model = made("RobertaForCausalLM", "RobertaConfig", **fields)
    traits = traits_of(model, "causal", BYTES)
    assert traits.generating == GenerationWay(positions=False, batching="equal_length")
    (generated,) = answers(
        model, "causal", BYTES, [Generate("the garden", max_new_tokens=5, decoding=GREEDY)], 4096
    )
    text = generated.samples[0].text
    if "\ufffd" not in text and generated.samples[0].finish == "length":
        (scored,) = answers(model, "causal", BYTES, [Score(text, context="the garden")], 4096)
        assert scored.greedy_match


def test_generation_goes_without_a_cache_that_cannot_be_cut_to_some_rows():
    for name, model in recurrent():
        traits = traits_of(model, "causal", BYTES)
        assert traits == ModelTraits(
            generating=GenerationWay(cached=False, positions=False), notes=(CACHE_NOTE,)
        ), name
        requests = [
            Generate("the garden " * n, n=2, max_new_tokens=4, decoding=GREEDY, stop=("\n",)) for n in (1, 4)
        ]
        together = answers(model, "causal", BYTES, requests, 4096)
        for one, other in zip(answers(model, "causal", BYTES, requests, 1), together, strict=True):
            assert [sample.text for sample in one.samples] == [sample.text for sample in other.samples], name


def test_texts_generated_without_a_cache_are_those_with_it(llama):
    requests = [Generate("the garden " * n, n=3, max_new_tokens=6) for n in (1, 2, 3)]

    def texts(way):
        traits = ModelTraits(generating=way)
        settings = EngineSettings()
        engine = TransformersEngine(
            llama.model, llama.tokenizer, "causal", "cpu", settings, 128, traits=traits
        )
        found = dict(engine.run([Ask(str(i), 0, request) for i, request in enumerate(requests)]))
        return [[sample.text for sample in found[i].samples] for i in range(3)]

    assert texts(GenerationWay(cached=False)) == texts(GenerationWay())


@pytest.mark.parametrize("family", PADDING_MATTERS)
def test_a_classifier_that_padding_changes_answers_a_text_alone_and_in_a_batch_alike(family):
    model = made(f"{family}ForSequenceClassification", f"{family}Config", 0.2, **PADDING_MATTERS[family])
    traits = traits_of(model, "classifier", PIECES)
    assert traits == ModelTraits("equal_length", notes=(PADDED_NOTE,))
    requests = [Classify("the garden " * n) for n in (1, 9, 3, 9, 1)]
    alone = answers(model, "classifier", PIECES, requests, 1)
    together = answers(model, "classifier", PIECES, requests, 4096)
    for one, other in zip(alone, together, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_a_masked_model_without_an_attention_mask_fills_alike_in_any_batch():
    model = made("FNetForMaskedLM", "FNetConfig", 0.2, **FNET)
    requests = [Fill("the garden was quiet " * n, scheme="within_word_l2r") for n in (1, 5, 2, 5)]
    alone, together = (answers(model, "masked", PIECES, requests, budget) for budget in (1, 4096))
    for one, other in zip(alone, together, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_a_model_that_depends_on_its_neighbours_is_asked_one_by_one():
    model = made("BertForSequenceClassification", "BertConfig", 0.2, **WORD_ENCODER)
    model.bert.embeddings.register_forward_hook(
        lambda _m, _a, output: output - output.mean((0, 1), keepdim=True) * (output.shape[0] > 1)
    )
    traits = traits_of(model, "classifier", PIECES)
    assert traits.batching == "alone"
    requests = [Classify("the garden " * n) for n in (1, 9, 3)]
    alone, together = (answers(model, "classifier", PIECES, requests, budget) for budget in (1, 4096))
    assert [a.probability for a in alone] == [b.probability for b in together]


def test_a_model_that_never_says_the_same_is_said_to():
    model = made("BertForMaskedLM", "BertConfig", 0.2, **WORD_ENCODER)
    model.bert.embeddings.register_forward_hook(lambda _m, _a, output: output + torch.rand_like(output))
    assert traits_of(model, "masked", PIECES) == ModelTraits("alone", notes=(UNSTEADY_NOTE,))


def test_a_model_that_cannot_take_short_texts_is_asked_one_by_one_and_says_so(monkeypatch):
    model = made("BertForMaskedLM", "BertConfig", **WORD_ENCODER)
    monkeypatch.setattr(model, "forward", lambda **_: (_ for _ in ()).throw(ValueError("too short\nmore")))
    traits = traits_of(model, "masked", PIECES)
    assert traits.batching == "alone"
    assert "could not be asked (ValueError: too short): texts are asked one by one" in traits.notes[0]


def test_without_memory_for_three_short_texts_nothing_is_refused(monkeypatch):
    model = made("BertForMaskedLM", "BertConfig", **WORD_ENCODER)
    error = torch.OutOfMemoryError("CUDA out of memory")
    monkeypatch.setattr(model, "forward", lambda **_: (_ for _ in ()).throw(error))
    assert traits_of(model, "masked", PIECES) == ModelTraits(notes=(MEMORY_NOTE,))


def test_a_tokenizer_whose_words_are_all_one_token_still_tells(eight_words):
    assert eight_words.engine(context_length=32).traits == ModelTraits(generating=GenerationWay())


@pytest.mark.parametrize(
    ("head", "config", "fields", "rows"),
    [
        ("XmodForMaskedLM", "XmodConfig", {"languages": ["en_XX"], "default_language": "en_XX"}, 39),
        ("RobertaForMaskedLM", "RobertaConfig", {}, 39),
        ("MPNetForMaskedLM", "MPNetConfig", {"pad_token_id": 1}, 38),
        ("BertForMaskedLM", "BertConfig", {}, 40),
        ("DebertaForMaskedLM", "DebertaConfig", {}, 40),
    ],
)
def test_the_length_is_read_from_the_position_table(head, config, fields, rows):
    model = made(head, config, **(WORD_ENCODER | {"max_position_embeddings": 40} | fields))
    assert position_rows(model, "cpu") == rows
    ids = torch.full((1, rows), 7)
    with torch.no_grad():
        model(input_ids=ids)
        if head != "DebertaForMaskedLM":
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=torch.full((1, rows + 1), 7))


def test_a_tokenizer_of_another_script_is_asked_in_its_own_words():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate("東京都港区芝公園")}))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    fields = {"vocab_size": 8, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = made("LlamaForCausalLM", "LlamaConfig", 0.2, **fields, intermediate_size=64)
    assert "\u6771" in readable_text(tokenizer)
    assert traits_of(model, "causal", tokenizer) == ModelTraits(generating=GenerationWay())
    assert [answer.shape[0] for answer in probe_logits(model, tokenizer, "causal")] == [1]


def test_relative_positions_are_no_limit():
    bloom = made("BloomForCausalLM", "BloomConfig", vocab_size=ROWS, hidden_size=32, n_layer=1)
    assert position_rows(bloom, "cpu") is None
    assert position_rows(decoder("Bart"), "cpu") == DECODER["max_position_embeddings"]


def test_one_row_that_a_model_cannot_take_fails_alone(monkeypatch):
    model = made("BertForSequenceClassification", "BertConfig", **WORD_ENCODER)
    engine = TransformersEngine(model, PIECES, "classifier", "cpu", EngineSettings(), 128)
    assert engine.traits.batching == "padded"
    bad = PIECES.convert_tokens_to_ids("z")
    forward = model.forward

    def picky(**inputs):
        if bool((inputs["input_ids"] == bad).any()):
            raise ValueError("no z, please")
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", picky)
    asks = [Ask(str(i), 0, Classify(text)) for i, text in enumerate(("z", "the garden", "quiet"))]
    found = dict(engine.run(asks))
    assert found[0] == Failure("the model fails on this text (ValueError)")
    assert not any(isinstance(found[i], Failure) for i in (1, 2))
    fresh = TransformersEngine(
        model, PIECES, "classifier", "cpu", EngineSettings(), 128, traits=ModelTraits()
    )
    with pytest.raises(ValueError, match="no z"):
        dict(fresh.run(asks[:1]))
