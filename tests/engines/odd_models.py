"""Tiny models of architectures that have to be asked in ways of their own."""

from __future__ import annotations

import torch
import transformers

from fmaudit.testing.tiny import byte_level_tokenizer, wordpiece_tokenizer

ROWS = len(byte_level_tokenizer())
WORDS = len(wordpiece_tokenizer())
MARKS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
ENCODER = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
DECODER = {
    "vocab_size": ROWS,
    "d_model": 32,
    "decoder_layers": 2,
    "encoder_layers": 2,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "encoder_ffn_dim": 64,
    "max_position_embeddings": 128,
    "is_decoder": True,
    "is_encoder_decoder": False,
    "init_std": 0.2,
}
WORD_ENCODER = ENCODER | {"vocab_size": WORDS, "pad_token_id": 0}


def made(head: str, config: str, spread: float = 0.0, **fields):
    """A model by the names of its class and configuration; ``spread`` widens its weights."""
    torch.manual_seed(0)
    model = getattr(transformers, head)(getattr(transformers, config)(**fields)).eval()
    if spread:
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=spread)
    return model


def decoder(family: str, **fields):
    return made(f"{family}ForCausalLM", f"{family}Config", **(DECODER | MARKS | fields))


def seeing():
    """Causal by name only: every one of them sees the token that it is to predict."""
    yield "bert", made("BertLMHeadModel", "BertConfig", **ENCODER, pad_token_id=0, is_decoder=False)
    yield "roberta", made("RobertaForCausalLM", "RobertaConfig", **ENCODER, **MARKS, is_decoder=False)
    yield "electra", made("ElectraForCausalLM", "ElectraConfig", **ENCODER, embedding_size=32, pad_token_id=0)
    yield (
        "xlnet",
        made("XLNetLMHeadModel", "XLNetConfig", vocab_size=ROWS, d_model=32, n_layer=2, n_head=4, d_inner=64),
    )
    yield (
        "xlm",
        made("XLMWithLMHeadModel", "XLMConfig", vocab_size=ROWS, emb_dim=32, n_layers=2, n_heads=4),
    )


def recurrent():
    """Models whose caches cannot be cut to some of their rows, or that have none."""
    small = ENCODER | MARKS
    yield (
        "mamba",
        made(
            "MambaForCausalLM",
            "MambaConfig",
            **MARKS,
            vocab_size=ROWS,
            hidden_size=32,
            num_hidden_layers=2,
            state_size=4,
        ),
    )
    yield (
        "gpt",
        made("OpenAIGPTLMHeadModel", "OpenAIGPTConfig", vocab_size=ROWS, n_embd=32, n_layer=2, n_head=4),
    )
    yield (
        "lfm2",
        made(
            "Lfm2ForCausalLM",
            "Lfm2Config",
            **small,
            num_key_value_heads=2,
            layer_types=["conv", "full_attention"],
            block_multiple_of=1,
        ),
    )
    yield (
        "bamba",
        made(
            "BambaForCausalLM",
            "BambaConfig",
            **small,
            num_key_value_heads=2,
            attn_layer_indices=[1],
            mamba_n_heads=8,
            mamba_d_head=8,
            mamba_d_state=4,
            mamba_n_groups=1,
        ),
    )
    yield (
        "qwen3next",
        made(
            "Qwen3NextForCausalLM",
            "Qwen3NextConfig",
            **small,
            num_key_value_heads=2,
            head_dim=8,
            num_experts=2,
            num_experts_per_tok=1,
            moe_intermediate_size=16,
            shared_expert_intermediate_size=16,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            layer_types=["linear_attention", "full_attention"],
        ),
    )
