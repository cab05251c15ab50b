"""What is scored of a context and a continuation, whatever the tokenizer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, processors

from fmaudit.engines.encoding import CausalEncoder, token_border
from fmaudit.requests import Failure, Score
from fmaudit.testing.tiny import byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer


def trimmed():
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def composing():
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def wordpiece():
    tokenizer = wordpiece_tokenizer()
    tokenizer.bos_token = "[CLS]"
    return tokenizer


TOKENIZERS = {
    make.__name__: make() for make in (byte_level_tokenizer, trimmed, composing, unigram_tokenizer, wordpiece)
}
TEXT = st.lists(
    st.one_of(
        st.sampled_from(list("the garden was quiet  A nurse\n")),
        st.sampled_from(["é", "e\u0301", "\u0301", "🙂", "東", "ﬁ", "\u200d", "İ", "ß", "\u00a0"]),
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(context=TEXT, continuation=TEXT.filter(bool))
def test_all_of_the_continuation_is_scored_and_at_most_one_token_more(name, context, continuation):
    tokenizer = TOKENIZERS[name]
    encoded = CausalEncoder(tokenizer).pair(context, continuation)
    if isinstance(encoded, Failure) or not encoded.pieces:
        # Nothing of the continuation is a token: blanks and marks that the tokenizer drops.
        alone = tokenizer(continuation, add_special_tokens=False)["input_ids"]
        assert not alone or continuation.strip("\u0301\u200d \n\u00a0") == ""
        return
    text = context + continuation
    joined = "".join(encoded.pieces)
    assert text.endswith(joined)
    assert joined.endswith(continuation)
    assert len(encoded.pieces) == len(encoded.ids) - encoded.first
    assert encoded.first >= 1
    # Without its first piece nothing of the context is left: one token straddles at most. A character
    # of several tokens, and an accent joined to it, belong to the last of them.
    rest = "".join(encoded.pieces[1:])
    if "".join(encoded.pieces[:1]):
        assert len(rest) <= len(continuation)


@pytest.mark.parametrize("name", ["byte_level_tokenizer", "trimmed", "composing"])
@settings(max_examples=150, deadline=None)
@given(context=TEXT, continuation=TEXT.filter(bool))
def test_scored_tokens_decode_to_the_continuation_or_more(name, context, continuation):
    tokenizer = TOKENIZERS[name]
    encoded = CausalEncoder(tokenizer).pair(context, continuation)
    decoded = tokenizer.decode(list(encoded.ids[encoded.first :]))
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is None:
        assert decoded.endswith(continuation)
    else:
        whole = normalizer.normalize_str(context + continuation)
        assert whole.endswith(decoded)
        assert len(decoded) >= len(whole) - len(normalizer.normalize_str(context))


@pytest.mark.parametrize(
    ("context", "continuation", "scored"),
    [
        ("T", "he garden", ("The", " g", "ar", "den")),
        ("Th", "e", ("The",)),
        ("The", " garden", (" g", "ar", "den")),
        ("The g", "arden", ("ar", "den")),
        ("", "The", ("The",)),
    ],
)
def test_a_token_that_straddles_at_the_beginning_is_scored_from_the_start_token(
    llama, context, continuation, scored
):
    (answer,) = llama.ask(Score(continuation, context=context))
    assert answer.tokens == scored
    if context in ("T", "Th"):
        assert answer.logprob == pytest.approx(llama.ask(Score(context + continuation))[0].logprob, abs=1e-5)


def test_without_a_start_token_a_continuation_inside_the_first_token_has_no_score():
    tokenizer = byte_level_tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = None
    encoder = CausalEncoder(tokenizer)
    refused = encoder.pair("T", "he garden")
    assert refused == Failure("continuation begins within the first token, and nothing precedes that one")
    assert encoder.pair("The", " garden").pieces == (" g", "ar", "den")


def test_an_accent_that_joins_its_letter_scores_the_letter():
    # A normalizer that composes reports the span of the letter alone.
    assert token_border("ae\u0301x", [(0, 1), (1, 2), (3, 4)], 2) == 1
    assert token_border("a  x", [(0, 1), (3, 4)], 1) == 1
    assert token_border("ax", [(0, 1), (1, 2)], 2) == 2
