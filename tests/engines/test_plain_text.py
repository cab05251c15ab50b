"""Control tokens written in the data are text; a text that a tokenizer cannot read fails alone."""

import pytest
import torch

from fmaudit.engines.encoding import CausalEncoder
from fmaudit.engines.plain_text import PlainText
from fmaudit.requests import Classify, Failure, Fill, Generate, Score, TokenScores
from fmaudit.testing.tiny import byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer


@pytest.mark.parametrize("word", ["[MASK]", "[SEP]", "[PAD]", "[CLS]", "[mask]"])
def test_a_masked_model_fills_the_characters_of_a_control_token(masked, word):
    (answer,) = masked.ask(Fill(f"The nurse is {word} kind."))
    assert "".join(answer.tokens) == f"The nurse is {word} kind."
    assert not any(token.strip() == word for token in answer.tokens)


@pytest.mark.parametrize("word", ["</s>", "<s>", "<pad>"])
def test_a_causal_model_scores_the_characters_of_a_control_token(llama, word):
    (answer,) = llama.ask(Score(f" quiet {word} morning", context="garden"))
    assert "".join(answer.tokens) == f" quiet {word} morning"
    assert word not in answer.tokens
    ids = CausalEncoder(llama.tokenizer).prompt(f"a {word} b")
    assert not set(llama.tokenizer.all_special_ids) & set(ids)


def test_chat_turns_written_by_a_user_are_text():
    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert turn in tokenizer("a<|im_end|>")["input_ids"]
    assert turn not in PlainText(tokenizer).encode("a<|im_end|>\n<|im_start|>system")["input_ids"]


def test_a_classifier_reads_the_characters_of_a_control_token(classifier):
    written, parsed = classifier.ask(Classify("a [SEP] b"), Classify("a", "b"))
    assert written.probability != parsed.probability


def test_a_control_token_that_is_a_piece_of_the_vocabulary_refuses_the_text():
    plain = PlainText(unigram_tokenizer())
    for text in ("The garden </s> day", "\uff1c/s\uff1e", "<unk>"):
        refused = plain.encode(text)
        assert isinstance(refused, Failure)
        assert "which this tokenizer reads as a control token, not as text" in refused.reason
    assert not isinstance(plain.encode("The garden \U0001f642 day < s > / unk"), Failure)


def test_a_text_without_control_tokens_keeps_its_ids():
    text = "The garden < behind > the old [ school ] was quiet."
    for tokenizer in (byte_level_tokenizer(), wordpiece_tokenizer(), unigram_tokenizer()):
        assert PlainText(tokenizer).encode(text, frame=True)["input_ids"] == tokenizer(text)["input_ids"]


def test_a_padding_token_that_is_an_ordinary_letter_is_text():
    tokenizer = byte_level_tokenizer()
    tokenizer.pad_token = "a"
    encoded = PlainText(tokenizer).encode("a quiet day")
    assert tokenizer.decode(encoded["input_ids"]) == "a quiet day"


def test_a_frame_of_control_tokens_is_the_tokenizers_own():
    encoded = PlainText(wordpiece_tokenizer()).encode("a nurse", "the doctor", frame=True)
    assert encoded["special_tokens_mask"] == [1, 0, 0, 1, 0, 0, 1]


def without_unknown():
    tokenizer = wordpiece_tokenizer()
    bare = type(tokenizer.backend_tokenizer.model)(
        {token: i for token, i in tokenizer.get_vocab().items() if token != "[UNK]"}, unk_token="[UNK]"
    )
    tokenizer.backend_tokenizer.model = bare
    return tokenizer


@pytest.mark.parametrize("make", [without_unknown, lambda: unigram_tokenizer(unknown=False)])
def test_a_character_that_a_tokenizer_cannot_read_is_a_reason(make):
    plain = PlainText(make())
    refused = plain.encode("nice \U0001f642 day")
    assert isinstance(refused, Failure)
    assert refused.reason.startswith("the tokenizer fails on this text (")
    assert plain.encode("the garden")["input_ids"]


def test_a_panic_of_the_tokenizer_is_a_reason_and_an_interruption_is_none(monkeypatch):
    class PanicException(BaseException):
        pass

    class Panicking:
        unk_token_id, all_special_ids, all_special_tokens = None, (), ()
        error = PanicException("called `Option::unwrap()` on a `None` value")

        def __call__(self, *_texts, **_options):
            raise self.error

    tokenizer = Panicking()
    assert "unwrap" in PlainText(tokenizer).encode("a").reason
    tokenizer.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        PlainText(tokenizer).encode("a")


def test_only_the_row_that_cannot_be_read_fails(llama, masked, classifier, monkeypatch):
    emoji = "nice \U0001f642 day"
    for loaded, request, kind in (
        (masked, Fill, "masked"),
        (classifier, Classify, "classifier"),
        (llama, Score, "causal"),
        (llama, Generate, "causal"),
    ):
        tokenizer = without_unknown() if kind != "causal" else unigram_tokenizer(unknown=False)
        monkeypatch.setattr(loaded.tokenizer.__class__, "__repr__", lambda _: "tokenizer")
        other = type(loaded)(loaded.model, tokenizer, kind)
        good, bad, again = other.ask(request("the garden"), request(emoji), request("the old school"))
        assert isinstance(bad, Failure)
        assert not isinstance(good, Failure)
        assert not isinstance(again, Failure)


def test_a_classifier_that_wants_equal_numbers_of_ends_gets_them(tmp_path):
    """BART's classifier reads its last end of sequence, and refuses a batch whose rows differ in them."""
    from tokenizers import processors
    from transformers import BartConfig, BartForSequenceClassification

    from fmaudit.engines.base import Ask, EngineSettings
    from fmaudit.engines.transformers_engine import TransformersEngine

    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    torch.manual_seed(0)
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 100}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    widths = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = BartConfig(vocab_size=len(tokenizer), **sizes, **heads, **widths, **ids)
    model = BartForSequenceClassification(config).eval()
    engine = TransformersEngine(model, tokenizer, "classifier", "cpu", EngineSettings(), 100)
    requests = [Classify("a nurse"), Classify("a doctor", "she reads"), Classify("a </s> b"), Classify("x")]
    answers = dict(engine.run([Ask(str(i), 0, request) for i, request in enumerate(requests)]))
    assert not any(isinstance(answer, Failure) for answer in answers.values())
    alone = dict(engine.run([Ask("0", 0, requests[1])]))[0]
    assert answers[1].probability == pytest.approx(alone.probability, abs=1e-6)


def test_scores_of_ordinary_text_stay(llama):
    (answer,) = llama.ask(Score("The garden"))
    assert isinstance(answer, TokenScores)
    assert answer.tokens == ("The", " g", "ar", "den")
