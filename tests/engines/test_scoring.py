import itertools
import math

import pytest
import torch

from fmaudit.engines.scoring import decoding_logprobs, draw, score_chunks, score_rows
from fmaudit.requests import ANCESTRAL, GREEDY, Decoding


def _random_logits(rows, vocabulary, seed=0, spread=3.0):
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * spread


def test_columns_equal_their_definitions_in_float64():
    logits = _random_logits(6, 101)
    targets = torch.tensor([0, 5, 100, 7, 7, int(logits[5].argmax())])
    columns = score_rows(logits, targets, ANCESTRAL)
    log_p = logits.double().log_softmax(-1)
    p = log_p.exp()
    mean = (p * log_p).sum(-1)
    torch.testing.assert_close(columns.logprob.double(), log_p[range(6), targets], atol=1e-5, rtol=0)
    torch.testing.assert_close(columns.mean.double(), mean, atol=1e-5, rtol=0)
    variance = (p * (log_p - mean[:, None]) ** 2).sum(-1)
    torch.testing.assert_close(columns.variance.double(), variance, atol=1e-4, rtol=0)
    top = log_p.sort(-1, descending=True).values
    torch.testing.assert_close(columns.gap.double(), top[:, 0] - top[:, 1], atol=1e-5, rtol=0)
    assert columns.is_argmax.tolist() == (log_p.argmax(-1) == targets).tolist()
    assert columns.decoded.tolist() == columns.logprob.tolist()


def test_variance_of_a_nearly_certain_token_is_positive_in_half_precision():
    logits = torch.zeros(1, 50, dtype=torch.float16)
    logits[0, 3] = 18.0
    columns = score_rows(logits, torch.tensor([3]), ANCESTRAL)
    assert columns.variance.item() > 0
    assert columns.logprob.dtype == torch.float32


def test_a_constant_added_to_the_logits_changes_nothing():
    logits = _random_logits(4, 60)
    targets = torch.tensor([1, 2, 3, 4])
    one, other = (score_rows(z, targets, ANCESTRAL) for z in (logits, logits + 30))
    torch.testing.assert_close(one.logprob, other.logprob, atol=1e-4, rtol=0)
    torch.testing.assert_close(one.variance, other.variance, atol=1e-3, rtol=0)


def test_forbidden_tokens_weigh_nothing_and_are_not_an_error():
    logits = _random_logits(2, 20)
    logits[:, 4:9] = -math.inf
    columns = score_rows(logits, torch.tensor([0, 1]), ANCESTRAL)
    kept = [i for i in range(20) if not 4 <= i < 9]
    small = score_rows(logits[:, kept], torch.tensor([0, 1]), ANCESTRAL)
    assert columns.finite.all()
    torch.testing.assert_close(columns.mean, small.mean)
    torch.testing.assert_close(columns.variance, small.variance)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_non_finite_rows_are_told_apart(poison):
    logits = _random_logits(3, 20)
    logits[1, 7] = poison
    assert score_rows(logits, torch.tensor([0, 1, 2]), ANCESTRAL).finite.tolist() == [True, False, True]


def test_chunks_of_any_size_give_the_same_columns():
    logits = _random_logits(23, 31)
    targets = torch.arange(23)
    whole = score_chunks([logits], targets, Decoding(0.7, 5, 0.9))
    pieces = score_chunks(iter(logits.split(4)), targets, Decoding(0.7, 5, 0.9))
    for name in ("logprob", "mean", "variance", "gap", "decoded"):
        assert getattr(whole, name).tolist() == getattr(pieces, name).tolist()


DECODINGS = [Decoding(*values) for values in itertools.product((0.5, 1.0, 1.7), (0, 3, 50), (0.3, 0.9, 1.0))]


@pytest.mark.parametrize("decoding", DECODINGS, ids=str)
def test_the_filtered_distribution_is_that_of_transformers(decoding):
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = _random_logits(40, 200, spread=2.0)
    expected = TemperatureLogitsWarper(decoding.temperature)(None, logits)
    if decoding.top_k:
        expected = TopKLogitsWarper(decoding.top_k)(None, expected)
    if decoding.top_p < 1:
        expected = TopPLogitsWarper(decoding.top_p)(None, expected)
    expected = expected.log_softmax(-1)
    ours = decoding_logprobs(logits, decoding)
    assert ours.isfinite().tolist() == expected.isfinite().tolist()
    kept = ours.isfinite()
    torch.testing.assert_close(ours[kept], expected[kept], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.exp().sum(-1), torch.ones(40))


def test_top_p_keeps_the_crossing_token_and_the_lower_ids_of_ties():
    quarter = torch.zeros(1, 4)
    assert decoding_logprobs(quarter, Decoding(1, 0, 0.6)).isfinite().tolist() == [[True, True, True, False]]
    uneven = torch.tensor([[0.1, 0.5, 0.4]]).log()
    assert decoding_logprobs(uneven, Decoding(1, 0, 0.5)).isfinite().tolist() == [[False, True, False]]
    assert decoding_logprobs(uneven, Decoding(1, 0, 0.51)).isfinite().tolist() == [[False, True, True]]


def test_decoded_is_minus_infinity_outside_the_set_and_greedy_is_all_or_nothing():
    logits = torch.tensor([[3.0, 2.0, 1.0]] * 3)
    targets = torch.tensor([0, 1, 2])
    assert score_rows(logits, targets, GREEDY).decoded.tolist() == [0.0, -math.inf, -math.inf]
    decoded = score_rows(logits, targets, Decoding(1.0, 2, 1.0)).decoded
    assert decoded[2].item() == -math.inf
    assert decoded[:2].exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_draw_inverts_the_cumulative_distribution_in_vocabulary_order():
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().repeat(5, 1)
    tokens, margins, finite = draw(logits, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.999]).double(), ANCESTRAL)
    assert tokens.tolist() == [0, 0, 1, 1, 2]
    assert margins.tolist() == pytest.approx([0.0, 0.01, 0.01, 0.01, 0.001], abs=1e-6)
    assert finite.all()


def test_draw_never_takes_a_token_of_no_mass():
    logits = torch.full((2, 6), -math.inf)
    logits[:, 2:4] = 0
    tokens, _, _ = draw(logits, torch.tensor([0.0, 1 - 2**-53]).double(), Decoding(1.0, 0, 0.99))
    assert tokens.tolist() == [2, 3]


def test_greedy_draw_takes_the_first_of_equals_and_the_gap_as_margin():
    tokens, margins, _ = draw(
        torch.tensor([[1.0, 4.0, 4.0], [5.0, 2.0, 1.0]]), torch.zeros(2).double(), GREEDY
    )
    assert tokens.tolist() == [1, 0]
    assert margins.tolist() == [0.0, 3.0]


def test_no_hidden_top_k():
    flat = torch.zeros(4000, 400)
    uniforms = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens, _, _ = draw(flat, uniforms, ANCESTRAL)
    assert len(set(tokens.tolist())) > 390
    tokens, _, _ = draw(flat, uniforms, Decoding(1.0, 0, 0.9))
    assert 350 < len(set(tokens.tolist())) <= 361


def test_greedy_has_no_distribution():
    with pytest.raises(ValueError, match="greedy"):
        decoding_logprobs(torch.zeros(1, 3), GREEDY)
