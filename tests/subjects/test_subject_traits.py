"""What a loaded subject is found to be by asking it: per adapter, with its usable length."""

import pytest

from fmaudit.errors import SubjectError
from fmaudit.planning.asked import asked_traits
from fmaudit.planning.outline import outline
from fmaudit.subjects import LoadOptions, open_subjects, parse_spec, preflight
from fmaudit.testing.tiny import byte_level_tokenizer, save_tiny, tiny_causal, tiny_lora, wordpiece_tokenizer
from tests.engines.odd_models import DECODER, ENCODER, MARKS, WORD_ENCODER

CPU = LoadOptions("cpu", "float32")


def test_a_base_and_its_adapter_are_asked_each(tmp_path):
    base = tiny_causal(tmp_path / "base")
    adapter = tiny_lora(base, tmp_path / "lora")
    subjects = open_subjects([parse_spec(str(base)), parse_spec(f"{base}::adapter={adapter}")], CPU)
    preflight(subjects[0], subjects[1:])
    assert [subject.traits.batching for subject in subjects] == ["padded", "padded"]
    assert subjects[0].traits is not subjects[1].traits
    # An adapter that looks ahead: what it adds to a token is taken from the next one.
    for name, module in subjects[1].model.named_modules():
        if name.endswith("lora_A.subject1"):
            module.register_forward_hook(lambda _m, _a, output: output.roll(-1, dims=1))
    del subjects[1].__dict__["traits"]
    del subjects[0].__dict__["traits"]
    assert subjects[1].traits.looks_ahead
    assert not subjects[0].traits.looks_ahead


def test_a_model_that_looks_ahead_is_refused_and_planned_as_such(tmp_path):
    from transformers import ElectraConfig, ElectraForCausalLM

    config = ElectraConfig(**ENCODER, embedding_size=32, pad_token_id=0, max_position_embeddings=64)
    path = save_tiny(tmp_path / "electra", ElectraForCausalLM, config, byte_level_tokenizer())
    (subject,) = open_subjects([parse_spec(str(path))], CPU)
    with pytest.raises(SubjectError, match="'electra' looks ahead"):
        preflight(subject)
    traits, _ = asked_traits(outline(subject, CPU), subject.tokenizer, CPU)
    assert traits.looks_ahead


def test_the_length_of_a_model_of_no_known_name_is_that_of_its_table(tmp_path):
    from transformers import XmodConfig, XmodForMaskedLM

    tokenizer = wordpiece_tokenizer()
    languages = {"languages": ["en_XX"], "default_language": "en_XX"}
    config = XmodConfig(**WORD_ENCODER, **languages, max_position_embeddings=40)
    path = save_tiny(tmp_path / "xmod", XmodForMaskedLM, config, tokenizer)
    tokenizer.model_max_length = 10**30
    tokenizer.save_pretrained(path)
    (subject,) = open_subjects([parse_spec(str(path))], CPU)
    assert subject.context_length == 39
    assert asked_traits(outline(subject, CPU), subject.tokenizer, CPU)[1] == 39


def test_a_configuration_that_says_minus_one_limits_nothing(tmp_path):
    from fmaudit.subjects.subject import context_length

    class Config:
        max_position_embeddings = -1

        def get_text_config(self):
            return self

    tokenizer = byte_level_tokenizer()
    assert context_length(Config(), tokenizer) > 1 << 20
    tokenizer.model_max_length = 77
    assert context_length(Config(), tokenizer) == 77


def test_a_decoder_with_odd_positions_carries_its_note(tmp_path):
    from transformers import BartConfig, BartForCausalLM

    path = save_tiny(
        tmp_path / "bart", BartForCausalLM, BartConfig(**DECODER, **MARKS), byte_level_tokenizer()
    )
    (subject,) = open_subjects([parse_spec(str(path))], CPU)
    preflight(subject)
    assert any("batches of equal length" in note for note in subject.notes)
    traits, _ = asked_traits(outline(subject, CPU), subject.tokenizer, CPU)
    assert traits.generating == subject.traits.generating
