"""One start token for all models of a run: by its text, where every tokenizer knows it."""

from __future__ import annotations

import copy

import pytest

from fmaudit.engines.encoding import CausalEncoder
from fmaudit.engines.start import Start, common_start, own_start, token_id
from fmaudit.requests import Failure, Generate, Score
from fmaudit.testing.tiny import byte_level_tokenizer


def renamed(**tokens):
    tokenizer = byte_level_tokenizer()
    for name, token in tokens.items():
        setattr(tokenizer, name, token)
    return tokenizer


@pytest.fixture(scope="module")
def plain():
    return byte_level_tokenizer()


def words(begin):
    """A word-level tokenizer whose only control token is ``begin``, put before every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({begin: 0, "<s>": 1, "a": 2, "b": 3}, unk_token=begin))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A $B", special_tokens=[(begin, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=begin, unk_token=begin)


def test_a_tokenizer_alone_starts_as_it_asks():
    assert own_start(byte_level_tokenizer()) == Start("<s>", always=False)
    assert own_start(renamed(bos_token=None)) == Start("</s>", always=False)
    assert own_start(renamed(bos_token=None, eos_token=None)) == Start()
    assert own_start(words("<begin>")) == Start("<begin>", always=True)


@pytest.mark.parametrize(
    "tokens",
    [
        {"bos_token": None, "eos_token": "<pad>"},
        {"eos_token": "<pad>"},
        {"bos_token": "</s>"},
        {"bos_token": None, "eos_token": None},
    ],
)
def test_other_names_of_the_control_tokens_encode_alike(plain, tokens):
    other = renamed(**tokens)
    start = common_start([plain, other])
    assert start == Start("<s>", always=False)
    first, second = CausalEncoder(plain, start), CausalEncoder(other, start)
    for context, continuation in (("", "The garden"), ("The", " garden"), ("", "<s>The garden")):
        assert first.pair(context, continuation) == second.pair(context, continuation)
    for prompt in ("", "The garden"):
        assert first.prompt(prompt) == second.prompt(prompt)


def test_a_lent_token_is_the_first_models(plain):
    lender, other = renamed(bos_token=None, eos_token="<pad>"), renamed(bos_token=None)
    start = common_start([lender, other, plain])
    assert start == Start("<pad>", always=False)
    assert CausalEncoder(plain, start).pair("", "The").ids[0] == plain.convert_tokens_to_ids("<pad>")


def test_a_text_alike_is_no_control_token():
    tokenizer = words("<begin>")
    assert tokenizer.convert_tokens_to_ids("<s>") == 1
    assert token_id(tokenizer, "<s>") is None
    assert token_id(tokenizer, "<begin>") == 0
    assert token_id(byte_level_tokenizer(), "<begin>") is None


def test_without_a_common_token_scoring_begins_at_the_second(plain):
    other = words("<begin>")
    start = common_start([plain, other])
    assert start == Start()
    encoded = CausalEncoder(plain, start).pair("", "The garden")
    alone = CausalEncoder(plain).pair("", "The garden")
    assert encoded.ids == alone.ids[1:]
    assert encoded.first == 1
    assert encoded.pieces == alone.pieces[1:]
    # What its tokenizer puts in front by itself stays, and the first token of the text is not scored.
    foreign = CausalEncoder(other, start).pair("", "a b a")
    assert foreign.ids == (0, 2, 3, 2)
    assert foreign.first == 2
    assert len(foreign.pieces) == 2
    assert CausalEncoder(other, start).pair("a", " b a") == CausalEncoder(other).pair("a", " b a")


def test_nothing_is_generated_from_nothing_without_a_common_token():
    assert CausalEncoder(words("<begin>"), Start()).prompt("") == ()
    assert CausalEncoder(words("<begin>"), Start()).prompt("a") == (0, 2)


def test_the_first_model_says_where_the_token_stands(plain):
    before_all = Start("<s>", always=True)
    encoder = CausalEncoder(plain, before_all)
    assert encoder.prompt("The")[0] == plain.convert_tokens_to_ids("<s>")
    assert encoder.pair("The", " garden").ids[0] == plain.convert_tokens_to_ids("<s>")


def test_the_engine_scores_and_generates_from_the_start_given(llama):
    from fmaudit.engines.base import EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine
    from tests.engines.conftest import ask

    other = copy.deepcopy(llama.tokenizer)
    other.bos_token, other.eos_token = "</s>", "</s>"

    def answers(tokenizer, start):
        engine = TransformersEngine(
            llama.model, tokenizer, "causal", "cpu", EngineSettings(), 128, start=start
        )
        return ask(engine, Score("The garden"), Generate("", n=2, max_new_tokens=5))

    same = answers(llama.tokenizer, None)
    assert answers(other, own_start(llama.tokenizer)) == same
    assert answers(other, None)[0] != same[0]
    scored, generated = answers(other, Start())
    assert scored.tokens == same[0].tokens[1:]
    assert isinstance(generated, Failure)
